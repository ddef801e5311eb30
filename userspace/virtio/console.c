// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the console device (VIRTIO 5.3), hvc0 in a Linux guest: one port, the terminal
 */
#include "virtio.h"

#include <linux/virtio_console.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { RECEIVE, TRANSMIT, QUEUES };

#define TYPED_MAX 256
#define PIECE_SIZE 1024

/* The size is the terminal's when the guest starts; without a terminal there is none. */
static bool console_open(struct vmlet_virtio *device, const char *value)
{
	struct virtio_console_config *config = calloc(1, sizeof(*config));
	struct winsize size;

	(void)value;
	if (!config)
		return false;
	device->config = config;
	device->config_size = sizeof(*config);
	device->fd = device->bus->input->ready_fd;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row) {
		config->cols = size.ws_col;
		config->rows = size.ws_row;
		device->offered |= VMLET_FEATURE(VIRTIO_CONSOLE_F_SIZE);
	}
	return true;
}

static void console_close(struct vmlet_virtio *device)
{
	free(device->config);
}

/* A request may be larger than anyone wants to read when the guest has ended. */
static void transmit(struct vmlet_virtio *device)
{
	struct vmlet_chain chain;
	uint8_t piece[PIECE_SIZE];
	size_t size;

	while (vmlet_virtio_pop(device, TRANSMIT, &chain)) {
		do {
			size = vmlet_buffers_read(&chain.out, piece, sizeof(piece));
			vmlet_output_put(device->bus->output, piece, size);
		} while (size && !vmlet_virtio_ended(device));
		vmlet_virtio_push(device, TRANSMIT, &chain, 0);
	}
}

/* Typed bytes stay where they are until the guest has given a buffer for them. */
static void receive(struct vmlet_virtio *device)
{
	struct vmlet_chain chain;
	uint8_t typed[TYPED_MAX];

	while (vmlet_virtio_pop(device, RECEIVE, &chain)) {
		size_t size = vmlet_buffers_size(&chain.in);

		size = vmlet_input_take(device->bus->input, typed, size < TYPED_MAX ? size : TYPED_MAX);
		if (!size) {
			vmlet_queue_unpop(&device->queues[RECEIVE].queue);
			break;
		}
		vmlet_virtio_push(device, RECEIVE, &chain, vmlet_buffers_write(&chain.in, typed, size));
	}
}

static void console_notify(struct vmlet_virtio *device, unsigned int index)
{
	if (index == TRANSMIT) {
		transmit(device);
		return;
	}
	device->events = POLLIN;
	receive(device);
}

static void console_ready(struct vmlet_virtio *device, short events)
{
	uint64_t ignored;

	(void)events;
	eventfd_read(device->fd, &ignored);
	receive(device);
}

const struct vmlet_virtio_type vmlet_virtio_console = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.queues = QUEUES,
	.open = console_open,
	.close = console_close,
	.notify = console_notify,
	.ready = console_ready,
};
