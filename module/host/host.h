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

/* Some kernels call this field of struct kvm_run differently in the kernel: userspace changes it at any time. */
#ifdef VMLET_HAVE_IMMEDIATE_EXIT_UNSAFE
#define vmlet_immediate_exit immediate_exit__unsafe
#else
#define vmlet_immediate_exit immediate_exit
#endif

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
