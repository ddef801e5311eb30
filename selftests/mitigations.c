// SPDX-License-Identifier: GPL-2.0
/* What the module says it does about the CPU's bugs fits what the host's kernel says of them. */
#include <stdio.h>

#include "lib/harness.h"

#define OURS	"/sys/module/vmlet/parameters/mitigations"
#define KERNELS	"/sys/devices/system/cpu/vulnerabilities/"

/* The line of ours about @name, or the kernel's; empty: there is none. */
static void read_line(const char *path, const char *name, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(name);
	char line[512];

	*out = 0;
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) || (length && line[length] != ':'))
			continue;
		snprintf(out, size, "%s", line);
		break;
	}
	fclose(file);
}

static void read_both(const char *name, char *ours, char *kernels, size_t size)
{
	char path[128];

	read_line(OURS, name, ours, size);
	snprintf(path, sizeof(path), KERNELS "%s", name);
	read_line(path, "", kernels, size);
}

/* Where the kernel's line has these words, ours has those. */
static const struct { const char *name, *kernels, *ours; } same[] = {
	{ "spectre_v2", "Retpolines", "return stack filled" },
	{ "spectre_v2", "IBPB: conditional", "IBPB between vCPUs" },
	{ "spectre_v2", "Enhanced / Automatic IBRS", "enhanced IBRS" },
	{ "spectre_v2", "PBRSB-eIBRS: SW sequence", "one return at exit" },
	{ "spectre_v2", "KVM: SW loop", "branch history cleared" },
	{ "spec_store_bypass", "Mitigation", "SSBD for guests" },
	{ "srbds", "Mitigation: Microcode", "microcode" },
	{ "gather_data_sampling", "Mitigation: Microcode", "microcode" },
	{ "indirect_target_selection", "Aligned branch/return thunks", "aligned" },
	{ "mds", "Clear CPU buffers", "VERW" },
	{ "tsx_async_abort", "Clear CPU buffers", "VERW" },
	{ "reg_file_data_sampling", "Clear Register File", "VERW" },
	{ "tsa", "Clear CPU buffers", "VERW" },
	{ "retbleed", "untrained return thunk", "untrained" },
	{ "retbleed", "Mitigation: IBRS", "IBRS at exit" },
	{ "retbleed", "Mitigation: Enhanced IBRS", "enhanced IBRS" },
	{ "spec_rstack_overflow", "Safe RET", "untrained" },
	{ "spec_rstack_overflow", "IBPB on VMEXIT", "IBPB at exit" },
	{ "spec_rstack_overflow", "Reduced Speculation", "reduced speculation" },
	{ "vmscape", "IBPB before exit to userspace", "IBPB before userspace" },
};

TEST(what_the_kernel_mitigates_is_mitigated)
{
	char ours[512], kernels[512];

	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		read_both(same[i].name, ours, kernels, sizeof(ours));
		if (!strstr(kernels, same[i].kernels))
			continue;
		TH_LOG("%.*s", (int)strcspn(ours, "\n"), ours);
		EXPECT_NE(NULL, strstr(ours, same[i].ours));
	}
}

/* What concerns guests alone, the kernel leaves to KVM, and tells only what it would do. */
TEST(what_the_kernel_leaves_to_us)
{
	static const struct { const char *name, *ours; } rows[] = {
		{ "l1tf", "L1D flush before each" },
		{ "itlb_multihit", "small pages" },
	};
	char ours[512], cmdline[1024];
	bool off;

	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	read_line("/proc/cmdline", "", cmdline, sizeof(cmdline));
	off = strstr(cmdline, "mitigations=off") && !strstr(cmdline, "mitigations=auto");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		read_line(OURS, rows[i].name, ours, sizeof(ours));
		if (strstr(ours, ": not affected"))
			continue;
		TH_LOG("%.*s", (int)strcspn(ours, "\n"), ours);
		EXPECT_NE(NULL, strstr(ours, off ? ": nothing" : rows[i].ours));
	}
}

TEST(the_same_bugs)
{
	static const char *const names[] = {
		"meltdown", "spectre_v1", "spectre_v2", "l1tf", "mds", "tsx_async_abort",
		"mmio_stale_data", "retbleed", "spec_rstack_overflow", "reg_file_data_sampling",
		"tsa", "vmscape", "spec_store_bypass", "srbds", "gather_data_sampling",
		"indirect_target_selection", "itlb_multihit",
	};
	char ours[512], kernels[512];

	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		read_both(names[i], ours, kernels, sizeof(ours));
		/* "Unknown" is of CPUs too old to have been examined. */
		if (!*ours || !*kernels || strstr(kernels, "Unknown"))
			continue;
		EXPECT_EQ(!strncmp(kernels, "Not affected", 12), !!strstr(ours, ": not affected"));
	}
}

