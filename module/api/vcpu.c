// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: vCPU files
 *
 * A vCPU belongs to its VM and is freed with it; its file only holds the VM. Every ioctl of a vCPU runs under
 * vcpu->mutex and in the address space that made the VM.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/slab.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/mce.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../observe/netlink.h"
#include "../run/run.h"
#include "../time/time.h"
#include "api.h"
#include "vcpu.h"

static atomic64_t serials;

static long interrupt(void *obj, struct vmlet_arg *arg)
{
	struct kvm_interrupt *irq = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (irq->irq > 255)
		return -EINVAL;
	if (vmlet_irqchip_in_kernel(vcpu->vm))
		return -ENXIO;
	/* Userspace's PIC has been told that the first was taken: it must not be lost. */
	if (vcpu->lapic && (vcpu->events.mask & VMLET_EV_IRQ))
		return -EEXIST;
	vcpu->events.irq = irq->irq;
	vcpu->events.mask |= VMLET_EV_IRQ;
	return 0;
}

static long nmi(void *obj, struct vmlet_arg *arg)
{
	vmlet_inject_nmi(obj);
	return 0;
}

static long set_signal_mask(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_signal_mask head;
	sigset_t mask;

	if (!arg->user) {
		vcpu->sigmask_set = false;
		return 0;
	}
	if (copy_from_user(&head, arg->user, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	if (copy_from_user(&mask, arg->user + sizeof(head), sizeof(mask)))
		return -EFAULT;
	sigdelsetmask(&mask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigmask = mask;
	vcpu->sigmask_set = true;
	return 0;
}

static long translate(void *obj, struct vmlet_arg *arg)
{
	struct kvm_translation *tr = arg->data;
	gpa_t gpa = 0;
	int ret;

	ret = vmlet_gva_to_gpa(obj, tr->linear_address, 0, &gpa, NULL);
	if (ret && ret != -EACCES)
		return ret;
	tr->physical_address = ret ? ~0ull : gpa;
	tr->valid = !ret;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

static long get_mp_state(void *obj, struct vmlet_arg *arg)
{
	struct kvm_mp_state *state = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (vmlet_request_take(vcpu, VMLET_REQ_APIC))
		vmlet_lapic_accept_events(vcpu);
	/* A kick that came while nobody ran it has ended the halt: whoever saves the state would lose it. */
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && vmlet_request_take(vcpu, VMLET_REQ_UNHALT))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	state->mp_state = vcpu->mp_state;
	return 0;
}

/* Without a local APIC in the kernel a vCPU is runnable, always. */
static long set_mp_state(void *obj, struct vmlet_arg *arg)
{
	struct kvm_mp_state *state = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
	case KVM_MP_STATE_HALTED:
		if (vcpu->lapic)
			break;
		fallthrough;
	default:
		return -EINVAL;
	}
	if (state->mp_state == KVM_MP_STATE_SIPI_RECEIVED)
		return vmlet_lapic_sipi_restore(vcpu);
	vcpu->mp_state = state->mp_state;
	return 0;
}

static long enable_cap(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_enable_cap *cap = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (cap->flags || cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	vcpu->pv_enforced = cap->args[0];
	vmlet_cpuid_apply(vcpu);
	return 0;
}

static const struct vmlet_ioctl vcpu_ioctls[] = {
	{ KVM_GET_REGS,		VMLET_ARG_OUT,		.fn = vmlet_api_get_regs },
	{ KVM_SET_REGS,		VMLET_ARG_IN,		.fn = vmlet_api_set_regs },
	{ KVM_GET_SREGS,	VMLET_ARG_OUT,		.fn = vmlet_api_get_sregs },
	{ KVM_SET_SREGS,	VMLET_ARG_IN,		.fn = vmlet_api_set_sregs },
	{ KVM_GET_SREGS2,	VMLET_ARG_OUT,		.fn = vmlet_api_get_sregs2 },
	{ KVM_SET_SREGS2,	VMLET_ARG_IN,		.fn = vmlet_api_set_sregs2 },
	{ KVM_INTERRUPT,	VMLET_ARG_IN,		.fn = interrupt },
	{ KVM_NMI,		VMLET_ARG_VALUE,	.fn = nmi },
	{ KVM_GET_FPU,		VMLET_ARG_OUT,		.fn = vmlet_api_get_fpu },
	{ KVM_SET_FPU,		VMLET_ARG_IN,		.fn = vmlet_api_set_fpu },
	{ KVM_GET_XSAVE,	VMLET_ARG_OUT,		.fn = vmlet_api_get_xsave },
	{ KVM_GET_XSAVE2,	VMLET_ARG_OUT,		.fn = vmlet_api_get_xsave },
	{ KVM_SET_XSAVE,	VMLET_ARG_IN,		.fn = vmlet_api_set_xsave },
	{ KVM_GET_XCRS,		VMLET_ARG_OUT,		.fn = vmlet_api_get_xcrs },
	{ KVM_SET_XCRS,		VMLET_ARG_IN,		.fn = vmlet_api_set_xcrs },
	{ KVM_GET_MSRS,		VMLET_ARG_USER,		.fn = vmlet_api_get_msrs },
	{ KVM_SET_MSRS,		VMLET_ARG_USER,		.fn = vmlet_api_set_msrs },
	{ KVM_GET_CPUID2,	VMLET_ARG_USER,		.fn = vmlet_api_get_cpuid2 },
	{ KVM_SET_CPUID2,	VMLET_ARG_USER,		.fn = vmlet_api_set_cpuid2 },
	{ KVM_GET_DEBUGREGS,	VMLET_ARG_OUT,		.fn = vmlet_api_get_debugregs },
	{ KVM_SET_DEBUGREGS,	VMLET_ARG_IN,		.fn = vmlet_api_set_debugregs },
	{ KVM_SET_GUEST_DEBUG,	VMLET_ARG_IN,		.fn = vmlet_api_set_guest_debug },
	{ KVM_GET_VCPU_EVENTS,	VMLET_ARG_OUT,		.fn = vmlet_api_get_events },
	{ KVM_SET_VCPU_EVENTS,	VMLET_ARG_IN,		.fn = vmlet_api_set_events },
	{ KVM_GET_MP_STATE,	VMLET_ARG_OUT,		.fn = get_mp_state },
	{ KVM_SET_MP_STATE,	VMLET_ARG_IN,		.fn = set_mp_state },
	{ KVM_GET_TSC_KHZ,	VMLET_ARG_VALUE,	.fn = vmlet_api_get_tsc_khz },
	{ KVM_SET_TSC_KHZ,	VMLET_ARG_VALUE,	.fn = vmlet_api_set_tsc_khz },
	{ KVM_SET_DEVICE_ATTR,	VMLET_ARG_IN,		.fn = vmlet_api_set_vcpu_attr },
	{ KVM_GET_DEVICE_ATTR,	VMLET_ARG_IN,		.fn = vmlet_api_get_vcpu_attr },
	{ KVM_HAS_DEVICE_ATTR,	VMLET_ARG_IN,		.fn = vmlet_api_has_vcpu_attr },
	{ KVM_KVMCLOCK_CTRL,	VMLET_ARG_NONE,		.fn = vmlet_api_kvmclock_ctrl },
	{ KVM_X86_SETUP_MCE,	VMLET_ARG_IN,		.fn = vmlet_api_setup_mce },
	{ KVM_X86_SET_MCE,	VMLET_ARG_IN,		.fn = vmlet_api_set_mce },
	{ KVM_GET_LAPIC,	VMLET_ARG_OUT,		.fn = vmlet_api_get_lapic },
	{ KVM_SET_VAPIC_ADDR,	VMLET_ARG_IN,		.fn = vmlet_api_set_vapic_addr },
	{ KVM_TPR_ACCESS_REPORTING, VMLET_ARG_INOUT,	.fn = vmlet_api_tpr_reporting },
	{ KVM_SET_LAPIC,	VMLET_ARG_IN,		.fn = vmlet_api_set_lapic },
	{ KVM_ENABLE_CAP,	VMLET_ARG_IN,		.fn = enable_cap },
	{ KVM_SET_SIGNAL_MASK,	VMLET_ARG_USER,		.fn = set_signal_mask },
	{ KVM_PRE_FAULT_MEMORY,	VMLET_ARG_INOUT,	.fn = vmlet_api_pre_fault_memory },
	{ KVM_GET_STATS_FD,	VMLET_ARG_VALUE,	.fn = vmlet_api_vcpu_stats },
	{ KVM_TRANSLATE,	VMLET_ARG_INOUT,	.fn = translate },
};

/* KVM_RUN has no row: it comes so often that it pays to ask for it first. */
static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	struct vmlet_vcpu *vcpu = file->private_data;
	const struct vmlet_ioctl *row = NULL;
	long ret;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (unlikely(cmd != KVM_RUN))
		row = vmlet_ioctl_find(vcpu_ioctls, ARRAY_SIZE(vcpu_ioctls), cmd);
	if (!row && (cmd != KVM_RUN || value))
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	ret = row ? vmlet_ioctl_call(row, vcpu, value) : vmlet_run(vcpu);
	mutex_unlock(&vcpu->mutex);
	if (unlikely(ret == -ENOMEM))
		vmlet_tell_memory(vcpu->vm, vcpu);
	return ret;
}

#define STATS_PGOFF	(VMLET_STATS_OFFSET >> PAGE_SHIFT)

static struct page *mapped_page(struct vmlet_vcpu *vcpu, pgoff_t pgoff, bool writable)
{
	if (pgoff < VMLET_RUN_PAGES)
		return vcpu->run_page[pgoff];
	if (pgoff >= STATS_PGOFF && !writable)
		return vmlet_stats_page(vcpu, pgoff - STATS_PGOFF);
	return NULL;
}

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;

	vmf->page = mapped_page(vma->vm_file->private_data, vmf->pgoff, vma->vm_flags & VM_MAYWRITE);
	if (!vmf->page)
		return VM_FAULT_SIGBUS;
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff >= STATS_PGOFF) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vmlet_vcpu *vcpu = file->private_data;

	vmlet_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner		= THIS_MODULE,
	.release	= vcpu_release,
	.unlocked_ioctl	= vcpu_ioctl,
	.mmap		= vcpu_mmap,
	.llseek		= noop_llseek,
};

