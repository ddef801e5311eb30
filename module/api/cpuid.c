// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: CPUID for the API
 *
 * What guests may be told this host has, as a table of masks over the host's own leaves; and a vCPU's leaves as
 * userspace sets them.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../host/host.h"
#include "../time/time.h"
#include "api.h"

#define MAX_SUPPORTED	64
#define MAX_CACHES	8
#define NONE		0xff

/* Extended-state leaf: bits of XCR0 and sizes, beside feature bits. */
#define XSTATE_LEAF	0xd

enum { EAX, EBX, ECX, EDX };

#define F(bit)	BIT((bit) & 31)

/*
 * Features that work in a guest. What is not in a row's mask reads as zero; registers of listed leaves without a row
 * read as zero too, unless the leaf is passed on whole. What the host kernel has switched off in its own @word, for an
 * erratum or by its command line, is off for guests too.
 */
#define WORD(feature)	((feature) / 32)
#define NO_WORD		0xff	/* the kernel keeps none, or its own choice does not bind guests */

static const struct { u32 function, index; u8 reg, word; u32 mask; } features[] = {
	{ 1, 0, ECX, WORD(X86_FEATURE_XMM3), F(X86_FEATURE_XMM3) | F(X86_FEATURE_PCLMULQDQ) | F(X86_FEATURE_SSSE3) |
		F(X86_FEATURE_FMA) | F(X86_FEATURE_CX16) | F(X86_FEATURE_PCID) | F(X86_FEATURE_XMM4_1) |
		F(X86_FEATURE_XMM4_2) | F(X86_FEATURE_MOVBE) | F(X86_FEATURE_POPCNT) | F(X86_FEATURE_AES) |
		F(X86_FEATURE_XSAVE) | F(X86_FEATURE_AVX) | F(X86_FEATURE_F16C) | F(X86_FEATURE_RDRAND) },
	{ 1, 0, EDX, WORD(X86_FEATURE_FPU), F(X86_FEATURE_FPU) | F(X86_FEATURE_VME) | F(X86_FEATURE_DE) |
		F(X86_FEATURE_PSE) | F(X86_FEATURE_TSC) | F(X86_FEATURE_MSR) | F(X86_FEATURE_PAE) | F(X86_FEATURE_MCE) |
		F(X86_FEATURE_CX8) | F(X86_FEATURE_APIC) | F(X86_FEATURE_SEP) | F(X86_FEATURE_MTRR) | F(X86_FEATURE_PGE) |
		F(X86_FEATURE_MCA) | F(X86_FEATURE_CMOV) | F(X86_FEATURE_PAT) | F(X86_FEATURE_PSE36) |
		F(X86_FEATURE_CLFLUSH) | F(X86_FEATURE_MMX) | F(X86_FEATURE_FXSR) | F(X86_FEATURE_XMM) |
		F(X86_FEATURE_XMM2) | F(X86_FEATURE_SELFSNOOP) },
	{ 7, 0, EBX, WORD(X86_FEATURE_FSGSBASE), F(X86_FEATURE_FSGSBASE) | F(X86_FEATURE_BMI1) | F(X86_FEATURE_AVX2) |
		F(X86_FEATURE_SMEP) | F(X86_FEATURE_BMI2) | F(X86_FEATURE_ERMS) | F(X86_FEATURE_INVPCID) |
		F(X86_FEATURE_FDP_EXCPTN_ONLY) | F(X86_FEATURE_ZERO_FCS_FDS) | F(X86_FEATURE_AVX512F) |
		F(X86_FEATURE_AVX512DQ) | F(X86_FEATURE_RDSEED) | F(X86_FEATURE_ADX) | F(X86_FEATURE_SMAP) |
		F(X86_FEATURE_AVX512IFMA) | F(X86_FEATURE_CLFLUSHOPT) | F(X86_FEATURE_CLWB) |
		F(X86_FEATURE_AVX512CD) | F(X86_FEATURE_SHA_NI) | F(X86_FEATURE_AVX512BW) | F(X86_FEATURE_AVX512VL) },
	{ 7, 0, ECX, WORD(X86_FEATURE_UMIP), F(X86_FEATURE_AVX512VBMI) | F(X86_FEATURE_UMIP) |
		F(X86_FEATURE_AVX512_VBMI2) | F(X86_FEATURE_GFNI) | F(X86_FEATURE_VAES) | F(X86_FEATURE_VPCLMULQDQ) |
		F(X86_FEATURE_AVX512_VNNI) | F(X86_FEATURE_AVX512_BITALG) | F(X86_FEATURE_AVX512_VPOPCNTDQ) |
		F(X86_FEATURE_RDPID) | F(X86_FEATURE_CLDEMOTE) | F(X86_FEATURE_MOVDIRI) | F(X86_FEATURE_MOVDIR64B) },
	/* Of a host that runs with four levels, too. */
	{ 7, 0, ECX, NO_WORD, F(X86_FEATURE_LA57) },
	{ 7, 0, EDX, WORD(X86_FEATURE_FSRM), F(X86_FEATURE_AVX512_4VNNIW) | F(X86_FEATURE_AVX512_4FMAPS) |
		F(X86_FEATURE_FSRM) | F(X86_FEATURE_AVX512_VP2INTERSECT) | F(X86_FEATURE_SERIALIZE) |
		F(X86_FEATURE_MD_CLEAR) | F(X86_FEATURE_FLUSH_L1D) | F(X86_FEATURE_AVX512_FP16) |
		F(X86_FEATURE_SPEC_CTRL) | F(X86_FEATURE_INTEL_STIBP) | F(X86_FEATURE_SPEC_CTRL_SSBD) },
	{ 7, 1, EAX, WORD(X86_FEATURE_AVX_VNNI), F(X86_FEATURE_AVX_VNNI) | F(X86_FEATURE_AVX512_BF16) |
		F(X86_FEATURE_CMPCCXADD) | F(X86_FEATURE_FZRM) | F(X86_FEATURE_FSRS) | F(X86_FEATURE_FSRC) |
		F(X86_FEATURE_AVX_IFMA) },
	{ 7, 1, EDX, NO_WORD, BIT(4) | BIT(5) | BIT(10) | BIT(14) /* AVX-VNNI-INT8, -NE-CONVERT, -INT16; PREFETCHI */ },
	{ 7, 2, EDX, NO_WORD, GENMASK(5, 0) /* how SPEC_CTRL controls prediction and bypass; no MCDT */ },
	{ 0xd, 1, EAX, WORD(X86_FEATURE_XSAVEC), F(X86_FEATURE_XSAVEOPT) | F(X86_FEATURE_XSAVEC) |
		F(X86_FEATURE_XGETBV1) | F(X86_FEATURE_XSAVES) },
	{ 0x80000001, 0, ECX, WORD(X86_FEATURE_LAHF_LM), F(X86_FEATURE_LAHF_LM) | F(X86_FEATURE_CMP_LEGACY) |
		F(X86_FEATURE_CR8_LEGACY) | F(X86_FEATURE_ABM) | F(X86_FEATURE_SSE4A) | F(X86_FEATURE_MISALIGNSSE) |
		F(X86_FEATURE_3DNOWPREFETCH) | F(X86_FEATURE_XOP) | F(X86_FEATURE_FMA4) | F(X86_FEATURE_TBM) |
		F(X86_FEATURE_TOPOEXT) },
	/* The low half repeats leaf 1 on AMD CPUs and is reserved on Intel's. */
	{ 0x80000001, 0, EDX, WORD(X86_FEATURE_LM), F(X86_FEATURE_FPU) | F(X86_FEATURE_VME) | F(X86_FEATURE_DE) |
		F(X86_FEATURE_PSE) | F(X86_FEATURE_TSC) | F(X86_FEATURE_MSR) | F(X86_FEATURE_PAE) | F(X86_FEATURE_MCE) |
		F(X86_FEATURE_CX8) | F(X86_FEATURE_APIC) | F(X86_FEATURE_SYSCALL) | F(X86_FEATURE_MTRR) |
		F(X86_FEATURE_PGE) | F(X86_FEATURE_MCA) | F(X86_FEATURE_CMOV) | F(X86_FEATURE_PAT) |
		F(X86_FEATURE_PSE36) | F(X86_FEATURE_NX) | F(X86_FEATURE_MMXEXT) | F(X86_FEATURE_MMX) |
		F(X86_FEATURE_FXSR) | F(X86_FEATURE_FXSR_OPT) | F(X86_FEATURE_GBPAGES) | F(X86_FEATURE_RDTSCP) |
		F(X86_FEATURE_LM) | F(X86_FEATURE_3DNOWEXT) | F(X86_FEATURE_3DNOW) },
	{ 0x80000007, 0, EDX, NO_WORD, BIT(8) /* invariant TSC */ },
	{ 0x80000008, 0, EAX, NO_WORD, 0xffff },
	{ 0x80000008, 0, EBX, WORD(X86_FEATURE_CLZERO), F(X86_FEATURE_CLZERO) | F(X86_FEATURE_XSAVEERPTR) |
		F(X86_FEATURE_WBNOINVD) | F(X86_FEATURE_AMD_STIBP_ALWAYS_ON) |
		F(X86_FEATURE_AMD_SSB_NO) | BIT(28) /* PSFD */ },
	{ 0x8000001a, 0, EAX, NO_WORD, 7 /* of units 128 or 256 bits wide, of unaligned moves */ },
	/* Of data breakpoints, LFENCE, VERW, null selectors, automatic IBRS; how far it has SRSO. */
	{ 0x80000021, 0, EAX, NO_WORD, BIT(0) | BIT(2) | BIT(5) | BIT(6) | BIT(8) | BIT(28) | BIT(29) | BIT(30) },
};

