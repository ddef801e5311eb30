// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the transport of virtio devices: registers in device memory (VIRTIO 4.2), threads
 */
#include "virtio.h"

#include "macros.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAGIC 0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR 0x544c4d56 /* "VMLT" */
#define NO_SHARED_MEMORY 0xffffffff
#define REGISTER_SIZE 4

/* The thread's poll(2) set: the end, then the queues, then the type's own. */
#define POLL_END 0
#define POLL_QUEUES 1
#define POLL_MAX (POLL_QUEUES + VMLET_VIRTIO_QUEUES + 1)

/**
 * struct device_register - a register of four bytes
 * @offset: where it is
 * @lockless: its functions do not need the device's lock, which I/O may hold for long
 * @value: for @read and @write
 * @read: NULL reads as 0
 * @write: NULL ignores
 */
struct device_register {
	uint16_t offset;
	bool lockless;
	uint32_t value;
	uint32_t (*read)(struct vmlet_virtio *device, const struct device_register *reg);
	void (*write)(struct vmlet_virtio *device, const struct device_register *reg,
		      uint32_t value);
};

/* Fails only if the counter is full, and then the other side is awake. */
static void signal_fd(int fd)
{
	eventfd_write(fd, 1);
}

static void interrupt(struct vmlet_virtio *device, unsigned int bits)
{
	atomic_fetch_or(&device->interrupt, bits);
	device->interrupts++;
	signal_fd(device->irq_fd);
}

void vmlet_virtio_fail(struct vmlet_virtio *device)
{
	if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	interrupt(device, VIRTIO_MMIO_INT_CONFIG);
}

bool vmlet_virtio_ended(const struct vmlet_virtio *device)
{
	return atomic_load(device->bus->ended);
}

