/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: one spelling for what kernels spell differently
 *
 * Included before everything else in every file. The tree is written against the reference kernel; what others have
 * renamed since, or do not have yet, is defined here, and only where it is missing.
 */
#ifndef VMLET_COMPAT_H
#define VMLET_COMPAT_H

#include <linux/kvm.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <asm/msr.h>
#include <asm/processor.h>
#ifdef VMLET_HAVE_CPUID_API
#include <asm/cpuid/api.h>
#endif

#ifdef VMLET_HAVE_RDMSRQ
#define rdmsrl		rdmsrq
#define rdmsrl_safe	rdmsrq_safe
#define wrmsrl		wrmsrq
#define wrmsrl_safe	wrmsrq_safe
#define native_wrmsrl	native_wrmsrq
#endif

#ifdef VMLET_HAVE_MSR_SAFE_U64
#define native_write_msr_safe(msr, low, high)	native_write_msr_safe(msr, (u64)(high) << 32 | (u32)(low))
#endif

#ifdef VMLET_HAVE_RCU_NOTE_CPU
#define rcu_virt_note_context_switch()	(rcu_virt_note_context_switch)(smp_processor_id())
#endif

/* Signals then do not end a wait for userfaultfd before the page comes; hints of NUMA balancing are honoured always. */
#ifndef VMLET_HAVE_FOLL_INTERRUPTIBLE
#define FOLL_INTERRUPTIBLE	0
#endif
#ifndef VMLET_HAVE_FOLL_HONOR_NUMA_FAULT
#define FOLL_HONOR_NUMA_FAULT	0
#endif

#ifndef VMLET_HAVE_HRTIMER_SETUP
#define hrtimer_setup(timer, fn, clock, mode) do { hrtimer_init(timer, clock, mode); (timer)->function = (fn); } while (0)
#endif

#ifndef VMLET_HAVE_VM_FLAGS_CLEAR
#define vm_flags_clear(vma, flags)	((void)((vma)->vm_flags &= ~(flags)))
#endif

/* What a callback of the MMU notifier that asks for the age of a page returns. */
#ifdef VMLET_HAVE_YOUNG_BOOL
#define vmlet_young_t	bool
#else
#define vmlet_young_t	int
#endif

#ifdef VMLET_HAVE_EVENTFD_SIGNAL_N
#include <linux/eventfd.h>
#define eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif

/* Of what either returns only the attributes are used. */
#ifndef VMLET_HAVE_GENL_INFO_DUMP
#define genl_info_dump(cb)	genl_dumpit_info(cb)
#endif

#ifdef VMLET_HAVE_SVM_MISC_CTL
#define nested_ctl			misc_ctl
#define SVM_NESTED_CTL_NP_ENABLE	SVM_MISC_ENABLE_NP
#endif

#ifndef X86_MEMTYPE_WB
#define X86_MEMTYPE_WB	6ull
#endif

#ifndef VMLET_HAVE_VMCS_MEM_TYPE
#define vmx_basic_vmcs_mem_type(basic)	((u32)((basic) >> 50) & 15)
#endif

/* A kernel that does not know FRED does not use it. */
#ifndef X86_CR4_FRED
#define X86_CR4_FRED	0
#endif

#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CAP_USER_MEMORY2		231
#endif

#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY		_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#define KVM_CAP_PRE_FAULT_MEMORY	236
#endif

#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS	237
#endif

#ifndef KVM_MSR_EXIT_REASON_VALID_MASK
#define KVM_MSR_EXIT_REASON_VALID_MASK	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER)
#endif

#ifndef KVM_X86_QUIRK_STUFF_FEATURE_MSRS
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS	(1 << 8)
#endif

#endif
