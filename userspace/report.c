// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: messages, exit reasons by name, registers
 */
#include "report.h"

#include "macros.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME(reason) { KVM_EXIT_##reason, "KVM_EXIT_" #reason }

/**
 * struct exit_name - an exit reason
 * @reason: its number
 * @name: its name
 */
struct exit_name {
	uint32_t reason;
	const char *name;
};

static const struct exit_name exit_names[] = {
	NAME(UNKNOWN), NAME(EXCEPTION), NAME(IO), NAME(HYPERCALL), NAME(DEBUG), NAME(HLT),
	NAME(MMIO), NAME(IRQ_WINDOW_OPEN), NAME(SHUTDOWN), NAME(FAIL_ENTRY), NAME(INTR),
	NAME(SET_TPR), NAME(TPR_ACCESS), NAME(NMI), NAME(INTERNAL_ERROR), NAME(OSI),
	NAME(WATCHDOG), NAME(SYSTEM_EVENT), NAME(IOAPIC_EOI), NAME(HYPERV), NAME(X86_RDMSR),
	NAME(X86_WRMSR), NAME(DIRTY_RING_FULL), NAME(AP_RESET_HOLD), NAME(X86_BUS_LOCK),
	NAME(XEN), NAME(NOTIFY),
#ifdef KVM_EXIT_MEMORY_FAULT
	NAME(MEMORY_FAULT),
#endif
};

