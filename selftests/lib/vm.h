/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device, a VM and its vCPUs as a test wants them.
 *
 * A function whose name begins with two underscores returns what the kernel
 * said: a value of zero or more, or -errno. Its twin without them ends the test
 * as failed when the kernel said an error.
 */
#ifndef SELFTESTS_VM_H
#define SELFTESTS_VM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define RAM_SIZE	0x80000ul	/* slot 0, from guest-physical 0 */
#define MMIO_BASE	0xd0000ul	/* nothing is there; real mode reaches it */

struct vm {
	int dev;
	int fd;
	u8 *ram;
};

struct vcpu {
	struct vm *vm;
	int fd;
	struct kvm_run *run;
	size_t run_size;
};

/* Ends the test as failed, with the reason as a diagnostic line. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

const char *device_path(void);
bool device_is_vmlet(void);
bool host_is_amd(void);

/* Why an emulator's CPU cannot show a property, and what "it" does instead. */
struct deviation {
	const char *qemu;
	const char *bochs_amd;
	const char *bochs_intel;
};

#define BOCHS_STEPS "Bochs' AMD-V carries a single step over #VMEXIT into the host, and panics"

#define BOCHS_CR2 "Bochs' VMRUN does not load CR2: the host's shows in the guest"
#define BOCHS_SOFT "Bochs' AMD-V delivers injected software interrupts wrongly"
#define AMD_V86 "the emulator's AMD-V crashes at an exit from virtual-8086 mode"

/* The reason to skip here, or NULL: this CPU can show it. */
const char *deviation_here(const struct deviation *deviation);
const char *exit_name(u32 reason);

int dev_open(void);
int __fd_ioctl(int fd, unsigned long cmd, unsigned long arg);
int fd_ioctl(int fd, unsigned long cmd, unsigned long arg, const char *name);

/* The number with that name among the statistics of a VM or vCPU. */
u64 fd_stat(int fd, const char *name);

/* A VM without memory; with RAM_SIZE bytes of it; and its end. */
void vm_create_bare(struct vm *vm);
void vm_create(struct vm *vm);
void vm_destroy(struct vm *vm);

int __vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		    const void *hva);
void vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		   const void *hva);
int __vm_check_extension(struct vm *vm, long cap);

/* Anonymous, page aligned, zeroed. */
void *pages_alloc(size_t size);

/* With all of GET_SUPPORTED_CPUID as its CPUID; bare: with no CPUID at all. */
void vcpu_create_bare(struct vm *vm, struct vcpu *vcpu, u32 id);
void vcpu_create(struct vm *vm, struct vcpu *vcpu, u32 id);
void vcpu_destroy(struct vcpu *vcpu);

struct kvm_cpuid2 *cpuid_alloc(u32 nent);
struct kvm_cpuid2 *supported_cpuid(int dev);
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, u32 function,
				    u32 index);

int __vcpu_run(struct vcpu *vcpu);
/* Runs until the exit asked for; any other one ends the test. */
void vcpu_run_until(struct vcpu *vcpu, u32 reason);

int __vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *value);
int __vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value);
u64 vcpu_get_msr(struct vcpu *vcpu, u32 index);

/* One pair per ioctl with a pointer argument: __prefix_name and prefix_name. */
#define OBJECT_IOCTL(object, name, cmd, type)				\
static inline int __##object##_##name(struct object *o, type *arg)	\
{									\
	return __fd_ioctl(o->fd, cmd, (unsigned long)arg);		\
}									\
static inline void object##_##name(struct object *o, type *arg)		\
{									\
	fd_ioctl(o->fd, cmd, (unsigned long)arg, #cmd);			\
}

OBJECT_IOCTL(vm, enable_cap, KVM_ENABLE_CAP, struct kvm_enable_cap)
OBJECT_IOCTL(vcpu, get_regs, KVM_GET_REGS, struct kvm_regs)
OBJECT_IOCTL(vcpu, set_regs, KVM_SET_REGS, struct kvm_regs)
OBJECT_IOCTL(vcpu, get_sregs, KVM_GET_SREGS, struct kvm_sregs)
OBJECT_IOCTL(vcpu, set_sregs, KVM_SET_SREGS, struct kvm_sregs)
OBJECT_IOCTL(vcpu, get_fpu, KVM_GET_FPU, struct kvm_fpu)
OBJECT_IOCTL(vcpu, set_fpu, KVM_SET_FPU, struct kvm_fpu)
OBJECT_IOCTL(vcpu, get_xsave, KVM_GET_XSAVE, struct kvm_xsave)
OBJECT_IOCTL(vcpu, set_xsave, KVM_SET_XSAVE, struct kvm_xsave)
OBJECT_IOCTL(vcpu, get_xcrs, KVM_GET_XCRS, struct kvm_xcrs)
OBJECT_IOCTL(vcpu, set_xcrs, KVM_SET_XCRS, struct kvm_xcrs)
OBJECT_IOCTL(vcpu, get_msrs, KVM_GET_MSRS, struct kvm_msrs)
OBJECT_IOCTL(vcpu, set_msrs, KVM_SET_MSRS, struct kvm_msrs)
OBJECT_IOCTL(vcpu, get_cpuid2, KVM_GET_CPUID2, struct kvm_cpuid2)
OBJECT_IOCTL(vcpu, set_cpuid2, KVM_SET_CPUID2, struct kvm_cpuid2)
OBJECT_IOCTL(vcpu, get_debugregs, KVM_GET_DEBUGREGS, struct kvm_debugregs)
OBJECT_IOCTL(vcpu, set_debugregs, KVM_SET_DEBUGREGS, struct kvm_debugregs)
OBJECT_IOCTL(vcpu, set_guest_debug, KVM_SET_GUEST_DEBUG, struct kvm_guest_debug)
OBJECT_IOCTL(vcpu, get_events, KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events)
OBJECT_IOCTL(vcpu, set_events, KVM_SET_VCPU_EVENTS, struct kvm_vcpu_events)
OBJECT_IOCTL(vcpu, get_mp_state, KVM_GET_MP_STATE, struct kvm_mp_state)
OBJECT_IOCTL(vcpu, set_mp_state, KVM_SET_MP_STATE, struct kvm_mp_state)
OBJECT_IOCTL(vcpu, translate, KVM_TRANSLATE, struct kvm_translation)
OBJECT_IOCTL(vcpu, interrupt, KVM_INTERRUPT, struct kvm_interrupt)
OBJECT_IOCTL(vcpu, set_signal_mask, KVM_SET_SIGNAL_MASK, struct kvm_signal_mask)
OBJECT_IOCTL(vcpu, nmi, KVM_NMI, void)

#endif