FIXTURE(feature_msrs) {
	struct vm vm;
	struct vcpu vcpu;
	struct {
		struct kvm_msr_list head;
		u32 indices[64];
	} list;
};
FIXTURE_SETUP(feature_msrs)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->list.head.nmsrs = ARRAY_SIZE(self->list.indices);
	fd_ioctl(self->vm.dev, KVM_GET_MSR_FEATURE_INDEX_LIST, (unsigned long)&self->list,
		 "KVM_GET_MSR_FEATURE_INDEX_LIST");
}
FIXTURE_TEARDOWN(feature_msrs)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static int read_feature(int dev, u32 index, u64 *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry.index = index };
	int ret = __fd_ioctl(dev, KVM_GET_MSRS, (unsigned long)&msr);

	*value = msr.entry.data;
	return ret;
}

TEST_F(feature_msrs, each_can_be_read)
{
	u64 value;

	ASSERT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_GET_MSR_FEATURES));
	ASSERT_LT(0u, self->list.head.nmsrs);
	for (u32 i = 0; i < self->list.head.nmsrs; i++)
		EXPECT_EQ(1, read_feature(self->vm.dev, self->list.indices[i], &value));
	EXPECT_EQ(0, read_feature(self->vm.dev, 0x12345678, &value));
}

TEST_F(feature_msrs, too_few_entries_is_e2big)
{
	u32 all = self->list.head.nmsrs;

	self->list.head.nmsrs = 0;
	EXPECT_EQ(-E2BIG, __fd_ioctl(self->vm.dev, KVM_GET_MSR_FEATURE_INDEX_LIST,
				     (unsigned long)&self->list));
	EXPECT_EQ(all, self->list.head.nmsrs);
}

TEST_F(feature_msrs, each_can_be_given_to_a_vcpu)
{
	u64 value;

	for (u32 i = 0; i < self->list.head.nmsrs; i++) {
		/* VMX's depend on what the guest's CPUID has of it. */
		if (self->list.indices[i] >> 5 == 0x480 >> 5)
			continue;
		ASSERT_EQ(1, read_feature(self->vm.dev, self->list.indices[i], &value));
		EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, self->list.indices[i], value));
		EXPECT_EQ(value, vcpu_get_msr(&self->vcpu, self->list.indices[i]));
	}
}

GUEST_PROGRAM(reads_msr, LONG, "rdmsr\n hlt");
GUEST_PROGRAM(writes_msr, LONG, "wrmsr\n hlt");

static void load(struct vcpu *vcpu, const struct guest_program *program, u32 index)
{
	const struct row_regs row = { .rcx = index, .rax = 1 };

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
}

TEST_F(feature_msrs, arch_capabilities_are_what_the_device_says)
{
	struct guest_trap trap;
	struct kvm_regs regs;
	u64 value;

	ASSERT_EQ(1, read_feature(self->vm.dev, 0x10a, &value));
	load(&self->vcpu, &reads_msr, 0x10a);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(value, regs.rdx << 32 | (u32)regs.rax);
	load(&self->vcpu, &writes_msr, 0x10a);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

/* Only the bit that says that LFENCE is serializing. */
TEST_F(feature_msrs, de_cfg)
{
	struct guest_trap trap;
	struct kvm_regs regs;
	u64 value;

	if (read_feature(self->vm.dev, 0xc0011029, &value) != 1)
		SKIP(return, "an MSR of AMD's CPUs");
	EXPECT_EQ(0u, value & ~2ul);
	EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0011029, value));
	load(&self->vcpu, &reads_msr, 0xc0011029);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(value, regs.rdx << 32 | (u32)regs.rax);
	load(&self->vcpu, &writes_msr, 0xc0011029);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, 0xc0011029, 1));
}

TEST_F(feature_msrs, perf_capabilities_follow_cpuid)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(self->vm.dev);
	struct guest_trap trap;

	cpuid_find(cpuid, 1, 0)->ecx &= ~(1u << 15);	/* PDCM */
	vcpu_set_cpuid2(&self->vcpu, cpuid);
	load(&self->vcpu, &reads_msr, 0x345);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, 0x345, 1ul << 63));
}

/* What CPUID does not offer, the guest cannot do. */
TEST_F(feature_msrs, commands_follow_cpuid)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(self->vm.dev);
	struct kvm_cpuid_entry2 *ext = cpuid_find(cpuid, 0x80000008, 0), *seven = cpuid_find(cpuid, 7, 0);
	const struct { u32 index; bool offered; } commands[] = {
		{ 0x49, ext->ebx >> 12 & 1 || seven->edx >> 26 & 1 },
		{ 0x10b, seven->edx >> 28 & 1 },
	};
	struct guest_trap trap;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		load(&self->vcpu, &writes_msr, commands[i].index);
		vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
		EXPECT_EQ(commands[i].offered ? -1 : GP_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
		load(&self->vcpu, &reads_msr, commands[i].index);
		run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	}
}

TEST_HARNESS_MAIN
