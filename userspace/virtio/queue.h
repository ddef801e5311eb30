/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: split virtqueues, the device's side
 *
 * A queue lies in memory that the guest may change at any time. So every value in it is
 * read once, checked, and never read again; whatever breaks the rules of the VIRTIO
 * specification (2.7) breaks the queue, and its device, but nothing else.
 */
#ifndef VMLET_VIRTIO_QUEUE_H
#define VMLET_VIRTIO_QUEUE_H

#include "lib/vmlet.h"

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#define VMLET_QUEUE_MAX 256

/* The features of the transport that concern queues; all are offered. */
#define VMLET_QUEUE_FEATURES (1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC)

/**
 * struct vmlet_queue_setup - what a driver says about a queue
 * @size: number of descriptors
 * @desc: guest-physical address of the descriptor table
 * @avail: guest-physical address of the available ring
 * @used: guest-physical address of the used ring
 */
struct vmlet_queue_setup {
	uint32_t size;
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
};

/**
 * struct vmlet_queue - a queue in use
 * @vm: whose memory it is in
 * @ring: where; @ring.num is 0 while the queue is not in use
 * @event_idx: each side says by an index when it wants to be told
 * @next_avail: place in the available ring to look at next
 * @next_used: place in the used ring to fill next
 * @signalled: @next_used when the guest was last told, or need not be
 */
struct vmlet_queue {
	const struct vmlet_vm *vm;
	struct vring ring;
	bool event_idx;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t signalled;
};

/**
 * struct vmlet_buffers - guest memory, as this process sees it
 * @iov: its pieces
 * @count: how many
 */
struct vmlet_buffers {
	struct iovec *iov;
	unsigned int count;
};

/**
 * struct vmlet_chain - a descriptor chain: one request
 * @head: index of its first descriptor
 * @out: what the device reads
 * @in: what the device writes
 * @iov: the pieces of @out, then those of @in
 */
struct vmlet_chain {
	uint16_t head;
	struct vmlet_buffers out;
	struct vmlet_buffers in;
	struct iovec iov[VMLET_QUEUE_MAX];
};

/**
 * vmlet_queue_start() - take a queue into use
 * @queue: filled in
 * @vm: whose memory it is in
 * @setup: where and how large
 * @features: what the driver has accepted
 *
 * Return: false if @setup is wrong.
 */
bool vmlet_queue_start(struct vmlet_queue *queue, const struct vmlet_vm *vm,
		       const struct vmlet_queue_setup *setup, uint64_t features);

/**
 * vmlet_queue_stop() - forget a queue
 * @queue: in use or not
 */
void vmlet_queue_stop(struct vmlet_queue *queue);

/**
 * vmlet_queue_pop() - take the next request
 * @queue: the queue
 * @chain: filled in
 *
 * Return: 1, 0 if there is none (the driver will then announce the next one), or
 * -EINVAL if the driver broke the rules.
 */
int vmlet_queue_pop(struct vmlet_queue *queue, struct vmlet_chain *chain);

/**
 * vmlet_queue_unpop() - the request that was just taken is taken again next time
 * @queue: the queue
 */
void vmlet_queue_unpop(struct vmlet_queue *queue);

/**
 * vmlet_queue_push() - give a request back
 * @queue: the queue
 * @chain: the request
 * @written: bytes written to @chain->in, from its start
 */
void vmlet_queue_push(struct vmlet_queue *queue, const struct vmlet_chain *chain, size_t written);

/**
 * vmlet_queue_must_signal() - whether the driver wants to hear of what was given back
 * @queue: the queue
 *
 * Return: true if it does, and has not been told yet.
 */
bool vmlet_queue_must_signal(struct vmlet_queue *queue);

/**
 * vmlet_buffers_size() - bytes in buffers
 * @buffers: the buffers
 *
 * Return: their sum.
 */
size_t vmlet_buffers_size(const struct vmlet_buffers *buffers);

/**
 * vmlet_buffers_read() - copy bytes from the front, and drop them
 * @buffers: what remains is left there
 * @data: where to
 * @size: how many
 *
 * Return: how many there were.
 */
size_t vmlet_buffers_read(struct vmlet_buffers *buffers, void *data, size_t size);

/**
 * vmlet_buffers_write() - copy bytes to the front, and drop what was written to
 * @buffers: what remains is left there
 * @data: where from
 * @size: how many
 *
 * Return: how many there was room for.
 */
size_t vmlet_buffers_write(struct vmlet_buffers *buffers, const void *data, size_t size);

/**
 * vmlet_buffers_last() - drop the last byte
 * @buffers: what remains is left there
 *
 * Return: its address, or NULL if there are no bytes.
 */
uint8_t *vmlet_buffers_last(struct vmlet_buffers *buffers);

#endif