/* Undoes vcpu_alloc(), whole or partial: everything starts as zero. */
static void vcpu_free(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	if (vcpu->lapic)
		vmlet_lapic_destroy(vcpu);
	vmlet_fpu_free(vcpu);
	vmlet_stats_free(vcpu);
	put_pid(vcpu->thread);
	kvfree(vcpu->cpuid);
	for (i = 0; i < VMLET_RUN_PAGES; i++)
		if (vcpu->run_page[i])
			put_page(vcpu->run_page[i]);
	kvfree(vcpu);
}

void vmlet_vcpu_destroy(struct vmlet_vcpu *vcpu)
{
	vmlet_vendor->vcpu_destroy(vcpu);
	vcpu_free(vcpu);
}

static int vcpu_alloc_parts(struct vmlet_vcpu *vcpu)
{
	struct page *ring = vcpu->vm->irq.ring_page;
	unsigned int i;

	for (i = 0; i < VMLET_RING_PAGE; i++) {
		vcpu->run_page[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!vcpu->run_page[i])
			return -ENOMEM;
	}
	get_page(ring);
	vcpu->run_page[VMLET_RING_PAGE] = ring;
	vcpu->run = page_address(vcpu->run_page[0]);
	vcpu->pio_data = page_address(vcpu->run_page[VMLET_PIO_PAGE]);
	return vmlet_stats_alloc(vcpu) ?: vmlet_fpu_alloc(vcpu);
}

