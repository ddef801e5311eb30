// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the network device (VIRTIO 5.1): a tap of the host, or passt's user-mode network
 *
 * passt is a program of its own that needs no privileges; it gets one end of a socket
 * pair, on which each frame is preceded by its length in four bytes, big endian. A frame
 * that has been sent in part must be completed, so the socket has buffers of its own.
 */
#include "virtio.h"

#include "macros.h"
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECEIVE, TRANSMIT, QUEUES };

/* What every frame of the guest begins with. */
#define HEADER_SIZE sizeof(struct virtio_net_hdr_v1)
#define FRAME_MAX 65535
#define LENGTH_SIZE sizeof(uint32_t)
#define STREAM_SIZE (LENGTH_SIZE + FRAME_MAX)

/**
 * struct stream - bytes on their way over the socket
 * @bytes: frames, each after its length
 * @start: first byte that is still needed
 * @end: behind the last one
 */
struct stream {
	uint8_t bytes[STREAM_SIZE];
	size_t start;
	size_t end;
};

/**
 * struct net - what is behind the device
 * @config: what the guest reads
 * @passt: process, 0 for a tap
 * @sending: the frame that is being sent to passt
 * @received: what passt has sent
 */
struct net {
	struct virtio_net_config config;
	pid_t passt;
	struct stream sending;
	struct stream received;
};

#define TAP "tap="

static const struct vmlet_remedy tap_remedies[] = {
	{ ENOENT, "there is no /dev/net/tun. Load its module: `modprobe tun`" },
	{ ENODEV, "/dev/net/tun has no driver behind it. Load its module: `modprobe tun`" },
	{ ENXIO, "there is no such interface. Make it: `ip tuntap add NAME mode tap user $USER`" },
	{ EACCES, "you may not open /dev/net/tun: `chmod 666 /dev/net/tun`" },
	{ EPERM, "it is not yours. Make it with `ip tuntap add NAME mode tap user $USER`" },
	{ EBUSY, "another program is using it; give each guest an interface of its own" },
	{ EINVAL, "it is no tap interface, or one of many queues. Make one: `ip tuntap add NAME mode tap`" },
	{ 0, NULL }
};

static bool net_check(const char *value, uint64_t memory)
{
	(void)memory;
	if (!strcmp(value, "user"))
		return true;
	if (strncmp(value, TAP, strlen(TAP))) {
		vmlet_error("--net %s: give tap=NAME or user", value);
		return false;
	}
	if (strlen(value) == strlen(TAP) || strlen(value) >= strlen(TAP) + IFNAMSIZ) {
		vmlet_error("--net %s: not the name of an interface", value);
		return false;
	}
	return true;
}

/* The driver would make an interface that does not exist, for this run and of no use. */
static int attach_tap(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = HEADER_SIZE;

	if (fd < 0)
		return -errno;
	if (!if_nametoindex(name))
		return -ENXIO;
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	/* A program that had the interface before may have taken what our guest does not. */
	return ioctl(fd, TUNSETOFFLOAD, 0) < 0 ? -errno : 0;
}

static bool open_tap(struct vmlet_virtio *device, const char *name)
{
	char what[32 + IFNAMSIZ];
	int ret;

	device->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ret = attach_tap(device->fd, name);
	if (ret < 0) {
		snprintf(what, sizeof(what), "--net " TAP "%s", name);
		vmlet_report_remedy(what, -ret, tap_remedies);
		return false;
	}
	device->offered |= VMLET_FEATURE(VIRTIO_NET_F_CSUM) | VMLET_FEATURE(VIRTIO_NET_F_HOST_TSO4) |
			   VMLET_FEATURE(VIRTIO_NET_F_HOST_TSO6);
	return true;
}

/*
 * It ends when its socket is closed, which happens however we end. It would rather send
 * frames of 64 KiB, but a driver's buffers are of the usual size.
 */
