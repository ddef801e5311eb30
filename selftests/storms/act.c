// SPDX-License-Identifier: GPL-2.0
/* What the scripts of storms do to a guest and to its host, and a shell cannot. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

static int failed(const char *what)
{
	fprintf(stderr, "act: %s: %s\n", what, strerror(errno));
	return 1;
}

/* The process's largest mapping: the guest's memory. */
static struct iovec largest_mapping(const char *pid)
{
	struct iovec largest = { NULL, 0 };
	unsigned long start, end;
	char name[64], *line = NULL;
	size_t size = 0;
	FILE *maps;

	snprintf(name, sizeof(name), "/proc/%s/maps", pid);
	maps = fopen(name, "r");
	while (maps && getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && end - start > largest.iov_len)
			largest = (struct iovec){ (void *)start, end - start };
	}
	if (maps)
		fclose(maps);
	free(line);
	return largest;
}

static int advise(char **args, int advice)
{
	struct iovec memory = largest_mapping(args[0]);
	int fd = syscall(SYS_pidfd_open, atoi(args[0]), 0);

	if (fd < 0 || syscall(SYS_process_madvise, fd, &memory, 1, advice, 0) < 0)
		return failed("process_madvise");
	return 0;
}

static int pageout(char **args)
{
	return advise(args, MADV_PAGEOUT);
}

static int collapse(char **args)
{
	return advise(args, MADV_COLLAPSE);
}

static int split(char **args)
{
	struct iovec memory = largest_mapping(args[0]);
	FILE *file = fopen("/sys/kernel/debug/split_huge_pages", "w");

	if (!file)
		return failed("split_huge_pages");
	fprintf(file, "%s,%p,%p", args[0], memory.iov_base, (char *)memory.iov_base + memory.iov_len);
	return fclose(file) ? failed("split_huge_pages") : 0;
}

/* What it may merge is inherited. */
static int merge(char **args)
{
	if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
		return failed("PR_SET_MEMORY_MERGE");
	execvp(args[0], args);
	return failed(args[0]);
}

static int load_kernel(char **args, unsigned long flags)
{
	int kernel = open(args[0], O_RDONLY), initrd = open(args[1], O_RDONLY);

	if (kernel < 0 || initrd < 0)
		return failed("kernel or RAM disk");
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(args[2]) + 1, args[2], flags))
		return failed("kexec_file_load");
	return 0;
}

static int crash_kernel(char **args)
{
	return load_kernel(args, KEXEC_FILE_ON_CRASH);
}

static int next_kernel(char **args)
{
	return load_kernel(args, 0);
}

static int start_next(char **args)
{
	(void)args;
	reboot(LINUX_REBOOT_CMD_KEXEC);
	return failed("kexec");
}

static const struct {
	const char *name;
	int (*act)(char **args);
	int least;	/* arguments */
	const char *usage;
} acts[] = {
	{ "pageout", pageout, 1, "PID" },
	{ "collapse", collapse, 1, "PID" },
	{ "split", split, 1, "PID" },
	{ "merge", merge, 1, "COMMAND..." },
	{ "crash-kernel", crash_kernel, 3, "KERNEL INITRD WORDS" },
	{ "next-kernel", next_kernel, 3, "KERNEL INITRD WORDS" },
	{ "kexec", start_next, 0, "" },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (argc > acts[i].least + 1 && !strcmp(argv[1], acts[i].name))
			return acts[i].act(argv + 2);
	}
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		fprintf(stderr, "usage: act %s %s\n", acts[i].name, acts[i].usage);
	return 2;
}
