// SPDX-License-Identifier: GPL-2.0
/*
 * The runner's virtio transport and queues, alone: what a driver does by the rules, and
 * what a hostile one does. The test is the driver, on memory of its own; a device's
 * thread is not needed, for its type's functions are called from here.
 */
#include "../virtio/virtio.h"
#include "../macros.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define MEMORY 0x20000u
#define SIZE 8u
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define TABLE 0x4000u
#define DATA 0x5000u

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static struct vmlet_vm vm;
static struct vmlet_virtio_bus bus;
static struct vmlet_virtio device;
static struct vmlet_queue queue;
static struct vmlet_chain chain;
static struct vring_desc *desc(unsigned int index)
{
	return (struct vring_desc *)(memory + DESC) + index;
}

static struct vring_avail *avail(void)
{
	return (struct vring_avail *)(memory + AVAIL);
}

static struct vring_used *used(void)
{
	return (struct vring_used *)(memory + USED);
}

static void set_desc(unsigned int index, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc(index) = (struct vring_desc){ addr, len, flags, next };
}

/* The driver makes a chain available. */
static void offer(uint16_t head)
{
	avail()->ring[avail()->idx % SIZE] = head;
	avail()->idx++;
}

static void start_queue(uint64_t features)
{
	const struct vmlet_queue_setup setup = { SIZE, DESC, AVAIL, USED };

	memset(memory, 0, sizeof(memory));
	vm = (struct vmlet_vm){ .slots = { { 0, MEMORY, memory } }, .nr_slots = 1 };
	CHECK(vmlet_queue_start(&queue, &vm, &setup, features));
}

static void chains(void)
{
	start_queue(0);
	set_desc(2, DATA, 4, VRING_DESC_F_NEXT, 5);
	set_desc(5, DATA + 4, 6, VRING_DESC_F_NEXT, 0);
	set_desc(0, DATA + 16, 8, VRING_DESC_F_WRITE, 3);
	memcpy(memory + DATA, "0123456789", 10);
	CHECK(vmlet_queue_pop(&queue, &chain) == 0);
	offer(2);
	CHECK(vmlet_queue_pop(&queue, &chain) == 1);
	CHECK(chain.head == 2 && chain.out.count == 2 && chain.in.count == 1);
	CHECK(vmlet_buffers_size(&chain.out) == 10 && vmlet_buffers_size(&chain.in) == 8);
	vmlet_queue_unpop(&queue);
	CHECK(vmlet_queue_pop(&queue, &chain) == 1 && chain.head == 2);
	CHECK(vmlet_buffers_write(&chain.in, "abc", 3) == 3);
	CHECK(!memcmp(memory + DATA + 16, "abc", 4));
	vmlet_queue_push(&queue, &chain, 3);
	CHECK(used()->idx == 1 && used()->ring[0].id == 2 && used()->ring[0].len == 3);
	CHECK(vmlet_queue_pop(&queue, &chain) == 0);
}

static void buffers(void)
{
	uint8_t bytes[16] = "";
	uint8_t *last;

	start_queue(0);
	memcpy(memory + DATA, "0123456789", 10);
	set_desc(0, DATA, 3, VRING_DESC_F_NEXT, 1);
	set_desc(1, DATA + 3, 0, VRING_DESC_F_NEXT, 2);
	set_desc(2, DATA + 3, 7, VRING_DESC_F_NEXT, 3);
	set_desc(3, DATA + 32, 5, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 4);
	set_desc(4, DATA + 64, 0, VRING_DESC_F_WRITE, 0);
	offer(0);
	CHECK(vmlet_queue_pop(&queue, &chain) == 1);
	CHECK(vmlet_buffers_read(&chain.out, bytes, 5) == 5 && !memcmp(bytes, "01234", 5));
	CHECK(vmlet_buffers_read(&chain.out, bytes, 16) == 5 && !memcmp(bytes, "56789", 5));
	CHECK(vmlet_buffers_read(&chain.out, bytes, 1) == 0);
	last = vmlet_buffers_last(&chain.in);
	CHECK(last == memory + DATA + 36);
	CHECK(vmlet_buffers_write(&chain.in, "abcdefgh", 8) == 4);
	CHECK(!memcmp(memory + DATA + 32, "abcd\0", 5));
	CHECK(!vmlet_buffers_last(&chain.in));
}

