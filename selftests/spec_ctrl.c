// SPDX-License-Identifier: GPL-2.0
/* MSR_IA32_SPEC_CTRL: what the guest writes is the guest's, and the host's is the host's. */
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <sys/prctl.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define SPEC_CTRL	0x48
#define VIRT_SPEC_CTRL	0xc001011f
#define SSBD		4

/* Bits of the MSRs, and where CPUID has them. */
static const struct { u32 index, bits, function, subleaf, reg, nr; } bits[] = {
	{ SPEC_CTRL, 1, 7, 0, 3, 26 }, { SPEC_CTRL, 1, 0x80000008, 0, 1, 14 },
	{ SPEC_CTRL, 2, 7, 0, 3, 27 }, { SPEC_CTRL, 2, 0x80000008, 0, 1, 15 },
	{ SPEC_CTRL, SSBD, 7, 0, 3, 31 }, { SPEC_CTRL, SSBD, 0x80000008, 0, 1, 24 },
	{ SPEC_CTRL, 0x80, 7, 2, 3, 0 }, { SPEC_CTRL, 0x80, 0x80000008, 0, 1, 28 },
	{ SPEC_CTRL, 0x18, 7, 2, 3, 1 }, { SPEC_CTRL, 0x60, 7, 2, 3, 2 },
	{ SPEC_CTRL, 0x100, 7, 2, 3, 3 }, { SPEC_CTRL, 0x400, 7, 2, 3, 4 },
	{ VIRT_SPEC_CTRL, SSBD, 0x80000008, 0, 1, 25 },
};

FIXTURE(spec_ctrl) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_cpuid2 *cpuid;
};
FIXTURE_VARIANT(spec_ctrl) {
	u32 index;
};
FIXTURE_VARIANT_ADD(spec_ctrl, real) { SPEC_CTRL };
FIXTURE_VARIANT_ADD(spec_ctrl, virtual) { VIRT_SPEC_CTRL };
FIXTURE_SETUP(spec_ctrl)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->cpuid = supported_cpuid(self->vm.dev);
}
FIXTURE_TEARDOWN(spec_ctrl)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

/* NULL: there is no such leaf. */
static u32 *leaf_reg(struct kvm_cpuid2 *cpuid, size_t nr)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(cpuid, bits[nr].function, bits[nr].subleaf);

	return entry ? &entry->eax + bits[nr].reg : NULL;
}

/* The bits that the device offers. */
static u64 offered(struct kvm_cpuid2 *cpuid, u32 index)
{
	u64 mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		u32 *reg = leaf_reg(cpuid, i);

		if (bits[i].index == index && reg && *reg >> bits[i].nr & 1)
			mask |= bits[i].bits;
	}
	return mask;
}

#define SKIP_UNLESS_OFFERED						\
	do {								\
		if (!offered(self->cpuid, variant->index))		\
			SKIP(return, "this CPU has not what it takes");	\
	} while (0)

GUEST_PROGRAM(writes, LONG,
	      "mov %ecx, %esi\n wrmsr\n xor %eax, %eax\n cpuid\n out %al, $0x10\n"
	      "mov %esi, %ecx\n rdmsr\n hlt");
GUEST_PROGRAM(reads, LONG, "rdmsr\n hlt");

static void load(struct vcpu *vcpu, const struct guest_program *program, u32 index, u64 value)
{
	const struct row_regs row = { .rcx = index, .rax = (u32)value, .rdx = value >> 32 };

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
}

/* What the CPU has while this task is in the kernel. */
static u64 host_value(void)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	u64 value = 0;

	if (fd >= 0 && pread(fd, &value, sizeof(value), SPEC_CTRL) != sizeof(value))
		value = 0;
	close(fd);
	return value;
}

/* This task wants no speculative stores, so that the host's value is none of the guest's. */
static u64 own_ssbd(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	return host_value();
}

static const struct deviation not_kept = {
	.qemu = "QEMU drops what is written, and KVM has guests write themselves",
};

