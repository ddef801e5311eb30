// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: split virtqueues, the device's side
 */
#include "queue.h"

#include "macros.h"

#include <errno.h>
#include <string.h>

/**
 * struct table - descriptors that refer to each other by index
 * @desc: the first one
 * @size: how many
 * @indirect: a descriptor of the queue stands for them
 */
struct table {
	const struct vring_desc *desc;
	unsigned int size;
	bool indirect;
};

static void *place(const struct vmlet_vm *vm, uint64_t gpa, size_t size, size_t alignment)
{
	return gpa % alignment ? NULL : vmlet_vm_memory(vm, gpa, size);
}

/* Each ring is followed by the index by which the other side asks to be told. */
bool vmlet_queue_start(struct vmlet_queue *queue, const struct vmlet_vm *vm,
		       const struct vmlet_queue_setup *setup, uint64_t features)
{
	uint32_t size = setup->size;
	struct vring ring = { .num = size };

	if (!size || size > VMLET_QUEUE_MAX || size & (size - 1))
		return false;
	ring.desc = place(vm, setup->desc, size * sizeof(ring.desc[0]), VRING_DESC_ALIGN_SIZE);
	ring.avail = place(vm, setup->avail, sizeof(*ring.avail) + (size + 1) * sizeof(uint16_t),
			   VRING_AVAIL_ALIGN_SIZE);
	ring.used = place(vm, setup->used, sizeof(*ring.used) + size * sizeof(struct vring_used_elem) +
			  sizeof(uint16_t), VRING_USED_ALIGN_SIZE);
	if (!ring.desc || !ring.avail || !ring.used)
		return false;
	*queue = (struct vmlet_queue){
		.vm = vm,
		.ring = ring,
		.event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1,
	};
	return true;
}

void vmlet_queue_stop(struct vmlet_queue *queue)
{
	queue->ring.num = 0;
}

static uint16_t avail_idx(const struct vmlet_queue *queue)
{
	return __atomic_load_n(&queue->ring.avail->idx, __ATOMIC_ACQUIRE);
}

/*
 * Requests that wait. When there is none, ask to be told of the next one, and look
 * again: it may have come before the driver could see that.
 */
static uint16_t waiting(struct vmlet_queue *queue)
{
	uint16_t count = avail_idx(queue) - queue->next_avail;

	if (count || !queue->event_idx)
		return count;
	WRITE_ONCE(vring_avail_event(&queue->ring), queue->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_idx(queue) - queue->next_avail;
}

static struct vring_desc read_desc(const struct table *table, unsigned int index)
{
	const struct vring_desc *desc = &table->desc[index];

	return (struct vring_desc){
		.addr = READ_ONCE(desc->addr),
		.len = READ_ONCE(desc->len),
		.flags = READ_ONCE(desc->flags),
		.next = READ_ONCE(desc->next),
	};
}

/* A descriptor that stands for a table of its own is the last one of its chain. */
static bool enter_indirect(const struct vmlet_queue *queue, const struct vring_desc *desc,
			   struct table *table)
{
	if (desc->flags & VRING_DESC_F_NEXT || !desc->len || desc->len % sizeof(*desc) ||
	    table->indirect)
		return false;
	table->indirect = true;
	table->desc = vmlet_vm_memory(queue->vm, desc->addr, desc->len);
	table->size = desc->len / sizeof(*desc);
	return table->desc;
}

/* What the device writes comes after what it reads. */
static bool add_buffer(const struct vmlet_queue *queue, const struct vring_desc *desc,
		       struct vmlet_chain *chain)
{
	bool in = desc->flags & VRING_DESC_F_WRITE;
	unsigned int count = chain->out.count + chain->in.count;
	void *memory = vmlet_vm_memory(queue->vm, desc->addr, desc->len);

	if (!memory || count == VMLET_QUEUE_MAX || (!in && chain->in.count))
		return false;
	chain->iov[count] = (struct iovec){ memory, desc->len };
	if (in)
		chain->in.count++;
	else
		chain->out.count++;
	return true;
}

/* A chain is no longer than its table, so a loop runs into the limit. */
static bool read_chain(const struct vmlet_queue *queue, struct vmlet_chain *chain)
{
	struct table table = { queue->ring.desc, queue->ring.num, false };
	unsigned int index = chain->head, length = 0;
	struct vring_desc desc;

	do {
		if (index >= table.size || length++ == table.size)
			return false;
		desc = read_desc(&table, index);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (!enter_indirect(queue, &desc, &table))
				return false;
			length = 0;
			desc.next = 0;
			desc.flags = VRING_DESC_F_NEXT;
		} else if (!add_buffer(queue, &desc, chain)) {
			return false;
		}
		index = desc.next;
	} while (desc.flags & VRING_DESC_F_NEXT);
	return true;
}

