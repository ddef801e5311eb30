// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the CPU's bugs, and what is done about them
 *
 * Most of it is decided by the kernel, by flags that the macros in host/entry.h and the kernel's inline functions follow, as
 * the rows here do. The parameter `mitigations` of the module tells the result, a line per bug under the name that it
 * has in /sys/devices/system/cpu/vulnerabilities.
 */
#include <linux/kvm.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "../api/api.h"
#include "bugs.h"

/* Flags that this kernel does not know are never set. */
#ifndef X86_FEATURE_CLEAR_CPU_BUF
#define X86_FEATURE_CLEAR_CPU_BUF		NEVER
#endif
#ifndef X86_FEATURE_CLEAR_CPU_BUF_VM
#define X86_FEATURE_CLEAR_CPU_BUF_VM		NEVER
#endif
#ifndef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#define X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT	NEVER
#endif
#ifndef X86_FEATURE_IBPB_EXIT_TO_USER
#define X86_FEATURE_IBPB_EXIT_TO_USER		NEVER
#endif
#ifndef X86_FEATURE_IBPB_ON_VMEXIT
#define X86_FEATURE_IBPB_ON_VMEXIT		NEVER
#endif
#ifndef X86_FEATURE_INDIRECT_THUNK_ITS
#define X86_FEATURE_INDIRECT_THUNK_ITS		NEVER
#endif
#ifndef X86_FEATURE_SRSO
#define X86_FEATURE_SRSO			NEVER
#endif
#ifndef X86_FEATURE_SRSO_ALIAS
#define X86_FEATURE_SRSO_ALIAS			NEVER
#endif

#ifndef X86_FEATURE_SRSO_BP_SPEC_REDUCE
#define X86_FEATURE_SRSO_BP_SPEC_REDUCE		NEVER
#define MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT	4
#endif
#ifndef MSR_ZEN4_BP_CFG
#define MSR_ZEN4_BP_CFG				0xc001102e
#endif

/* Beside the kernel's flags. */
enum { NEVER = 0xff00, ALWAYS, L1D_SECTION, L1D_ENTRY, SMALL_PAGES, SSBD, EIBRS, GDS_MICROCODE, SRBDS_MICROCODE };

enum vmlet_l1d vmlet_l1d;

