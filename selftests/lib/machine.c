// SPDX-License-Identifier: GPL-2.0
/* Machines with interrupt controllers, and their guests in C: see machine.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

#define PAGE		4096ul
#define IMAGE_SLOT	30
#define VECTORS		256
#define GUEST_PD_HIGH	0x78000ul	/* in slot 0, above what tests use of it */
#define MACHINE_STUBS	0x79000ul
#define STUB_SIZE	16

extern char __executable_start[], _end[];

static u8 stacks[MACHINE_VCPUS][PAGE] __attribute__((aligned(16)));

int device_cap(long cap)
{
	int dev = dev_open();
	int value = __fd_ioctl(dev, KVM_CHECK_EXTENSION, cap);

	close(dev);
	return value;
}

const char *machine_missing(enum irqchip kind)
{
	if (kind == KERNEL_IRQCHIP && device_cap(KVM_CAP_IRQCHIP) <= 0)
		return "the device has no interrupt controllers (KVM_CAP_IRQCHIP)";
	if (kind == SPLIT_IRQCHIP && device_cap(KVM_CAP_SPLIT_IRQCHIP) <= 0)
		return "the device has no KVM_CAP_SPLIT_IRQCHIP";
	return NULL;
}

static void create_irqchip(struct vm *vm, enum irqchip kind)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	if (kind == KERNEL_IRQCHIP)
		fd_ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
	else if (kind == SPLIT_IRQCHIP)
		vm_enable_cap(vm, &split);
}

/* The process's own image, at its own addresses: all below 1 GiB. */
static void map_image(struct vm *vm)
{
	u64 start = (u64)__executable_start & -PAGE;
	u64 end = ((u64)_end + PAGE - 1) & -PAGE;

	if (start < RAM_SIZE || end > UNMAPPED_GVA)
		die("the test is linked at %p, where no guest can have it", (void *)start);
	vm_set_memory(vm, IMAGE_SLOT, 0, start, end - start, (void *)start);
}

/* TSC deadline and x2APIC are up to userspace to offer. */
static void offer_apic_features(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 1, 0);

	leaf->ecx |= 1u << 21 | 1u << 31;
	if (device_cap(KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		leaf->ecx |= 1u << 24;
	vcpu_set_cpuid2(vcpu, cpuid);
	free(cpuid);
}

static void on_kick(int signal)
{
	(void)signal;
}

/* The fourth GiB too, where the interrupt controllers are. */
static void map_high(u8 *ram)
{
	u64 *pd = (u64 *)(ram + GUEST_PD_HIGH);

	for (u64 i = 0; i < 512; i++)
		pd[i] = (3ul << 30 | i << 21) | PTE_PS | PTE_P | PTE_W;
	((u64 *)(ram + GUEST_PDPT))[3] = GUEST_PD_HIGH | PTE_P | PTE_W;
}

void machine_set_gate(struct machine *m, u8 vector, void *isr)
{
	u64 *gate = (u64 *)(m->vm.ram + GUEST_IDT) + 2 * vector;
	u64 target = (u64)isr;

	gate[0] = (target & 0xffff) | SEL_CODE64 << 16 | 0xee00ull << 32 |
		  (target & 0xffff0000) << 32;
	gate[1] = target >> 32;
}

/* mov $vector, %al; out %al, $PORT_TRAP; hlt; jmp back to hlt */
static void build_stubs(struct machine *m)
{
	for (int vector = 0; vector < VECTORS; vector++) {
		u8 code[] = { 0xb0, vector, 0xe6, PORT_TRAP, 0xf4, 0xeb, 0xfd };

		memcpy(m->vm.ram + MACHINE_STUBS + vector * STUB_SIZE, code, sizeof(code));
		machine_set_gate(m, vector, (void *)(MACHINE_STUBS + vector * STUB_SIZE));
	}
}

void machine_add_vcpu_id(struct machine *m, u32 id)
{
	struct vcpu *vcpu = &m->vcpu[m->vcpus++];

	vcpu_create_bare(&m->vm, vcpu, id);
	offer_apic_features(vcpu);
	guest_set_mode(vcpu, LONG);
}

void machine_add_vcpu(struct machine *m)
{
	machine_add_vcpu_id(m, m->vcpus);
}

void machine_create(struct machine *m, enum irqchip kind, unsigned int vcpus)
{
	struct sigaction action = { .sa_handler = on_kick };

	sigaction(SIGUSR1, &action, NULL);
	vm_create(&m->vm);
	map_image(&m->vm);
	create_irqchip(&m->vm, kind);
	m->vcpus = 0;
	while (m->vcpus < vcpus)
		machine_add_vcpu(m);
	map_high(m->vm.ram);
	build_stubs(m);
}

void machine_destroy(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpus; i++)
		vcpu_destroy(&m->vcpu[i]);
	vm_destroy(&m->vm);
}