int vmlet_queue_pop(struct vmlet_queue *queue, struct vmlet_chain *chain)
{
	uint16_t count = waiting(queue);

	if (!count)
		return 0;
	if (count > queue->ring.num)
		return -EINVAL;
	chain->head = READ_ONCE(queue->ring.avail->ring[queue->next_avail++ % queue->ring.num]);
	chain->out = (struct vmlet_buffers){ chain->iov, 0 };
	chain->in = (struct vmlet_buffers){ NULL, 0 };
	if (!read_chain(queue, chain))
		return -EINVAL;
	chain->in.iov = chain->iov + chain->out.count;
	return 1;
}

void vmlet_queue_unpop(struct vmlet_queue *queue)
{
	queue->next_avail--;
}

void vmlet_queue_push(struct vmlet_queue *queue, const struct vmlet_chain *chain, size_t written)
{
	struct vring_used_elem *element = &queue->ring.used->ring[queue->next_used % queue->ring.num];

	WRITE_ONCE(element->id, chain->head);
	WRITE_ONCE(element->len, written);
	__atomic_store_n(&queue->ring.used->idx, ++queue->next_used, __ATOMIC_RELEASE);
}

bool vmlet_queue_must_signal(struct vmlet_queue *queue)
{
	uint16_t before = queue->signalled;

	queue->signalled = queue->next_used;
	if (before == queue->next_used)
		return false;
	/* What was given back must be seen before it is asked whether to tell. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (queue->event_idx)
		return vring_need_event(READ_ONCE(vring_used_event(&queue->ring)),
					queue->next_used, before);
	return !(READ_ONCE(queue->ring.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

size_t vmlet_buffers_size(const struct vmlet_buffers *buffers)
{
	size_t size = 0;

	for (unsigned int i = 0; i < buffers->count; i++)
		size += buffers->iov[i].iov_len;
	return size;
}

/* The next piece of a copy, dropped from the buffers. */
static struct iovec next_piece(struct vmlet_buffers *buffers, size_t size)
{
	struct iovec *first = buffers->iov;
	struct iovec piece = { first->iov_base, first->iov_len < size ? first->iov_len : size };

	first->iov_base = (char *)first->iov_base + piece.iov_len;
	first->iov_len -= piece.iov_len;
	if (!first->iov_len) {
		buffers->iov++;
		buffers->count--;
	}
	return piece;
}

size_t vmlet_buffers_read(struct vmlet_buffers *buffers, void *data, size_t size)
{
	size_t done = 0;

	while (done < size && buffers->count) {
		struct iovec piece = next_piece(buffers, size - done);

		memcpy((char *)data + done, piece.iov_base, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

size_t vmlet_buffers_write(struct vmlet_buffers *buffers, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size && buffers->count) {
		struct iovec piece = next_piece(buffers, size - done);

		memcpy(piece.iov_base, (const char *)data + done, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

uint8_t *vmlet_buffers_last(struct vmlet_buffers *buffers)
{
	while (buffers->count) {
		struct iovec *last = &buffers->iov[buffers->count - 1];

		if (last->iov_len)
			return (uint8_t *)last->iov_base + --last->iov_len;
		buffers->count--;
	}
	return NULL;
}