/* A guest that sleeps by itself would leave predicted returns to the sibling on CPUs that mix them up. */
u32 vmlet_exits_optional(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_PAUSE;

	if (boot_cpu_has_bug(X86_BUG_SMT_RSB))
		return exits;
	/* MWAIT may stop a timer that an interrupt is to come from, or never wake up. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT) && !boot_cpu_has_bug(X86_BUG_MONITOR))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits | KVM_X86_DISABLE_EXITS_HLT;
}

static const struct {
	const char *name;
	u16 bug;
	struct {
		u16 flag;
		const char *does;
	} measures[6];
} bugs[] = {
	{ "meltdown", X86_BUG_CPU_MELTDOWN, { { ALWAYS, "nested tables hold guest memory only" } } },
	{ "spectre_v1", X86_BUG_SPECTRE_V1, { { ALWAYS, "indices masked, registers cleared at exit" } } },
	{ "spectre_v2", X86_BUG_SPECTRE_V2, {
		{ X86_FEATURE_USE_IBPB,		"IBPB between vCPUs" },
		{ X86_FEATURE_RSB_VMEXIT,	"return stack filled at exit" },
		{ X86_FEATURE_RSB_VMEXIT_LITE,	"one return at exit" },
		{ X86_FEATURE_KERNEL_IBRS,	"IBRS at exit" },
		{ EIBRS,			"enhanced IBRS" },
		{ X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT, "branch history cleared at exit" } } },
	{ "spec_store_bypass", X86_BUG_SPEC_STORE_BYPASS, { { SSBD, "SSBD for guests" } } },
	{ "l1tf", X86_BUG_L1TF, {
		{ L1D_SECTION,			"L1D flush before each guest section" },
		{ L1D_ENTRY,			"L1D flush before each entry" } } },
	{ "itlb_multihit", X86_BUG_ITLB_MULTIHIT, { { SMALL_PAGES, "nested tables have small pages only" } } },
	{ "srbds", X86_BUG_SRBDS, { { SRBDS_MICROCODE, "microcode" } } },
	{ "mds", X86_BUG_MDS, {
		{ X86_FEATURE_CLEAR_CPU_BUF,	"VERW before entry" } } },
	{ "tsx_async_abort", X86_BUG_TAA, {
		{ X86_FEATURE_CLEAR_CPU_BUF,	"VERW before entry" } } },
	{ "mmio_stale_data", X86_BUG_MMIO_STALE_DATA, {
		{ ALWAYS,			"guests have no device of the host's" },
		{ X86_FEATURE_CLEAR_CPU_BUF,	"VERW before entry" } } },
	{ "retbleed", X86_BUG_RETBLEED, {
		{ X86_FEATURE_UNRET,		"returns untrained at exit" },
		{ X86_FEATURE_ENTRY_IBPB,	"IBPB at exit" },
		{ X86_FEATURE_KERNEL_IBRS,	"IBRS at exit" },
		{ EIBRS,			"enhanced IBRS" } } },
#ifdef X86_BUG_GDS
	{ "gather_data_sampling", X86_BUG_GDS, { { GDS_MICROCODE, "microcode" } } },
#endif
#ifdef X86_BUG_ITS
	{ "indirect_target_selection", X86_BUG_ITS, {
		{ X86_FEATURE_INDIRECT_THUNK_ITS, "aligned branches and returns" } } },
#endif
#ifdef X86_BUG_SRSO
	{ "spec_rstack_overflow", X86_BUG_SRSO, {
		{ X86_FEATURE_SRSO,		"returns untrained at exit" },
		{ X86_FEATURE_SRSO_ALIAS,	"returns untrained at exit, aliased" },
		{ X86_FEATURE_IBPB_ON_VMEXIT,	"IBPB at exit" },
		{ X86_FEATURE_SRSO_BP_SPEC_REDUCE, "reduced speculation" } } },
#endif
#ifdef X86_BUG_RFDS
	{ "reg_file_data_sampling", X86_BUG_RFDS, {
		{ X86_FEATURE_CLEAR_CPU_BUF,	"VERW before entry" } } },
#endif
#ifdef X86_BUG_TSA
	{ "tsa", X86_BUG_TSA, {
		{ X86_FEATURE_CLEAR_CPU_BUF_VM,	"VERW before entry" } } },
#endif
#ifdef X86_BUG_VMSCAPE
	{ "vmscape", X86_BUG_VMSCAPE, {
		{ X86_FEATURE_IBPB_EXIT_TO_USER, "IBPB before userspace" } } },
#endif
};

static bool msr_has(u32 msr, u64 mask)
{
	u64 value;

	return !rdmsrl_safe(msr, &value) && (value & mask);
}

bool vmlet_gds_mitigated(void)
{
	return boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) && msr_has(MSR_IA32_ARCH_CAPABILITIES, ARCH_CAP_GDS_CTRL) &&
	       !msr_has(MSR_IA32_MCU_OPT_CTRL, GDS_MITG_DIS);
}

static bool is_on(u16 flag)
{
	switch (flag) {
	case NEVER:
	case ALWAYS:
		return flag == ALWAYS;
	case L1D_SECTION:
		return vmlet_l1d == VMLET_L1D_SECTION;
	case L1D_ENTRY:
		return vmlet_l1d == VMLET_L1D_ENTRY;
	case SMALL_PAGES:
		return vmlet_small_pages();
	case SSBD:
		return vmlet_host_features() & (VMLET_F_SSBD | VMLET_F_VIRT_SSBD);
	case EIBRS:	/* on AMD's CPUs it is called automatic */
		return boot_cpu_has(X86_FEATURE_IBRS_ENHANCED) &&
		       (msr_has(MSR_IA32_SPEC_CTRL, SPEC_CTRL_IBRS) || msr_has(MSR_EFER, BIT(21)));
	case GDS_MICROCODE:
		return vmlet_gds_mitigated();
	case SRBDS_MICROCODE:
		return boot_cpu_has(X86_FEATURE_SRBDS_CTRL) && !msr_has(MSR_IA32_MCU_OPT_CTRL, RNGDS_MITG_DIS);
	}
	return boot_cpu_has(flag);
}

void vmlet_reduce_speculation(bool on)
{
	u64 value;

	if (!is_on(X86_FEATURE_SRSO_BP_SPEC_REDUCE))
		return;
	rdmsrl(MSR_ZEN4_BP_CFG, value);
	value &= ~BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	wrmsrl(MSR_ZEN4_BP_CFG, value | (u64)on << MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
}

/* What of a row is done, or that nothing is. */
static int report(char *buffer, int at, unsigned int nr)
{
	const char *separator = ": ";
	unsigned int i;

	at += sysfs_emit_at(buffer, at, "%s", bugs[nr].name);
	if (!boot_cpu_has_bug(bugs[nr].bug))
		return at + sysfs_emit_at(buffer, at, ": not affected\n");
	for (i = 0; i < ARRAY_SIZE(bugs[nr].measures); i++) {
		if (!bugs[nr].measures[i].does || !is_on(bugs[nr].measures[i].flag))
			continue;
		at += sysfs_emit_at(buffer, at, "%s%s", separator, bugs[nr].measures[i].does);
		separator = "; ";
	}
	return at + sysfs_emit_at(buffer, at, "%s\n", *separator == ':' ? ": nothing" : "");
}

static int report_all(char *buffer, const struct kernel_param *param)
{
	unsigned int i;
	int at = 0;

	for (i = 0; i < ARRAY_SIZE(bugs); i++)
		at = report(buffer, at, i);
	return at;
}

static const struct kernel_param_ops ops = { .get = report_all };

module_param_cb(mitigations, &ops, NULL, 0444);
MODULE_PARM_DESC(mitigations, "What is done about each bug of the CPU (read only)");