/* What the one vendor has a bit for and the other has too: guests find it under both. */
static const struct { u32 function; u8 reg; u32 mask; u16 host; } shared_bits[] = {
	{ 7, EDX, F(X86_FEATURE_INTEL_STIBP),		X86_FEATURE_AMD_STIBP },
	{ 7, EDX, F(X86_FEATURE_SPEC_CTRL_SSBD),	X86_FEATURE_AMD_SSBD },
	{ 0x80000008, EBX, F(X86_FEATURE_AMD_IBPB),	X86_FEATURE_IBPB },
	{ 0x80000008, EBX, F(X86_FEATURE_AMD_IBRS),	X86_FEATURE_IBRS },
	{ 0x80000008, EBX, F(X86_FEATURE_AMD_STIBP),	X86_FEATURE_STIBP },
	{ 0x80000008, EBX, F(X86_FEATURE_AMD_SSBD),	X86_FEATURE_SPEC_CTRL_SSBD },
	{ 0x80000008, EBX, F(X86_FEATURE_AMD_SSBD),	X86_FEATURE_AMD_SSBD },
};

/* Leaves with figures and names rather than features: as the host has them. */
static const u32 whole_leaves[] = { 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006 };

#define KVM_LEAF	0x40000000
#define AMD_LEAF	0x80000021	/* the last one */

