/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what depends on the host kernel
 *
 * Everything that differs between kernel versions or that some kernels do not export to modules, and nothing else.
 * Features are probed in the kernel's headers by host/probe.mk, which defines VMLET_HAVE_*: distributions backport,
 * so version numbers would lie.
 */
#ifndef VMLET_HOST_H
#define VMLET_HOST_H

#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/spec-ctrl.h>

/* Some kernels call this field of struct kvm_run differently in the kernel: userspace changes it at any time. */
#ifdef VMLET_HAVE_IMMEDIATE_EXIT_UNSAFE
#define vmlet_immediate_exit immediate_exit__unsafe
#else
#define vmlet_immediate_exit immediate_exit
#endif

/* Hand a machine check that ended the guest's run to the host, as one of its user's: memory errors kill, not panic. */
void vmlet_host_machine_check(void);

/**
 * vmlet_host_split_lock - ask the host what it does about a guest's split lock
 * @ip:		of the guest, for the log
 *
 * Return: true: let the guest go on; false: the guest is to have #AC.
 */
bool vmlet_host_split_lock(unsigned long ip);

/*
 * SSBD of AMD's CPUs without SPEC_CTRL: in an MSR that threads of a core share, or the hypervisor above has it. The kernel
 * alone can set it for a guest, and knows what the host has.
 */
static inline bool vmlet_host_virt_ssbd(void)
{
#ifdef VMLET_HAVE_VIRT_SPEC_CTRL
	return boot_cpu_has(X86_FEATURE_LS_CFG_SSBD) || boot_cpu_has(X86_FEATURE_VIRT_SSBD);
#else
	return false;
#endif
}

static inline void vmlet_host_virt_spec_ctrl(u64 guest, bool set)
{
#ifdef VMLET_HAVE_VIRT_SPEC_CTRL
	x86_virt_spec_ctrl(guest, set);
#endif
}

/*
 * A guest has run on this CPU: where the guest can have trained the branch predictor, the host flushes it before
 * userspace runs again.
 */
static inline void vmlet_host_guest_ran(void)
{
#ifdef VMLET_HAVE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * Before the guest's breakpoint addresses replace the host's, interrupts off until hw_breakpoint_restore(): where the
 * kernel keeps that for KVM, ours needs to know what to restore.
 */
#ifdef VMLET_HAVE_BREAKPOINT_RESTORE
static inline void vmlet_host_breakpoints_save(void) { }
#else
void vmlet_host_breakpoints_save(void);
#endif

/**
 * vmlet_host_kick_cpu - have another CPU take an interrupt, and so leave a guest
 * @cpu:	any online CPU; any context
 */
void vmlet_host_kick_cpu(int cpu);

/**
 * vmlet_host_power_register - follow suspend, resume and reboot
 * @suspend:	called on the last CPU, interrupts off
 * @resume:	likewise, on the way back
 * @shutdown:	called before a reboot or a kexec, interrupts on, all CPUs up
 */
void vmlet_host_power_register(void (*suspend)(void), void (*resume)(void), void (*shutdown)(void));
void vmlet_host_power_unregister(void);

/**
 * vmlet_host_crash_register - have every CPU leave virtualization before a crash kernel starts
 * @off:	called in NMI context on each CPU
 *
 * Nothing on kernels that do not offer it.
 */
void vmlet_host_crash_register(void (*off)(void));
void vmlet_host_crash_unregister(void (*off)(void));

#endif