static void indirect(void)
{
	struct vring_desc *table = (struct vring_desc *)(memory + TABLE);

	start_queue(VMLET_QUEUE_FEATURES);
	table[0] = (struct vring_desc){ DATA, 4, VRING_DESC_F_NEXT, 2 };
	table[2] = (struct vring_desc){ DATA + 8, 4, VRING_DESC_F_WRITE, 0 };
	set_desc(7, TABLE, 3 * sizeof(*table), VRING_DESC_F_INDIRECT, 0);
	offer(7);
	CHECK(vmlet_queue_pop(&queue, &chain) == 1);
	CHECK(chain.head == 7 && chain.out.count == 1 && chain.in.count == 1);
	CHECK(chain.in.iov->iov_base == memory + DATA + 8);
}

/* Queues that cannot be, each by one value. */
static void bad_setups(void)
{
	static const struct vmlet_queue_setup setups[] = {
		{ 0, DESC, AVAIL, USED }, { 6, DESC, AVAIL, USED }, { 512, DESC, AVAIL, USED },
		{ 0x80000000, DESC, AVAIL, USED }, { SIZE, DESC + 8, AVAIL, USED },
		{ SIZE, DESC, AVAIL + 1, USED }, { SIZE, DESC, AVAIL, USED + 2 },
		{ SIZE, MEMORY - 64, AVAIL, USED }, { SIZE, DESC, MEMORY - 20, USED },
		{ SIZE, DESC, AVAIL, MEMORY - 68 }, { SIZE, ~0xfull, AVAIL, USED },
		{ SIZE, DESC, ~1ull, USED }, { SIZE, DESC, AVAIL, 1ull << 63 },
	};

	start_queue(0);
	for (size_t i = 0; i < ARRAY_SIZE(setups); i++)
		CHECK(!vmlet_queue_start(&queue, &vm, &setups[i], 0));
}