static struct kvm_cpuid_entry2 supported[MAX_SUPPORTED];
static unsigned int nr_supported;

/* Features that other code asks for: enum vmlet_feature. */
static const struct { u32 feature, function, index; u8 reg; u32 mask; } named[] = {
	{ VMLET_F_PCID,		1, 0, ECX, F(X86_FEATURE_PCID) },
	{ VMLET_F_X2APIC,	1, 0, ECX, F(X86_FEATURE_X2APIC) },
	{ VMLET_F_SSE3,		1, 0, ECX, F(X86_FEATURE_XMM3) },
	{ VMLET_F_XSAVE,	1, 0, ECX, F(X86_FEATURE_XSAVE) },
	{ VMLET_F_FSGSBASE,	7, 0, EBX, F(X86_FEATURE_FSGSBASE) },
	{ VMLET_F_SMEP,		7, 0, EBX, F(X86_FEATURE_SMEP) },
	{ VMLET_F_INVPCID,	7, 0, EBX, F(X86_FEATURE_INVPCID) },
	{ VMLET_F_SMAP,		7, 0, EBX, F(X86_FEATURE_SMAP) },
	{ VMLET_F_UMIP,		7, 0, ECX, F(X86_FEATURE_UMIP) },
	{ VMLET_F_PKU,		7, 0, ECX, F(X86_FEATURE_PKU) },
	{ VMLET_F_LA57,		7, 0, ECX, F(X86_FEATURE_LA57) },
	{ VMLET_F_TSC_AUX,	7, 0, ECX, F(X86_FEATURE_RDPID) },
	{ VMLET_F_XSAVES,	XSTATE_LEAF, 1, EAX, F(X86_FEATURE_XSAVES) },
	{ VMLET_F_NX,		0x80000001, 0, EDX, F(X86_FEATURE_NX) },
	{ VMLET_F_FXSR_OPT,	0x80000001, 0, EDX, F(X86_FEATURE_FXSR_OPT) },
	{ VMLET_F_RDTSCP,	0x80000001, 0, EDX, F(X86_FEATURE_RDTSCP) },
	{ VMLET_F_TSC_AUX,	0x80000001, 0, EDX, F(X86_FEATURE_RDTSCP) },
	{ VMLET_F_LM,		0x80000001, 0, EDX, F(X86_FEATURE_LM) },
	{ VMLET_F_AUTOIBRS,	AMD_LEAF, 0, EAX, BIT(8) },
	{ VMLET_F_IBPB | VMLET_F_IBRS, 7, 0, EDX, F(X86_FEATURE_SPEC_CTRL) },
	{ VMLET_F_STIBP,	7, 0, EDX, F(X86_FEATURE_INTEL_STIBP) },
	{ VMLET_F_SSBD,		7, 0, EDX, F(X86_FEATURE_SPEC_CTRL_SSBD) },
	{ VMLET_F_IBPB,		0x80000008, 0, EBX, F(X86_FEATURE_AMD_IBPB) },
	{ VMLET_F_IBRS,		0x80000008, 0, EBX, F(X86_FEATURE_AMD_IBRS) },
	{ VMLET_F_STIBP,	0x80000008, 0, EBX, F(X86_FEATURE_AMD_STIBP) },
	{ VMLET_F_SSBD,		0x80000008, 0, EBX, F(X86_FEATURE_AMD_SSBD) },
	{ VMLET_F_PSFD,		7, 2, EDX, BIT(0) },
	{ VMLET_F_IPRED_CTRL,	7, 2, EDX, BIT(1) },
	{ VMLET_F_RRSBA_CTRL,	7, 2, EDX, BIT(2) },
	{ VMLET_F_DDPD_U,	7, 2, EDX, BIT(3) },
	{ VMLET_F_BHI_CTRL,	7, 2, EDX, BIT(4) },
	{ VMLET_F_PSFD,		0x80000008, 0, EBX, BIT(28) },
	{ VMLET_F_VIRT_SSBD,	0x80000008, 0, EBX, F(X86_FEATURE_VIRT_SSBD) },
	{ VMLET_F_FLUSH_L1D,	7, 0, EDX, F(X86_FEATURE_FLUSH_L1D) },
	{ VMLET_F_ARCH_CAPS,	7, 0, EDX, F(X86_FEATURE_ARCH_CAPABILITIES) },
};

