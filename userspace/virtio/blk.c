// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the block device (VIRTIO 5.2): a file or a block device of the host
 *
 * A write is complete when the host's kernel has it, so that nothing is lost when the
 * guest or this program is killed; a flush waits for the host's disk. A driver that knows
 * no flush has every write wait for it.
 */
#include "virtio.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_SIZE 512
#define DISCARD_SECTORS_MAX (1u << 21)
#define DISCARD_SEGMENTS_MAX 16

/**
 * struct disk - the file behind the device
 * @fd: the file
 * @size: bytes, whole sectors
 * @read_only: the guest may not write
 * @sparse: it may have holes
 * @id: serial number, by its place among the disks
 * @config: what the guest reads
 */
struct disk {
	int fd;
	uint64_t size;
	bool read_only;
	bool sparse;
	char id[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_config config;
};

/**
 * struct request - what the guest wants
 * @device: of what
 * @disk: the disk behind it
 * @header: type and place
 * @chain: its data
 * @written: bytes written to @chain
 */
struct request {
	struct vmlet_virtio *device;
	struct disk *disk;
	struct virtio_blk_outhdr header;
	struct vmlet_chain *chain;
	size_t written;
};

static const struct vmlet_remedy read_remedies[] = { { 0, NULL } };

static const struct vmlet_remedy write_remedies[] = {
	{ EACCES, "you may not write to it; `,ro` after its name makes it read only" },
	{ EROFS, "its file system is read only; `,ro` after its name makes it read only, too" },
	{ 0, NULL }
};

static const struct vmlet_remedy lock_remedies[] = {
	{ EAGAIN, "another virtual machine is using it; use `,ro` in all of them" },
	{ EACCES, "another virtual machine is using it; use `,ro` in all of them" },
	{ 0, " It must be locked against other virtual machines." }
};

static bool refuse(const char *path, int error, const struct vmlet_remedy *remedies)
{
	char what[PATH_MAX];

	snprintf(what, sizeof(what), "--disk %s", path);
	vmlet_report_remedy(what, error, remedies);
	return false;
}

static bool complain(const char *path, const char *complaint)
{
	vmlet_error("--disk %s: %s", path, complaint);
	return false;
}

/* Two machines that write to one file would destroy what is in it. */
static bool lock_file(int fd, bool read_only)
{
	struct flock lock = {
		.l_type = read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* The guest would find no file system in an image of another format, and might make one. */
static bool check_contents(const struct disk *disk, const char *path)
{
	static const char magic[] = { 'Q', 'F', 'I', '\xfb' };
	char start[sizeof(magic)] = "";

	if (pread(disk->fd, start, sizeof(start), 0) == sizeof(start) &&
	    !memcmp(start, magic, sizeof(magic)))
		return complain(path, "it is in QEMU's format qcow2; `qemu-img convert -O raw FILE NEW` makes a raw image");
	if (!disk->size)
		return complain(path, "it is empty; `truncate -s 10G FILE` gives it a size");
	if (disk->size % SECTOR_SIZE)
		return complain(path, "its size is not a multiple of 512 bytes; `truncate -s %512 FILE` makes it one");
	return true;
}

/* A pipe must not make us wait for its other end. */
static bool open_file(struct disk *disk, const char *path)
{
	int flags = (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	struct stat stat;

	disk->fd = open(path, flags);
	if (disk->fd < 0 && errno != EISDIR)
		return refuse(path, errno, disk->read_only ? read_remedies : write_remedies);
	if (disk->fd < 0 || fstat(disk->fd, &stat) < 0 ||
	    !(S_ISREG(stat.st_mode) || S_ISBLK(stat.st_mode)))
		return complain(path, "it is neither a file nor a block device");
	disk->sparse = S_ISREG(stat.st_mode);
	disk->size = lseek(disk->fd, 0, SEEK_END);
	if (!lock_file(disk->fd, disk->read_only))
		return refuse(path, errno, lock_remedies);
	return check_contents(disk, path);
}

static void describe(struct vmlet_virtio *device, struct disk *disk)
{
	unsigned int index = 0;

	for (unsigned int i = 0; i < device->number; i++)
		index += device->bus->devices[i]->type == device->type;
	snprintf(disk->id, sizeof(disk->id), "vmlet%u", index);
	disk->config = (struct virtio_blk_config){
		.capacity = disk->size / SECTOR_SIZE,
		.seg_max = VMLET_QUEUE_MAX - 2, /* less header and status */
		.max_discard_sectors = DISCARD_SECTORS_MAX,
		.max_discard_seg = DISCARD_SEGMENTS_MAX,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = DISCARD_SECTORS_MAX,
		.max_write_zeroes_seg = DISCARD_SEGMENTS_MAX,
		.write_zeroes_may_unmap = 1,
	};
	device->config = &disk->config;
	device->config_size = sizeof(disk->config);
	device->offered |= VMLET_FEATURE(VIRTIO_BLK_F_SEG_MAX) | VMLET_FEATURE(VIRTIO_BLK_F_FLUSH);
	if (disk->read_only)
		device->offered |= VMLET_FEATURE(VIRTIO_BLK_F_RO);
	else if (disk->sparse)
		device->offered |= VMLET_FEATURE(VIRTIO_BLK_F_DISCARD) |
				   VMLET_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
}

static bool blk_open(struct vmlet_virtio *device, const char *value)
{
	size_t length = strlen(value);
	struct disk *disk = calloc(1, sizeof(*disk));
	char *path = strdup(value);
	bool opened = false;

	device->private = disk;
	if (disk && path) {
		disk->fd = -1;
		disk->read_only = length > 3 && !strcmp(path + length - 3, ",ro");
		if (disk->read_only)
			path[length - 3] = 0;
		opened = open_file(disk, path);
	}
	if (opened)
		describe(device, disk);
	free(path);
	return opened;
}

static void blk_close(struct vmlet_virtio *device)
{
	struct disk *disk = device->private;

	if (disk && disk->fd >= 0)
		close(disk->fd);
	free(disk);
}

static bool inside(const struct disk *disk, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = disk->size / SECTOR_SIZE;

	return sector <= sectors && bytes / SECTOR_SIZE <= sectors - sector &&
	       bytes % SECTOR_SIZE == 0;
}

/* Drop what has been transferred; a call may transfer less than it was given. */
static void advance(struct vmlet_buffers *buffers, size_t size)
{
	while (buffers->count && buffers->iov->iov_len <= size) {
		size -= buffers->iov->iov_len;
		buffers->iov++;
		buffers->count--;
	}
	if (size) {
		buffers->iov->iov_base = (char *)buffers->iov->iov_base + size;
		buffers->iov->iov_len -= size;
	}
}

/* All of the buffers, in one call if the host is willing. */
static uint8_t transfer(struct request *request, struct vmlet_buffers *buffers,
			ssize_t (*call)(int fd, const struct iovec *iov, int count, off_t offset))
{
	size_t size = vmlet_buffers_size(buffers), done = 0;

	if (!inside(request->disk, request->header.sector, size))
		return VIRTIO_BLK_S_IOERR;
	while (done < size && !vmlet_virtio_ended(request->device)) {
		ssize_t ret = call(request->disk->fd, buffers->iov, buffers->count,
				   request->header.sector * SECTOR_SIZE + done);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			return VIRTIO_BLK_S_IOERR;
		advance(buffers, ret);
		done += ret;
	}
	return done < size ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static uint8_t do_read(struct request *request)
{
	size_t size = vmlet_buffers_size(&request->chain->in);
	uint8_t status = transfer(request, &request->chain->in, preadv);

	if (status == VIRTIO_BLK_S_OK)
		request->written = size;
	return status;
}

/* Takes long: what is complete need not wait for it. */
static uint8_t do_flush(struct request *request)
{
	vmlet_virtio_signal(request->device);
	return fdatasync(request->disk->fd) < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

/* A driver that knows no flush takes for kept what is complete. */
static uint8_t keep(struct request *request)
{
	if (request->device->accepted & VMLET_FEATURE(VIRTIO_BLK_F_FLUSH))
		return VIRTIO_BLK_S_OK;
	return do_flush(request);
}

static uint8_t do_write(struct request *request)
{
	uint8_t status;

	if (request->disk->read_only)
		return VIRTIO_BLK_S_IOERR;
	status = transfer(request, &request->chain->out, pwritev);
	return status == VIRTIO_BLK_S_OK ? keep(request) : status;
}

static uint8_t do_get_id(struct request *request)
{
	request->written = vmlet_buffers_write(&request->chain->in, request->disk->id,
					       sizeof(request->disk->id));
	return VIRTIO_BLK_S_OK;
}

/* One range that shall read as zeroes, or may; a hole in the file does both. */
static uint8_t clear(struct request *request, const struct virtio_blk_discard_write_zeroes *range)
{
	bool must = request->header.type == VIRTIO_BLK_T_WRITE_ZEROES;
	bool unmap = !must || range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	int mode = FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	uint64_t bytes = (uint64_t)range->num_sectors * SECTOR_SIZE;

	if (range->flags & ~(must ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	if (range->num_sectors > DISCARD_SECTORS_MAX || !inside(request->disk, range->sector, bytes))
		return VIRTIO_BLK_S_IOERR;
	if (bytes && fallocate(request->disk->fd, mode, range->sector * SECTOR_SIZE, bytes) < 0 && must)
		return errno == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_discard(struct request *request)
{
	struct virtio_blk_discard_write_zeroes ranges[DISCARD_SEGMENTS_MAX];
	size_t size = vmlet_buffers_size(&request->chain->out);
	uint8_t status = VIRTIO_BLK_S_OK;

	if (request->disk->read_only || size > sizeof(ranges) || size % sizeof(ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	vmlet_buffers_read(&request->chain->out, ranges, size);
	for (size_t i = 0; i < size / sizeof(ranges[0]) && status == VIRTIO_BLK_S_OK; i++)
		status = clear(request, &ranges[i]);
	return status == VIRTIO_BLK_S_OK ? keep(request) : status;
}

static uint8_t (*const handlers[])(struct request *request) = {
	[VIRTIO_BLK_T_IN] = do_read,
	[VIRTIO_BLK_T_OUT] = do_write,
	[VIRTIO_BLK_T_FLUSH] = do_flush,
	[VIRTIO_BLK_T_GET_ID] = do_get_id,
	[VIRTIO_BLK_T_DISCARD] = do_discard,
	[VIRTIO_BLK_T_WRITE_ZEROES] = do_discard,
};

/*
 * The header is the first bytes that the device reads, the status the last that it writes;
 * that one counts as written only if all before it is.
 */
static bool serve(struct vmlet_virtio *device, struct vmlet_chain *chain, size_t *written)
{
	struct request request = { .device = device, .disk = device->private, .chain = chain };
	size_t size = sizeof(request.header);
	uint8_t *status = vmlet_buffers_last(&chain->in);
	size_t data = vmlet_buffers_size(&chain->in);
	uint32_t type;

	if (!status || vmlet_buffers_read(&chain->out, &request.header, size) != size)
		return false;
	type = request.header.type;
	if (type < sizeof(handlers) / sizeof(handlers[0]) && handlers[type])
		*status = handlers[type](&request);
	else
		*status = VIRTIO_BLK_S_UNSUPP;
	*written = request.written + (request.written == data);
	return true;
}

static void blk_notify(struct vmlet_virtio *device, unsigned int index)
{
	struct vmlet_chain chain;
	size_t written;

	while (vmlet_virtio_pop(device, index, &chain)) {
		if (!serve(device, &chain, &written)) {
			vmlet_virtio_fail(device);
			return;
		}
		vmlet_virtio_push(device, index, &chain, written);
	}
}

const struct vmlet_virtio_type vmlet_virtio_blk = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.queues = 1,
	.open = blk_open,
	.close = blk_close,
	.notify = blk_notify,
};
