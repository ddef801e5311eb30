// SPDX-License-Identifier: GPL-2.0
/* Tracepoints: kvm:kvm_* of stock KVM, vmlet:kvm_* with the same names and fields. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/harness.h"

#define INSTANCE "/sys/kernel/tracing/instances/vmlet-test"
#define TRACE_MAX (1 << 20)

static const char *system_name(void)
{
	return device_is_vmlet() ? "vmlet" : "kvm";
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static bool switch_event(const char *event, bool on)
{
	char path[256];

	snprintf(path, sizeof(path), INSTANCE "/events/%s/%s/enable", system_name(), event);
	return write_file(path, on ? "1" : "0");
}

static char *read_file(const char *path)
{
	static char text[TRACE_MAX];
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	return text;
}

FIXTURE(trace) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_SETUP(trace)
{
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	if (access("/sys/kernel/tracing/instances", W_OK))
		SKIP(return, "no tracefs, or not for us");
	ASSERT_TRUE(!mkdir(INSTANCE, 0700) || errno == EEXIST);
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(trace)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
	rmdir(INSTANCE);
}

static const char *const events[] = {
	"kvm_entry", "kvm_exit", "kvm_page_fault", "kvm_pio", "kvm_mmio", "kvm_msr", "kvm_inj_virq", "kvm_inj_exception",
	"kvm_userspace_exit",
};

static const struct {
	const char *event, *fields[8];
} formats[] = {
	{ "kvm_entry", { "vcpu_id", "rip" } },
	{ "kvm_exit", { "exit_reason", "guest_rip", "isa", "vcpu_id" } },
	{ "kvm_page_fault", { "vcpu_id", "guest_rip", "fault_address", "error_code" } },
	{ "kvm_pio", { "rw", "port", "size", "count", "val" } },
	{ "kvm_mmio", { "type", "len", "gpa", "val" } },
	{ "kvm_msr", { "write", "ecx", "data", "exception" } },
	{ "kvm_inj_virq", { "vector" } },
	{ "kvm_inj_exception", { "exception", "error_code" } },
	{ "kvm_userspace_exit", { "reason", "errno" } },
	{ "kvm_unmap_hva_range", { "start", "end" } },
};

/* What those who read traces by program look for. */
TEST_F(trace, fields)
{
	char path[256], field[64];

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		snprintf(path, sizeof(path), INSTANCE "/events/%s/%s/format", system_name(), formats[i].event);
		for (const char *const *name = formats[i].fields; *name; name++) {
			snprintf(field, sizeof(field), " %s;", *name);
			EXPECT_NE(NULL, strstr(read_file(path), field)) {
				TH_LOG("%s has no field%s", formats[i].event, field);
			}
		}
	}
}

GUEST_PROGRAM(does_all, LONG,
	      "mov $0x277, %ecx\n rdmsr\n wrmsr\n mov $0x2a, %eax\n out %al, $0x10\n in $0x11, %al\n"
	      "movl $0x12345678, 0xd0000\n mov 0xd0004, %eax\n sti\n nop\n out %al, $0x12\n nop\n hlt");

/* Each in this order, perhaps with others between them. */
static const char *const expected[] = {
	"kvm_entry: ", "kvm_exit: ", "kvm_page_fault: ",
	"kvm_msr: msr_read 277 = 0x7040600070406", "kvm_msr: msr_write 277 = 0x7040600070406",
	"kvm_pio: pio_write at 0x10 size 1 count 1 val 0x2a", "kvm_pio: pio_read at 0x11 size 1 count 1 val 0x5b",
	"kvm_mmio: mmio write len 4 gpa 0xd0000 val 0x12345678",
	"kvm_mmio: mmio unsatisfied-read len 4 gpa 0xd0004 val 0x0",
	"kvm_mmio: mmio read len 4 gpa 0xd0004 val 0xfedcba98",
	"kvm_pio: pio_write at 0x12 ", "kvm_userspace_exit: ", "kvm_inj_virq: ",
};

TEST_F(trace, tells_in_order)
{
	static const struct step steps[] = {
		OUT(0x10, 1, 0x2a), IN(0x11, 1, 0x5b), WRITE(0xd0000, 4, 0x12345678), READ(0xd0004, 4, 0xfedcba98),
		OUT(0x12, 1, 0x98), { 0 }
	};
	struct kvm_interrupt irq = { .irq = 0x40 };
	struct guest_trap trap;
	const char *at;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		ASSERT_TRUE(switch_event(events[i], true));
	guest_load(&self->vcpu, &does_all);
	run_steps(_metadata, &self->vcpu, steps);
	/* The access is done first; then the interrupt can be taken. */
	self->vcpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	self->vcpu.run->immediate_exit = 0;
	vcpu_interrupt(&self->vcpu, &irq);
	run_to_trap(_metadata, &self->vcpu, LONG, 0x40, &trap);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		switch_event(events[i], false);
	at = read_file(INSTANCE "/trace");
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const char *found = strstr(at, expected[i]);

		if (!found)
			TH_LOG("no `%s` in\n%s", expected[i], at);
		ASSERT_NE(NULL, found);
		at = found + 1;
	}
	if (device_is_vmlet())
		EXPECT_NE(NULL, strstr(read_file(INSTANCE "/trace"), " reason nested_fault rip 0x"));
}

GUEST_PROGRAM(touches_page, LONG, "mov $0x10000000, %eax\n incb (%rax)\n hlt");

/* A slot comes, a page is mapped, unmapped and mapped again, the slot goes. */
TEST_F(trace, memory)
{
	static const char *const memory_events[] = { "vmlet_memory_slot", "kvm_mmu_set_spte", "kvm_unmap_hva_range" };
	static const char *const told[] = {
		"vmlet_memory_slot: ", "kvm_mmu_set_spte: gfn 0x10000 ", "kvm_unmap_hva_range: ", "kvm_mmu_set_spte: gfn 0x10000 ",
		" gpa 0x10000000 size 0x0 ",
	};
	u8 *page = pages_alloc(4096);
	const char *at;

	if (!device_is_vmlet())
		SKIP(return, "stock KVM names slots and mappings otherwise");
	for (size_t i = 0; i < ARRAY_SIZE(memory_events); i++)
		ASSERT_TRUE(switch_event(memory_events[i], true));
	guest_load(&self->vcpu, &touches_page);
	vm_set_memory(&self->vm, 1, 0, 0x10000000, 4096, page);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0, madvise(page, 4096, MADV_DONTNEED));
	guest_load(&self->vcpu, &touches_page);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vm_set_memory(&self->vm, 1, 0, 0x10000000, 0, page);
	for (size_t i = 0; i < ARRAY_SIZE(memory_events); i++)
		switch_event(memory_events[i], false);
	EXPECT_EQ(1, page[0]);
	at = read_file(INSTANCE "/trace");
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		const char *found = strstr(at, told[i]);

		if (!found)
			TH_LOG("no `%s` in\n%s", told[i], at);
		ASSERT_NE(NULL, found);
		at = found + 1;
	}
}

TEST_HARNESS_MAIN