/* Those of @supported. */
static u32 host_features;

/* Bits of registers that need a feature; of CR4, the others every CPU has that can run vmlet. */
struct feature_bits { u64 bits; u32 feature; };

static const struct feature_bits cr4_bits[] = {
	{ X86_CR4_FSGSBASE,	VMLET_F_FSGSBASE },
	{ X86_CR4_SMEP,		VMLET_F_SMEP },
	{ X86_CR4_SMAP,		VMLET_F_SMAP },
	{ X86_CR4_UMIP,		VMLET_F_UMIP },
	{ X86_CR4_PKE,		VMLET_F_PKU },
	{ X86_CR4_LA57,		VMLET_F_LA57 },
	{ X86_CR4_PCIDE,	VMLET_F_PCID },
	{ X86_CR4_OSXSAVE,	VMLET_F_XSAVE },
};

static const struct feature_bits efer_bits[] = {
	{ EFER_LME | EFER_LMA,	VMLET_F_LM },
	{ EFER_NX,		VMLET_F_NX },
	{ EFER_FFXSR,		VMLET_F_FXSR_OPT },
	{ BIT(21),		VMLET_F_AUTOIBRS },
};

static const struct feature_bits spec_ctrl_bits[] = {
	{ SPEC_CTRL_IBRS,	VMLET_F_IBRS },
	{ SPEC_CTRL_STIBP,	VMLET_F_STIBP },
	{ SPEC_CTRL_SSBD,	VMLET_F_SSBD },
	{ BIT(3) | BIT(4),	VMLET_F_IPRED_CTRL },	/* for user code and for the kernel, as the next */
	{ BIT(5) | BIT(6),	VMLET_F_RRSBA_CTRL },
	{ BIT(7),		VMLET_F_PSFD },
	{ BIT(8),		VMLET_F_DDPD_U },
	{ BIT(10),		VMLET_F_BHI_CTRL },
};

