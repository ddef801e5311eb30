/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * DOC: the generic netlink family "vmlet"
 *
 * Which VMs there are, whose they are and what they do; what happens to them; what can be tuned. The same in YNL's terms is
 * Documentation/netlink/specs/vmlet.yaml. The family is in the first network namespace only.
 *
 * Who lacks CAP_SYS_ADMIN sees the VMs of his own effective user ID. Attributes of 64 bits may have padding before them.
 * Later versions may add attributes: skip what is not known.
 */
#ifndef _UAPI_VMLET_NETLINK_H
#define _UAPI_VMLET_NETLINK_H

#define VMLET_GENL_NAME		"vmlet"
#define VMLET_GENL_VERSION	1

/* The multicast group of the notifications; to join it takes CAP_SYS_ADMIN. */
#define VMLET_GENL_EVENTS	"events"

/**
 * enum vmlet_cmd - commands
 * @VMLET_CMD_VM_GET: dump, a message a VM, by ID: enum vmlet_attr_vm. With VMLET_A_VM_ID: of that VM only
 * @VMLET_CMD_VCPU_GET: dump, a message a vCPU, by VM, then in order of creation: enum vmlet_attr_vcpu. With
 *	VMLET_A_VCPU_VM_ID: of that VM only
 * @VMLET_CMD_STATS_GET: dump, a message a VM, by ID: enum vmlet_attr_stats, sums over its vCPUs. With VMLET_A_STATS_VM_ID: of that
 *	VM only. Otherwise who has CAP_SYS_ADMIN gets another message before, of all VMs since the module was loaded
 * @VMLET_CMD_TUNABLE_GET: dump, a message a tunable: enum vmlet_attr_tunable
 * @VMLET_CMD_TUNABLE_SET: VMLET_A_TUNABLE_NAME and VMLET_A_TUNABLE_VALUE; takes CAP_SYS_ADMIN. -EPERM, -EINVAL: an attribute
 *	is missing or not known, -ENOENT: no such tunable, -ERANGE: not between its bounds; each with a message
 * @VMLET_CMD_VM_CREATED_NTF: notification, enum vmlet_attr_event: VM_ID, OWNER_*, LOST
 * @VMLET_CMD_VM_DESTROYED_NTF: notification, likewise; a VM goes with the last of its files
 * @VMLET_CMD_ENTRY_FAILED_NTF: notification: KVM_EXIT_FAIL_ENTRY; also VCPU_ID, LAST_EXIT, HW_REASON,
 *	FIELD, CHECK, VALUE
 * @VMLET_CMD_INTERNAL_ERROR_NTF: notification: KVM_EXIT_INTERNAL_ERROR; also VCPU_ID, LAST_EXIT, SUBERROR
 * @VMLET_CMD_MEMORY_PRESSURE_NTF: notification: a call has failed because the host has no memory for it; where it was a vCPU's,
 *	also VCPU_ID, LAST_EXIT
 */
enum vmlet_cmd {
	VMLET_CMD_VM_GET = 1,
	VMLET_CMD_VCPU_GET,
	VMLET_CMD_STATS_GET,
	VMLET_CMD_TUNABLE_GET,
	VMLET_CMD_TUNABLE_SET,
	VMLET_CMD_VM_CREATED_NTF,
	VMLET_CMD_VM_DESTROYED_NTF,
	VMLET_CMD_ENTRY_FAILED_NTF,
	VMLET_CMD_INTERNAL_ERROR_NTF,
	VMLET_CMD_MEMORY_PRESSURE_NTF,

	/* private: */
	__VMLET_CMD_END,
	VMLET_CMD_MAX = __VMLET_CMD_END - 1
};

/**
 * enum vmlet_attr_vm - a VM
 * @VMLET_A_VM_ID: u64, not 0; never used twice while the module is loaded
 * @VMLET_A_VM_PAD: padding
 * @VMLET_A_VM_OWNER_PID: u32, the process that made it, in the asker's PID namespace; 0: it has ended, or is not in there
 * @VMLET_A_VM_OWNER_UID: u32, its effective user ID when it did, in the asker's user namespace
 * @VMLET_A_VM_OWNER_COMM: string, its name then
 * @VMLET_A_VM_VCPUS: u32, vCPUs
 * @VMLET_A_VM_SLOTS: u32, memory slots
 * @VMLET_A_VM_SLOT_BYTES: u64, bytes of guest-physical memory that they describe
 * @VMLET_A_VM_PAGES_4K: u64, pages of 4 KiB that are mapped for the guest now
 * @VMLET_A_VM_PAGES_2M: u64, of 2 MiB
 * @VMLET_A_VM_PAGES_1G: u64, of 1 GiB
 * @VMLET_A_VM_IRQCHIP: u32, enum vmlet_vm_irqchip
 */