static bool running(const struct vmlet_virtio *device)
{
	return !vmlet_virtio_ended(device) && (device->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

bool vmlet_virtio_pop(struct vmlet_virtio *device, unsigned int index, struct vmlet_chain *chain)
{
	struct vmlet_virtio_queue *queue = &device->queues[index];
	unsigned int size = queue->queue.ring.num;
	int ret;

	if (!running(device) || !size)
		return false;
	if (queue->served >= size) {
		signal_fd(queue->notify_fd);
		return false;
	}
	ret = vmlet_queue_pop(&queue->queue, chain);
	if (ret < 0)
		vmlet_virtio_fail(device);
	queue->served += ret > 0;
	return ret > 0;
}

void vmlet_virtio_push(struct vmlet_virtio *device, unsigned int index,
		       const struct vmlet_chain *chain, size_t written)
{
	vmlet_queue_push(&device->queues[index].queue, chain, written);
}

void vmlet_virtio_signal(struct vmlet_virtio *device)
{
	bool tell = false;

	for (unsigned int i = 0; i < device->type->queues; i++) {
		struct vmlet_queue *queue = &device->queues[i].queue;

		tell |= queue->ring.num && vmlet_queue_must_signal(queue);
	}
	if (tell)
		interrupt(device, VIRTIO_MMIO_INT_VRING);
}

static uint32_t read_value(struct vmlet_virtio *device, const struct device_register *reg)
{
	(void)device;
	return reg->value;
}

static uint32_t read_id(struct vmlet_virtio *device, const struct device_register *reg)
{
	(void)reg;
	return device->type->id;
}

static uint32_t read_features(struct vmlet_virtio *device, const struct device_register *reg)
{
	(void)reg;
	return device->offered_half < 2 ? device->offered >> (32 * device->offered_half) : 0;
}

static void write_features(struct vmlet_virtio *device, const struct device_register *reg,
			   uint32_t value)
{
	unsigned int shift = 32 * (device->accepted_half & 1);

	(void)reg;
	if (device->accepted_half > 1 || device->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	device->accepted &= ~(0xffffffffull << shift);
	device->accepted |= (uint64_t)value << shift;
}

/* A selector is a field of the device; @value of its row says which. */
static void write_selector(struct vmlet_virtio *device, const struct device_register *reg,
			   uint32_t value)
{
	memcpy((char *)device + reg->value, &value, sizeof(value));
}

static struct vmlet_virtio_queue *selected(struct vmlet_virtio *device)
{
	return device->queue_index < device->type->queues ?
	       &device->queues[device->queue_index] : NULL;
}

static uint32_t read_queue_max(struct vmlet_virtio *device, const struct device_register *reg)
{
	return selected(device) ? reg->value : 0;
}

static uint32_t read_queue_ready(struct vmlet_virtio *device, const struct device_register *reg)
{
	const struct vmlet_virtio_queue *queue = selected(device);

	(void)reg;
	return queue && queue->queue.ring.num;
}

/* Half of an address, or the size; @value of the row is its place in the set-up. */
static void write_queue_half(struct vmlet_virtio *device, const struct device_register *reg,
			     uint32_t value)
{
	struct vmlet_virtio_queue *queue = selected(device);

	if (queue && !queue->queue.ring.num)
		memcpy((char *)&queue->setup + reg->value, &value, sizeof(value));
}

static void write_queue_ready(struct vmlet_virtio *device, const struct device_register *reg,
			      uint32_t value)
{
	struct vmlet_virtio_queue *queue = selected(device);

	(void)reg;
	if (!queue)
		return;
	if (!(value & 1))
		vmlet_queue_stop(&queue->queue);
	else if (!queue->queue.ring.num &&
		 !vmlet_queue_start(&queue->queue, device->bus->vm, &queue->setup, device->accepted))
		vmlet_virtio_fail(device);
}

/* Where the device does not take notifications from the kernel. */
static void write_notify(struct vmlet_virtio *device, const struct device_register *reg,
			 uint32_t value)
{
	(void)reg;
	if (value < device->type->queues)
		signal_fd(device->queues[value].notify_fd);
}

static uint32_t read_interrupt(struct vmlet_virtio *device, const struct device_register *reg)
{
	(void)reg;
	return atomic_load(&device->interrupt);
}

static void write_interrupt_ack(struct vmlet_virtio *device, const struct device_register *reg,
				uint32_t value)
{
	(void)reg;
	atomic_fetch_and(&device->interrupt, ~value);
}

static uint32_t read_status(struct vmlet_virtio *device, const struct device_register *reg)
{
	(void)reg;
	return device->status;
}

static void reset(struct vmlet_virtio *device)
{
	for (unsigned int i = 0; i < device->type->queues; i++) {
		vmlet_queue_stop(&device->queues[i].queue);
		memset(&device->queues[i].setup, 0, sizeof(device->queues[i].setup));
	}
	device->accepted = 0;
	device->offered_half = 0;
	device->accepted_half = 0;
	device->queue_index = 0;
	device->status = 0;
	device->events = 0;
	atomic_store(&device->interrupt, 0);
}

static bool features_good(const struct vmlet_virtio *device)
{
	return !(device->accepted & ~device->offered) &&
	       (device->accepted & VMLET_FEATURE(VIRTIO_F_VERSION_1));
}

/* A driver can set bits only, but 0 resets. */
static void write_status(struct vmlet_virtio *device, const struct device_register *reg,
			 uint32_t value)
{
	uint32_t added = value & 0xff & ~device->status;

	(void)reg;
	if (!value) {
		reset(device);
		return;
	}
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_good(device))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	device->status |= added & ~VIRTIO_CONFIG_S_NEEDS_RESET;
}

#define SETUP(field) offsetof(struct vmlet_queue_setup, field)
#define SELECTOR(field) offsetof(struct vmlet_virtio, field)

static const struct device_register registers[] = {
	{ VIRTIO_MMIO_MAGIC_VALUE, .read = read_value, .value = MAGIC },
	{ VIRTIO_MMIO_VERSION, .read = read_value, .value = VERSION },
	{ VIRTIO_MMIO_DEVICE_ID, .read = read_id },
	{ VIRTIO_MMIO_VENDOR_ID, .read = read_value, .value = VENDOR },
	{ VIRTIO_MMIO_DEVICE_FEATURES, .read = read_features },
	{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, .write = write_selector, .value = SELECTOR(offered_half) },
	{ VIRTIO_MMIO_DRIVER_FEATURES, .write = write_features },
	{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, .write = write_selector, .value = SELECTOR(accepted_half) },
	{ VIRTIO_MMIO_QUEUE_SEL, .write = write_selector, .value = SELECTOR(queue_index) },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, .read = read_queue_max, .value = VMLET_QUEUE_MAX },
	{ VIRTIO_MMIO_QUEUE_NUM, .write = write_queue_half, .value = SETUP(size) },
	{ VIRTIO_MMIO_QUEUE_READY, .read = read_queue_ready, .write = write_queue_ready },
	{ VIRTIO_MMIO_QUEUE_NOTIFY, .lockless = true, .write = write_notify },
	{ VIRTIO_MMIO_INTERRUPT_STATUS, .lockless = true, .read = read_interrupt },
	{ VIRTIO_MMIO_INTERRUPT_ACK, .lockless = true, .write = write_interrupt_ack },
	{ VIRTIO_MMIO_STATUS, .read = read_status, .write = write_status },
	{ VIRTIO_MMIO_QUEUE_DESC_LOW, .write = write_queue_half, .value = SETUP(desc) },
	{ VIRTIO_MMIO_QUEUE_DESC_HIGH, .write = write_queue_half, .value = SETUP(desc) + 4 },
	{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, .write = write_queue_half, .value = SETUP(avail) },
	{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, .write = write_queue_half, .value = SETUP(avail) + 4 },
	{ VIRTIO_MMIO_QUEUE_USED_LOW, .write = write_queue_half, .value = SETUP(used) },
	{ VIRTIO_MMIO_QUEUE_USED_HIGH, .write = write_queue_half, .value = SETUP(used) + 4 },
	{ VIRTIO_MMIO_SHM_LEN_LOW, .read = read_value, .value = NO_SHARED_MEMORY },
	{ VIRTIO_MMIO_SHM_LEN_HIGH, .read = read_value, .value = NO_SHARED_MEMORY },
	{ VIRTIO_MMIO_SHM_BASE_LOW, .read = read_value, .value = NO_SHARED_MEMORY },
	{ VIRTIO_MMIO_SHM_BASE_HIGH, .read = read_value, .value = NO_SHARED_MEMORY },
};

static void access_register(struct vmlet_virtio *device, const struct device_register *reg,
			    bool is_write, uint8_t *data)
{
	uint32_t value = 0;

	if (!reg->lockless)
		pthread_mutex_lock(&device->lock);
	memcpy(&value, data, sizeof(value));
	if (is_write && reg->write)
		reg->write(device, reg, value);
	else if (!is_write)
		value = reg->read ? reg->read(device, reg) : 0;
	if (!reg->lockless)
		pthread_mutex_unlock(&device->lock);
	memcpy(data, &value, sizeof(value));
}

/* What the driver cannot write never changes, so it does not wait for the device's I/O. */
static void access_config(struct vmlet_virtio *device, uint64_t offset, struct kvm_run *run)
{
	bool writable = device->type->config_writable;
	uint8_t *config = device->config;

	if (writable)
		pthread_mutex_lock(&device->lock);
	for (uint32_t i = 0; i < run->mmio.len && offset + i < device->config_size; i++) {
		if (!run->mmio.is_write)
			run->mmio.data[i] = config[offset + i];
		else if (writable)
			config[offset + i] = run->mmio.data[i];
	}
	if (writable)
		pthread_mutex_unlock(&device->lock);
}

bool vmlet_virtio_access(struct vmlet_virtio_bus *bus, struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - VMLET_VIRTIO_BASE;
	uint64_t number = offset / VMLET_VIRTIO_STRIDE;

	if (number >= bus->count || run->mmio.len > sizeof(run->mmio.data))
		return false;
	offset %= VMLET_VIRTIO_STRIDE;
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (offset >= VIRTIO_MMIO_CONFIG)
		access_config(bus->devices[number], offset - VIRTIO_MMIO_CONFIG, run);
	for (size_t i = 0; i < ARRAY_SIZE(registers) && run->mmio.len == REGISTER_SIZE; i++) {
		if (registers[i].offset == offset)
			access_register(bus->devices[number], &registers[i], run->mmio.is_write,
					run->mmio.data);
	}
	return true;
}

static void notified(struct vmlet_virtio *device, unsigned int index)
{
	uint64_t ignored;

	eventfd_read(device->queues[index].notify_fd, &ignored);
	device->notifications++;
	if (running(device))
		device->type->notify(device, index);
}

static void handle_events(struct vmlet_virtio *device, const struct pollfd *fds)
{
	unsigned int queues = device->type->queues;

	pthread_mutex_lock(&device->lock);
	for (unsigned int i = 0; i < queues; i++)
		device->queues[i].served = 0;
	for (unsigned int i = 0; i < queues; i++) {
		if (fds[POLL_QUEUES + i].revents)
			notified(device, i);
	}
	if (fds[POLL_QUEUES + queues].revents)
		device->type->ready(device, fds[POLL_QUEUES + queues].revents);
	vmlet_virtio_signal(device);
	pthread_mutex_unlock(&device->lock);
}

static void *serve(void *argument)
{
	struct vmlet_virtio *device = argument;
	unsigned int queues = device->type->queues;
	struct pollfd fds[POLL_MAX] = {
		[POLL_END] = { .fd = device->bus->end_fd, .events = POLLIN },
	};

	for (unsigned int i = 0; i < queues; i++)
		fds[POLL_QUEUES + i] = (struct pollfd){ device->queues[i].notify_fd, POLLIN, 0 };
	while (!fds[POLL_END].revents) {
		pthread_mutex_lock(&device->lock);
		fds[POLL_QUEUES + queues] = (struct pollfd){ device->fd, device->events, 0 };
		pthread_mutex_unlock(&device->lock);
		if (poll(fds, POLL_QUEUES + queues + 1, -1) > 0)
			handle_events(device, fds);
	}
	return NULL;
}

static bool open_fds(struct vmlet_virtio *device)
{
	bool ok;

	device->irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ok = device->irq_fd >= 0;
	for (unsigned int i = 0; ok && i < device->type->queues; i++) {
		device->queues[i].notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ok = device->queues[i].notify_fd >= 0;
	}
	return ok;
}

/* The way in and the way out, both through the kernel. */
static int connect_fds(const struct vmlet_virtio *device)
{
	const struct vmlet_vm *vm = device->bus->vm;
	uint64_t notify = VMLET_VIRTIO_BASE + device->number * VMLET_VIRTIO_STRIDE +
			  VIRTIO_MMIO_QUEUE_NOTIFY;
	int ret = vmlet_vm_irqfd(vm, device->irq_fd, VMLET_VIRTIO_GSI + device->number, true);

	for (unsigned int i = 0; ret == 0 && i < device->type->queues; i++)
		ret = vmlet_vm_ioeventfd(vm, device->queues[i].notify_fd, notify, i);
	return ret;
}

int vmlet_virtio_connect(const struct vmlet_virtio_bus *bus)
{
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < bus->count; i++)
		ret = connect_fds(bus->devices[i]);
	return ret;
}