#define CR4_ALWAYS (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | \
		    X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static u32 entry_reg(const struct kvm_cpuid_entry2 *entry, u8 reg)
{
	const u32 *regs = &entry->eax;

	return regs[reg];
}

static const struct kvm_cpuid_entry2 *find_supported(u32 function, u32 index)
{
	unsigned int i;

	for (i = 0; i < nr_supported; i++)
		if (supported[i].function == function && supported[i].index == index)
			return &supported[i];
	return NULL;
}

static struct kvm_cpuid_entry2 *add(u32 function, u32 index, bool indexed)
{
	struct kvm_cpuid_entry2 *entry;

	if (WARN_ON_ONCE(nr_supported == MAX_SUPPORTED))
		return &supported[MAX_SUPPORTED - 1];
	entry = &supported[nr_supported++];
	entry->function = function;
	entry->index = index;
	entry->flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	return entry;
}

static void host_leaf(struct kvm_cpuid_entry2 *entry)
{
	cpuid_count(entry->function, entry->index, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
}

static u32 host_word(u8 word)
{
	return word == NO_WORD ? ~0u : boot_cpu_data.x86_capability[word];
}

/* A leaf of feature bits: the host's, under the masks. */
static struct kvm_cpuid_entry2 *add_masked(u32 function, u32 index, bool indexed)
{
	struct kvm_cpuid_entry2 *entry = add(function, index, indexed), host = *entry;
	u32 *regs = &entry->eax;
	unsigned int i;

	host_leaf(&host);
	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].function == function && features[i].index == index)
			regs[features[i].reg] |= entry_reg(&host, features[i].reg) & features[i].mask &
						 host_word(features[i].word);
	for (i = 0; i < ARRAY_SIZE(shared_bits) && !index; i++)
		if (shared_bits[i].function == function && boot_cpu_has(shared_bits[i].host))
			regs[shared_bits[i].reg] |= shared_bits[i].mask;
	return entry;
}

/* Family, model, stepping; brand index and CLFLUSH size. */
static void add_signature(void)
{
	struct kvm_cpuid_entry2 *entry = add_masked(1, 0, false);

	entry->eax = cpuid_eax(1);
	entry->ebx = cpuid_ebx(1) & 0xffff;
	/* Of local APICs in the kernel; it needs none of the host's. */
	entry->ecx |= F(X86_FEATURE_X2APIC);
}