/* Chains that cannot be: the first descriptor, and the second where there is one. */
static void bad_chains(void)
{
	static const struct {
		uint16_t head;
		struct vring_desc first, second;
	} rows[] = {
		{ SIZE, { DATA, 1, 0, 0 }, { 0 } },
		{ 0xffff, { DATA, 1, 0, 0 }, { 0 } },
		{ 0, { DATA, 1, VRING_DESC_F_NEXT, SIZE }, { 0 } },
		{ 0, { DATA, 1, VRING_DESC_F_NEXT, 0 }, { 0 } },
		{ 0, { DATA, 1, VRING_DESC_F_NEXT, 1 }, { DATA, 1, VRING_DESC_F_NEXT, 0 } },
		{ 0, { MEMORY, 1, 0, 0 }, { 0 } },
		{ 0, { MEMORY - 4, 5, 0, 0 }, { 0 } },
		{ 0, { ~0ull, 2, 0, 0 }, { 0 } },
		{ 0, { 8, 0xffffffff, 0, 0 }, { 0 } },
		{ 0, { DATA, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1 }, { DATA, 1, 0, 0 } },
		{ 0, { TABLE, 0, VRING_DESC_F_INDIRECT, 0 }, { 0 } },
		{ 0, { TABLE, 24, VRING_DESC_F_INDIRECT, 0 }, { 0 } },
		{ 0, { MEMORY, 16, VRING_DESC_F_INDIRECT, 0 }, { 0 } },
		{ 0, { MEMORY - 16, 32, VRING_DESC_F_INDIRECT, 0 }, { 0 } },
		{ 0, { TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 }, { DATA, 1, 0, 0 } },
		/* A table that refers to itself, by a table in a table, and by a loop. */
		{ 0, { DESC, 16, VRING_DESC_F_INDIRECT, 0 }, { 0 } },
		{ 0, { DESC + 16, 16, VRING_DESC_F_INDIRECT, 0 }, { DATA, 1, VRING_DESC_F_NEXT, 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_queue(VMLET_QUEUE_FEATURES);
		*desc(0) = rows[i].first;
		*desc(1) = rows[i].second;
		offer(rows[i].head);
		if (vmlet_queue_pop(&queue, &chain) != -EINVAL)
			ksft_print_msg("row %zu\n", i);
		CHECK(vmlet_queue_pop(&queue, &chain) <= 0);
	}
	/* More requests than there are descriptors. */
	start_queue(0);
	avail()->idx = SIZE + 1;
	CHECK(vmlet_queue_pop(&queue, &chain) == -EINVAL);
	/* A table of its own with more buffers than any request may have. */
	start_queue(VMLET_QUEUE_FEATURES);
	for (unsigned int i = 0; i < 300; i++)
		((struct vring_desc *)(memory + TABLE))[i] =
			(struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, i + 1 };
	set_desc(0, TABLE, 301 * sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0);
	offer(0);
	CHECK(vmlet_queue_pop(&queue, &chain) == -EINVAL);
}

/* Indices that wrap around after 65536 requests. */
static void wrapping(void)
{
	start_queue(0);
	set_desc(1, DATA, 4, 0, 0);
	for (unsigned int i = 0; i < 70000; i++) {
		offer(1);
		CHECK(vmlet_queue_pop(&queue, &chain) == 1);
		vmlet_queue_push(&queue, &chain, 0);
		CHECK(vmlet_queue_pop(&queue, &chain) == 0);
	}
	CHECK(used()->idx == (uint16_t)70000);
}

static void give_back(void)
{
	offer(0);
	CHECK(vmlet_queue_pop(&queue, &chain) == 1);
	vmlet_queue_push(&queue, &chain, 0);
}

/* When the driver wants to be told, by a flag and by an index. */
static void signals(void)
{
	start_queue(0);
	set_desc(0, DATA, 1, 0, 0);
	CHECK(!vmlet_queue_must_signal(&queue));
	give_back();
	CHECK(vmlet_queue_must_signal(&queue) && !vmlet_queue_must_signal(&queue));
	avail()->flags = VRING_AVAIL_F_NO_INTERRUPT;
	give_back();
	CHECK(!vmlet_queue_must_signal(&queue));

	start_queue(VMLET_QUEUE_FEATURES);
	set_desc(0, DATA, 1, 0, 0);
	vring_used_event(&queue.ring) = 2;
	give_back();
	give_back();
	CHECK(!vmlet_queue_must_signal(&queue));
	give_back();
	CHECK(vmlet_queue_must_signal(&queue));
	give_back();
	CHECK(!vmlet_queue_must_signal(&queue));
	/* The device says which request it wants to hear of: the next one. */
	CHECK(vmlet_queue_pop(&queue, &chain) == 0);
	CHECK(vring_avail_event(&queue.ring) == 4);
}

static bool nothing_to_open(struct vmlet_virtio *self, const char *value)
{
	(void)self;
	(void)value;
	return true;
}

static void nothing_to_close(struct vmlet_virtio *self)
{
	(void)self;
}

/* Echoes how much there was to read. */
static void echo_size(struct vmlet_virtio *self, unsigned int index)
{
	while (vmlet_virtio_pop(self, index, &chain))
		vmlet_virtio_push(self, index, &chain, vmlet_buffers_size(&chain.out));
}

static const struct vmlet_virtio_type echo = {
	.name = "echo", .id = 42, .queues = 2,
	.open = nothing_to_open, .close = nothing_to_close, .notify = echo_size,
};

static uint32_t config = 0x12345678;
static atomic_bool ended;

static void power_on(void)
{
	start_queue(0);
	device = (struct vmlet_virtio){
		.type = &echo, .bus = &bus, .offered = VMLET_FEATURE(VIRTIO_F_VERSION_1) | 0x21,
		.config = &config, .config_size = sizeof(config), .fd = -1, .irq_fd = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	device.queues[0].notify_fd = -1;
	device.queues[1].notify_fd = -1;
	ended = false;
	bus = (struct vmlet_virtio_bus){
		.vm = &vm, .ended = &ended, .devices = { &device }, .count = 1,
	};
}

static struct kvm_run run;

static bool access_mmio(uint64_t offset, uint32_t *value, uint32_t len, bool is_write)
{
	bool found;

	run.mmio.phys_addr = VMLET_VIRTIO_BASE + offset;
	run.mmio.len = len;
	run.mmio.is_write = is_write;
	memcpy(run.mmio.data, value, sizeof(*value));
	found = vmlet_virtio_access(&bus, &run);
	memcpy(value, run.mmio.data, sizeof(*value));
	return found;
}

static uint32_t get(uint64_t offset)
{
	uint32_t value = 0xaaaaaaaa;

	CHECK(access_mmio(offset, &value, 4, false));
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	CHECK(access_mmio(offset, &value, 4, true));
}

static void identity(void)
{
	uint32_t value = 0;

	power_on();
	CHECK(get(VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976 && get(VIRTIO_MMIO_VERSION) == 2);
	CHECK(get(VIRTIO_MMIO_DEVICE_ID) == 42);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) == 0x21);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) == 1);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) == 0);
	CHECK(get(VIRTIO_MMIO_CONFIG) == 0x12345678 && get(VIRTIO_MMIO_CONFIG + 4) == 0);
	CHECK(access_mmio(VIRTIO_MMIO_CONFIG + 1, &value, 1, false) && (value & 0xff) == 0x56);
	set(VIRTIO_MMIO_CONFIG, 0);
	CHECK(config == 0x12345678);
	CHECK(get(0xff0) == 0 && get(VIRTIO_MMIO_STATUS + 1) == 0);
	CHECK(!access_mmio(VMLET_VIRTIO_STRIDE, &value, 4, false));
	CHECK(!access_mmio(-4ull, &value, 4, false));
	/* Registers are of four bytes only. */
	value = 0;
	CHECK(access_mmio(VIRTIO_MMIO_MAGIC_VALUE, &value, 2, false) && value == 0);
}

