// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: machine checks of the guest
 *
 * Banks of registers that userspace sets up and fills; the host's own machine checks are none of the guest's.
 */
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../run/run.h"
#include "mce.h"

#define MCE_SUPPORTED	(MCG_CTL_P | MCG_SER_P)
#define MCE_SETTABLE	(MCE_SUPPORTED | MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK)
#define MCE_AMD		(MCG_CTL_P | MCG_BANKCNT_MASK)	/* all that AMD CPUs define */
#define HWCR_STATUS_WRITE BIT(18)

/* Registers of a bank, in the order of their MSRs. */
enum { CTL, STATUS, ADDR, MISC, BANK };

static_assert(ARRAY_SIZE(((struct vmlet_msr_store *)0)->mc) == VMLET_MCE_BANKS * BANK);

static unsigned int banks(struct vmlet_vcpu *vcpu)
{
	return vcpu->store.mcg_cap & MCG_BANKCNT_MASK;
}

/* Or NULL, for a bank that the guest does not have. */
static u64 *bank_register(struct vmlet_vcpu *vcpu, u32 index)
{
	u32 nr = index - MSR_IA32_MCx_CTL(0);

	return nr < banks(vcpu) * BANK ? &vcpu->store.mc[nr] : NULL;
}

void vmlet_mce_reset(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < VMLET_MCE_BANKS; i++)
		vcpu->store.mc[i * BANK + CTL] = ~0ull;
}

int vmlet_mc_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	u64 *from = bank_register(vcpu, index);

	if (!from)
		return -EINVAL;
	*value = *from;
	return 0;
}

/*
 * CTL is all or nothing, but for two bits that operating systems leave clear to get around errata. The guest can only
 * clear STATUS, unless it has asked its CPU to let it simulate errors.
 */
int vmlet_mc_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u32 reg = (index - MSR_IA32_MCx_CTL(0)) % BANK;
	u64 *to = bank_register(vcpu, index);

	if (!to || (reg == CTL && value && (value | BIT(10) | BIT(0)) != ~0ull))
		return -EINVAL;
	if (reg == STATUS && value && !host && !(vcpu->store.hwcr & HWCR_STATUS_WRITE))
		return -EINVAL;
	*to = value;
	return 0;
}

int vmlet_mcg_ctl_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = vcpu->store.mcg_ctl;
	return host || (vcpu->store.mcg_cap & MCG_CTL_P) ? 0 : -EINVAL;
}

int vmlet_mcg_ctl_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!(vcpu->store.mcg_cap & MCG_CTL_P) && (value || !host))
		return -EINVAL;
	if (value && value != ~0ull)
		return -EINVAL;
	vcpu->store.mcg_ctl = value;
	return 0;
}

long vmlet_api_get_mce_cap(void *obj, struct vmlet_arg *arg)
{
	*(u64 *)arg->data = MCE_SUPPORTED;
	return 0;
}

static bool is_amd(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD || boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

long vmlet_api_setup_mce(void *obj, struct vmlet_arg *arg)
{
	u64 cap = *(u64 *)arg->data, count = cap & MCG_BANKCNT_MASK;
	struct vmlet_vcpu *vcpu = obj;

	if (!count || count > VMLET_MCE_BANKS || (cap & ~MCE_SETTABLE))
		return -EINVAL;
	vcpu->store.mcg_cap = is_amd() ? cap & MCE_AMD : cap;
	if (cap & MCG_CTL_P)
		vcpu->store.mcg_ctl = ~0ull;
	vmlet_mce_reset(vcpu);
	return 0;
}

static void store_error(u64 *bank, const struct kvm_x86_mce *mce, u64 status)
{
	bank[STATUS] = status;
	bank[ADDR] = mce->addr;
	bank[MISC] = mce->misc;
}

/* An error that was not corrected, and that no one has to act on at once: logged. */
static bool is_deferrable(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

/* Software has switched reporting off, of all banks or of this one. */
static bool is_silenced(struct vmlet_vcpu *vcpu, const u64 *bank)
{
	if ((vcpu->store.mcg_cap & MCG_CTL_P) && vcpu->store.mcg_ctl != ~0ull)
		return true;
	return bank[CTL] != ~0ull;
}

/* #MC, or shutdown if the guest cannot take one now. */
static void raise(struct vmlet_vcpu *vcpu, u64 *bank, const struct kvm_x86_mce *mce, u64 status)
{
	vmlet_need(vcpu, VMLET_G_CR);
	if ((vcpu->store.mcg_status & MCG_STATUS_MCIP) || !(vcpu->cr4 & X86_CR4_MCE)) {
		vcpu->events.mask |= VMLET_EV_TRIPLE;
		return;
	}
	store_error(bank, mce, status);
	vcpu->store.mcg_status = mce->mcg_status;
	vmlet_inject_exception(vcpu, X86_TRAP_MC);
}

long vmlet_api_set_mce(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_x86_mce *mce = arg->data;
	struct vmlet_vcpu *vcpu = obj;
	u64 status = mce->status, *bank;

	if (mce->bank >= banks(vcpu) || !(status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = &vcpu->store.mc[mce->bank * BANK];
	if (is_deferrable(mce)) {
		store_error(bank, mce, status);
		vcpu->store.mcg_status = 0;
		return 0;
	}
	if ((status & MCI_STATUS_UC) && is_silenced(vcpu, bank))
		return 0;
	if (bank[STATUS] & MCI_STATUS_VAL)
		status |= MCI_STATUS_OVER;
	if (status & MCI_STATUS_UC)
		raise(vcpu, bank, mce, status);
	else if (!(bank[STATUS] & MCI_STATUS_VAL) || !(bank[STATUS] & MCI_STATUS_UC))
		store_error(bank, mce, status);
	else	/* the worse of the two stays */
		bank[STATUS] |= MCI_STATUS_OVER;
	return 0;
}