static void add_xstate(void)
{
	struct kvm_cpuid_entry2 *entry = add(XSTATE_LEAF, 0, true);
	u32 end = 576;
	unsigned int i;

	entry->eax = vmlet_xcr0_guest;
	entry->edx = vmlet_xcr0_guest >> 32;
	add_masked(XSTATE_LEAF, 1, true);
	for (i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 *state;

		if (!(vmlet_xcr0_guest & BIT_ULL(i)))
			continue;
		state = add(XSTATE_LEAF, i, true);
		host_leaf(state);
		end = max(end, state->ebx + state->eax);
	}
	entry->ebx = entry->ecx = end;	/* the guest's follows its XCR0 */
}

static void add_structured(u32 max)
{
	struct kvm_cpuid_entry2 *entry = add_masked(7, 0, true);
	unsigned int i;

	entry->eax = max >= 7 ? min(cpuid_eax(7), 2u) : 0;
	entry->ebx |= F(X86_FEATURE_TSC_ADJUST);	/* of ours */
	entry->edx |= F(X86_FEATURE_ARCH_CAPABILITIES);
	if (vmlet_xcr0_guest & XFEATURE_MASK_PKRU)
		entry->ecx |= F(X86_FEATURE_PKU);
	for (i = 1; i <= entry->eax; i++)
		add_masked(7, i, true);
}

/* Caches, by subleaf; what shares them follows the topology, which is userspace's. */
static void add_caches(u32 function)
{
	struct kvm_cpuid_entry2 *entry;
	unsigned int i;

	for (i = 0; i < MAX_CACHES; i++) {
		entry = add(function, i, true);
		host_leaf(entry);
		entry->eax &= 0x3fff;
		if (!(entry->eax & 0x1f))
			break;
	}
}

static void add_basic(u32 max)
{
	struct kvm_cpuid_entry2 *entry = add(0, 0, false);

	host_leaf(entry);
	entry->eax = min_t(u32, max, XSTATE_LEAF);
	add_signature();
	if (max >= 2 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		host_leaf(add(2, 0, false));
	if (max >= 4 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		add_caches(4);
	add(5, 0, false);
	/* The timer of the local APIC is ours, and does not stop. */
	add(6, 0, false)->eax = F(X86_FEATURE_ARAT);
	add_structured(max);
	add(0xa, 0, false);
	add(0xb, 0, true);
	if (max >= XSTATE_LEAF)
		add_xstate();
}

/* What a guest that knows KVM's paravirtual interfaces will use: only what works. */
static u32 kvm_features(void)
{
	u32 features = BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) |
		       BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_UNHALT) |
		       BIT(KVM_FEATURE_PV_SEND_IPI);

	if (vmlet_steal_offered())
		features |= BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_TLB_FLUSH) |
			    BIT(KVM_FEATURE_PV_SCHED_YIELD);	/* whom to yield to, steal time tells */
	return features;
}

static void add_kvm(void)
{
	struct kvm_cpuid_entry2 *entry = add(KVM_LEAF, 0, false);
	u32 name[3];

	memcpy(name, KVM_SIGNATURE, sizeof(name));
	entry->eax = KVM_CPUID_FEATURES;
	entry->ebx = name[0];
	entry->ecx = name[1];
	entry->edx = name[2];
	add(KVM_CPUID_FEATURES, 0, false)->eax = kvm_features();
}

/* What kernels find out about LFENCE and null selectors on CPUs without the leaf: the bits are there for guests. */
static void add_amd(u32 max)
{
	struct kvm_cpuid_entry2 *entry = add(0x80000019, 0, false);

	host_leaf(entry);
	entry->ecx = entry->edx = 0;
	add_masked(0x8000001a, 0, false);
	add_caches(0x8000001d);
	add(0x8000001e, 0, false);	/* topology, which is userspace's */
	entry = max < AMD_LEAF ? add(AMD_LEAF, 0, false) : add_masked(AMD_LEAF, 0, false);
	if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
		entry->eax |= BIT(2);
	if (!boot_cpu_has_bug(X86_BUG_NULL_SEG))
		entry->eax |= BIT(6);
#ifdef X86_BUG_TSA
	if (!boot_cpu_has_bug(X86_BUG_TSA))
		entry->ecx |= BIT(1) | BIT(2);
#endif
}