static struct vmlet_vcpu *vcpu_alloc(struct vmlet_vm *vm, int id)
{
	struct vmlet_vcpu *vcpu = kvzalloc(vmlet_vendor->vcpu_size, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	mutex_init(&vcpu->mutex);
	spin_lock_init(&vcpu->thread_lock);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->serial = atomic64_inc_return(&serials);
	rcuwait_init(&vcpu->wait);
	vcpu->mode_cpu = -1;
	vcpu->last_cpu = -1;
	ret = vcpu_alloc_parts(vcpu);
	if (!ret && vm->irq.chip != VMLET_IRQCHIP_NONE)
		ret = vmlet_lapic_create(vcpu);
	if (!ret)
		ret = vmlet_vendor->vcpu_init(vcpu);
	if (ret) {
		vcpu_free(vcpu);
		return ERR_PTR(ret);
	}
	vmlet_vcpu_reset(vcpu);
	vmlet_vendor->set_intercepts(vcpu);
	if (vcpu->lapic)
		vmlet_lapic_reset(vcpu, false);
	vmlet_clock_vcpu_reset(vcpu, false);
	return vcpu;
}

static bool id_taken(struct vmlet_vm *vm, int id)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i]->id == id)
			return true;
	return false;
}

static struct file *vcpu_file(struct vmlet_vcpu *vcpu)
{
	char name[32];
	struct file *file;

	snprintf(name, sizeof(name), "vmlet-vcpu:%d", vcpu->id);
	vmlet_vm_get(vcpu->vm);
	file = anon_inode_getfile(name, &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file))
		vmlet_vm_put(vcpu->vm);
	return file;
}

/* A new vCPU's file descriptor, or -errno. vm->lock held, and with it the VM's last reference is not ours. */
int vmlet_vcpu_create(struct vmlet_vm *vm, int id)
{
	struct vmlet_vcpu *vcpu;
	struct file *file;
	int fd;

	lockdep_assert_held(&vm->lock);
	if (vm->nr_vcpus == VMLET_MAX_VCPUS)
		return -EINVAL;
	if (id_taken(vm, id))
		return -EEXIST;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vcpu = vcpu_alloc(vm, id);
	if (IS_ERR(vcpu)) {
		put_unused_fd(fd);
		return PTR_ERR(vcpu);
	}
	file = vcpu_file(vcpu);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vmlet_vcpu_destroy(vcpu);
		return PTR_ERR(file);
	}
	vm->vcpus[vm->nr_vcpus] = vcpu;
	/* Readers without vm->lock (TLB flushes) see the vCPU before they see the number. */
	smp_store_release(&vm->nr_vcpus, vm->nr_vcpus + 1);
	if (vcpu->lapic)
		vmlet_apic_map_update(vm);
	fd_install(fd, file);
	return fd;
}
