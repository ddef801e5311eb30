/* SPDX-License-Identifier: GPL-2.0 */
/* The calls of the API, a row each, with what makes an argument for each. */
#ifndef SELFTESTS_FUZZ_CALLS_H
#define SELFTESTS_FUZZ_CALLS_H

#include "fuzz.h"

enum object { DEVICE, VM, VCPU, EVENT, OBJECTS };
#define OBJECT_MANY	4	/* of each kind, at most, at a time */

/* What arguments refer to; one for all threads. */
struct world {
	int fd[OBJECTS][OBJECT_MANY];	/* or -1 */
	u8 *ram;		/* behind slots; anything may happen to it */
	u8 *scratch;		/* where results may go */
};

#define WORLD_RAM	(8ul << 20)
#define WORLD_SCRATCH	(1ul << 20)
#define ARG_MAX		16384

extern struct world world;

int world_fd(struct rng *rng, enum object kind);

struct field {
	u16 offset, size;
	u64 (*draw)(struct rng *rng);
};

struct call {
	const char *name;
	unsigned long cmd;
	enum object target;
	/* A plain value instead of a pointer. */
	u64 (*value)(struct rng *rng);
	/* The structure's fields; what has none is zero. */
	const struct field *fields;
	/* More than fields can say, after they are filled in. */
	void (*fill)(struct rng *rng, u8 *arg);
	/* The call that reads what this one writes: its result, a little damaged, is the argument. */
	unsigned long get;
	u8 weight;
};

const struct call *call_any(struct rng *rng);
const struct call *call_find(unsigned long cmd, enum object target);
/* On an object of its kind, mostly, with an argument, mostly as it should be. */
void call_make(struct rng *rng, const struct call *call, u8 *buffer);

#endif
