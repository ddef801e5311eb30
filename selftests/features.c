// SPDX-License-Identifier: GPL-2.0
/* CPU features: the guest has what its CPUID says, and the host keeps its own. */
#include <cpuid.h>

#include "lib/harness.h"

#define MSR_XSS		0xda0
#define MSR_TSC_AUX	0xc0000103
#define CR4_PKE		(1ul << 22)
#define CR4_LA57	(1ul << 12)
#define PKRU		9	/* the component's number */
#define KEY		5
#define KEY_GVA		0x200000ul	/* physical 0 again, with that key */
#define PF_KEY		0x21		/* error code: present, protection key */
#define XSAVE_HEADER	512

enum { EAX, EBX, ECX, EDX };

struct bit { u32 function, index; u8 reg, nr; };

static const struct bit rdtscp_bit = { 0x80000001, 0, EDX, 27 };
static const struct bit rdpid_bit = { 7, 0, ECX, 22 };
static const struct bit pku_bit = { 7, 0, ECX, 3 };
static const struct bit la57_bit = { 7, 0, ECX, 16 };
static const struct bit xsaves_bit = { 0xd, 1, EAX, 3 };

FIXTURE(features) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_cpuid2 *cpuid;
};
FIXTURE_SETUP(features)
{
	vm_create(&self->vm);
	vcpu_create_bare(&self->vm, &self->vcpu, 0);
	self->cpuid = supported_cpuid(self->vm.dev);
}
FIXTURE_TEARDOWN(features)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static u32 *bit_register(struct kvm_cpuid2 *cpuid, const struct bit *bit)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(cpuid, bit->function, bit->index);

	return entry ? &entry->eax + bit->reg : NULL;
}

static bool has(struct kvm_cpuid2 *cpuid, const struct bit *bit)
{
	u32 *reg = bit_register(cpuid, bit);

	return reg && (*reg >> bit->nr & 1);
}

static void take_away(struct kvm_cpuid2 *cpuid, const struct bit *bit)
{
	if (has(cpuid, bit))
		*bit_register(cpuid, bit) &= ~(1u << bit->nr);
}

#define NEED(bit) do { if (!has(self->cpuid, bit)) SKIP(return, "not offered here"); } while (0)

static struct kvm_regs run(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct kvm_regs regs;

	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &regs);
	return regs;
}

/* Twice, with exits to the kernel and to userspace between; its own value the second time. */
GUEST_PROGRAM(reads_aux, LONG,
	      "rdtscp\n mov %ecx, %esi\n xor %eax, %eax\n cpuid\n out %al, $0x10\n"
	      "mov $0xc0000103, %ecx\n mov $0x4321, %eax\n xor %edx, %edx\n wrmsr\n"
	      "rdtscp\n mov %ecx, %edi\n mov $0xc0000103, %ecx\n rdmsr\n hlt");
GUEST_PROGRAM(reads_pid, LONG, "xor %eax, %eax\n rdpid %rax\n hlt");
GUEST_PROGRAM(reads_aux_msr, LONG, "mov $0xc0000103, %ecx\n rdmsr\n hlt");

TEST_F(features, tsc_aux_is_the_guests)
{
	u32 before, after;
	struct kvm_regs regs;

	NEED(&rdtscp_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &reads_aux);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC_AUX, 0x1234));
	asm volatile("rdtscp" : "=c" (before) : : "eax", "edx");
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	asm volatile("rdtscp" : "=c" (after) : : "eax", "edx");
	EXPECT_EQ(before, after);
	regs = run(_metadata, &self->vcpu);
	asm volatile("rdtscp" : "=c" (after) : : "eax", "edx");
	EXPECT_EQ(before, after);
	EXPECT_EQ(0x1234u, regs.rsi);
	EXPECT_EQ(0x4321u, regs.rdi);
	EXPECT_EQ(0x4321u, regs.rax);
	EXPECT_EQ(0x4321u, vcpu_get_msr(&self->vcpu, MSR_TSC_AUX));
}

TEST_F(features, rdpid)
{
	NEED(&rdpid_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &reads_pid);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC_AUX, 0x1234));
	EXPECT_EQ(0x1234u, run(_metadata, &self->vcpu).rax);
}

