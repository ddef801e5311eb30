// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: VT-x on and off
 *
 * Whether this host can run guests with VT-x, what is allocated once, and VMX operation of each CPU. What this
 * driver did not switch on it does not switch off.
 */
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <asm/cpufeature.h>
#include <asm/intel_pt.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>

#include "vmx.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);
void *vmx_msr_bitmap;

/* Filled by setup: whether leaves have accessed and dirty bits depends on the CPU. */
static struct vmlet_pt_format pt_format = {
	.present	= VMX_EPT_RWX_MASK,
	.table		= VMX_EPT_RWX_MASK,
	.leaf		= VMX_EPT_READABLE_MASK | (X86_MEMTYPE_WB << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT,
	.write		= VMX_EPT_WRITABLE_MASK,
	.exec		= VMX_EPT_EXECUTABLE_MASK,
	.huge		= BIT(7),
};

static const u32 switched_msrs[VMX_SWITCHED] = {
	[VMX_STAR]	= MSR_STAR,
	[VMX_LSTAR]	= MSR_LSTAR,
	[VMX_SFMASK]	= MSR_SYSCALL_MASK,
	[VMX_TSC_AUX]	= MSR_TSC_AUX,
};

/* MSRs that the VMCS or vmx_load() switches: the guest reads and writes its own values without an exit. */
static const u32 guest_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static int firmware_allows(void)
{
	u64 ctl;

	/* Where the MSR is missing an emulator or a hypervisor is below, and VMXON will do. */
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &ctl) || !(ctl & FEAT_CTL_LOCKED))
		return 0;
	if (ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)
		return 0;
	vmlet_err("VT-x is locked off by firmware: enable VT-x (Intel Virtualization Technology) in the firmware's setup and power-cycle");
	return -EOPNOTSUPP;
}

static int vmx_supported(void)
{
	int ret;

	/* The CPU's own word: the kernel hides the feature when firmware locks it off, and that has a remedy of its own. */
	if (!(cpuid_ecx(1) & BIT(5))) {
		vmlet_err("this CPU has no VT-x, or the hypervisor above hides it: enable nested virtualization there");
		return -EOPNOTSUPP;
	}
	ret = firmware_allows();
	if (ret)
		return ret;
	/* With FRED events enter the kernel another way, and its MSRs would have to be switched. */
	if (cr4_read_shadow() & X86_CR4_FRED) {
		vmlet_err("the host kernel uses FRED, which vmlet does not switch: boot with fred=off");
		return -EOPNOTSUPP;
	}
	return vmx_negotiate();
}

static void allow_msr(u8 *bitmap, u32 msr)
{
	unsigned int half = msr >= 0xc0000000 ? 1024 : 0;

	__clear_bit(msr & 0x1fff, (unsigned long *)(bitmap + half));		/* reads */
	__clear_bit(msr & 0x1fff, (unsigned long *)(bitmap + 2048 + half));	/* writes */
}

/* A fault is a failure too: firmware and hypervisors have ways that the MSRs do not tell. */
static bool vmxon(u64 region)
{
	bool failed = true;

	asm volatile("1: vmxon %1\n\t"
		     "setna %0\n"
		     "2:\n\t" _ASM_EXTABLE(1b, 2b)
		     : "+q" (failed) : "m" (region) : "cc", "memory");
	return !failed;
}

static void vmx_unsetup(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *this = per_cpu_ptr(&vmx_cpus, cpu);

		free_page((unsigned long)this->region);
		this->region = NULL;
	}
	free_page((unsigned long)vmx_msr_bitmap);
	vmx_msr_bitmap = NULL;
	vmx_l1d_unsetup();
}

static int alloc_region(int cpu)
{
	struct vmx_cpu *this = per_cpu_ptr(&vmx_cpus, cpu);
	struct page *page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);

	if (!page)
		return -ENOMEM;
	this->region = page_address(page);
	*(u32 *)this->region = vmx_config.revision;
	INIT_LIST_HEAD(&this->active);
	return 0;
}

static int alloc_all(void)
{
	unsigned int i;
	int cpu, ret;

	vmx_msr_bitmap = (void *)__get_free_page(GFP_KERNEL);
	if (!vmx_msr_bitmap)
		return -ENOMEM;
	memset(vmx_msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(guest_msrs); i++)
		allow_msr(vmx_msr_bitmap, guest_msrs[i]);
	for_each_possible_cpu(cpu) {
		ret = alloc_region(cpu);
		if (ret)
			return ret;
	}
	return 0;
}

