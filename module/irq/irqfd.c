// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: irqfds
 *
 * An eventfd that raises a GSI. We wait on it as a reader of it would, but with a function of our own, which raises the
 * interrupt there and then: in whatever context the eventfd is signalled, under its lock, interrupts off.
 *
 * A resampled one holds the line up until the guest has acknowledged the interrupt; then the line falls, and a second
 * eventfd tells the device to look whether it still wants attention.
 */
#include <linux/cleanup.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "../api/api.h"
#include "irq.h"

#define FLAGS	(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE)

/*
 * One eventfd of a VM.
 *
 * @node:	in vm->irq.irqfds						[vm->irq.lock]
 * @resampled:	in vm->irq.resamplers, if there is a @resamplefd		[vm->irq.lock], read under RCU
 * @closed:	nobody has the eventfd open any more: to be freed		[a]
 * @wait:	ours in the eventfd's queue
 */
struct vmlet_irqfd {
	struct list_head node, resampled;
	struct vmlet_vm *vm;
	u32 gsi;
	bool closed;
	struct eventfd_ctx *eventfd, *resamplefd;
	wait_queue_entry_t wait;
	poll_table table;
};

static void irqfd_raise(struct vmlet_irqfd *irqfd)
{
	if (irqfd->resamplefd) {
		vmlet_irq_line(irqfd->vm, irqfd->gsi, VMLET_IRQ_RESAMPLE, true);
		return;
	}
	vmlet_irq_line(irqfd->vm, irqfd->gsi, VMLET_IRQ_USER, true);
	vmlet_irq_line(irqfd->vm, irqfd->gsi, VMLET_IRQ_USER, false);
}

/* The eventfd's lock is held. */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vmlet_irqfd *irqfd = container_of(wait, struct vmlet_irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (READ_ONCE(irqfd->closed))
		return 0;
	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		irqfd_raise(irqfd);
	}
	/* It cannot be freed from in here: the next KVM_IRQFD will, or the VM's end. */
	if (events & EPOLLHUP)
		WRITE_ONCE(irqfd->closed, true);
	return 0;
}

/* Into the queue; what was signalled before then is raised now, what is signalled from then on by irqfd_wake(). */
static void irqfd_queue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct vmlet_irqfd *irqfd = container_of(table, struct vmlet_irqfd, table);
	u64 count;

	spin_lock_irq(&head->lock);
	__add_wait_queue(head, &irqfd->wait);
	eventfd_ctx_do_read(irqfd->eventfd, &count);
	if (count)
		irqfd_raise(irqfd);
	spin_unlock_irq(&head->lock);
}

void vmlet_irqfd_acked(struct vmlet_vm *vm, u32 gsi)
{
	struct vmlet_irqfd *irqfd;
	bool lowered = false;

	guard(rcu)();
	list_for_each_entry_rcu(irqfd, &vm->irq.resamplers, resampled) {
		if (irqfd->gsi != gsi)
			continue;
		if (!lowered)
			vmlet_irq_line(vm, gsi, VMLET_IRQ_RESAMPLE, false);
		lowered = true;
		eventfd_signal(irqfd->resamplefd);
	}
}

/* Nobody that would hold the line up is left? Then it falls. */
static void resample_end(struct vmlet_irqfd *irqfd)
{
	struct vmlet_vm *vm = irqfd->vm;
	struct vmlet_irqfd *other;

	lockdep_assert_held(&vm->irq.lock);
	list_del_rcu(&irqfd->resampled);
	synchronize_rcu_expedited();
	eventfd_ctx_put(irqfd->resamplefd);
	list_for_each_entry(other, &vm->irq.resamplers, resampled)
		if (other->gsi == irqfd->gsi)
			return;
	vmlet_irq_line(vm, irqfd->gsi, VMLET_IRQ_RESAMPLE, false);
}

/* Nothing is raised by it any more when this returns: out of the queue, nobody calls us. */
static void irqfd_free(struct vmlet_irqfd *irqfd)
{
	u64 count;

	lockdep_assert_held(&irqfd->vm->irq.lock);
	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	list_del(&irqfd->node);
	if (irqfd->resamplefd)
		resample_end(irqfd);
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

void vmlet_irqfd_release(struct vmlet_vm *vm)
{
	struct vmlet_irqfd *irqfd, *next;

	guard(mutex)(&vm->irq.lock);
	list_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, node)
		irqfd_free(irqfd);
}

static void free_closed(struct vmlet_vm *vm)
{
	struct vmlet_irqfd *irqfd, *next;

	list_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, node)
		if (READ_ONCE(irqfd->closed))
			irqfd_free(irqfd);
}

static int deassign(struct vmlet_vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct vmlet_irqfd *irqfd, *next;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	scoped_guard(mutex, &vm->irq.lock)
		list_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, node)
			if (irqfd->eventfd == eventfd && irqfd->gsi == args->gsi)
				irqfd_free(irqfd);
	eventfd_ctx_put(eventfd);
	return 0;
}

/* Into the VM's lists and the eventfd's queue. */
static int irqfd_start(struct vmlet_vm *vm, struct vmlet_irqfd *irqfd, struct file *file)
{
	struct vmlet_irqfd *other;

	guard(mutex)(&vm->irq.lock);
	free_closed(vm);
	list_for_each_entry(other, &vm->irq.irqfds, node)
		if (other->eventfd == irqfd->eventfd)
			return -EBUSY;
	list_add_tail(&irqfd->node, &vm->irq.irqfds);
	if (irqfd->resamplefd)
		list_add_tail_rcu(&irqfd->resampled, &vm->irq.resamplers);
	vfs_poll(file, &irqfd->table);
	return 0;
}

static int irqfd_events(struct vmlet_irqfd *irqfd, const struct kvm_irqfd *args, struct file *file)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd->eventfd = ctx;
	if (!(args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		return 0;
	ctx = eventfd_ctx_fdget(args->resamplefd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd->resamplefd = ctx;
	return 0;
}

static int assign_file(struct vmlet_vm *vm, const struct kvm_irqfd *args, struct file *file)
{
	struct vmlet_irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wake);
	init_poll_funcptr(&irqfd->table, irqfd_queue);
	ret = irqfd_events(irqfd, args, file);
	if (!ret)
		ret = irqfd_start(vm, irqfd, file);
	if (!ret)
		return 0;
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
	if (irqfd->eventfd)
		eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
	return ret;
}

static int assign(struct vmlet_vm *vm, const struct kvm_irqfd *args)
{
	enum vmlet_irqchip chip = READ_ONCE(vm->irq.chip);
	struct file *file;
	int ret;

	if (chip == VMLET_IRQCHIP_NONE || ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && chip != VMLET_IRQCHIP_KERNEL))
		return -EINVAL;
	file = fget(args->fd);
	if (!file)
		return -EBADF;
	ret = assign_file(vm, args, file);
	fput(file);
	return ret;
}

long vmlet_api_irqfd(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_irqfd *args = arg->data;

	if (args->flags & ~FLAGS)
		return -EINVAL;
	return args->flags & KVM_IRQFD_FLAG_DEASSIGN ? deassign(obj, args) : assign(obj, args);
}