enum vmlet_attr_vm {
	VMLET_A_VM_ID = 1,
	VMLET_A_VM_PAD,
	VMLET_A_VM_OWNER_PID,
	VMLET_A_VM_OWNER_UID,
	VMLET_A_VM_OWNER_COMM,
	VMLET_A_VM_VCPUS,
	VMLET_A_VM_SLOTS,
	VMLET_A_VM_SLOT_BYTES,
	VMLET_A_VM_PAGES_4K,
	VMLET_A_VM_PAGES_2M,
	VMLET_A_VM_PAGES_1G,
	VMLET_A_VM_IRQCHIP,

	/* private: */
	__VMLET_A_VM_END,
	VMLET_A_VM_MAX = __VMLET_A_VM_END - 1
};

/**
 * enum vmlet_vm_irqchip - which interrupt controllers are in the kernel
 * @VMLET_VM_IRQCHIP_NONE: none
 * @VMLET_VM_IRQCHIP_SPLIT: local APICs
 * @VMLET_VM_IRQCHIP_KERNEL: local APICs, IOAPIC, PICs
 */
enum vmlet_vm_irqchip {
	VMLET_VM_IRQCHIP_NONE,
	VMLET_VM_IRQCHIP_SPLIT,
	VMLET_VM_IRQCHIP_KERNEL,
};

/**
 * enum vmlet_attr_vcpu - a vCPU
 * @VMLET_A_VCPU_VM_ID: u64, of its VM
 * @VMLET_A_VCPU_PAD: padding
 * @VMLET_A_VCPU_ID: u32, its ID, as of KVM_CREATE_VCPU
 * @VMLET_A_VCPU_THREAD: u32, the thread that ran it last, in the asker's PID namespace; 0: none yet, it has ended, or is not in
 *	there
 * @VMLET_A_VCPU_STATE: u32, enum vmlet_vcpu_state
 * @VMLET_A_VCPU_CPU: u32, the host's CPU; in VMLET_VCPU_STATE_GUEST only
 * @VMLET_A_VCPU_EXITS: u64, exits since it was made
 * @VMLET_A_VCPU_LAST_EXIT: string, reason of the last one; none if there was no exit
 */
enum vmlet_attr_vcpu {
	VMLET_A_VCPU_VM_ID = 1,
	VMLET_A_VCPU_PAD,
	VMLET_A_VCPU_ID,
	VMLET_A_VCPU_THREAD,
	VMLET_A_VCPU_STATE,
	VMLET_A_VCPU_CPU,
	VMLET_A_VCPU_EXITS,
	VMLET_A_VCPU_LAST_EXIT,

	/* private: */
	__VMLET_A_VCPU_END,
	VMLET_A_VCPU_MAX = __VMLET_A_VCPU_END - 1
};

/**
 * enum vmlet_vcpu_state - what a vCPU does at the moment
 * @VMLET_VCPU_STATE_USER: nothing in the kernel: userspace has it
 * @VMLET_VCPU_STATE_KERNEL: a call is under way, KVM_RUN or another, outside the guest
 * @VMLET_VCPU_STATE_GUEST: the guest runs, or an exit is served in the inner loop
 * @VMLET_VCPU_STATE_HALTED: its HLT waits for an interrupt
 * @VMLET_VCPU_STATE_STOPPED: it waits to be started by INIT and SIPI
 */
enum vmlet_vcpu_state {
	VMLET_VCPU_STATE_USER,
	VMLET_VCPU_STATE_KERNEL,
	VMLET_VCPU_STATE_GUEST,
	VMLET_VCPU_STATE_HALTED,
	VMLET_VCPU_STATE_STOPPED,
};

/**
 * enum vmlet_attr_stats - exits of a VM and where their time went
 * @VMLET_A_STATS_VM_ID: u64, of the VM; 0: of all
 * @VMLET_A_STATS_PAD: padding
 * @VMLET_A_STATS_VCPUS: u32, vCPUs that there are
 * @VMLET_A_STATS_TSC_KHZ: u32, what a tick is: the rate of the host's TSC in kHz, 0: not known
 * @VMLET_A_STATS_EXIT: nest, enum vmlet_attr_exit, once for each reason that there was
 */
enum vmlet_attr_stats {
	VMLET_A_STATS_VM_ID = 1,
	VMLET_A_STATS_PAD,
	VMLET_A_STATS_VCPUS,
	VMLET_A_STATS_TSC_KHZ,
	VMLET_A_STATS_EXIT,