static const struct deviation rdtscp_exits = {
	.qemu = "QEMU's AMD-V does not intercept RDTSCP",
};

TEST_F(features, without_rdtscp)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &rdtscp_exits))
		return;
	take_away(self->cpuid, &rdtscp_bit);
	take_away(self->cpuid, &rdpid_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &reads_aux);
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
	guest_load(&self->vcpu, &reads_aux_msr);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

/* Keys deny by RDX; then a load through the key and a store, exits between. */
GUEST_PROGRAM(uses_keys, LONG,
	      "mov %cr4, %rax\n or $0x400000, %eax\n mov %rax, %cr4\n"
	      "mov $7, %eax\n xor %ecx, %ecx\n cpuid\n mov %ecx, %esi\n"
	      "mov %ebp, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n wrpkru\n"
	      "xor %eax, %eax\n cpuid\n out %al, $0x10\n"
	      "xor %ecx, %ecx\n rdpkru\n mov %eax, %edi\n"
	      "mov 0x20c000, %ebx\n mov %ebx, 0x20c000\n hlt");

static void map_with_key(struct vcpu *vcpu)
{
	u64 *pd = (u64 *)(vcpu->vm->ram + GUEST_PD);

	pd[KEY_GVA >> 21] = PTE_PS | PTE_P | PTE_W | PTE_U | (u64)KEY << 59;
}

static u32 host_pkru(void)
{
	u32 eax, edx;

	asm volatile("rdpkru" : "=a" (eax), "=d" (edx) : "c" (0));
	return eax;
}