static uint32_t negotiate(uint32_t low, uint32_t high)
{
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, 3);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, low);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, high);
	set(VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	return get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void features(void)
{
	power_on();
	CHECK(!negotiate(1, 0));
	CHECK(!negotiate(2, 1));
	CHECK(!negotiate(1, 3));
	CHECK(negotiate(1, 1));
	/* Too late. */
	set(VIRTIO_MMIO_DRIVER_FEATURES, 0);
	CHECK(device.accepted == (1ull << 32 | 1));
	set(VIRTIO_MMIO_STATUS, 0);
	CHECK(get(VIRTIO_MMIO_STATUS) == 0 && device.accepted == 0);
}

static void set_up(uint32_t index, uint64_t table)
{
	set(VIRTIO_MMIO_QUEUE_SEL, index);
	set(VIRTIO_MMIO_QUEUE_NUM, SIZE);
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, table);
	set(VIRTIO_MMIO_QUEUE_DESC_HIGH, table >> 32);
	set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	set(VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void queues(void)
{
	power_on();
	CHECK(negotiate(1, 1));
	set(VIRTIO_MMIO_QUEUE_SEL, 2);
	CHECK(get(VIRTIO_MMIO_QUEUE_NUM_MAX) == 0);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 0);
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	CHECK(get(VIRTIO_MMIO_QUEUE_NUM_MAX) == VMLET_QUEUE_MAX);
	set_up(1, DESC);
	CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 1);
	/* A queue in use does not move. */
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, DATA);
	CHECK(device.queues[1].setup.desc == DESC);
	set(VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 0);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 0 && device.queues[1].setup.desc == 0);
}

static void requests(void)
{
	power_on();
	CHECK(negotiate(1, 1));
	set_up(1, DESC);
	set_desc(0, DATA, 33, 0, 0);
	offer(0);
	/* Not before the driver is ready. */
	echo.notify(&device, 1);
	CHECK(used()->idx == 0);
	set(VIRTIO_MMIO_STATUS, 0xf);
	echo.notify(&device, 0);
	echo.notify(&device, 1);
	CHECK(used()->idx == 1 && used()->ring[0].len == 33);
}

