// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: AMD-V in a host: detection, switching on and off, and the vendor's operations
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/trapnr.h>

#include "../bugs.h"
#include "svm.h"

#define IOPM_ORDER	2	/* 12 KiB */
#define MSRPM_ORDER	1	/* 8 KiB */

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

bool svm_nrips, svm_decode_assists, svm_flush_by_asid, svm_tsc_scales, svm_has_aux;
u32 svm_asids;
hpa_t svm_iopm_pa;

static unsigned long iopm, msrpm;
static hpa_t msrpm_pa;

/* MSRs that VMLOAD, VMSAVE and VMRUN switch, so that the guest needs no exit for them. */
static const u32 direct_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* The permission map has 2 KiB, two bits an MSR, for each of three ranges. */
static void allow_msr(u8 *map, u32 msr)
{
	unsigned int range = msr >> 16 == 0xc000 ? 1 : msr >> 16 == 0xc001 ? 2 : 0;
	unsigned int bit = range * 2048 * 8 + (msr & 0x1fff) * 2;

	map[bit / 8] &= ~(3 << bit % 8);
}

static int supported(void)
{
	u64 vm_cr;

	if (!(cpuid_ecx(0x80000001) & BIT(2))) {
		pr_err("vmlet: no AMD-V in CPUID; enable SVM in the firmware, or nested virtualization in the hypervisor above\n");
		return -ENODEV;
	}
	rdmsrl(MSR_VM_CR, vm_cr);
	if (vm_cr & SVM_VM_CR_SVM_DIS_MASK) {
		pr_err("vmlet: AMD-V is locked off by the firmware; enable SVM in its set-up and power-cycle\n");
		return -ENODEV;
	}
	if (!(cpuid_edx(SVM_CPUID_FUNC) & BIT(0))) {
		pr_err("vmlet: this CPU has no nested paging (NPT), which vmlet needs; a CPU of family 10h or newer has\n");
		return -ENODEV;
	}
	return 0;
}

static void free_cpu_pages(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *here = per_cpu_ptr(&svm_cpu, cpu);

		if (here->host_save)
			__free_page(here->host_save);
		if (here->host_state)
			__free_page(here->host_state);
		here->host_save = here->host_state = NULL;
	}
}

static int alloc_cpu_pages(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *here = per_cpu_ptr(&svm_cpu, cpu);

		here->host_save = alloc_page(GFP_KERNEL | __GFP_ZERO);
		here->host_state = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!here->host_save || !here->host_state)
			return -ENOMEM;
		here->host_state_pa = __sme_set(page_to_phys(here->host_state));
	}
	return 0;
}

static void unsetup(void)
{
	free_cpu_pages();
	free_pages(iopm, IOPM_ORDER);
	free_pages(msrpm, MSRPM_ORDER);
	iopm = msrpm = 0;
}

static int setup(void)
{
	u32 features = cpuid_edx(SVM_CPUID_FUNC);
	unsigned int i;

	svm_nrips = features & BIT(3);
	svm_tsc_scales = features & BIT(4);
	svm_flush_by_asid = features & BIT(6);
	svm_decode_assists = features & BIT(7);
	svm_has_aux = boot_cpu_has(X86_FEATURE_RDPID) || boot_cpu_has(X86_FEATURE_RDTSCP);
	svm_asids = cpuid_ebx(SVM_CPUID_FUNC);
	iopm = __get_free_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = __get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm || alloc_cpu_pages()) {
		unsetup();
		return -ENOMEM;
	}
	memset((void *)iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	memset((void *)msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(direct_msrs); i++)
		allow_msr((u8 *)msrpm, direct_msrs[i]);
	svm_iopm_pa = __sme_set(__pa(iopm));
	msrpm_pa = __sme_set(__pa(msrpm));
	return 0;
}

/* Nothing but guests depends on it, so it is switched when a guest of another rate comes. */
void svm_set_tsc_ratio(struct svm_cpu *here, u64 ratio)
{
	here->tsc_ratio = ratio;
	wrmsrl(MSR_AMD64_TSC_RATIO, ratio);
}