int vmlet_virtio_disconnect(const struct vmlet_virtio_bus *bus)
{
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < bus->count; i++)
		ret = vmlet_vm_irqfd(bus->vm, bus->devices[i]->irq_fd, VMLET_VIRTIO_GSI + i, false);
	return ret;
}

static struct vmlet_virtio *new_device(struct vmlet_virtio_bus *bus,
				       const struct vmlet_virtio_type *type)
{
	struct vmlet_virtio *device;

	if (bus->count == VMLET_VIRTIO_MAX) {
		vmlet_error("too many devices; a machine has room for %u", VMLET_VIRTIO_MAX);
		return NULL;
	}
	device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	device->type = type;
	device->bus = bus;
	device->number = bus->count;
	device->offered = VMLET_FEATURE(VIRTIO_F_VERSION_1) | VMLET_QUEUE_FEATURES;
	device->fd = -1;
	device->irq_fd = -1;
	for (unsigned int i = 0; i < VMLET_VIRTIO_QUEUES; i++)
		device->queues[i].notify_fd = -1;
	pthread_mutex_init(&device->lock, NULL);
	bus->devices[bus->count++] = device;
	return device;
}

bool vmlet_virtio_add(struct vmlet_virtio_bus *bus, const struct vmlet_virtio_type *type,
		      const char *value)
{
	struct vmlet_virtio *device = new_device(bus, type);
	int ret;

	if (!device || !type->open(device, value))
		return false;
	ret = open_fds(device) ? connect_fds(device) : -errno;
	if (ret < 0)
		vmlet_error("%s: eventfds: %s; `vmlet check` says what the device lacks", type->name,
			    strerror(-ret));
	return ret == 0;
}