static void add_extended(u32 max)
{
	bool amd = max >= 0x8000001d && boot_cpu_data.x86_vendor != X86_VENDOR_INTEL;
	struct kvm_cpuid_entry2 *entry = add(0x80000000, 0, false);
	unsigned int i;

	host_leaf(entry);
	entry->eax = amd ? AMD_LEAF : min(max, 0x80000008);
	add_masked(0x80000001, 0, false)->eax = cpuid_eax(0x80000001);
	for (i = 0; i < ARRAY_SIZE(whole_leaves); i++)
		host_leaf(add(whole_leaves[i], 0, false));
	add_masked(0x80000007, 0, false);
	add_masked(0x80000008, 0, false)->ebx |= vmlet_host_virt_ssbd() ? F(X86_FEATURE_VIRT_SSBD) : 0;
	if (amd)
		add_amd(max);
}

/* enum vmlet_feature of the vCPU's CPUID; NULL: of what is supported. */
static u32 named_features(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry;
	u32 features = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(named); i++) {
		entry = vcpu ? vmlet_cpuid_find(vcpu, named[i].function, named[i].index) :
			find_supported(named[i].function, named[i].index);
		if (entry && (entry_reg(entry, named[i].reg) & named[i].mask))
			features |= named[i].feature;
	}
	return features;
}

void vmlet_cpuid_setup(void)
{
	nr_supported = 0;
	add_basic(cpuid_eax(0));
	add_kvm();
	add_extended(cpuid_eax(0x80000000));
	host_features = named_features(NULL);
}

/* Header and entries of a struct kvm_cpuid2 in userspace. */
static long put_entries(struct kvm_cpuid2 __user *user, const struct kvm_cpuid_entry2 *entries, u32 n)
{
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent < n)
		return -E2BIG;
	head.nent = n;
	if (copy_to_user(user->entries, entries, n * sizeof(*entries)) || copy_to_user(user, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}

long vmlet_api_get_supported_cpuid(void *obj, struct vmlet_arg *arg)
{
	return put_entries(arg->user, supported, nr_supported);
}

long vmlet_api_get_cpuid2(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_cpuid_entry2 *entries;
	unsigned int i;
	long ret;

	entries = kmemdup(vcpu->cpuid, vcpu->nr_cpuid * sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < vcpu->nr_cpuid; i++)
		vmlet_cpuid_follow(vcpu, &entries[i]);
	ret = put_entries(arg->user, entries, vcpu->nr_cpuid);
	kfree(entries);
	return ret;
}

/* Chain the entries of each leaf so that an exit finds one in a few steps. The order within a leaf is kept. */
static void make_index(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	memset(vcpu->cpuid_first, NONE, sizeof(vcpu->cpuid_first));
	for (i = vcpu->nr_cpuid; i--; ) {
		u32 function = vcpu->cpuid[i].function, nr = function & 0x3fffffff;
		u8 *first;

		if (function >> 30 > 2 || nr >= ARRAY_SIZE(vcpu->cpuid_first[0]))
			continue;
		first = &vcpu->cpuid_first[function >> 30][nr];
		vcpu->cpuid_next[i] = *first;
		*first = i;
	}
}

static u64 bits_of(const struct feature_bits *rows, unsigned int n, u32 features)
{
	u64 bits = 0;

	for (; n; n--, rows++)
		if (features & rows->feature)
			bits |= rows->bits;
	return bits;
}

static u32 pv_features(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *name = vmlet_cpuid_find(vcpu, KVM_LEAF, 0);
	const struct kvm_cpuid_entry2 *entry = vmlet_cpuid_find(vcpu, KVM_CPUID_FEATURES, 0);

	if (!vcpu->pv_enforced)
		return ~0u;
	return name && entry && !memcmp(&name->ebx, KVM_SIGNATURE, 3 * sizeof(u32)) ? entry->eax : 0;
}

/* What registers may hold follows from CPUID; before there is any, all that the host can do is allowed. */
void vmlet_cpuid_apply(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry;
	u32 usable;

	make_index(vcpu);
	entry = vmlet_cpuid_find(vcpu, 0x80000008, 0);
	vcpu->maxphyaddr = entry ? entry->eax & 0xff : 36;
	if (vcpu->maxphyaddr < 32 || vcpu->maxphyaddr > 52)
		vcpu->maxphyaddr = 36;
	vcpu->features = named_features(vcpu) & host_features;
	vcpu->pv_features = pv_features(vcpu);
	usable = vcpu->nr_cpuid ? vcpu->features : host_features;
	vcpu->cr4_allowed = CR4_ALWAYS | bits_of(cr4_bits, ARRAY_SIZE(cr4_bits), usable);
	vcpu->efer_allowed = EFER_SCE | bits_of(efer_bits, ARRAY_SIZE(efer_bits), usable);
	vcpu->spec_ctrl_allowed = bits_of(spec_ctrl_bits, ARRAY_SIZE(spec_ctrl_bits), usable);
}

u32 vmlet_host_features(void)
{
	return host_features;
}

u64 vmlet_efer_host(void)
{
	return EFER_SCE | bits_of(efer_bits, ARRAY_SIZE(efer_bits), host_features);
}

u64 vmlet_spec_ctrl_host(void)
{
	return bits_of(spec_ctrl_bits, ARRAY_SIZE(spec_ctrl_bits), host_features);
}

static bool entries_valid(const struct kvm_cpuid_entry2 *entries, u32 n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		u8 vaddr = entries[i].eax >> 8;

		if (entries[i].function == 0x80000008 && vaddr != 48 && vaddr != 57 && vaddr)
			return false;
	}
	return true;
}