	/* private: */
	__VMLET_A_STATS_END,
	VMLET_A_STATS_MAX = __VMLET_A_STATS_END - 1
};

/**
 * enum vmlet_attr_exit - exits for one reason
 * @VMLET_A_EXIT_NAME: string, the reason
 * @VMLET_A_EXIT_PAD: padding
 * @VMLET_A_EXIT_COUNT: u64, exits
 * @VMLET_A_EXIT_GUEST: u64, time of VMLET_TIME_GUEST in ticks; 0 if the module was loaded with exit_times=0, as the others
 * @VMLET_A_EXIT_KERNEL: u64, of VMLET_TIME_KERNEL
 * @VMLET_A_EXIT_USER: u64, of VMLET_TIME_USER
 */
enum vmlet_attr_exit {
	VMLET_A_EXIT_NAME = 1,
	VMLET_A_EXIT_PAD,
	VMLET_A_EXIT_COUNT,
	VMLET_A_EXIT_GUEST,
	VMLET_A_EXIT_KERNEL,
	VMLET_A_EXIT_USER,

	/* private: */
	__VMLET_A_EXIT_END,
	VMLET_A_EXIT_MAX = __VMLET_A_EXIT_END - 1
};

/**
 * enum vmlet_attr_tunable - a number that changes how VMs are run, all of them and at once
 * @VMLET_A_TUNABLE_NAME: string
 * @VMLET_A_TUNABLE_PAD: padding
 * @VMLET_A_TUNABLE_VALUE: u64
 * @VMLET_A_TUNABLE_LEAST: u64, the least that it takes
 * @VMLET_A_TUNABLE_MOST: u64, the most
 * @VMLET_A_TUNABLE_UNIT: string, of these three
 */
enum vmlet_attr_tunable {
	VMLET_A_TUNABLE_NAME = 1,
	VMLET_A_TUNABLE_PAD,
	VMLET_A_TUNABLE_VALUE,
	VMLET_A_TUNABLE_LEAST,
	VMLET_A_TUNABLE_MOST,
	VMLET_A_TUNABLE_UNIT,

	/* private: */
	__VMLET_A_TUNABLE_END,
	VMLET_A_TUNABLE_MAX = __VMLET_A_TUNABLE_END - 1
};

/**
 * enum vmlet_attr_event - what has happened
 * @VMLET_A_EVENT_VM_ID: u64, to which VM
 * @VMLET_A_EVENT_PAD: padding
 * @VMLET_A_EVENT_OWNER_PID: u32, in the first PID namespace
 * @VMLET_A_EVENT_OWNER_UID: u32, in the first user namespace
 * @VMLET_A_EVENT_OWNER_COMM: string
 * @VMLET_A_EVENT_VCPU_ID: u32, to which vCPU
 * @VMLET_A_EVENT_LAST_EXIT: string, reason of its last exit; none if there was no exit
 * @VMLET_A_EVENT_HW_REASON: u64, kvm_run.fail_entry.hardware_entry_failure_reason
 * @VMLET_A_EVENT_SUBERROR: u32, kvm_run.internal.suberror: KVM_INTERNAL_ERROR_*
 * @VMLET_A_EVENT_LOST: u32, if not 0: how many notifications were left out before this one because there were too many in a
 *	second: more than 10 of a VM's failures, more than 1000 VMs that came or went
 * @VMLET_A_EVENT_FIELD: string, the field of the guest's state that the hardware refused, where a broken rule was found
 * @VMLET_A_EVENT_CHECK: string, what is wrong with it, likewise
 * @VMLET_A_EVENT_VALUE: u64, what is in it, likewise
 */
enum vmlet_attr_event {
	VMLET_A_EVENT_VM_ID = 1,
	VMLET_A_EVENT_PAD,
	VMLET_A_EVENT_OWNER_PID,
	VMLET_A_EVENT_OWNER_UID,
	VMLET_A_EVENT_OWNER_COMM,
	VMLET_A_EVENT_VCPU_ID,
	VMLET_A_EVENT_LAST_EXIT,
	VMLET_A_EVENT_HW_REASON,
	VMLET_A_EVENT_SUBERROR,
	VMLET_A_EVENT_LOST,
	VMLET_A_EVENT_FIELD,
	VMLET_A_EVENT_CHECK,
	VMLET_A_EVENT_VALUE,

	/* private: */
	__VMLET_A_EVENT_END,
	VMLET_A_EVENT_MAX = __VMLET_A_EVENT_END - 1
};

#endif
