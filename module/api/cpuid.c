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
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "api.h"

#define MAX_SUPPORTED	64
#define NONE		0xff

enum { EAX, EBX, ECX, EDX };

#define F(bit)	BIT((bit) & 31)

/*
 * Features that work in a guest. What is not in a row's mask reads as zero; registers of listed leaves without a row
 * read as zero too, unless the leaf is passed on whole.
 */
static const struct { u32 function, index; u8 reg; u32 mask; } features[] = {
	{ 1, 0, ECX, F(X86_FEATURE_XMM3) | F(X86_FEATURE_PCLMULQDQ) | F(X86_FEATURE_SSSE3) | F(X86_FEATURE_FMA) |
		F(X86_FEATURE_CX16) | F(X86_FEATURE_PCID) | F(X86_FEATURE_XMM4_1) | F(X86_FEATURE_XMM4_2) |
		F(X86_FEATURE_MOVBE) | F(X86_FEATURE_POPCNT) | F(X86_FEATURE_AES) | F(X86_FEATURE_XSAVE) |
		F(X86_FEATURE_AVX) | F(X86_FEATURE_F16C) | F(X86_FEATURE_RDRAND) },
	{ 1, 0, EDX, F(X86_FEATURE_FPU) | F(X86_FEATURE_VME) | F(X86_FEATURE_DE) | F(X86_FEATURE_PSE) |
		F(X86_FEATURE_TSC) | F(X86_FEATURE_MSR) | F(X86_FEATURE_PAE) | F(X86_FEATURE_MCE) |
		F(X86_FEATURE_CX8) | F(X86_FEATURE_SEP) | F(X86_FEATURE_MTRR) | F(X86_FEATURE_PGE) |
		F(X86_FEATURE_MCA) | F(X86_FEATURE_CMOV) | F(X86_FEATURE_PAT) | F(X86_FEATURE_PSE36) |
		F(X86_FEATURE_CLFLUSH) | F(X86_FEATURE_MMX) | F(X86_FEATURE_FXSR) | F(X86_FEATURE_XMM) |
		F(X86_FEATURE_XMM2) | F(X86_FEATURE_SELFSNOOP) },
	{ 6, 0, EAX, F(X86_FEATURE_ARAT) },
	{ 7, 0, EBX, F(X86_FEATURE_FSGSBASE) | F(X86_FEATURE_TSC_ADJUST) | F(X86_FEATURE_BMI1) |
		F(X86_FEATURE_AVX2) | F(X86_FEATURE_SMEP) | F(X86_FEATURE_BMI2) | F(X86_FEATURE_ERMS) |
		F(X86_FEATURE_INVPCID) | F(X86_FEATURE_FDP_EXCPTN_ONLY) | F(X86_FEATURE_AVX512F) |
		F(X86_FEATURE_AVX512DQ) | F(X86_FEATURE_RDSEED) | F(X86_FEATURE_ADX) | F(X86_FEATURE_SMAP) |
		F(X86_FEATURE_AVX512IFMA) | F(X86_FEATURE_CLFLUSHOPT) | F(X86_FEATURE_CLWB) |
		F(X86_FEATURE_AVX512CD) | F(X86_FEATURE_SHA_NI) | F(X86_FEATURE_AVX512BW) |
		F(X86_FEATURE_AVX512VL) },
	{ 7, 0, ECX, F(X86_FEATURE_AVX512VBMI) | F(X86_FEATURE_UMIP) | F(X86_FEATURE_AVX512_VBMI2) |
		F(X86_FEATURE_GFNI) | F(X86_FEATURE_VAES) | F(X86_FEATURE_VPCLMULQDQ) |
		F(X86_FEATURE_AVX512_VNNI) | F(X86_FEATURE_AVX512_BITALG) | F(X86_FEATURE_AVX512_VPOPCNTDQ) |
		F(X86_FEATURE_LA57) | F(X86_FEATURE_CLDEMOTE) | F(X86_FEATURE_MOVDIRI) |
		F(X86_FEATURE_MOVDIR64B) },
	{ 7, 0, EDX, F(X86_FEATURE_FSRM) },
	{ 7, 1, EAX, F(X86_FEATURE_AVX_VNNI) | F(X86_FEATURE_AVX512_BF16) },
	{ 0xd, 1, EAX, F(X86_FEATURE_XSAVEOPT) | F(X86_FEATURE_XSAVEC) | F(X86_FEATURE_XGETBV1) },
	{ 0x80000001, 0, ECX, F(X86_FEATURE_LAHF_LM) | F(X86_FEATURE_CR8_LEGACY) | F(X86_FEATURE_ABM) |
		F(X86_FEATURE_SSE4A) | F(X86_FEATURE_MISALIGNSSE) | F(X86_FEATURE_3DNOWPREFETCH) |
		F(X86_FEATURE_XOP) | F(X86_FEATURE_FMA4) | F(X86_FEATURE_TBM) },
	/* The low half repeats leaf 1 on AMD CPUs and is reserved on Intel's. */
	{ 0x80000001, 0, EDX, F(X86_FEATURE_FPU) | F(X86_FEATURE_VME) | F(X86_FEATURE_DE) | F(X86_FEATURE_PSE) |
		F(X86_FEATURE_TSC) | F(X86_FEATURE_MSR) | F(X86_FEATURE_PAE) | F(X86_FEATURE_MCE) |
		F(X86_FEATURE_CX8) | F(X86_FEATURE_SYSCALL) | F(X86_FEATURE_MTRR) | F(X86_FEATURE_PGE) |
		F(X86_FEATURE_MCA) | F(X86_FEATURE_CMOV) | F(X86_FEATURE_PAT) | F(X86_FEATURE_PSE36) |
		F(X86_FEATURE_NX) | F(X86_FEATURE_MMXEXT) | F(X86_FEATURE_MMX) | F(X86_FEATURE_FXSR) |
		F(X86_FEATURE_FXSR_OPT) | F(X86_FEATURE_GBPAGES) | F(X86_FEATURE_LM) |
		F(X86_FEATURE_3DNOWEXT) | F(X86_FEATURE_3DNOW) },
	{ 0x80000007, 0, EDX, BIT(8) /* invariant TSC */ },
	{ 0x80000008, 0, EAX, 0xffff },
	{ 0x80000008, 0, EBX, F(X86_FEATURE_CLZERO) | F(X86_FEATURE_XSAVEERPTR) | F(X86_FEATURE_WBNOINVD) },
};

