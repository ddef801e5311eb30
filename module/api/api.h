/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the API
 *
 * Three ioctl tables, one per kind of file. A row says how the argument travels and what must be held; only the
 * dispatcher copies and locks. Commands are matched as whole 32-bit numbers: their NR fields are not unique.
 */
#ifndef VMLET_API_H
#define VMLET_API_H

#include <linux/kvm_para.h>
#include <linux/uaccess.h>

#include "../vmlet.h"

/* How the argument travels. */
enum vmlet_arg_kind {
	VMLET_ARG_VALUE,	/* arg->value; nothing is copied */
	VMLET_ARG_NONE,		/* likewise, and anything but zero is -EINVAL */
	VMLET_ARG_USER,		/* arg->user; the handler copies: sizes vary */
	VMLET_ARG_IN,		/* arg->data: _IOC_SIZE bytes copied in; */
	VMLET_ARG_OUT,		/* zeroed, and copied out when the handler has succeeded; */
	VMLET_ARG_INOUT,	/* both */
};

struct vmlet_arg {
	unsigned long value;
	void __user *user;
	void *data;
};

/**
 * struct vmlet_ioctl - one row
 * @cmd:	the whole number, as in <linux/kvm.h>
 * @kind:	how the argument travels
 * @lock:	the VM's table only: hold vm->lock. vCPU handlers always hold vcpu->mutex
 * @fn:		handler; @obj is the file's VM or vCPU, NULL for the device
 */
struct vmlet_ioctl {
	unsigned int cmd;
	enum vmlet_arg_kind kind;
	bool lock;
	long (*fn)(void *obj, struct vmlet_arg *arg);
};

const struct vmlet_ioctl *vmlet_ioctl_find(const struct vmlet_ioctl *rows, unsigned int n, unsigned int cmd);
long vmlet_ioctl_call(const struct vmlet_ioctl *row, void *obj, unsigned long value);

/* Hypercalls that userspace can ask for, by number. */
#define VMLET_EXIT_HYPERCALLS	BIT(KVM_HC_MAP_GPA_RANGE)

long vmlet_api_check_extension(void *obj, struct vmlet_arg *arg);

extern const struct file_operations vmlet_device_fops;

/* cpuid.c */
long vmlet_api_get_supported_cpuid(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_cpuid2(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_cpuid2(void *obj, struct vmlet_arg *arg);
struct kvm_cpuid_entry2 *vmlet_cpuid_find(struct vmlet_vcpu *vcpu, u32 function, u32 index);
void vmlet_cpuid_apply(struct vmlet_vcpu *vcpu);
void vmlet_cpuid_follow(struct vmlet_vcpu *vcpu, struct kvm_cpuid_entry2 *entry);
void vmlet_cpuid_setup(void);
u64 vmlet_efer_host(void);	/* bits this host can run */
u64 vmlet_spec_ctrl_host(void);
u32 vmlet_host_features(void);	/* enum vmlet_feature of what is supported */

/* exit/msr.c: the table's other users */
long vmlet_api_get_msr_index_list(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_feature_list(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_msrs(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_msrs(void *obj, struct vmlet_arg *arg);
void vmlet_msr_reset(struct vmlet_vcpu *vcpu);

/* exit/msr_filter.c */
long vmlet_api_set_msr_filter(void *obj, struct vmlet_arg *arg);

/* state.c */
void vmlet_vcpu_reset(struct vmlet_vcpu *vcpu);
void vmlet_vcpu_init(struct vmlet_vcpu *vcpu);
void vmlet_vcpu_sipi(struct vmlet_vcpu *vcpu, u8 vector);
void vmlet_update_run(struct vmlet_vcpu *vcpu);
int vmlet_sync_take(struct vmlet_vcpu *vcpu, u64 dirty);	/* KVM_SYNC_X86_* from the run page. 0 or -EINVAL */
long vmlet_api_get_regs(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_regs(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_sregs(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_sregs(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_sregs2(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_sregs2(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_debugregs(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_debugregs(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_events(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_events(void *obj, struct vmlet_arg *arg);

/* run/debug.c */
long vmlet_api_set_guest_debug(void *obj, struct vmlet_arg *arg);

/* cpu/fpu.c */
long vmlet_api_get_fpu(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_fpu(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_xsave(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_xsave(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_xcrs(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_xcrs(void *obj, struct vmlet_arg *arg);

#endif
