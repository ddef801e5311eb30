// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the entropy device (VIRTIO 5.4): random bytes of the host's kernel
 */
#include "virtio.h"

#include <sys/random.h>

/* A request may be answered in part; a small part is soon made. */
#define ANSWER_MAX 4096

static bool rng_open(struct vmlet_virtio *device, const char *value)
{
	(void)device;
	(void)value;
	return true;
}

static void rng_close(struct vmlet_virtio *device)
{
	(void)device;
}

static void rng_notify(struct vmlet_virtio *device, unsigned int index)
{
	struct vmlet_chain chain;
	uint8_t bytes[ANSWER_MAX];

	while (vmlet_virtio_pop(device, index, &chain)) {
		size_t size = vmlet_buffers_size(&chain.in);
		ssize_t got = getrandom(bytes, size < ANSWER_MAX ? size : ANSWER_MAX, 0);

		vmlet_virtio_push(device, index, &chain,
				  vmlet_buffers_write(&chain.in, bytes, got > 0 ? got : 0));
	}
}

const struct vmlet_virtio_type vmlet_virtio_rng = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.queues = 1,
	.open = rng_open,
	.close = rng_close,
	.notify = rng_notify,
};