/* Leaves with figures and names rather than features: as the host has them. */
static const u32 whole_leaves[] = { 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006 };

/* Extended-state leaf: bits of XCR0 and sizes. Feature bits of it are rows above. */
#define XSTATE_LEAF	0xd

static struct kvm_cpuid_entry2 supported[MAX_SUPPORTED];
static unsigned int nr_supported;

/* CR4 bits that need a feature; the others every CPU has that can run vmlet. */
static const struct { u64 bit; u32 function; u8 reg; u32 mask; } cr4_features[] = {
	{ X86_CR4_FSGSBASE,	7, EBX, F(X86_FEATURE_FSGSBASE) },
	{ X86_CR4_SMEP,		7, EBX, F(X86_FEATURE_SMEP) },
	{ X86_CR4_SMAP,		7, EBX, F(X86_FEATURE_SMAP) },
	{ X86_CR4_UMIP,		7, ECX, F(X86_FEATURE_UMIP) },
	{ X86_CR4_LA57,		7, ECX, F(X86_FEATURE_LA57) },
	{ X86_CR4_PCIDE,	1, ECX, F(X86_FEATURE_PCID) },
	{ X86_CR4_OSXSAVE,	1, ECX, F(X86_FEATURE_XSAVE) },
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

/* A leaf of feature bits: the host's, under the masks. */
static struct kvm_cpuid_entry2 *add_masked(u32 function, u32 index, bool indexed)
{
	struct kvm_cpuid_entry2 *entry = add(function, index, indexed), host = *entry;
	u32 *regs = &entry->eax;
	unsigned int i;

	host_leaf(&host);
	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].function == function && features[i].index == index)
			regs[features[i].reg] |= entry_reg(&host, features[i].reg) & features[i].mask;
	return entry;
}

static void add_max(u32 function, u32 max)
{
	struct kvm_cpuid_entry2 *entry = add(function, 0, false);

	host_leaf(entry);
	entry->eax = min(entry->eax, max);
}

/* Family, model, stepping; brand index and CLFLUSH size. */
static void add_signature(void)
{
	struct kvm_cpuid_entry2 *entry = add_masked(1, 0, false);

	entry->eax = cpuid_eax(1);
	entry->ebx = cpuid_ebx(1) & 0xffff;
}