static int spawn_passt(int fd, pid_t *pid)
{
	char number[12], *arguments[] = {
		"passt", "--foreground", "--quiet", "--mtu", "1500", "--fd", number, NULL,
	};
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	snprintf(number, sizeof(number), "%d", fd);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	error = posix_spawnp(pid, arguments[0], NULL, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	return error;
}

static bool open_passt(struct vmlet_virtio *device, struct net *net)
{
	int fds[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
		vmlet_error("--net: socket: %s", strerror(errno));
		return false;
	}
	device->fd = fds[0];
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	error = spawn_passt(fds[1], &net->passt);
	close(fds[1]);
	if (error == ENOENT)
		vmlet_error("--net user needs the program passt: `apt install passt`");
	else if (error)
		vmlet_error("--net: passt: %s", strerror(error));
	return !error;
}

/* A locally administered address that no other guest has, as far as chance goes. */
static bool choose_address(struct virtio_net_config *config)
{
	if (getrandom(config->mac, sizeof(config->mac), 0) != sizeof(config->mac))
		return false;
	config->mac[0] = (config->mac[0] & ~1) | 2;
	return true;
}

static bool net_open(struct vmlet_virtio *device, const char *value)
{
	struct net *net = calloc(1, sizeof(*net));

	device->private = net;
	if (!net || !choose_address(&net->config))
		return false;
	device->config = &net->config;
	device->config_size = sizeof(net->config);
	device->offered |= VMLET_FEATURE(VIRTIO_NET_F_MAC);
	if (!strcmp(value, "user"))
		return open_passt(device, net);
	return open_tap(device, value + strlen(TAP));
}

static void net_close(struct vmlet_virtio *device)
{
	struct net *net = device->private;

	if (device->fd >= 0)
		close(device->fd);
	if (net && net->passt > 0) {
		kill(net->passt, SIGTERM);
		waitpid(net->passt, NULL, 0);
	}
	free(net);
}

/* With the cable out, frames are lost. */
static void drop(struct vmlet_virtio *device)
{
	struct vmlet_chain chain;

	while (vmlet_virtio_pop(device, TRANSMIT, &chain))
		vmlet_virtio_push(device, TRANSMIT, &chain, 0);
}

/*
 * The host's end is gone: the guest's cable is out, and stays so. A driver whose queue is
 * full notifies no more, so what is there is dropped now.
 */
static void hang_up(struct vmlet_virtio *device)
{
	vmlet_error("--net: the network has ended");
	close(device->fd);
	device->fd = -1;
	drop(device);
}

static bool nothing_yet(ssize_t ret)
{
	return ret < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
}

/* A frame that the host does not want is lost, as on any network. */
static void transmit_tap(struct vmlet_virtio *device)
{
	struct vmlet_chain chain;

	while (device->fd >= 0 && vmlet_virtio_pop(device, TRANSMIT, &chain)) {
		bool gone = writev(device->fd, chain.out.iov, chain.out.count) < 0 &&
			    errno == EBADFD;

		vmlet_virtio_push(device, TRANSMIT, &chain, 0);
		if (gone)
			hang_up(device);
	}
}

/*
 * One frame at a time: a frame's header is of the tap's interest only. One without an
 * Ethernet header is none; passt would take it for a broken stream.
 */
static bool next_frame(struct vmlet_virtio *device, struct stream *stream)
{
	struct virtio_net_hdr_v1 header;
	struct vmlet_chain chain;
	uint32_t length;

	if (!vmlet_virtio_pop(device, TRANSMIT, &chain))
		return false;
	vmlet_buffers_read(&chain.out, &header, sizeof(header));
	length = vmlet_buffers_read(&chain.out, stream->bytes + LENGTH_SIZE, FRAME_MAX);
	vmlet_virtio_push(device, TRANSMIT, &chain, 0);
	stream->start = 0;
	stream->end = length >= ETH_HLEN ? LENGTH_SIZE + length : 0;
	length = htonl(length);
	memcpy(stream->bytes, &length, sizeof(length));
	return true;
}

static void transmit_passt(struct vmlet_virtio *device, struct stream *stream)
{
	device->events &= ~POLLOUT;
	while (stream->start < stream->end || next_frame(device, stream)) {
		ssize_t sent = send(device->fd, stream->bytes + stream->start,
				    stream->end - stream->start, MSG_NOSIGNAL);

		if (nothing_yet(sent)) {
			device->events |= POLLOUT;
			return;
		}
		if (sent < 0) {
			hang_up(device);
			return;
		}
		stream->start += sent;
	}
}

/* The guest's next buffer, in which there must be room for a header at least. */
static bool next_buffer(struct vmlet_virtio *device, struct vmlet_chain *chain)
{
	if (!vmlet_virtio_pop(device, RECEIVE, chain))
		return false;
	if (vmlet_buffers_size(&chain->in) >= HEADER_SIZE)
		return true;
	vmlet_virtio_fail(device);
	return false;
}

/*
 * One frame straight into the guest's buffer; what does not fit is cut off. The interface
 * may have been deleted; what else there is to complain about passes.
 */
static void receive_tap(struct vmlet_virtio *device)
{
	struct vmlet_chain chain;

	while (next_buffer(device, &chain)) {
		ssize_t size = readv(device->fd, chain.in.iov, chain.in.count);

		if (size < 0) {
			vmlet_queue_unpop(&device->queues[RECEIVE].queue);
			if (errno == EBADFD || errno == EFAULT || errno == EIO)
				hang_up(device);
			return;
		}
		if (chain.in.count && chain.in.iov->iov_len >= HEADER_SIZE)
			((struct virtio_net_hdr_v1 *)chain.in.iov->iov_base)->num_buffers = 1;
		vmlet_virtio_push(device, RECEIVE, &chain, size);
	}
	device->events &= ~POLLIN;
}

/* The length of the first frame in the stream, if all of it is there. */
static bool complete(const struct stream *stream, uint32_t *length)
{
	if (stream->end - stream->start < LENGTH_SIZE)
		return false;
	memcpy(length, stream->bytes + stream->start, sizeof(*length));
	*length = ntohl(*length);
	return stream->end - stream->start - LENGTH_SIZE >= *length;
}

static void deliver(struct vmlet_virtio *device, struct vmlet_chain *chain, const uint8_t *frame,
		    uint32_t length)
{
	const struct virtio_net_hdr_v1 header = { .num_buffers = 1 };
	size_t size = vmlet_buffers_write(&chain->in, &header, sizeof(header));

	size += vmlet_buffers_write(&chain->in, frame, length);
	vmlet_virtio_push(device, RECEIVE, chain, size);
}

/* More from the socket; false if there is none, or nothing to be understood. */
static bool fill(struct vmlet_virtio *device, struct stream *stream)
{
	ssize_t got;

	memmove(stream->bytes, stream->bytes + stream->start, stream->end - stream->start);
	stream->end -= stream->start;
	stream->start = 0;
	got = recv(device->fd, stream->bytes + stream->end, STREAM_SIZE - stream->end, 0);
	if (nothing_yet(got))
		return false;
	if (got <= 0) {
		hang_up(device);
		return false;
	}
	stream->end += got;
	return true;
}

static void receive_passt(struct vmlet_virtio *device, struct stream *stream)
{
	struct vmlet_chain chain;
	uint32_t length;

	while (next_buffer(device, &chain)) {
		while (!complete(stream, &length)) {
			if (!fill(device, stream)) {
				vmlet_queue_unpop(&device->queues[RECEIVE].queue);
				return;
			}
		}
		deliver(device, &chain, stream->bytes + stream->start + LENGTH_SIZE, length);
		stream->start += LENGTH_SIZE + length;
	}
	device->events &= ~POLLIN;
}

static void receive(struct vmlet_virtio *device)
{
	struct net *net = device->private;

	device->events |= POLLIN;
	if (device->fd >= 0 && net->passt)
		receive_passt(device, &net->received);
	else if (device->fd >= 0)
		receive_tap(device);
}

static void transmit(struct vmlet_virtio *device)
{
	struct net *net = device->private;

	if (device->fd < 0)
		drop(device);
	else if (net->passt)
		transmit_passt(device, &net->sending);
	else
		transmit_tap(device);
}

static void net_notify(struct vmlet_virtio *device, unsigned int index)
{
	if (index == TRANSMIT)
		transmit(device);
	else
		receive(device);
}

static void net_ready(struct vmlet_virtio *device, short events)
{
	if (events & ~(POLLIN | POLLOUT)) {
		hang_up(device);
		return;
	}
	if (events & POLLOUT)
		transmit(device);
	if (events & POLLIN)
		receive(device);
}

const struct vmlet_virtio_type vmlet_virtio_net = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.queues = QUEUES,
	.check = net_check,
	.open = net_open,
	.close = net_close,
	.notify = net_notify,
	.ready = net_ready,
};
