// SPDX-License-Identifier: GPL-2.0
/*
 * Work for a Linux guest whose result is known: it uses all that a CPU has and the kernel
 * switches, waits and is interrupted, and the same numbers come out wherever it runs.
 *
 *   guest_work           one round; says what comes out
 *   guest_work NUMBER    a thread on each CPU does rounds until a line comes on standard
 *                        input, and checks that this comes out each time
 */
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY (256 << 10)
#define STEPS 20000
#define WRITES 100
#define NAPS 5
#define NAP 200000 /* ns */
#define NSEC_PER_SEC 1000000000ull
#define MAX_CPUS 64

/* What goes wrong is said where it is seen, and counted. */
static atomic_uint wrongs;
static atomic_uint ticks;
static atomic_bool stop;

static void wrong(const char *what, uint64_t is, uint64_t wanted)
{
	printf("work: wrong: %s %#llx instead of %#llx\n", what, (unsigned long long)is,
	       (unsigned long long)wanted);
	atomic_fetch_add(&wrongs, 1);
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum = (sum ^ value) * 0x9e3779b97f4a7c15;
	return sum ^ sum >> 29;
}

static uint64_t sum_bytes(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t sum = size;

	for (size_t i = 0; i < size; i++)
		sum = mix(sum, bytes[i]);
	return sum;
}

/* New memory each time: the guest's page tables change, and so do the nested ones. */
static uint64_t work_memory(void)
{
	uint64_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 1;

	if (memory == MAP_FAILED)
		return 0;
	for (size_t i = 0; i < MEMORY / sizeof(*memory); i++)
		memory[i] = sum = mix(sum, i);
	memmove(memory + 5, memory, MEMORY / 2);
	mprotect(memory, MEMORY, PROT_READ);
	for (size_t i = MEMORY / sizeof(*memory); i; i--)
		sum = mix(sum, memory[i - 1]);
	munmap(memory, MEMORY);
	return sum;
}

/* As many vectors at work as there are registers, and as wide as the CPU has them. */
typedef uint32_t vector __attribute__((vector_size(64)));

__attribute__((target_clones("avx512f", "avx2", "default")))
static uint64_t work_vectors(void)
{
	vector v[8];

	for (unsigned int i = 0; i < 8; i++)
		for (unsigned int j = 0; j < 16; j++)
			v[i][j] = i * 16 + j;
	for (unsigned int step = 0; step < STEPS; step++)
		for (unsigned int i = 0; i < 8; i++)
			v[i] = (v[i] << 7 ^ v[i] >> 3) + v[(i + 1) % 8] + step;
	return sum_bytes(v, sizeof(v));
}

/* The x87 stack, and SSE's rounding. */
static uint64_t work_fractions(void)
{
	long double x = 1;
	double y = 0.3;
	uint64_t sum;

	for (unsigned int step = 1; step < STEPS; step++) {
		x = x * 0.75L + 1 / (x + step);
		y = 3.9 * y * (1 - y);
	}
	sum = sum_bytes(&x, 10);
	return mix(sum, sum_bytes(&y, sizeof(y)));
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

static void sleep_until(uint64_t time)
{
	const struct timespec until = { time / NSEC_PER_SEC, time % NSEC_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* No clock goes back on any CPU, and no sleep is short. */
static uint64_t work_time(void)
{
	static _Atomic uint64_t latest;
	uint64_t before, seen, after;

	for (unsigned int i = 0; i < NAPS; i++) {
		seen = atomic_load(&latest);
		before = now();
		if (before < seen)
			wrong("clock", before, seen);
		sleep_until(before + NAP);
		after = now();
		if (after < before + NAP)
			wrong("end of a sleep", after, before + NAP);
		atomic_store(&latest, after);
	}
	return NAPS;
}

/* What parent and child write to a page that they share at first stays apart. */
static uint64_t work_fork(void)
{
	static _Thread_local uint64_t value;
	uint64_t from_child = 0;
	int fds[2];
	pid_t pid;

	value = 1;
	if (pipe(fds))
		return 0;
	pid = fork();
	value += pid ? 1 : 40;
	if (!pid)
		_exit(write(fds[1], &value, sizeof(value)) != sizeof(value));
	if (pid < 0 || read(fds[0], &from_child, sizeof(from_child)) != sizeof(from_child))
		wrong("fork", pid, 0);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	return mix(value, from_child);
}

/* A hardware breakpoint of the thread counts writes to this, if it has one. */
static _Thread_local volatile uint64_t watched;

static uint64_t work_watched(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < WRITES; i++) {
		for (unsigned int j = 0; j < STEPS / WRITES; j++)
			sum = mix(sum, j);
		watched++;
	}
	return sum;
}

static uint64_t (*const work[])(void) = {
	work_memory, work_vectors, work_fractions, work_time, work_fork, work_watched,
};

static uint64_t round_of_work(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		sum = mix(sum, work[i]());
	return sum;
}

/* -1 where there are no hardware breakpoints. */
static int watch(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/**
 * struct worker - a thread
 * @thread: the thread
 * @cpu: where it runs
 * @wanted: what must come out of a round
 * @rounds: how many it has done
 */
struct worker {
	pthread_t thread;
	unsigned int cpu;
	uint64_t wanted;
	uint64_t rounds;
};

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	int fd = watch();
	uint64_t hits = 0, sum;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	do {
		sum = round_of_work();
		if (sum != worker->wanted)
			wrong("sum", sum, worker->wanted);
		worker->rounds++;
	} while (!atomic_load(&stop));
	if (fd < 0)
		printf("work: CPU %u: no breakpoint\n", worker->cpu);
	else if (read(fd, &hits, sizeof(hits)) != sizeof(hits) || hits != watched)
		wrong("hits of a breakpoint", hits, watched);
	return NULL;
}

/* Comes in the middle of all that, and uses the same registers. */
static void tick(int number)
{
	static volatile double sum;

	sum = sum + number;
	atomic_fetch_add(&ticks, 1);
}

/* To the workers, not to this thread. */
static void start_ticks(void)
{
	const struct itimerval each = { { 0, 3000 }, { 0, 3000 } };
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &each, NULL);
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_CPUS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char line;

	if (argc < 2) {
		printf("%llu\n", (unsigned long long)round_of_work());
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long i = 0; i < cpus; i++) {
		workers[i].cpu = i;
		workers[i].wanted = strtoull(argv[1], NULL, 10);
		pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
	}
	start_ticks();
	printf("work: at work on %ld CPUs\n", cpus);
	while (read(STDIN_FILENO, &line, 1) == 1 && line != '\n')
		;
	atomic_store(&stop, true);
	for (long i = 0; i < cpus; i++) {
		pthread_join(workers[i].thread, NULL);
		printf("work: CPU %ld: %llu rounds\n", i, (unsigned long long)workers[i].rounds);
	}
	printf("work: %u ticks, %u wrong\n", ticks, wrongs);
	return wrongs || !ticks;
}