/* A driver that broke the rules is told so, and can start again. */
static void failure(void)
{
	power_on();
	CHECK(negotiate(1, 1));
	set_up(0, DESC);
	set(VIRTIO_MMIO_STATUS, 0xf);
	offer(SIZE);
	echo.notify(&device, 0);
	CHECK(get(VIRTIO_MMIO_STATUS) == (0xf | VIRTIO_CONFIG_S_NEEDS_RESET));
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_CONFIG);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
	set_desc(0, DATA, 1, 0, 0);
	offer(0);
	echo.notify(&device, 0);
	CHECK(used()->idx == 0);
	memset(memory, 0, sizeof(memory));
	CHECK(negotiate(1, 1));
	set_up(0, DESC);
	set(VIRTIO_MMIO_STATUS, 0xf);
	set_desc(0, DATA, 1, 0, 0);
	offer(0);
	echo.notify(&device, 0);
	CHECK(used()->idx == 1);
	/* A queue outside memory, too. */
	set_up(1, 1ull << 40);
	CHECK(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Gives each request back at once, so that the queue is never empty. */
static void offer_again(struct vmlet_virtio *self, unsigned int index)
{
	while (vmlet_virtio_pop(self, index, &chain)) {
		vmlet_virtio_push(self, index, &chain, 0);
		offer(chain.head);
	}
}

/* A driver that always has more gets a ring's worth at a time, and nothing after the end. */
static void endless(void)
{
	static struct vmlet_virtio_type type;
	uint64_t count = 0;

	power_on();
	type = echo;
	type.notify = offer_again;
	device.type = &type;
	device.queues[0].notify_fd = eventfd(0, EFD_NONBLOCK);
	CHECK(negotiate(1, 1));
	set_up(0, DESC);
	set(VIRTIO_MMIO_STATUS, 0xf);
	set_desc(0, DATA, 1, 0, 0);
	offer(0);
	type.notify(&device, 0);
	CHECK(used()->idx == SIZE);
	CHECK(eventfd_read(device.queues[0].notify_fd, &count) == 0 && count == 1);
	device.queues[0].served = 0;
	ended = true;
	type.notify(&device, 0);
	CHECK(used()->idx == SIZE);
	close(device.queues[0].notify_fd);
}

#define DISK_SECTORS 8
#define STATUS (DATA + 0x1f00)

/* A disk in memory, as second device beside another disk. */
static void insert_disk(void)
{
	static struct vmlet_virtio neighbour;
	int fd = memfd_create("disk", 0);
	char path[32];

	power_on();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	device.type = &vmlet_virtio_blk;
	neighbour.type = &vmlet_virtio_blk;
	bus.devices[0] = &neighbour;
	bus.devices[1] = &device;
	device.number = 1;
	CHECK(ftruncate(fd, DISK_SECTORS * 512) == 0);
	CHECK(vmlet_virtio_blk.open(&device, path));
	bus.devices[0] = &device;
	close(fd);
	CHECK(negotiate(1u << VIRTIO_BLK_F_FLUSH, 1));
	set_up(0, DESC);
	set(VIRTIO_MMIO_STATUS, 0xf);
}

/* One request with @size bytes of data at DATA + 64; returns its status. */
static uint8_t ask(uint32_t type, uint64_t sector, uint32_t size)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	*(struct virtio_blk_outhdr *)(memory + DATA) =
		(struct virtio_blk_outhdr){ .type = type, .sector = sector };
	set_desc(0, DATA, sizeof(struct virtio_blk_outhdr), VRING_DESC_F_NEXT, size ? 1 : 2);
	set_desc(1, DATA + 64, size, VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0), 2);
	set_desc(2, STATUS, 1, VRING_DESC_F_WRITE, 0);
	memory[STATUS] = 0xff;
	offer(0);
	device.queues[0].served = 0;
	vmlet_virtio_blk.notify(&device, 0);
	return memory[STATUS];
}

static uint32_t last_length(void)
{
	return used()->ring[(uint16_t)(used()->idx - 1) % SIZE].len;
}

