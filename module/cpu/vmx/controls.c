// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: what this CPU's VT-x can do
 *
 * One table says which control bits vmlet needs, which it takes if they are there, and which it must be able to
 * leave off. The result is computed once per load and is what every VMCS starts with.
 */
#include <asm/msr.h>

#include "vmx.h"

struct vmx_config vmx_config;

enum field { PIN, CPU, CPU2, EXIT, ENTRY, FIELDS };
enum demand { NEED, WANT, OFF };

static const struct {
	const char *name;
	u32 msr, true_msr;
	u32 *value;
} fields[FIELDS] = {
	[PIN]	= { "pin-based", MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS, &vmx_config.pin },
	[CPU]	= { "processor-based", MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		    &vmx_config.cpu },
	[CPU2]	= { "secondary processor-based", MSR_IA32_VMX_PROCBASED_CTLS2, 0, &vmx_config.cpu2 },
	[EXIT]	= { "VM-exit", MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, &vmx_config.exit },
	[ENTRY]	= { "VM-entry", MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, &vmx_config.entry },
};

/*
 * Interrupts are not acknowledged on exit: the host takes them when it enables interrupts. Translations are the
 * guest's own affair (EPT), so CR3 and INVLPG do not exit. Neither PAT nor XSS is switched: EPT leaves
 * ignore the guest's PAT. RDTSCP, RDPID and XSAVES are there for guests whose CPUID has them.
 */
static const struct {
	enum field field;
	enum demand demand;
	u32 bit;
	const char *name;
} controls[] = {
	{ PIN,	NEED,	PIN_BASED_EXT_INTR_MASK,		"external-interrupt exiting" },
	{ PIN,	NEED,	PIN_BASED_NMI_EXITING,			"NMI exiting" },
	{ PIN,	NEED,	PIN_BASED_VIRTUAL_NMIS,			"virtual NMIs" },
	{ CPU,	NEED,	CPU_BASED_USE_TSC_OFFSETTING,		"TSC offsetting" },
	{ CPU,	NEED,	CPU_BASED_HLT_EXITING,			"HLT exiting" },
	{ CPU,	NEED,	CPU_BASED_MWAIT_EXITING,		"MWAIT exiting" },
	{ CPU,	NEED,	CPU_BASED_MONITOR_EXITING,		"MONITOR exiting" },
	{ CPU,	NEED,	CPU_BASED_RDPMC_EXITING,		"RDPMC exiting" },
	{ CPU,	NEED,	CPU_BASED_CR8_LOAD_EXITING,		"CR8-load exiting" },
	{ CPU,	NEED,	CPU_BASED_CR8_STORE_EXITING,		"CR8-store exiting" },
	{ CPU,	NEED,	CPU_BASED_MOV_DR_EXITING,		"MOV-DR exiting" },
	{ CPU,	NEED,	CPU_BASED_UNCOND_IO_EXITING,		"unconditional I/O exiting" },
	{ CPU,	NEED,	CPU_BASED_USE_MSR_BITMAPS,		"MSR bitmaps" },
	{ CPU,	NEED,	CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,	"secondary controls" },
	{ CPU,	OFF,	CPU_BASED_CR3_LOAD_EXITING,		"CR3-load exiting" },
	{ CPU,	OFF,	CPU_BASED_CR3_STORE_EXITING,		"CR3-store exiting" },
	{ CPU,	OFF,	CPU_BASED_INVLPG_EXITING,		"INVLPG exiting" },
	{ CPU2,	NEED,	SECONDARY_EXEC_ENABLE_EPT,		"EPT" },
	{ CPU2,	NEED,	SECONDARY_EXEC_UNRESTRICTED_GUEST,	"unrestricted guest" },
	{ CPU2,	NEED,	SECONDARY_EXEC_WBINVD_EXITING,		"WBINVD exiting" },
	{ CPU2,	WANT,	SECONDARY_EXEC_ENABLE_VPID,		"VPID" },
	{ CPU2,	WANT,	SECONDARY_EXEC_ENABLE_INVPCID,		"INVPCID" },
	{ CPU2,	WANT,	SECONDARY_EXEC_ENABLE_RDTSCP,		"RDTSCP" },
	{ CPU2,	WANT,	SECONDARY_EXEC_ENABLE_XSAVES,		"XSAVES" },
	{ CPU2,	WANT,	SECONDARY_EXEC_TSC_SCALING,		"TSC scaling" },
	{ CPU2,	WANT,	SECONDARY_EXEC_PAUSE_LOOP_EXITING,	"PAUSE-loop exiting" },
	{ CPU2,	WANT,	SECONDARY_EXEC_ENCLS_EXITING,		"ENCLS exiting" },
	{ EXIT,	NEED,	VM_EXIT_HOST_ADDR_SPACE_SIZE,		"64-bit hosts" },
	{ EXIT,	NEED,	VM_EXIT_LOAD_IA32_EFER,			"loading EFER on exit" },
	{ EXIT,	OFF,	VM_EXIT_ACK_INTR_ON_EXIT,		"acknowledge interrupt on exit" },
	{ ENTRY, NEED,	VM_ENTRY_LOAD_DEBUG_CONTROLS,		"loading debug controls" },
	{ ENTRY, NEED,	VM_ENTRY_LOAD_IA32_EFER,		"loading EFER on entry" },
};

