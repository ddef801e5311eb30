// SPDX-License-Identifier: GPL-2.0
/* The driver of the fuzzers: see fuzz.h. */
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/kcov.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FAILED		1	/* exit status of a process whose case has shown a bug */
#define CORPUS		1024
#define COVER_BITS	(1u << 20)
#define COVER_WORDS	(1u << 16)	/* a thread's trace */
#define COVER_THREADS	8
#define DEATH_SECONDS	60	/* what a killed process may take to end */
#define RELEASE_SECONDS	20	/* and what it held */

/* What the processes tell each other. */
static struct shared {
	struct seed seed;		/* of the case under way */
	volatile u64 begun;
	u64 begun_ms;
	u64 passed;
	struct seed corpus[CORPUS];
	u32 kept;
	u32 covered;
	u8 cover[COVER_BITS / 8];
} *shared;

static struct {
	u64 seconds, cases, base;
	struct seed only;
	bool has_only, kmsg;
	unsigned int limit_ms;
} options = { .seconds = 10 };

bool fuzz_verbose;

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void rng_init(struct rng *rng, struct seed seed)
{
	*rng = (struct rng) { .state = seed.first, .left = seed.count, .then = seed.then };
}

u64 rnd(struct rng *rng)
{
	u64 z;

	if (rng->left && !--rng->left)
		rng->state = rng->then;
	rng->state += 0x9e3779b97f4a7c15ull;
	z = rng->state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

struct rng rng_fork(struct rng *rng)
{
	return (struct rng) { .state = rnd(rng) };
}

u32 below(struct rng *rng, u32 n)
{
	return (u64)(u32)rnd(rng) * n >> 32;
}

bool chance(struct rng *rng, u32 percent)
{
	return below(rng, 100) < percent;
}

void rnd_bytes(struct rng *rng, void *to, size_t n)
{
	u8 *bytes = to;

	while (n--)
		*bytes++ = rnd(rng);
}

u64 rnd_value(struct rng *rng)
{
	static const u64 values[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 63, 64, 0xfe, 0xff, 0x100, 0xfff, 0x1000, 0x1001,
		0x7fff, 0x8000, 0xffff, 0x10000, 0xa0000, 0xd0000, 0x7fffffff, 0x80000000, 0xfec00000,
		0xfee00000, 0xfee00300, 0xfffff000, 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000,
		0xffff800000000000, 0x7ffffffffffff000, 0x7fffffffffffffff, 0x8000000000000000,
		0xfffffffffffff000, 0xfffffffffffffff8, 0xfffffffffffffffe, 0xffffffffffffffff,
	};
	u64 value;

	switch (below(rng, 8)) {
	case 0:
		return rnd(rng);
	case 1:
		return 1ull << below(rng, 64);
	case 2:
		return (1ull << below(rng, 64)) - 1;
	case 3:
		value = rnd(rng);
		return value >> below(rng, 64);
	default:
		return PICK(rng, values);
	}
}

void rnd_damage(struct rng *rng, void *data, size_t n)
{
	u8 *bytes = data;
	u32 times = 1 + below(rng, 3);

	while (times--) {
		size_t size = 1u << below(rng, 4), at;
		u64 value = rnd_value(rng);

		if (size > n)
			continue;
		at = below(rng, n / size) * size;
		if (chance(rng, 50))
			bytes[at] ^= 1u << (value & 7);
		else
			memcpy(bytes + at, &value, size);
	}
}

static const char *seed_text(struct seed seed, char *text)
{
	if (seed.count)
		sprintf(text, "%llu:%llu:%llu", (unsigned long long)seed.first,
			(unsigned long long)seed.count, (unsigned long long)seed.then);
	else
		sprintf(text, "%llu", (unsigned long long)seed.first);
	return text;
}

static struct seed seed_parse(const char *text)
{
	struct seed seed = { 0 };
	unsigned long long first = 0, count = 0, then = 0;

	if (sscanf(text, "%llu:%llu:%llu", &first, &count, &then) < 1)
		die("not a seed: %s", text);
	seed.first = first;
	seed.count = count;
	seed.then = then;
	return seed;
}

void fuzz_fail(const char *fmt, ...)
{
	char text[80], line[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("# FAILED seed %s: %s\n", seed_text(shared->seed, text), line);
	fflush(stdout);
	_exit(FAILED);
}

void fuzz_say(const char *fmt, ...)
{
	va_list args;

	if (!fuzz_verbose)
		return;
	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

bool fuzz_time_up(void)
{
	return now_ms() >= shared->begun_ms + options.limit_ms;
}

static struct {
	unsigned long *trace[COVER_THREADS];
	u32 threads;
} cover;

void cover_thread(void)
{
	u32 i = __atomic_fetch_add(&cover.threads, 1, __ATOMIC_RELAXED);
	unsigned long *trace;
	int fd;

	if (i >= COVER_THREADS)
		return;
	fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!ioctl(fd, KCOV_INIT_TRACE, COVER_WORDS)) {
		trace = mmap(NULL, COVER_WORDS * sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (trace != MAP_FAILED && !ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
			cover.trace[i] = trace;
	}
	/* The mapping and the thread hold it. */
	close(fd);
}

/* Has the case reached code that no other had? */
static bool cover_is_new(void)
{
	u32 before = shared->covered;

	for (u32 i = 0; i < COVER_THREADS; i++) {
		unsigned long *trace = cover.trace[i];
		unsigned long n = trace ? __atomic_load_n(trace, __ATOMIC_RELAXED) : 0;

		for (unsigned long j = 1; j <= n && j < COVER_WORDS; j++) {
			u32 bit = (trace[j] * 0x9e3779b97f4a7c15ull >> 40) % COVER_BITS;

			if (!(shared->cover[bit / 8] & 1u << bit % 8))
				shared->covered++;
			shared->cover[bit / 8] |= 1u << bit % 8;
		}
		if (trace)
			trace[0] = 0;
	}
	return shared->covered != before;
}

static struct seed next_seed(u64 number)
{
	struct rng rng = { .state = options.base + number };
	struct seed seed = { .first = options.base + number };

	if (options.has_only)
		return options.only;
	if (shared->kept && rnd(&rng) % 2) {
		seed = shared->corpus[rnd(&rng) % (shared->kept < CORPUS ? shared->kept : CORPUS)];
		seed.count = 1 + rnd(&rng) % 200;
		seed.then = options.base + number;
	}
	return seed;
}

/* Where it can be read when this machine is gone. */
static void announce(void)
{
	char text[80], line[128];
	static int fd = -1;
	int n;

	if (!options.kmsg)
		return;
	if (fd < 0)
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	n = sprintf(line, "<4>fuzz: %s %s\n", fuzzer.name, seed_text(shared->seed, text));
	if (write(fd, line, n) != n)
		options.kmsg = false;
}

static void run_case(void)
{
	struct rng rng;

	shared->seed = next_seed(shared->begun);
	shared->begun_ms = now_ms();
	shared->begun++;
	announce();
	rng_init(&rng, shared->seed);
	fuzzer.run(&rng);
	shared->passed++;
	if (cover_is_new())
		shared->corpus[shared->kept++ % CORPUS] = shared->seed;
	if (shared->covered)
		fuzz_say("%u places reached so far", shared->covered);
}

static bool enough(u64 since)
{
	u64 most = options.cases;

	if (options.has_only && !most)
		most = 1;
	return most ? shared->begun >= most : now_ms() - since >= options.seconds * 1000;
}

static void run_batch(u64 since)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cover_thread();
	if (fuzzer.setup)
		fuzzer.setup();
	for (unsigned int i = 0; i < fuzzer.batch && !enough(since); i++)
		run_case();
	fflush(stdout);
	_exit(0);
}

static void tell_where(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command), "cd /proc/%d/task && grep -E 'State|SigPnd|ctxt' */status; cat */syscall */stack",
		 pid);
	if (system(command))
		printf("# no stacks\n");
}

/* Waits for the process, and kills it when its case takes too long. Returns whether it did. */
static bool wait_for(pid_t pid, int *status)
{
	u64 since = now_ms(), killed = 0;

	while (waitpid(pid, status, WNOHANG) != pid) {
		u64 now = now_ms(), begun = shared->begun_ms > since ? shared->begun_ms : since;

		if (killed && now - killed > DEATH_SECONDS * 1000) {
			tell_where(pid);
			printf("Bail out! A killed process does not end\n");
			exit(FAILED);
		}
		if (!killed && now - begun > 2 * options.limit_ms) {
			killed = now;
			if (!fuzzer.may_hang)
				tell_where(pid);
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
		}
		usleep(1000);
	}
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return killed;
}

/* Nobody has a file of the device open any more: the module must agree. */
static bool is_released(void)
{
	u64 since = now_ms();
	int count = 0;

	if (!device_is_vmlet())
		return true;
	do {
		FILE *file = fopen("/sys/module/vmlet/refcnt", "re");

		if (!file)
			return true;
		if (fscanf(file, "%d", &count) != 1)
			count = 0;
		fclose(file);
		if (!count)
			return true;
		usleep(10000);
	} while (now_ms() - since < RELEASE_SECONDS * 1000);
	return false;
}

struct counts {
	u64 killed, failed;
};

static void tell_failure(const char *what)
{
	char text[80];

	printf("# FAILED seed %s: %s\n", seed_text(shared->seed, text), what);
	fflush(stdout);
}

/* One process with its cases. */
static void run_process(struct counts *counts, u64 since)
{
	bool killed, failed = false;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		run_batch(since);
	killed = wait_for(pid, &status);
	counts->killed += killed;
	if (killed && !fuzzer.may_hang) {
		tell_failure("it does not end");
		failed = true;
	} else if (!killed && WIFSIGNALED(status)) {
		tell_failure(strsignal(WTERMSIG(status)));
		failed = true;
	} else if (!killed && WEXITSTATUS(status)) {
		failed = true;
	}
	if (!is_released()) {
		tell_failure("a file of the device is left");
		failed = true;
	}
	counts->failed += failed;
}

static void parse(int argc, char **argv)
{
	char letters[64];
	int letter;

	snprintf(letters, sizeof(letters), "s:t:n:b:l:kv%s", fuzzer.options ? fuzzer.options : "");
	options.base = (u64)time(NULL) * 1000000;
	options.limit_ms = fuzzer.limit_ms;
	while ((letter = getopt(argc, argv, letters)) != -1) {
		switch (letter) {
		case 's':
			options.only = seed_parse(optarg);
			options.has_only = true;
			break;
		case 't':
			options.seconds = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			options.cases = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			options.base = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			options.limit_ms = strtoull(optarg, NULL, 0);
			break;
		case 'k':
			options.kmsg = true;
			break;
		case 'v':
			fuzz_verbose = true;
			break;
		case '?':
			fprintf(stderr, "usage: %s [-t SECONDS | -n CASES] [-b FIRST-SEED] [-s SEED] [-l MS] [-k] [-v]\n"
				"  -s  this case only; with -n, so many times\n"
				"  -l  time of a case\n"
				"  -k  each seed to the kernel's log\n"
				"  -v  tell what the case does\n", argv[0]);
			exit(2);
		default:
			fuzzer.option(letter, optarg);
		}
	}
}

int main(int argc, char **argv)
{
	struct counts counts = { 0 };
	u64 since = now_ms();

	parse(argc, argv);
	close(dev_open());
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("no memory");
	printf("KTAP version 1\n1..1\n# %s on %s, seeds from %llu\n", fuzzer.name, device_path(),
	       (unsigned long long)options.base);
	while (!enough(since))
		run_process(&counts, since);
	printf("# %llu cases in %llu s, %llu to their end, %llu processes killed\n",
	       (unsigned long long)shared->begun, (unsigned long long)(now_ms() - since) / 1000,
	       (unsigned long long)shared->passed, (unsigned long long)counts.killed);
	if (shared->covered)
		printf("# %u places reached, %u cases were the first at some\n", shared->covered, shared->kept);
	printf("%s 1 fuzz_%s\n", counts.failed ? "not ok" : "ok", fuzzer.name);
	return counts.failed ? FAILED : 0;
}