static const char *const suberror_names[] = {
	[KVM_INTERNAL_ERROR_EMULATION] = "instruction that cannot be emulated",
	[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
	[KVM_INTERNAL_ERROR_DELIVERY_EV] = "exit while an event was being delivered",
	[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "VM exit that the device does not know",
};

void vmlet_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("vmlet: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

void vmlet_report_remedy(const char *what, int error, const struct vmlet_remedy *remedies)
{
	while (remedies->error && remedies->error != error)
		remedies++;
	if (remedies->error)
		vmlet_error("%s: %s.", what, remedies->text);
	else
		vmlet_error("%s: %s.%s", what, strerror(error), remedies->text ? remedies->text : "");
}

static const struct vmlet_remedy device_remedies[] = {
	{ ENOENT, "there is no such device. Load the module: `insmod vmlet.ko`, or `modprobe vmlet`\n"
		  "after `make install`. On a machine without VT-x or AMD-V, `make demo` runs a lab host" },
	{ EACCES, "you may not open it. Join group kvm (`usermod -aG kvm $USER`, then log in again);\n"
		  "`make install` brings the udev rule that gives the device to that group" },
	{ EPERM, "the system forbids it. A container may lack the device; pass it in" },
	{ ENXIO, "the node has no driver behind it. Load the module: `insmod vmlet.ko`" },
	{ ENODEV, "the node has no driver behind it. Load the module: `insmod vmlet.ko`" },
	{ ENOTTY, "this is no virtualization device; give --device the path of one" },
	{ EPROTO, "it speaks another version of the KVM API than 12" },
	{ EBUSY, "another hypervisor uses the CPU. Unload it: `rmmod kvm_intel` or `rmmod kvm_amd`" },
	{ EMFILE, "too many open files; raise `ulimit -n`" },
	{ ENOMEM, "the host is out of memory" },
	{ 0, " `vmlet check` says what this host lacks." },
};

void vmlet_report_device(const char *device, int error)
{
	vmlet_report_remedy(device, -error, device_remedies);
}

const char *vmlet_exit_name(uint32_t reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(exit_names); i++) {
		if (exit_names[i].reason == reason)
			return exit_names[i].name;
	}
	return NULL;
}

const char *vmlet_suberror_name(uint32_t suberror)
{
	return suberror < ARRAY_SIZE(suberror_names) ? suberror_names[suberror] : NULL;
}

static void print_segment(const char *name, const struct kvm_segment *segment)
{
	fprintf(stderr, "  %-4s %04x base %016llx limit %08x type %x s %u dpl %u p %u db %u l %u g %u%s\n",
		name, segment->selector, segment->base, segment->limit, segment->type,
		segment->s, segment->dpl, segment->present, segment->db, segment->l, segment->g,
		segment->unusable ? " unusable" : "");
}

static void print_sregs(const struct kvm_sregs *sregs)
{
	fprintf(stderr, "  cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n",
		sregs->cr0, sregs->cr2, sregs->cr3, sregs->cr4);
	fprintf(stderr, "  cr8 %016llx efer %016llx apic_base %016llx\n",
		sregs->cr8, sregs->efer, sregs->apic_base);
	print_segment("cs", &sregs->cs);
	print_segment("ss", &sregs->ss);
	print_segment("ds", &sregs->ds);
	print_segment("es", &sregs->es);
	print_segment("fs", &sregs->fs);
	print_segment("gs", &sregs->gs);
	print_segment("tr", &sregs->tr);
	print_segment("ldt", &sregs->ldt);
	fprintf(stderr, "  gdt base %016llx limit %04x\n  idt base %016llx limit %04x\n",
		sregs->gdt.base, sregs->gdt.limit, sregs->idt.base, sregs->idt.limit);
}

static void print_regs(const struct kvm_regs *regs)
{
	fprintf(stderr, "  rax %016llx rbx %016llx rcx %016llx rdx %016llx\n",
		regs->rax, regs->rbx, regs->rcx, regs->rdx);
	fprintf(stderr, "  rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n",
		regs->rsi, regs->rdi, regs->rbp, regs->rsp);
	fprintf(stderr, "  r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n",
		regs->r8, regs->r9, regs->r10, regs->r11);
	fprintf(stderr, "  r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n",
		regs->r12, regs->r13, regs->r14, regs->r15);
	fprintf(stderr, "  rip %016llx rflags %016llx\n", regs->rip, regs->rflags);
}

static void print_registers(struct vmlet_vcpu *vcpu)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int ret;

	ret = vmlet_ioctl(vcpu->fd, KVM_GET_REGS, (uintptr_t)&regs);
	if (ret == 0)
		print_regs(&regs);
	else
		vmlet_error("KVM_GET_REGS: %s", strerror(-ret));
	ret = vmlet_ioctl(vcpu->fd, KVM_GET_SREGS, (uintptr_t)&sregs);
	if (ret == 0)
		print_sregs(&sregs);
	else
		vmlet_error("KVM_GET_SREGS: %s", strerror(-ret));
}

static void print_internal_error(const struct kvm_run *run)
{
	uint32_t suberror = run->internal.suberror;
	const char *name = vmlet_suberror_name(suberror);

	fprintf(stderr, "  suberror %u: %s\n", suberror, name ? name : "unknown");
	for (uint32_t i = 0; i < run->internal.ndata && i < ARRAY_SIZE(run->internal.data); i++)
		fprintf(stderr, "  data[%u] %016llx\n", i, run->internal.data[i]);
}

static void print_details(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		fprintf(stderr, "  hardware exit reason %#llx\n", run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_EXCEPTION:
		fprintf(stderr, "  exception %u error code %#x\n", run->ex.exception,
			run->ex.error_code);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, "  the CPU refused to enter the guest: hardware reason %#llx on CPU %u\n"
			"  vmlet says in the kernel's log (dmesg) which field of its state, and why\n",
			run->fail_entry.hardware_entry_failure_reason, run->fail_entry.cpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		print_internal_error(run);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		fprintf(stderr, "  type %u\n", run->system_event.type);
		break;
	case KVM_EXIT_IO:
		fprintf(stderr, "  port %#x size %u count %u\n", run->io.port, run->io.size,
			run->io.count);
		break;
	case KVM_EXIT_MMIO:
		fprintf(stderr, "  address %#llx length %u %s\n", run->mmio.phys_addr,
			run->mmio.len, run->mmio.is_write ? "write" : "read");
		break;
	}
}

void vmlet_report_exit(struct vmlet_vcpu *vcpu)
{
	const char *name = vmlet_exit_name(vcpu->run->exit_reason);

	vmlet_error("unexpected exit %u, %s", vcpu->run->exit_reason, name ? name : "unknown");
	print_details(vcpu->run);
	print_registers(vcpu);
}

void vmlet_report_run_error(struct vmlet_vcpu *vcpu, int error)
{
	const char *hint = "";

	if (error == -EFAULT)
		hint = ": the guest touched memory that this process cannot access";
	else if (error == -EIO)
		hint = ": the virtual machine is dead or belongs to another process";
	vmlet_error("KVM_RUN: %s%s", strerror(-error), hint);
	print_registers(vcpu);
}