static const struct {
	u64 bit;
	const char *name;
} ept_needs[] = {
	{ VMX_EPT_PAGE_WALK_4_BIT,	"EPT page walks of length 4" },
	{ VMX_EPTP_WB_BIT,		"write-back EPT structures" },
	{ VMX_EPT_INVEPT_BIT,		"INVEPT" },
	{ VMX_EPT_EXTENT_CONTEXT_BIT,	"single-context INVEPT" },
	{ VMX_EPT_EXTENT_GLOBAL_BIT,	"all-context INVEPT" },
};

static int lacks(const char *name)
{
	vmlet_err("this CPU's VT-x lacks %s, which vmlet needs: use a newer CPU, or have the hypervisor above show it",
		  name);
	return -EOPNOTSUPP;
}

/* One field: the low half of its MSR are bits that must be 1, the high half bits that may be 1. */
static int negotiate(enum field field, bool true_controls)
{
	u32 msr = true_controls && fields[field].true_msr ? fields[field].true_msr : fields[field].msr;
	u32 must, may, value;
	unsigned int i;
	u64 caps;

	if (rdmsrl_safe(msr, &caps))
		return lacks(fields[field].name);
	must = lower_32_bits(caps);
	may = upper_32_bits(caps);
	value = must;
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		u32 bit = controls[i].bit;

		if (controls[i].field != field)
			continue;
		if (controls[i].demand == NEED && !(may & bit))
			return lacks(controls[i].name);
		if (controls[i].demand == OFF && (must & bit)) {
			vmlet_err("this CPU's VT-x cannot leave %s off: use a newer CPU", controls[i].name);
			return -EOPNOTSUPP;
		}
		if (controls[i].demand != OFF)
			value |= bit & may;
	}
	*fields[field].value = value;
	return 0;
}

static int negotiate_ept(void)
{
	unsigned int i;
	u64 caps;

	if (rdmsrl_safe(MSR_IA32_VMX_EPT_VPID_CAP, &caps))
		return lacks("EPT");
	for (i = 0; i < ARRAY_SIZE(ept_needs); i++) {
		if (!(caps & ept_needs[i].bit))
			return lacks(ept_needs[i].name);
	}
	vmx_config.ept = caps;
	vmx_config.ept_dirty = caps & VMX_EPT_AD_BIT;
	return 0;
}

int vmx_negotiate(void)
{
	enum field field;
	u64 basic;
	int ret;

	if (rdmsrl_safe(MSR_IA32_VMX_BASIC, &basic))
		return lacks("its capability MSRs");
	if (vmx_basic_vmcs_size(basic) > PAGE_SIZE || vmx_basic_vmcs_mem_type(basic) != X86_MEMTYPE_WB)
		return lacks("a VMCS in one page of write-back memory");
	vmx_config.revision = vmx_basic_vmcs_revision_id(basic);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_config.cr4_fixed1);
	for (field = 0; field < FIELDS; field++) {
		ret = negotiate(field, basic & VMX_BASIC_TRUE_CTLS);
		if (ret)
			return ret;
	}
	return negotiate_ept();
}