TEST_F(spec_ctrl, the_guests_is_kept_and_the_hosts_comes_back)
{
	u64 mask = offered(self->cpuid, variant->index), host = own_ssbd();
	struct kvm_regs regs;

	SKIP_UNLESS_OFFERED;
	if (!device_is_vmlet() && skip_here(_metadata, &not_kept))
		return;
	TH_LOG("offered %#llx, the host has %#llx", (unsigned long long)mask, (unsigned long long)host);
	for (u64 value = mask; value; value = (value - 1) & mask) {
		load(&self->vcpu, &writes, variant->index, value);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		EXPECT_EQ(host, host_value());
		EXPECT_EQ(value, vcpu_get_msr(&self->vcpu, variant->index));
		run_to_halt(_metadata, &self->vcpu, LONG);
		EXPECT_EQ(host, host_value());
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(value, regs.rdx << 32 | (u32)regs.rax);
	}
}

TEST_F(spec_ctrl, userspaces_is_the_guests)
{
	u64 mask = offered(self->cpuid, variant->index);
	struct kvm_regs regs;

	SKIP_UNLESS_OFFERED;
	if (!device_is_vmlet() && skip_here(_metadata, &not_kept))
		return;
	load(&self->vcpu, &reads, variant->index, 0);
	EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, variant->index, mask));
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(mask, regs.rdx << 32 | (u32)regs.rax);
}

static const struct deviation all_bits_taken = {
	.qemu = "KVM asks the CPU whether a bit is reserved: for QEMU none is",
	.bochs_intel = "KVM asks the CPU whether a bit is reserved: for Bochs none is",
};

TEST_F(spec_ctrl, reserved_bits)
{
	static const u64 reserved[] = { 1 << 9, 1ul << 32, 1ul << 63 };
	struct guest_trap trap;

	SKIP_UNLESS_OFFERED;
	if (!device_is_vmlet() && variant->index == SPEC_CTRL && skip_here(_metadata, &all_bits_taken))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, variant->index, reserved[i]));
		load(&self->vcpu, &writes, variant->index, reserved[i]);
		run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
		EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, variant->index));
	}
}

/* A guest that is not told of it has it not. */
TEST_F(spec_ctrl, follows_cpuid)
{
	struct guest_trap trap;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (leaf_reg(self->cpuid, i))
			*leaf_reg(self->cpuid, i) &= ~(1u << bits[i].nr);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	load(&self->vcpu, &reads, variant->index, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	load(&self->vcpu, &writes, variant->index, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

TEST_F(spec_ctrl, listed)
{
	struct {
		struct kvm_msr_list head;
		u32 indices[1024];
	} list = { .head.nmsrs = ARRAY_SIZE(list.indices) };
	u32 i = 0;

	SKIP_UNLESS_OFFERED;
	fd_ioctl(self->vm.dev, KVM_GET_MSR_INDEX_LIST, (unsigned long)&list, "KVM_GET_MSR_INDEX_LIST");
	while (i < list.head.nmsrs && list.indices[i] != variant->index)
		i++;
	EXPECT_LT(i, list.head.nmsrs);
}

FIXTURE_MACHINE(two, KERNEL_IRQCHIP, 2)

GUEST sends_init(u64 arg)
{
	(void)arg;
	xapic_enable();
	apic_icr(1, DM_INIT | ICR_ASSERT | ICR_LEVEL);
	guest_say(0);
}

TEST_F(two, init_clears_both)
{
	static const u32 indices[] = { SPEC_CTRL, VIRT_SPEC_CTRL };
	struct kvm_cpuid2 *cpuid = supported_cpuid(self->m.vm.dev);
	struct vcpu *vcpu = &self->m.vcpu[1];
	struct kvm_mp_state state;

	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		u64 mask = offered(cpuid, indices[i]);

		if (!mask)
			continue;
		EXPECT_EQ(1, __vcpu_set_msr(vcpu, indices[i], mask));
		machine_enter_at(&self->m, 0, sends_init, 0);
		EXPECT_EQ(0u, vcpu_run_until_say(&self->m.vcpu[0]));
		vcpu_get_mp_state(vcpu, &state);
		EXPECT_EQ(0u, vcpu_get_msr(vcpu, indices[i]));
	}
}

TEST_HARNESS_MAIN
