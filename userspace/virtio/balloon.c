// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the balloon device (VIRTIO 5.5): memory that the guest gives back
 *
 * What the guest puts into the balloon, or reports to be free, returns to the host and
 * reads as zeroes when it is touched again. So there is nothing to do for memory that
 * leaves the balloon: the host provides it on the first touch.
 */
#include "virtio.h"

#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "macros.h"
#include "report.h"
#include "size.h"

#define PAGE_SIZE 4096ull

/* Drivers put a few hundred pages into a request; of larger ones the rest is not released. */
#define PAGES_MAX 65536

/*
 * The queue for reports is the fifth, but drivers that use neither of the two before it,
 * which are not offered here, have counted it as the third.
 */
enum { INFLATE, DEFLATE, REPORT_THIRD, REPORT_FOURTH, REPORT_FIFTH, QUEUES };

static bool balloon_check(const char *value, uint64_t memory)
{
	uint64_t size;

	if (!vmlet_parse_size(value, &size)) {
		vmlet_error("--balloon %s: not a size; see `vmlet run --help`", value);
		return false;
	}
	if (size >= memory || size / PAGE_SIZE > UINT32_MAX) {
		vmlet_error("--balloon %s: must be less than --mem", value);
		return false;
	}
	return true;
}

static bool balloon_open(struct vmlet_virtio *device, const char *value)
{
	struct virtio_balloon_config *config = calloc(1, sizeof(*config));
	uint64_t size;

	device->config = config;
	if (!config || !vmlet_parse_size(value, &size))
		return false;
	config->num_pages = size / PAGE_SIZE;
	device->config_size = sizeof(*config);
	device->offered |= VMLET_FEATURE(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
			   VMLET_FEATURE(VIRTIO_BALLOON_F_REPORTING);
	return true;
}

static void balloon_close(struct vmlet_virtio *device)
{
	free(device->config);
}

/* Whole pages of this process; what the guest says about others has no effect. */
static void release(void *memory, size_t size)
{
	if ((uintptr_t)memory % PAGE_SIZE == 0)
		madvise(memory, size & ~(PAGE_SIZE - 1), MADV_DONTNEED);
}

static void inflate(const struct vmlet_vm *vm, struct vmlet_chain *chain)
{
	uint32_t pfn;

	for (unsigned int i = 0; i < PAGES_MAX; i++) {
		void *page;

		if (vmlet_buffers_read(&chain->out, &pfn, sizeof(pfn)) != sizeof(pfn))
			return;
		page = vmlet_vm_memory(vm, (uint64_t)pfn << VIRTIO_BALLOON_PFN_SHIFT, PAGE_SIZE);
		if (page)
			release(page, PAGE_SIZE);
	}
}

static void report(struct vmlet_chain *chain)
{
	for (unsigned int i = 0; i < chain->in.count; i++)
		release(chain->in.iov[i].iov_base, chain->in.iov[i].iov_len);
}

static void balloon_notify(struct vmlet_virtio *device, unsigned int index)
{
	struct vmlet_chain chain;

	while (vmlet_virtio_pop(device, index, &chain)) {
		if (index == INFLATE)
			inflate(device->bus->vm, &chain);
		else if (index != DEFLATE)
			report(&chain);
		vmlet_virtio_push(device, index, &chain, 0);
	}
}

const struct vmlet_virtio_type vmlet_virtio_balloon = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.queues = QUEUES,
	.config_writable = true,
	.check = balloon_check,
	.open = balloon_open,
	.close = balloon_close,
	.notify = balloon_notify,
};