static void disk_requests(void)
{
	insert_disk();
	memcpy(memory + DATA + 64, "something", 9);
	CHECK(ask(VIRTIO_BLK_T_OUT, 7, 512) == VIRTIO_BLK_S_OK && last_length() == 1);
	memset(memory + DATA + 64, 0, 1024);
	CHECK(ask(VIRTIO_BLK_T_IN, 6, 1024) == VIRTIO_BLK_S_OK && last_length() == 1025);
	CHECK(!memcmp(memory + DATA + 64 + 512, "something", 9));
	CHECK(ask(VIRTIO_BLK_T_IN, 7, 1024) == VIRTIO_BLK_S_IOERR && last_length() == 0);
	CHECK(ask(VIRTIO_BLK_T_IN, 7, 100) == VIRTIO_BLK_S_IOERR && last_length() == 0);
	CHECK(ask(VIRTIO_BLK_T_OUT, 8, 512) == VIRTIO_BLK_S_IOERR && last_length() == 1);
	CHECK(ask(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK && last_length() == 1);
	CHECK(ask(VIRTIO_BLK_T_GET_ID, 0, 20) == VIRTIO_BLK_S_OK && last_length() == 21);
	CHECK(!strcmp((char *)memory + DATA + 64, "vmlet1"));
	CHECK(ask(77, 0, 0) == VIRTIO_BLK_S_UNSUPP);
	vmlet_virtio_blk.close(&device);
}

/* The status of a discard, or of zeroes, that says @flags and has @size bytes of ranges. */
static uint8_t ask_clear(uint32_t type, uint32_t sectors, uint32_t flags, uint32_t size)
{
	struct virtio_blk_discard_write_zeroes *ranges = (void *)(memory + DATA + 64);

	memset(ranges, 0, size);
	*ranges = (struct virtio_blk_discard_write_zeroes){ 0, sectors, flags };
	return ask(type, 0, size);
}

static void disk_clears(void)
{
	const uint32_t one = sizeof(struct virtio_blk_discard_write_zeroes);

	insert_disk();
	memset(memory + DATA + 64, 'x', 512);
	CHECK(ask(VIRTIO_BLK_T_OUT, 0, 512) == VIRTIO_BLK_S_OK);
	CHECK(ask_clear(VIRTIO_BLK_T_DISCARD, 8, 1, one) == VIRTIO_BLK_S_UNSUPP);
	CHECK(ask_clear(VIRTIO_BLK_T_WRITE_ZEROES, 8, 2, one) == VIRTIO_BLK_S_UNSUPP);
	CHECK(ask_clear(VIRTIO_BLK_T_DISCARD, 9, 0, one) == VIRTIO_BLK_S_IOERR);
	CHECK(ask_clear(VIRTIO_BLK_T_DISCARD, 8, 0, one + 1) == VIRTIO_BLK_S_IOERR);
	CHECK(ask_clear(VIRTIO_BLK_T_DISCARD, 8, 0, 17 * one) == VIRTIO_BLK_S_IOERR);
	CHECK(ask(VIRTIO_BLK_T_IN, 0, 512) == VIRTIO_BLK_S_OK && memory[DATA + 64] == 'x');
	CHECK(ask_clear(VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, one) == VIRTIO_BLK_S_OK);
	CHECK(ask_clear(VIRTIO_BLK_T_DISCARD, 8, 0, 16 * one) == VIRTIO_BLK_S_OK);
	CHECK(ask(VIRTIO_BLK_T_IN, 0, 512) == VIRTIO_BLK_S_OK && memory[DATA + 64] == 0);
	vmlet_virtio_blk.close(&device);
}

static const struct test tests[] = {
	{ "queue: chains", chains },
	{ "queue: buffers in pieces", buffers },
	{ "queue: tables of their own", indirect },
	{ "queue: places that cannot be", bad_setups },
	{ "queue: chains that cannot be", bad_chains },
	{ "queue: indices wrap", wrapping },
	{ "queue: when to signal", signals },
	{ "transport: identity, features, configuration", identity },
	{ "transport: negotiation", features },
	{ "transport: queues", queues },
	{ "transport: requests", requests },
	{ "transport: a broken driver", failure },
	{ "transport: a driver that always has more", endless },
	{ "disk: requests", disk_requests },
	{ "disk: discarding, writing zeroes", disk_clears },
};

int main(void)
{
	run_tests(tests, ARRAY_SIZE(tests));
}