void machine_enter_at(struct machine *m, unsigned int i, void (*function)(u64), u64 arg)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = {
		.rip = (u64)function,
		.rdi = arg,
		.rsp = (u64)stacks[i + 1] - 8,
		.rflags = RFLAGS_FIXED,
	};

	vcpu_set_regs(&m->vcpu[i], &regs);
	vcpu_set_mp_state(&m->vcpu[i], &state);
}

static bool said(struct vcpu *vcpu, u16 port, u32 *value)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT ||
	    run->io.port != port)
		return false;
	*value = 0;
	memcpy(value, (u8 *)run + run->io.data_offset, run->io.size);
	return true;
}

static void die_of_exit(struct vcpu *vcpu, int ret)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;
	u64 *stack;
	u32 value;

	vcpu_get_regs(vcpu, &regs);
	stack = (u64 *)regs.rsp;
	if (ret)
		die("KVM_RUN: %s, exit %s, at rip %#llx", strerror(-ret),
		    exit_name(run->exit_reason), regs.rip);
	if (said(vcpu, PORT_TRAP, &value))
		die("the guest took vector %u; on its stack: %#lx %#lx", value, stack[0], stack[1]);
	if (run->exit_reason == KVM_EXIT_IO)
		die("the guest used port %#x", run->io.port);
	if (run->exit_reason == KVM_EXIT_MMIO)
		die("the guest used address %#llx", run->mmio.phys_addr);
	die("exit %s (%u) at rip %#llx", exit_name(run->exit_reason), run->exit_reason, regs.rip);
}

u32 vcpu_run_until_out(struct vcpu *vcpu, u16 port)
{
	int ret = __vcpu_run(vcpu);
	u32 value;

	if (ret || !said(vcpu, port, &value))
		die_of_exit(vcpu, ret);
	return value;
}

u32 vcpu_run_until_say(struct vcpu *vcpu)
{
	return vcpu_run_until_out(vcpu, PORT_SAY);
}

void vcpu_run_until_done(struct vcpu *vcpu)
{
	vcpu_run_until_out(vcpu, PORT_DONE);
}

static void *run_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	u32 value;
	int ret;

	do
		ret = __vcpu_run(vcpu);
	while (ret == -EAGAIN);
	if (ret == -EINTR && vcpu->run->immediate_exit)
		return NULL;
	if (ret || !said(vcpu, PORT_DONE, &value))
		die_of_exit(vcpu, ret);
	return NULL;
}

void machine_start(struct machine *m, unsigned int i)
{
	if (pthread_create(&m->thread[i], NULL, run_thread, &m->vcpu[i]))
		die("no thread for vCPU %u", i);
}

void machine_join(struct machine *m, unsigned int i)
{
	pthread_join(m->thread[i], NULL);
}

void machine_stop(struct machine *m, unsigned int i)
{
	m->vcpu[i].run->immediate_exit = 1;
	pthread_kill(m->thread[i], SIGUSR1);
	machine_join(m, i);
	m->vcpu[i].run->immediate_exit = 0;
}

void vm_irq_line(struct vm *vm, u32 gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	fd_ioctl(vm->fd, KVM_IRQ_LINE, (unsigned long)&line, "KVM_IRQ_LINE");
}

int vm_irq_line_status(struct vm *vm, u32 gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	fd_ioctl(vm->fd, KVM_IRQ_LINE_STATUS, (unsigned long)&line, "KVM_IRQ_LINE_STATUS");
	return line.status;
}

int __vm_set_routes(struct vm *vm, const struct kvm_irq_routing_entry *entries, int count)
{
	struct kvm_irq_routing *table;
	int ret;

	table = calloc(1, sizeof(*table) + count * sizeof(*entries));
	if (!table)
		die("no memory for %d routes", count);
	table->nr = count;
	memcpy(table->entries, entries, count * sizeof(*entries));
	ret = __fd_ioctl(vm->fd, KVM_SET_GSI_ROUTING, (unsigned long)table);
	free(table);
	return ret;
}

void vm_set_routes(struct vm *vm, const struct kvm_irq_routing_entry *entries, int count)
{
	int ret = __vm_set_routes(vm, entries, count);

	if (ret)
		die("KVM_SET_GSI_ROUTING: %s", strerror(-ret));
}

int __vm_signal_msi(struct vm *vm, u32 address, u32 data)
{
	struct kvm_msi msi = { .address_lo = address, .data = data };

	return __fd_ioctl(vm->fd, KVM_SIGNAL_MSI, (unsigned long)&msi);
}