static int vmx_setup(void)
{
	int ret;

	ret = vmx_l1d_setup() ?: alloc_all();
	if (ret) {
		vmx_unsetup();
		return ret;
	}
	if (vmx_config.ept_dirty) {
		pt_format.accessed = VMX_EPT_ACCESS_BIT;
		pt_format.dirty = VMX_EPT_DIRTY_BIT;
	}
	return 0;
}

static int vmx_huge_levels(void)
{
	if (vmx_config.ept & VMX_EPT_1GB_PAGE_BIT)
		return 3;
	return vmx_config.ept & VMX_EPT_2MB_PAGE_BIT ? 2 : 1;
}

/* Firmware that left the lock open: the kernel has the MSR set up as a rule, but not in every configuration. */
static int unlock(void)
{
	u64 ctl;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &ctl))
		return 0;
	if (!(ctl & FEAT_CTL_LOCKED))
		return wrmsrl_safe(MSR_IA32_FEAT_CTL,
				   ctl | FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
	return ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX ? 0 : -EOPNOTSUPP;
}

static void read_host_msrs(struct vmx_cpu *this)
{
	unsigned int i;

	for (i = 0; i < VMX_SWITCHED; i++) {
		if (rdmsrl_safe(switched_msrs[i], &this->host_msr[i]))
			this->host_msr[i] = 0;
		this->msr[i] = this->host_msr[i];
	}
}

static int vmx_cpu_on(void)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	if (unlock())
		return -EOPNOTSUPP;
	read_host_msrs(this);
	/* Without "Intel PT in VMX" tracing must be off across VMXON. */
	intel_pt_handle_vmx(1);
	cr4_set_bits_irqsoff(X86_CR4_VMXE);
	if (!vmxon(__pa(this->region))) {
		cr4_clear_bits_irqsoff(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EIO;
	}
	this->on = true;
	/* Whoever had VMX operation before may have left translations under the same tags. */
	vmx_invept(VMX_INVEPT_ALL, 0);
	return 0;
}

static void vmx_cpu_off(void)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);

	if (!this->on)
		return;
	/* On the way into a crash kernel this is an NMI, which may have come upon a list half changed. */
	if (!in_nmi())
		vmx_clear_active(this);
	asm volatile("vmxoff" : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	this->on = false;
	intel_pt_handle_vmx(0);
}

/* Writes only what differs: a write costs more than everything around it. */
void vmx_set_msr(struct vmx_cpu *this, enum vmx_switched nr, u64 value)
{
	if (this->msr[nr] == value)
		return;
	this->msr[nr] = value;
	native_write_msr_safe(switched_msrs[nr], value, value >> 32);
}

void vmx_restore_msrs(struct vmx_cpu *this)
{
	unsigned int i;

	for (i = 0; i < VMX_SWITCHED; i++)
		vmx_set_msr(this, i, this->host_msr[i]);
}

static unsigned int vmx_tsc_fraction(void)
{
	return vmx_config.cpu2 & SECONDARY_EXEC_TSC_SCALING ? 48 : 0;
}

void vmx_write_failed(unsigned long field, u64 value)
{
	WARN_ONCE(this_cpu_read(vmx_cpus.on), "vmlet: VMWRITE of %#llx to field %#lx failed\n", value, field);
}

const struct vmlet_vendor vmlet_vmx = {
	.name		= "VT-x",
	.call		= 0xc1,
	.foreign_call	= 0xd9,
	.pt		= &pt_format,
	.vcpu_size	= sizeof(struct vmx_vcpu),
	.huge_levels	= vmx_huge_levels,
	.tsc_fraction	= vmx_tsc_fraction,
	.supported	= vmx_supported,
	.setup		= vmx_setup,
	.unsetup	= vmx_unsetup,
	.cpu_on		= vmx_cpu_on,
	.cpu_off	= vmx_cpu_off,
	.vcpu_init	= vmx_vcpu_init,
	.vcpu_destroy	= vmx_vcpu_destroy,
	.fetch		= vmx_fetch,
	.load		= vmx_load,
	.put		= vmx_put,
	.run		= vmx_run,
	.inject		= vmx_inject,
	.window		= vmx_window,
	.flush_tlb	= vmx_flush_tlb,
	.set_intercepts	= vmx_set_intercepts,
	.explain	= vmx_explain,
};