/* As KVM_GET_CPUID2 tells them. @entries are changed. */
static bool same_entries(struct vmlet_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 n)
{
	unsigned int i;

	for (i = 0; i < n && n == vcpu->nr_cpuid; i++) {
		struct kvm_cpuid_entry2 mine = vcpu->cpuid[i];

		vmlet_cpuid_follow(vcpu, &mine);
		vmlet_cpuid_follow(vcpu, &entries[i]);
		if (memcmp(&mine, &entries[i], sizeof(mine)))
			return false;
	}
	return n == vcpu->nr_cpuid;
}

/* A guest that halts without an exit cannot be woken by hypercall. */
static void hide_unhalt(const struct vmlet_vm *vm, struct kvm_cpuid_entry2 *entries, u32 n)
{
	u32 i;

	for (i = 0; i < n && (READ_ONCE(vm->disabled_exits) & KVM_X86_DISABLE_EXITS_HLT); i++)
		if (entries[i].function == KVM_CPUID_FEATURES)
			entries[i].eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
}

long vmlet_api_set_cpuid2(void *obj, struct vmlet_arg *arg)
{
	struct kvm_cpuid2 __user *user = arg->user;
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;
	long ret = 0;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent > VMLET_MAX_CPUID - 1)
		return -E2BIG;
	if (head.nent) {
		entries = vmemdup_user(user->entries, head.nent * sizeof(*entries));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	hide_unhalt(vcpu->vm, entries, head.nent);
	if (!entries_valid(entries, head.nent))
		ret = -EINVAL;
	else if (vcpu->has_run && !same_entries(vcpu, entries, head.nent))
		ret = -EINVAL;	/* a guest that has run keeps its CPU */
	if (ret || vcpu->has_run) {
		kvfree(entries);
		return ret;
	}
	kvfree(vcpu->cpuid);
	vcpu->cpuid = entries;
	vcpu->nr_cpuid = head.nent;
	vmlet_cpuid_apply(vcpu);
	vmlet_vendor->set_intercepts(vcpu);
	return 0;
}
