// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: MSRs of speculation
 *
 * What a guest can know and do about its CPU's bugs. Commands are carried out at once: they concern this CPU as a whole.
 */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "../api/api.h"
#include "../cpu/bugs.h"
#include "../cpu/vendor.h"
#include "spec.h"

int vmlet_command_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	return -ENOENT;		/* write-only */
}

/* IBPB, or the flush of the L1 data cache: bit 0, the one like the other. */
int vmlet_command_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & ~BIT_ULL(0))
		return -EINVAL;
	if (value)
		wrmsrl(index, value);
	return 0;
}

/* Bits that say the same in a guest as in its host. */
#define PASSED (ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | \
		ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | \
		ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | BIT(28) /* RFDS_CLEAR */)

/* CPUs of which the kernel knows that they have not the bug, whether they say so or not. */
static const struct { u16 bug; u64 bit; } immune[] = {
	{ X86_BUG_CPU_MELTDOWN,		ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS,	ARCH_CAP_SSB_NO },
	{ X86_BUG_MDS,			ARCH_CAP_MDS_NO },
	{ X86_BUG_L1TF,			ARCH_CAP_SKIP_VMENTRY_L1DFLUSH },
#ifdef X86_BUG_GDS
	{ X86_BUG_GDS,			ARCH_CAP_GDS_NO },
#endif
#ifdef X86_BUG_RFDS
	{ X86_BUG_RFDS,			ARCH_CAP_RFDS_NO },
#endif
#ifdef X86_BUG_ITS
	{ X86_BUG_ITS,			ARCH_CAP_ITS_NO },
#endif
};

/* Guests need not mind the iTLB multihit erratum: their leaves are small where the host's CPU has it. */
u64 vmlet_arch_capabilities(void)
{
	u64 caps = 0;
	unsigned int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	caps &= PASSED;
	for (i = 0; i < ARRAY_SIZE(immune); i++)
		if (!boot_cpu_has_bug(immune[i].bug))
			caps |= immune[i].bit;
	/* The guest need not flush before guests of its own. */
	if (vmlet_l1d != VMLET_L1D_NEVER)
		caps |= ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
	if (vmlet_gds_mitigated())
		caps |= ARCH_CAP_GDS_NO;
	return caps | ARCH_CAP_PSCHANGE_MC_NO;
}

/* AMD's CPUs can be told to serialize LFENCE. Where the host's does, there is nothing to do when a guest tells it so. */
u64 vmlet_de_cfg(void)
{
	bool amd = boot_cpu_data.x86_vendor != X86_VENDOR_INTEL;

	return amd && boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
}