/* The guest's in the guest section: RDPID, which cannot be intercepted, must not tell it the host's CPU number. */
void svm_set_aux(u64 aux)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);

	if (!svm_has_aux || here->tsc_aux == aux)
		return;
	here->tsc_aux = aux;
	wrmsrl(MSR_TSC_AUX, aux);
}

static int cpu_on(void)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	here->generation++;
	here->next_asid = svm_asids;	/* the first vCPU begins a generation, with a flush */
	if (svm_has_aux)
		rdmsrl(MSR_TSC_AUX, here->host_aux);
	here->tsc_aux = here->host_aux;
	if (svm_tsc_scales)
		svm_set_tsc_ratio(here, SVM_TSC_RATIO_DEFAULT);
	vmlet_reduce_speculation(true);
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_set(page_to_phys(here->host_save)));
	here->ours = true;
	return 0;
}

static void cpu_off(void)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);
	u64 efer;

	if (!here->ours)
		return;
	here->ours = false;
	vmlet_reduce_speculation(false);
	if (svm_tsc_scales)
		svm_set_tsc_ratio(here, SVM_TSC_RATIO_DEFAULT);
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	/* With GIF clear, as after a crash inside the entry, clearing SVME would leave no way to set it again. */
	asm volatile("stgi" ::: "memory");
	wrmsrl(MSR_EFER, efer & ~(u64)EFER_SVME);
}

static int huge_levels(void)
{
	return boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2;
}

static unsigned int tsc_fraction(void)
{
	return svm_tsc_scales ? 32 : 0;
}

/*
 * RDPID cannot be intercepted: where the guest's CPUID has neither it reads 0, or what userspace has set. The ports' map,
 * all ones, serves as one that has every MSR exit.
 */
static void set_intercepts(struct vmlet_vcpu *vcpu)
{
	static const struct { u8 exit, intercept; } optional[] = {
		{ KVM_X86_DISABLE_EXITS_HLT,	INTERCEPT_HLT },
		{ KVM_X86_DISABLE_EXITS_MWAIT,	INTERCEPT_MONITOR },
		{ KVM_X86_DISABLE_EXITS_MWAIT,	INTERCEPT_MWAIT },
	};
	u32 disabled = READ_ONCE(vcpu->vm->disabled_exits);
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(optional); i++)
		svm_intercept(svm, optional[i].intercept, !(disabled & optional[i].exit));
	/* Without a filter each PAUSE would exit. */
	svm_intercept(svm, INTERCEPT_PAUSE,
		      boot_cpu_has(X86_FEATURE_PAUSEFILTER) && !(disabled & KVM_X86_DISABLE_EXITS_PAUSE));
	svm_intercept(svm, INTERCEPT_RDTSCP, !(vcpu->features & VMLET_F_RDTSCP));
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP, vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP);
	svm->vmcb->control.msrpm_base_pa = vmlet_filters_msrs(vcpu->vm) ? svm_iopm_pa : msrpm_pa;
	svm_dirty(svm, SVM_CLEAN_MAPS);
}

static const struct vmlet_pt_format npt_format = {
	.present	= _PAGE_PRESENT,
	.table		= _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED,
	.leaf		= _PAGE_PRESENT | _PAGE_USER,
	.write		= _PAGE_RW,
	.accessed	= _PAGE_ACCESSED,
	.dirty		= _PAGE_DIRTY,
	.huge		= _PAGE_PSE,
	.host_levels	= true,
};

const struct vmlet_vendor vmlet_svm = {
	.name		= "AMD-V",
	.call		= 0xd9,
	.foreign_call	= 0xc1,
	.pt		= &npt_format,
	.vcpu_size	= sizeof(struct svm_vcpu),
	.huge_levels	= huge_levels,
	.tsc_fraction	= tsc_fraction,
	.supported	= supported,
	.setup		= setup,
	.unsetup	= unsetup,
	.cpu_on		= cpu_on,
	.cpu_off	= cpu_off,
	.vcpu_init	= svm_vcpu_init,
	.vcpu_destroy	= svm_vcpu_destroy,
	.fetch		= svm_fetch,
	.load		= svm_load,
	.put		= svm_put,
	.run		= svm_run,
	.inject		= svm_inject,
	.window		= svm_window,
	.flush_tlb	= svm_flush_tlb,
	.set_intercepts	= set_intercepts,
	.explain	= svm_explain,
};