static void load_keys(struct vcpu *vcpu, u32 rights)
{
	struct row_regs none = { 0 };
	struct kvm_regs regs;

	guest_load(vcpu, &uses_keys);
	map_with_key(vcpu);
	row_set_regs(vcpu, &none);
	vcpu_get_regs(vcpu, &regs);
	regs.rbp = rights;
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(features, keys_permit)
{
	struct kvm_regs regs;
	u32 before;

	NEED(&pku_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	*(u32 *)(self->vm.ram + GUEST_DATA) = 0xfeed;
	load_keys(&self->vcpu, 0xc);
	before = host_pkru();
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(before, host_pkru());
	regs = run(_metadata, &self->vcpu);
	EXPECT_EQ(before, host_pkru());
	EXPECT_EQ(1u << 4, regs.rsi & 1 << 4);	/* OSPKE */
	EXPECT_EQ(0xcu, regs.rdi);
	EXPECT_EQ(0xfeedu, regs.rbx);
}

TEST_F(features, keys_deny)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	NEED(&pku_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	load_keys(&self->vcpu, 1u << 2 * KEY);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run_to_trap(_metadata, &self->vcpu, LONG, PF_VECTOR, &trap);
	EXPECT_EQ((u64)PF_KEY, trap.error);
	/* Bit 1 denies stores alone. */
	load_keys(&self->vcpu, 2u << 2 * KEY);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run_to_trap(_metadata, &self->vcpu, LONG, PF_VECTOR, &trap);
	EXPECT_EQ((u64)PF_KEY | 2, trap.error);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(2u << 2 * KEY, regs.rdi);
}

/* MOVS stores where the key forbids it, from a device: the kernel walks the tables. */
GUEST_PROGRAM(copies_to_key, LONG,
	      "mov %cr4, %rax\n or $0x400000, %eax\n mov %rax, %cr4\n"
	      "mov $0x800, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n wrpkru\n"
	      "mov $0xd0000, %esi\n mov $0x20c000, %edi\n movsl\n hlt");

TEST_F(features, keys_deny_emulated_stores)
{
	struct guest_trap trap;
	int ret;

	NEED(&pku_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &copies_to_key);
	map_with_key(&self->vcpu);
	do {
		ret = __vcpu_run(&self->vcpu);
	} while (!ret && self->vcpu.run->exit_reason == KVM_EXIT_MMIO);
	ASSERT_EQ(0, ret);
	ASSERT_EQ((u32)KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	ASSERT_EQ(PF_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
	EXPECT_EQ((u64)PF_KEY | 2, trap.error);
}

TEST_F(features, keys_are_part_of_the_extended_state)
{
	struct kvm_xsave area;
	u64 *header = (u64 *)((u8 *)area.region + XSAVE_HEADER);
	u32 size, offset, ecx, edx;

	NEED(&pku_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	__cpuid_count(0xd, PKRU, size, offset, ecx, edx);
	load_keys(&self->vcpu, 0xabc0);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_xsave(&self->vcpu, &area);
	EXPECT_EQ(1ull << PKRU, header[0] & 1ull << PKRU);
	EXPECT_EQ(0xabc0u, *(u32 *)((u8 *)area.region + offset));
	*(u32 *)((u8 *)area.region + offset) = 0x3000;
	vcpu_set_xsave(&self->vcpu, &area);
	EXPECT_EQ(0x3000u, run(_metadata, &self->vcpu).rdi);
}

TEST_F(features, without_keys)
{
	struct guest_trap trap;

	take_away(self->cpuid, &pku_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	load_keys(&self->vcpu, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

#define ENABLE_SSE_STATE "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n" \
	"xor %ecx, %ecx\n xor %edx, %edx\n mov $3, %eax\n xsetbv\n"

GUEST_PROGRAM(saves_supervisor, LONG, ENABLE_SSE_STATE
	      "mov $0x1122334455667788, %rbx\n movq %rbx, %xmm5\n"
	      "mov $3, %eax\n xor %edx, %edx\n xsaves64 0x30000\n"
	      "pxor %xmm5, %xmm5\n xrstors64 0x30000\n movq %xmm5, %rsi\n"
	      "mov $0xda0, %ecx\n rdmsr\n hlt");
GUEST_PROGRAM(writes_xss, LONG, "mov $0xda0, %ecx\n mov $0x100, %eax\n xor %edx, %edx\n wrmsr\n hlt");

TEST_F(features, xsaves)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	NEED(&xsaves_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &saves_supervisor);
	regs = run(_metadata, &self->vcpu);
	EXPECT_EQ(0x1122334455667788u, regs.rsi);
	EXPECT_EQ(0u, regs.rax);
	/* The compact format. */
	EXPECT_EQ(1ull << 63 | 3, *(u64 *)(self->vm.ram + 0x30000 + XSAVE_HEADER + 8));
	guest_load(&self->vcpu, &writes_xss);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

TEST_F(features, xsave2_is_xsave)
{
	static struct kvm_xsave one, two;

	if (__vm_check_extension(&self->vm, KVM_CAP_XSAVE2) <= 0)
		SKIP(return, "the device has no KVM_CAP_XSAVE2");
	ASSERT_EQ(4096, __vm_check_extension(&self->vm, KVM_CAP_XSAVE2));
	vcpu_get_xsave(&self->vcpu, &one);
	ASSERT_EQ(0, __fd_ioctl(self->vcpu.fd, KVM_GET_XSAVE2, (unsigned long)&two));
	EXPECT_EQ(0, memcmp(&one, &two, sizeof(one)));
}

static const struct { u64 cr4; struct bit bit; } cr4_bits[] = {
	{ 1ul << 11, { 7, 0, ECX, 2 } },	/* UMIP */
	{ CR4_LA57, { 7, 0, ECX, 16 } },
	{ 1ul << 16, { 7, 0, EBX, 0 } },	/* FSGSBASE */
	{ 1ul << 17, { 1, 0, ECX, 17 } },	/* PCIDE */
	{ CR4_OSXSAVE, { 1, 0, ECX, 26 } },
	{ 1ul << 20, { 7, 0, EBX, 7 } },	/* SMEP */
	{ 1ul << 21, { 7, 0, EBX, 20 } },	/* SMAP */
	{ CR4_PKE, { 7, 0, ECX, 3 } },
};

static int set_cr4(struct vcpu *vcpu, u64 cr4)
{
	struct kvm_sregs sregs;

	/* Without CPUID there is no long mode for KVM. */
	guest_set_mode(vcpu, REAL);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= cr4;
	return __vcpu_set_sregs(vcpu, &sregs);
}

TEST_F(features, cr4_before_cpuid_is_the_hosts)
{
	for (size_t i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		bool can = has(self->cpuid, &cr4_bits[i].bit);

		EXPECT_EQ(can ? 0 : -EINVAL, set_cr4(&self->vcpu, cr4_bits[i].cr4));
	}
}

TEST_F(features, cr4_follows_cpuid)
{
	for (size_t i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		struct kvm_cpuid2 *cpuid = supported_cpuid(self->vm.dev);

		take_away(cpuid, &cr4_bits[i].bit);
		vcpu_set_cpuid2(&self->vcpu, cpuid);
		EXPECT_EQ(-EINVAL, set_cr4(&self->vcpu, cr4_bits[i].cr4));
		vcpu_set_cpuid2(&self->vcpu, self->cpuid);
		if (has(self->cpuid, &cr4_bits[i].bit))
			EXPECT_EQ(0, set_cr4(&self->vcpu, cr4_bits[i].cr4));
	}
}

/* Data and a device behind bit 48, which only five levels translate. */
GUEST_PROGRAM(reaches_far, LONG,
	      "mov $0x100000000c000, %rsi\n mov (%rsi), %ebx\n"
	      "mov $0x10000000d0000, %rsi\n mov %ebx, (%rsi)\n mov (%rsi), %edi\n hlt");

TEST_F(features, five_levels)
{
	u64 *pml5 = (u64 *)(self->vm.ram + GUEST_FREE);
	const struct step steps[] = {
		WRITE(MMIO_BASE, 4, 0xfeed), READ(MMIO_BASE, 4, 0xbeef), { STEP_END }
	};
	struct kvm_sregs sregs;

	NEED(&la57_bit);
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &reaches_far);
	*(u32 *)(self->vm.ram + GUEST_DATA) = 0xfeed;
	pml5[0] = pml5[1] = GUEST_PML4 | PTE_P | PTE_W | PTE_U;
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.cr3 = GUEST_FREE;
	sregs.cr4 |= CR4_LA57;
	vcpu_set_sregs(&self->vcpu, &sregs);
	run_steps(_metadata, &self->vcpu, steps);
	EXPECT_EQ(0xbeefu, run(_metadata, &self->vcpu).rdi);
}

/* CPUID faults in user mode where the guest has asked for it, and not before. */
GUEST_PROGRAM(faults, LONG,
	      "mov $0x140, %ecx\n mov %ebp, %eax\n xor %edx, %edx\n wrmsr\n"
	      "xor %eax, %eax\n cpuid\n mov %eax, %esi\n"
	      "push $0x2b\n push $0xf800\n push $2\n push $0x23\n lea 1f(%rip), %rax\n push %rax\n iretq\n"
	      "1: xor %eax, %eax\n cpuid\n int3");

static void load_faults(struct vcpu *vcpu, u64 enable)
{
	struct kvm_regs regs;

	guest_load(vcpu, &faults);
	vcpu_get_regs(vcpu, &regs);
	regs.rbp = enable;
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(features, cpuid_faulting)
{
	struct guest_trap trap;

	if (__vm_check_extension(&self->vm, KVM_CAP_MSR_PLATFORM_INFO) <= 0)
		SKIP(return, "the device has no KVM_CAP_MSR_PLATFORM_INFO");
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	load_faults(&self->vcpu, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, BP_VECTOR, &trap);
	load_faults(&self->vcpu, 1);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(3u, trap.cs & 3);
	/* The platform can no longer say that it cannot. */
	EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, 0xce, 0));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0x140, 0));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xce, 0));
	load_faults(&self->vcpu, 1);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(0u, trap.cs & 3);
}

GUEST_PROGRAM(reads_platform, LONG, "mov $0xce, %ecx\n rdmsr\n hlt");

TEST_F(features, platform_info_can_be_hidden)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MSR_PLATFORM_INFO };
	struct guest_trap trap;

	if (__vm_check_extension(&self->vm, KVM_CAP_MSR_PLATFORM_INFO) <= 0)
		SKIP(return, "the device has no KVM_CAP_MSR_PLATFORM_INFO");
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_load(&self->vcpu, &reads_platform);
	EXPECT_EQ(1u << 31, (u32)run(_metadata, &self->vcpu).rax);
	ASSERT_EQ(0, __fd_ioctl(self->vm.fd, KVM_ENABLE_CAP, (unsigned long)&cap));
	guest_load(&self->vcpu, &reads_platform);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

TEST_HARNESS_MAIN