int vmlet_virtio_start(struct vmlet_virtio_bus *bus)
{
	for (; bus->started < bus->count; bus->started++) {
		struct vmlet_virtio *device = bus->devices[bus->started];
		int ret = pthread_create(&device->thread, NULL, serve, device);

		if (ret)
			return -ret;
	}
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vmlet_virtio_stop(struct vmlet_virtio_bus *bus)
{
	while (bus->started)
		pthread_join(bus->devices[--bus->started]->thread, NULL);
}

void vmlet_virtio_destroy(struct vmlet_virtio_bus *bus)
{
	vmlet_virtio_stop(bus);
	for (unsigned int i = 0; i < bus->count; i++) {
		struct vmlet_virtio *device = bus->devices[i];

		device->type->close(device);
		close_fd(device->irq_fd);
		for (unsigned int j = 0; j < VMLET_VIRTIO_QUEUES; j++)
			close_fd(device->queues[j].notify_fd);
		free(device);
	}
	bus->count = 0;
}

void vmlet_virtio_print_stats(const struct vmlet_virtio_bus *bus)
{
	for (unsigned int i = 0; i < bus->count; i++)
		fprintf(stderr, "  virtio %-19s %12" PRIu64 " notifications %12" PRIu64 " interrupts\n",
			bus->devices[i]->type->name, bus->devices[i]->notifications,
			bus->devices[i]->interrupts);
}