static void add_xstate(void)
{
	struct kvm_cpuid_entry2 *entry = add(XSTATE_LEAF, 0, true);
	u32 end = 576;
	unsigned int i;

	entry->eax = vmlet_xcr0_guest;
	entry->edx = vmlet_xcr0_guest >> 32;
	entry->ebx = end;	/* follows XCR0, which starts as x87 alone */
	add_masked(XSTATE_LEAF, 1, true);
	for (i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 *state;

		if (!(vmlet_xcr0_guest & BIT_ULL(i)))
			continue;
		state = add(XSTATE_LEAF, i, true);
		host_leaf(state);
		end = max(end, state->ebx + state->eax);
	}
	entry->ecx = end;
}

static void add_basic(u32 max)
{
	unsigned int i;

	add_max(0, XSTATE_LEAF);
	add_signature();
	if (max >= 2 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		host_leaf(add(2, 0, false));
	if (max >= 4 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL) {
		for (i = 0; i < 8; i++) {
			struct kvm_cpuid_entry2 *entry = add(4, i, true);

			host_leaf(entry);
			/* Cache sharing follows the topology, which is userspace's. */
			entry->eax &= 0x3fff;
			if (!(entry->eax & 0x1f))
				break;
		}
	}
	add(5, 0, false);
	add_masked(6, 0, false);
	add_masked(7, 0, true)->eax = 1;
	add_masked(7, 1, true);
	add(0xa, 0, false);
	add(0xb, 0, true);
	if (max >= XSTATE_LEAF)
		add_xstate();
}

void vmlet_cpuid_setup(void)
{
	unsigned int i;

	nr_supported = 0;
	add_basic(cpuid_eax(0));
	add_max(0x80000000, 0x80000008);
	add_masked(0x80000001, 0, false)->eax = cpuid_eax(0x80000001);
	for (i = 0; i < ARRAY_SIZE(whole_leaves); i++)
		host_leaf(add(whole_leaves[i], 0, false));
	add_masked(0x80000007, 0, false);
	add_masked(0x80000008, 0, false);
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

	return put_entries(arg->user, vcpu->cpuid, vcpu->nr_cpuid);
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

/* What registers may hold follows from CPUID; before there is any, all that the host can do is allowed. */
void vmlet_cpuid_apply(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry;
	unsigned int i;

	make_index(vcpu);
	entry = vmlet_cpuid_find(vcpu, 0x80000008, 0);
	vcpu->maxphyaddr = entry ? entry->eax & 0xff : 36;
	if (vcpu->maxphyaddr < 32 || vcpu->maxphyaddr > 52)
		vcpu->maxphyaddr = 36;
	vcpu->cr4_allowed = CR4_ALWAYS;
	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		entry = find_supported(cr4_features[i].function, 0);
		if (!entry || !(entry_reg(entry, cr4_features[i].reg) & cr4_features[i].mask))
			continue;
		if (vcpu->nr_cpuid) {
			entry = vmlet_cpuid_find(vcpu, cr4_features[i].function, 0);
			if (!entry || !(entry_reg(entry, cr4_features[i].reg) & cr4_features[i].mask))
				continue;
		}
		vcpu->cr4_allowed |= cr4_features[i].bit;
	}
	vcpu->efer_allowed = vmlet_efer_allowed(vcpu);
}

/* EFER bits a guest may set, by its CPUID. */
u64 vmlet_efer_allowed(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = vmlet_cpuid_find(vcpu, 0x80000001, 0);
	u64 efer = vmlet_efer_host();

	if (!entry)
		return vcpu->nr_cpuid ? 0 : efer;
	if (!(entry->edx & F(X86_FEATURE_LM)))
		efer &= ~(u64)(EFER_LME | EFER_LMA);
	if (!(entry->edx & F(X86_FEATURE_NX)))
		efer &= ~(u64)EFER_NX;
	if (!(entry->edx & F(X86_FEATURE_FXSR_OPT)))
		efer &= ~(u64)EFER_FFXSR;
	return efer;
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

static bool same_entries(struct vmlet_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 n)
{
	return n == vcpu->nr_cpuid && !memcmp(entries, vcpu->cpuid, n * sizeof(*entries));
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
	vmlet_vendor->cpuid_changed(vcpu);
	return 0;
}
