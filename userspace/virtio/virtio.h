/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: virtio devices
 *
 * A device is a type (below) behind one transport, virtio-mmio version 2. Each device has
 * a thread of its own, in which all functions of its type run, with the device's lock
 * held. The guest's notifications reach that thread by ioeventfds and its interrupts
 * leave by an irqfd, so that vCPU threads see a device only while its driver sets it up.
 */
#ifndef VMLET_VIRTIO_H
#define VMLET_VIRTIO_H

#include "queue.h"
#include "stream.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdatomic.h>

/* Device n has 4 KiB of addresses and input 16 + n of the IOAPIC, an edge. */
#define VMLET_VIRTIO_BASE 0xd0000000u
#define VMLET_VIRTIO_STRIDE 0x1000u
#define VMLET_VIRTIO_GSI 16u
#define VMLET_VIRTIO_MAX 8u

#define VMLET_VIRTIO_QUEUES 5

#define VMLET_FEATURE(name) (1ull << (name))

struct vmlet_virtio;

/**
 * struct vmlet_virtio_type - a kind of device
 * @name: for messages and statistics
 * @id: VIRTIO_ID_ number
 * @queues: how many queues it has
 * @config_writable: the driver may write to the configuration space
 * @check: whether the option's value is right, in a machine with so much memory; says what
 *	is wrong if it returns false; NULL if every value is
 * @open: sets up features, config, fd and private data from the option's value; says what
 *	is wrong if it returns false
 * @close: undoes @open, also one that failed halfway
 * @notify: there may be requests in a queue, or room in it
 * @ready: poll(2) has returned events for the device's fd; NULL if it has none
 */
struct vmlet_virtio_type {
	const char *name;
	uint32_t id;
	unsigned int queues;
	bool config_writable;
	bool (*check)(const char *value, uint64_t memory);
	bool (*open)(struct vmlet_virtio *device, const char *value);
	void (*close)(struct vmlet_virtio *device);
	void (*notify)(struct vmlet_virtio *device, unsigned int index);
	void (*ready)(struct vmlet_virtio *device, short events);
};

/**
 * struct vmlet_virtio_queue - a queue of a device
 * @setup: what the driver says about it; @lock of the device
 * @queue: the queue itself; @lock of the device
 * @served: requests taken since the thread last looked at its other queues
 * @notify_fd: readable when the guest has notified
 */
struct vmlet_virtio_queue {
	struct vmlet_queue_setup setup;
	struct vmlet_queue queue;
	unsigned int served;
	int notify_fd;
};

/**
 * struct vmlet_virtio - a device
 * @type: what it is
 * @bus: where it is
 * @number: its place there
 * @offered: features that it has
 * @config: its configuration space
 * @config_size: bytes in it
 * @private: of @type
 * @lock: protects what follows, up to @events, and everything of @type
 * @accepted: features that the driver has accepted
 * @offered_half: which half of @offered is to be read
 * @accepted_half: which half of @accepted is to be written
 * @queue_index: queue that the queue registers are about
 * @status: VIRTIO_CONFIG_S_ bits
 * @queues: the queues
 * @fd: what the type waits for besides notifications, or -1
 * @events: poll(2) events that it waits for now
 * @interrupt: VIRTIO_MMIO_INT_ bits
 * @irq_fd: each write to it interrupts the guest
 * @thread: the device's thread
 * @notifications: how often a queue's @notify_fd was readable; @thread only
 * @interrupts: how often it was interrupted; @lock
 */
struct vmlet_virtio {
	const struct vmlet_virtio_type *type;
	struct vmlet_virtio_bus *bus;
	unsigned int number;
	uint64_t offered;
	void *config;
	size_t config_size;
	void *private;
	pthread_mutex_t lock;
	uint64_t accepted;
	uint32_t offered_half;
	uint32_t accepted_half;
	uint32_t queue_index;
	uint32_t status;
	struct vmlet_virtio_queue queues[VMLET_VIRTIO_QUEUES];
	int fd;
	short events;
	atomic_uint interrupt;
	int irq_fd;
	pthread_t thread;
	uint64_t notifications;
	uint64_t interrupts;
};

/**
 * struct vmlet_virtio_bus - all devices
 * @vm: the machine
 * @end_fd: becomes readable, and stays so, when the guest has ended
 * @ended: the same
 * @output: where the guest's console goes to
 * @input: what is typed, if the console device shall get it
 * @devices: by their numbers
 * @count: how many there are
 * @started: how many of them have a thread
 */
