// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: whole files in memory
 */
#include "file.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map_fd(struct vmlet_file *file, int fd)
{
	struct stat stat;
	void *data;

	if (fstat(fd, &stat) < 0) {
		vmlet_error("%s: %s", file->path, strerror(errno));
		return false;
	}
	if (!S_ISREG(stat.st_mode) || !stat.st_size) {
		vmlet_error("%s: not a regular file, or empty", file->path);
		return false;
	}
	data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		vmlet_error("%s: %s", file->path, strerror(errno));
		return false;
	}
	file->data = data;
	file->size = stat.st_size;
	return true;
}

bool vmlet_file_map(struct vmlet_file *file, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool mapped;

	*file = (struct vmlet_file){ .path = path };
	if (fd < 0) {
		vmlet_error("%s: %s", path, strerror(errno));
		return false;
	}
	mapped = map_fd(file, fd);
	close(fd);
	return mapped;
}

void vmlet_file_unmap(struct vmlet_file *file)
{
	if (file->data)
		munmap((void *)file->data, file->size);
	file->data = NULL;
}
