// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet report`
 */
#include "commands.h"
#include "gnuplot.h"
#include "history.h"
#include "html.h"
#include "macros.h"
#include "report.h"
#include "size.h"
#include "stats.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MS 1000000ull
#define DEFAULT_MS 10000

static const char usage[] =
	"usage: vmlet report OUT [PID] [--seconds N]\n"
	"\n"
	"Look on for a while and draw what exits cost, of process PID's virtual CPUs or of all that you may look at: share of the\n"
	"time by reason; exits per second and shares over time; histograms. OUT becomes an HTML page with all that is in it.\n"
	"Looks are a second apart, or a 600th of the time if that is more. It ends early with the processes, or when it is\n"
	"interrupted. Virtual CPUs that are made meanwhile do not count. The program gnuplot draws.\n"
	"\n"
	"  --seconds N   how long, 10 if it is not given\n"
	"\n"
	"exit status: 0, 1 if there is nothing to look at, gnuplot is missing or OUT cannot be written, 2 wrong usage\n"
	"\n"
	"example: vmlet report exits.html $(pidof vmlet) --seconds 60\n";

/**
 * struct options - the command line
 * @out: path of the page
 * @pid: process, 0: all
 * @ms: how long, in milliseconds
 */
struct options {
	const char *out;
	pid_t pid;
	long ms;
};

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "seconds", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(VMLET_EXIT_OFF);
		}
		options->ms = option == 's' ? vmlet_parse_count(optarg, 1000) : 0;
		if (!options->ms)
			return false;
	}
	if (optind < argc)
		options->out = argv[optind++];
	if (optind < argc) {
		options->pid = vmlet_parse_count(argv[optind++], 1);
		if (!options->pid)
			return false;
	}
	return options->out && *options->out && optind == argc;
}

/**
 * struct page - a file that takes the place of another one when it is complete
 * @path: the other one
 * @work: its own path
 * @file: it
 */
struct page {
	const char *path;
	char *work;
	FILE *file;
};

/* What is no file, a device say, is not to be replaced. */
static bool is_replaceable(const char *path)
{
	struct stat stat;

	if (lstat(path, &stat))
		return errno == ENOENT;
	if (!S_ISREG(stat.st_mode)) {
		errno = S_ISDIR(stat.st_mode) ? EISDIR : EINVAL;
		return false;
	}
	return !access(path, W_OK);
}

static const struct vmlet_remedy page_remedies[] = {
	{ EINVAL, "it is there and no file; give another name" },
	{ 0 },
};

static FILE *open_work(struct page *page)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (asprintf(&page->work, "%s.XXXXXX", page->path) < 0) {
		page->work = NULL;
		return NULL;
	}
	fd = mkostemp(page->work, O_CLOEXEC);
	if (fd < 0)
		return NULL;
	fchmod(fd, 0666 & ~mask);
	return fdopen(fd, "w");
}

static bool open_page(struct page *page, const char *path)
{
	*page = (struct page) { .path = path };
	if (is_replaceable(path))
		page->file = open_work(page);
	if (page->file)
		return true;
	vmlet_report_remedy(path, errno, page_remedies);
	free(page->work);
	return false;
}

static bool close_page(struct page *page, bool complete)
{
	bool ok = complete;

	if (ferror(page->file) | fclose(page->file) || (ok && rename(page->work, page->path))) {
		vmlet_error("%s: %s", page->path, strerror(errno));
		ok = false;
	}
	if (!ok)
		unlink(page->work);
	free(page->work);
	return ok;
}

/**
 * struct watch - processes that may end
 * @files: a file each, of vmlet_stop_with(); -1: it has ended
 * @count: how many there were
 */
struct watch {
	struct pollfd *files;
	size_t count;
};

static bool watch_begin(struct watch *watch, const struct vmlet_stats_list *list)
{
	watch->count = 0;
	watch->files = calloc(list->count, sizeof(*watch->files));
	if (!watch->files) {
		vmlet_error("there is not enough memory");
		return false;
	}
	for (size_t i = 0; i < list->count; i++) {
		if (i && list->source[i].pid == list->source[i - 1].pid)
			continue;
		watch->files[watch->count++] = (struct pollfd) {
			.fd = vmlet_stop_with(list->source[i].pid), .events = POLLIN
		};
	}
	return true;
}

static void watch_end(struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->files[i].fd >= 0)
			close(watch->files[i].fd);
	free(watch->files);
}

/* How many have not ended. */
static size_t watch_count(struct watch *watch)
{
	size_t left = 0;

	for (size_t i = 0; i < watch->count; i++) {
		if (watch->files[i].fd >= 0 && watch->files[i].revents) {
			close(watch->files[i].fd);
			watch->files[i].fd = -1;
		}
		left += watch->files[i].fd >= 0;
	}
	return left;
}

/* False: they all have ended before, or somebody wants us to stop. */
static bool watch_until(struct watch *watch, uint64_t end)
{
	do {
		vmlet_stop_poll(watch->files, watch->count, end);
		if (vmlet_stop_signal() || !watch_count(watch))
			return false;
	} while (vmlet_stop_clock() < end);
	return true;
}

static void watch_all(struct watch *watch, struct vmlet_history *history, const struct vmlet_stats_list *list, long ms)
{
	static struct vmlet_stats_sample sample;
	uint64_t start = vmlet_stop_clock(), end = start + ms * MS, look = start;
	uint64_t step = ms > VMLET_MOMENTS * 1000 ? (ms + VMLET_MOMENTS - 1) / VMLET_MOMENTS * MS : 1000 * MS;
	bool more;

	vmlet_stats_sample(&sample, list->source, list->count);
	vmlet_history_begin(history, &sample);
	do {
		look = look + step < end ? look + step : end;
		more = watch_until(watch, look);
		vmlet_stats_sample(&sample, list->source, list->count);
		vmlet_history_add(history, &sample, (double)(vmlet_stop_clock() - start) / NSEC_PER_SEC);
	} while (more && look < end);
}

static bool report(FILE *out, const struct vmlet_stats_list *list, long ms)
{
	static struct vmlet_history history;
	struct watch watch;

	if (!vmlet_gnuplot_works() || !watch_begin(&watch, list))
		return false;
	watch_all(&watch, &history, list, ms);
	watch_end(&watch);
	return vmlet_html_page(out, &history, list);
}

int vmlet_report(int argc, char **argv)
{
	struct options options = { .ms = DEFAULT_MS };
	struct vmlet_stats_list list;
	struct page page;
	bool ok;

	if (!parse(argc, argv, &options)) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	if (vmlet_stats_need(&list, options.pid))
		return VMLET_EXIT_HOST;
	vmlet_stop_catch();
	ok = open_page(&page, options.out);
	if (ok)
		ok = close_page(&page, report(page.file, &list, options.ms));
	vmlet_stats_drop(&list);
	return ok ? VMLET_EXIT_OFF : VMLET_EXIT_HOST;
}