struct vmlet_virtio_bus {
	const struct vmlet_vm *vm;
	int end_fd;
	const atomic_bool *ended;
	struct vmlet_output *output;
	struct vmlet_input *input;
	struct vmlet_virtio *devices[VMLET_VIRTIO_MAX];
	unsigned int count;
	unsigned int started;
};

extern const struct vmlet_virtio_type vmlet_virtio_balloon;
extern const struct vmlet_virtio_type vmlet_virtio_blk;
extern const struct vmlet_virtio_type vmlet_virtio_console;
extern const struct vmlet_virtio_type vmlet_virtio_net;
extern const struct vmlet_virtio_type vmlet_virtio_rng;

/**
 * vmlet_virtio_add() - make a device
 * @bus: where; its machine has interrupt controllers
 * @type: which
 * @value: what the command line says about it
 *
 * Return: false after an error message.
 */
bool vmlet_virtio_add(struct vmlet_virtio_bus *bus, const struct vmlet_virtio_type *type,
		      const char *value);

/**
 * vmlet_virtio_disconnect() - hold back the devices' interrupts
 * @bus: the devices; what they have told the guest has arrived, what follows waits
 *
 * Return: 0 or a negative errno.
 */
int vmlet_virtio_disconnect(const struct vmlet_virtio_bus *bus);

/**
 * vmlet_virtio_connect() - connect the devices to a machine that is new
 * @bus: the devices, disconnected; its machine has interrupt controllers
 *
 * Return: 0 or a negative errno.
 */
int vmlet_virtio_connect(const struct vmlet_virtio_bus *bus);

/**
 * vmlet_virtio_start() - start the devices' threads
 * @bus: the devices
 *
 * Return: 0 or a negative errno.
 */
int vmlet_virtio_start(struct vmlet_virtio_bus *bus);

/**
 * vmlet_virtio_stop() - wait for the end of the devices' threads
 * @bus: the devices; @end_fd is readable
 */
void vmlet_virtio_stop(struct vmlet_virtio_bus *bus);

/**
 * vmlet_virtio_destroy() - end the threads, close everything
 * @bus: the devices; @end_fd is readable
 */
void vmlet_virtio_destroy(struct vmlet_virtio_bus *bus);

/**
 * vmlet_virtio_access() - a guest's access to device memory
 * @bus: the devices
 * @run: the run page, with a KVM_EXIT_MMIO
 *
 * Return: false if no device is there.
 */
bool vmlet_virtio_access(struct vmlet_virtio_bus *bus, struct kvm_run *run);

/**
 * vmlet_virtio_pop() - take the next request
 * @device: the device
 * @index: of the queue
 * @chain: filled in
 *
 * A driver that broke the rules loses its device until it resets it. One that always has
 * more requests has to wait after each ring of them, while the thread does other things.
 *
 * Return: false if there is none, or none now; @notify is called when there is one.
 */
bool vmlet_virtio_pop(struct vmlet_virtio *device, unsigned int index, struct vmlet_chain *chain);

/**
 * vmlet_virtio_push() - give a request back
 * @device: the device
 * @index: of the queue
 * @chain: the request
 * @written: bytes written to @chain->in, from its start
 *
 * The guest is told when the type's function returns, or by vmlet_virtio_signal().
 */
void vmlet_virtio_push(struct vmlet_virtio *device, unsigned int index,
		       const struct vmlet_chain *chain, size_t written);

/**
 * vmlet_virtio_signal() - tell the guest what has been given back
 * @device: the device
 */
void vmlet_virtio_signal(struct vmlet_virtio *device);

/**
 * vmlet_virtio_ended() - whether the guest has ended
 * @device: the device; it need not finish what it is at
 *
 * Return: true if it has.
 */
bool vmlet_virtio_ended(const struct vmlet_virtio *device);

/**
 * vmlet_virtio_fail() - the driver broke the rules
 * @device: does nothing more before it is reset
 */
void vmlet_virtio_fail(struct vmlet_virtio *device);

/**
 * vmlet_virtio_print_stats() - notifications and interrupts, on standard error
 * @bus: the devices
 */
void vmlet_virtio_print_stats(const struct vmlet_virtio_bus *bus);

#endif
