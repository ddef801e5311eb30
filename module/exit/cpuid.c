// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: CPUID by the guest
 *
 * The hottest handler. Leaves are found by an index made when userspace sets them; the few bits that follow the
 * guest's registers are computed here.
 */
#include <linux/nospec.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../api/api.h"
#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../observe/leaves.h"
#include "../run/run.h"
#include "exit.h"

#define NONE		0xff
#define XSTATE_HEADER_END 576
#define CPUID_MWAIT	BIT(3)

/* Which of the three ranges of leaves: basic, hypervisor, extended; -1: no other has any. */
static __always_inline int range_of(u32 function)
{
	switch (function >> 30) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return 2;
	}
	return -1;
}

struct kvm_cpuid_entry2 *vmlet_cpuid_find(struct vmlet_vcpu *vcpu, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *entry;
	int range = range_of(function);
	u32 nr = function & 0x3fffffff;
	u8 i;

	if (range < 0 || nr >= ARRAY_SIZE(vcpu->cpuid_first[0]))
		return NULL;
	nr = array_index_nospec(nr, ARRAY_SIZE(vcpu->cpuid_first[0]));
	for (i = vcpu->cpuid_first[range][nr]; i != NONE; i = vcpu->cpuid_next[i]) {
		entry = &vcpu->cpuid[i];
		if (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index)
			return entry;
	}
	return NULL;
}

/* Bytes that XSAVE needs for the features of XCR0, in the standard format or packed. */
static u32 xsave_size(struct vmlet_vcpu *vcpu, bool packed)
{
	u32 size = XSTATE_HEADER_END, end;
	unsigned int i;

	for (i = 2; i < 32; i++) {
		struct kvm_cpuid_entry2 *entry;

		if (!(vcpu->xcr0 & BIT_ULL(i)))
			continue;
		entry = vmlet_cpuid_find(vcpu, 0xd, i);
		if (!entry)
			continue;
		if (packed) {
			size = entry->ecx & 2 ? ALIGN(size, 64) : size;
			size += entry->eax;
		} else {
			end = entry->ebx + entry->eax;
			size = max(size, end);
		}
	}
	return size;
}

static void set_bit_if(u64 *reg, u64 bit, bool on)
{
	*reg = on ? *reg | bit : *reg & ~bit;
}

/*
 * Bits that follow other registers. CR4.OSXSAVE and PKE change only through an exit, so vcpu->cr4 is right in these bits
 * even where its group is not available.
 */
static __always_inline void follow_registers(struct vmlet_vcpu *vcpu, u64 *out, u32 function, u32 index)
{
	bool apic = vcpu->apic_base & MSR_IA32_APICBASE_ENABLE;

	switch (function) {
	case 1:
		set_bit_if(&out[VMLET_RCX], BIT(27), vcpu->cr4 & X86_CR4_OSXSAVE);
		if (unlikely(!vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)))
			set_bit_if(&out[VMLET_RCX], CPUID_MWAIT, vcpu->store.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
		if (!apic)
			out[VMLET_RDX] &= ~(u64)BIT(9);
		break;
	case 7:
		if (!index)
			set_bit_if(&out[VMLET_RCX], BIT(4), vcpu->cr4 & X86_CR4_PKE);	/* OSPKE */
		break;
	case 0xd:
		if (index == 0)
			out[VMLET_RBX] = xsave_size(vcpu, false);
		else if (index == 1 && (out[VMLET_RAX] & 0xa))	/* XSAVEC or XSAVES */
			out[VMLET_RBX] = xsave_size(vcpu, true);
		break;
	case 0x80000001:
		if (!apic)
			out[VMLET_RDX] &= ~(u64)BIT(9);
		break;
	}
}

/* Intel CPUs answer leaves beyond the last with the last basic one; AMD's with zeros. */
static const struct kvm_cpuid_entry2 *out_of_range(struct vmlet_vcpu *vcpu, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *first = vmlet_cpuid_find(vcpu, 0, 0), *top;

	if (!first || first->ebx != 0x756e6547 /* Genu */)
		return NULL;
	top = vmlet_cpuid_find(vcpu, function & 0xc0000000, 0);
	if (top && function <= top->eax)
		return NULL;
	return vmlet_cpuid_find(vcpu, first->eax, index);
}

/* NULL: the registers have the answer already. */
static noinline const struct kvm_cpuid_entry2 *no_entry(struct vmlet_vcpu *vcpu, u32 function, u32 index)
{
	static const struct kvm_cpuid_entry2 none;

	if (vmlet_leaves_answer(vcpu, function, index))
		return NULL;
	return out_of_range(vcpu, function, index) ?: &none;
}

int vmlet_exit_cpuid(struct vmlet_vcpu *vcpu)
{
	u32 function = vcpu->regs[VMLET_RAX], index = vcpu->regs[VMLET_RCX];
	const struct kvm_cpuid_entry2 *entry = vmlet_cpuid_find(vcpu, function, index);

	if (unlikely(vcpu->store.misc_features) && vmlet_cpl(vcpu))
		return vmlet_inject_gp(vcpu);
	if (unlikely(!entry)) {
		entry = no_entry(vcpu, function, index);
		if (!entry)
			return VMLET_SKIP;
	}
	vcpu->regs[VMLET_RAX] = entry->eax;
	vcpu->regs[VMLET_RBX] = entry->ebx;
	vcpu->regs[VMLET_RCX] = entry->ecx;
	vcpu->regs[VMLET_RDX] = entry->edx;
	follow_registers(vcpu, vcpu->regs, entry->function, index);
	return VMLET_SKIP;
}

/* What the guest would be told now. */
void vmlet_cpuid_follow(struct vmlet_vcpu *vcpu, struct kvm_cpuid_entry2 *entry)
{
	u64 out[] = {
		[VMLET_RAX] = entry->eax, [VMLET_RBX] = entry->ebx,
		[VMLET_RCX] = entry->ecx, [VMLET_RDX] = entry->edx,
	};

	follow_registers(vcpu, out, entry->function, entry->index);
	entry->ebx = out[VMLET_RBX];
	entry->ecx = out[VMLET_RCX];
	entry->edx = out[VMLET_RDX];
}

/* No operation, unless userspace wants #UD where the guest has not been told that there are such instructions. */
int vmlet_exit_mwait(struct vmlet_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 entry = {};

	if (likely(vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)))
		return VMLET_SKIP;
	if (vmlet_cpuid_find(vcpu, 1, 0))
		entry = *vmlet_cpuid_find(vcpu, 1, 0);
	vmlet_cpuid_follow(vcpu, &entry);
	return entry.ecx & CPUID_MWAIT ? VMLET_SKIP : vmlet_inject_ud(vcpu);
}
