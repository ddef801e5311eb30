/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers share: random numbers that a seed repeats, and a driver that runs
 * case after case in processes of their own.
 *
 * A case is its seed, A or A:N:B: the first N numbers from A, the others from B. Where
 * the kernel has KCOV, seeds that reached new code are kept, and new ones begin like them.
 */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#include "../lib/vm.h"

struct seed {
	u64 first, count, then;
};

struct rng {
	u64 state;
	u64 left;	/* numbers to draw until the state is replaced, or 0 */
	u64 then;
};

struct fuzzer {
	const char *name;
	void (*run)(struct rng *rng);	/* one case */
	unsigned int batch;	/* cases of one process */
	unsigned int limit_ms;	/* of a case; it is killed after twice that */
	bool may_hang;		/* being killed is one of the things that a case is about */
	/* Options of its own, NULL or as for getopt(). */
	const char *options;
	void (*option)(int letter, const char *value);
	/* Once, in each process, before the first case. */
	void (*setup)(void);
};

extern const struct fuzzer fuzzer;
extern bool fuzz_verbose;

void rng_init(struct rng *rng, struct seed seed);
/* A stream of its own for a thread. */
struct rng rng_fork(struct rng *rng);
u64 rnd(struct rng *rng);
/* 0 to n - 1 */
u32 below(struct rng *rng, u32 n);
bool chance(struct rng *rng, u32 percent);
void rnd_bytes(struct rng *rng, void *to, size_t n);

/* A number as bugs like them: around powers of two, small, all ones, an address. */
u64 rnd_value(struct rng *rng);
/* Another value in some of the bytes. */
void rnd_damage(struct rng *rng, void *data, size_t n);

#define PICK(rng, array) ((array)[below(rng, sizeof(array) / sizeof((array)[0]))])

/* The case has shown a bug: its seed is told, with this reason, and the process ends. */
void fuzz_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* With -v: what the case does. */
void fuzz_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Is the time of this case over? */
bool fuzz_time_up(void);

/* Count the kernel's code that this thread runs from here on as this case's. */
void cover_thread(void);

#endif
