/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: time
 *
 * tsc.c is the guest's TSC: offset, scaling, TSC_ADJUST. clock.c is the paravirtual clock and the VM's clock ioctls, steal.c
 * tells guests how long their vCPUs waited for a CPU. Guest memory is written in the outer loop only: MSR writes and
 * whatever else changes what a page says post VMLET_REQ_CLOCK or VMLET_REQ_STEAL.
 */
#ifndef VMLET_TIME_H
#define VMLET_TIME_H

#include <linux/sched.h>
#include <linux/smp.h>
#include <asm/kvm_para.h>
#include <asm/tsc.h>

#include "../run/run.h"
#include "../vmlet.h"

struct vmlet_arg;

/* Flags of KVM_GET_CLOCK and KVM_SET_CLOCK, and the value of KVM_CAP_ADJUST_CLOCK. */
#define VMLET_CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* tsc.c. Once per load, after the vendor's set-up. */
void vmlet_tsc_setup(void);
bool vmlet_tsc_scales(void);

void vmlet_tsc_vm_init(struct vmlet_vm *vm);
void vmlet_tsc_vcpu_init(struct vmlet_vcpu *vcpu);

/* TSC as the guest reads it now; of the host's @tsc. */
u64 vmlet_tsc_guest(struct vmlet_vcpu *vcpu, u64 tsc);

/* Its rate, for conversions: cycles per second. */
u64 vmlet_tsc_hz(struct vmlet_vcpu *vcpu);

/* All vCPUs read the same TSC at the same time. vm->nr_vcpus not 0. */
bool vmlet_tsc_together(struct vmlet_vm *vm);

int vmlet_tsc_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
int vmlet_tsc_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
int vmlet_tsc_adjust_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);

long vmlet_api_set_vm_tsc_khz(void *obj, struct vmlet_arg *arg);	/* vm->lock held */
long vmlet_api_get_tsc_khz(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_tsc_khz(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_vcpu_attr(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_vcpu_attr(void *obj, struct vmlet_arg *arg);
long vmlet_api_has_vcpu_attr(void *obj, struct vmlet_arg *arg);

/* clock.c */
void vmlet_clock_vm_init(struct vmlet_vm *vm);
void vmlet_clock_vcpu_reset(struct vmlet_vcpu *vcpu, bool init);

/* The outer loop: VMLET_REQ_CLOCK is set; guest memory is written. */
void vmlet_clock_update(struct vmlet_vcpu *vcpu);

/*
 * In the guest section. Where the host's TSCs differ, which they can be found to do at any time, the page that was written
 * on another CPU, or before that, is wrong.
 */
static inline void vmlet_clock_follow(struct vmlet_vcpu *vcpu)
{
	if (likely(!check_tsc_unstable()) || !(vcpu->clock.system_msr & KVM_MSR_ENABLED))
		return;
	if (!vcpu->clock.follow || vcpu->clock.cpu != smp_processor_id())
		vmlet_request_own(vcpu, VMLET_REQ_CLOCK);
}

/*
 * Structures with a version that is odd while they change: @data holds what the guest's memory at @gpa does, its version
 * (at @at) included, but for what is to be changed.
 */
void vmlet_clock_publish(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, unsigned int at);

int vmlet_clock_wall_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
int vmlet_clock_wall_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
int vmlet_clock_system_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);

long vmlet_api_get_clock(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_clock(void *obj, struct vmlet_arg *arg);
long vmlet_api_kvmclock_ctrl(void *obj, struct vmlet_arg *arg);

/* steal.c */
bool vmlet_steal_offered(void);
int vmlet_steal_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);

/* The outer loop: VMLET_REQ_STEAL is set, or vmlet_steal_follow() found more; guest memory is written. */
void vmlet_steal_update(struct vmlet_vcpu *vcpu);

/* The outer loop: the vCPU's thread is about to sleep, or to leave the CPU to others; steal time is on. */
void vmlet_steal_away(struct vmlet_vcpu *vcpu);

static inline void vmlet_steal_leave(struct vmlet_vcpu *vcpu)
{
	if (unlikely(vcpu->clock.steal) && !vcpu->clock.away)
		vmlet_steal_away(vcpu);
}

#ifdef CONFIG_SCHED_INFO
/* The outer loop, before each guest section: has the vCPU been away, or waited for a CPU since? */
static inline void vmlet_steal_follow(struct vmlet_vcpu *vcpu)
{
	if (unlikely(vcpu->clock.steal) && (vcpu->clock.away || current->sched_info.run_delay != vcpu->clock.run_delay))
		vmlet_steal_update(vcpu);
}
#else
static inline void vmlet_steal_follow(struct vmlet_vcpu *vcpu) { }
#endif

#endif
