/* SPDX-License-Identifier: GPL-2.0 */
/* What the runner's own tests share: a table of functions, and CHECK() in them. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <unistd.h>

#include "../macros.h"	/* its ARRAY_SIZE first: kselftest.h then defines none */
#include "kselftest.h"

/* The test program is killed after that long. */
#define PATIENCE_SECONDS 120

struct test {
	const char *name;
	void (*run)(void);
};

/* The first CHECK() of the running test that was not true; 0: none. */
static unsigned int failed_line;

static void check(bool condition, unsigned int line)
{
	if (!condition && !failed_line)
		failed_line = line;
}

#define CHECK(condition) check(condition, __LINE__)

static void run_tests(const struct test *tests, unsigned int count)
{
	ksft_print_header();
	ksft_set_plan(count);
	alarm(PATIENCE_SECONDS);
	for (unsigned int i = 0; i < count; i++) {
		failed_line = 0;
		tests[i].run();
		if (failed_line)
			ksft_print_msg("line %u is not true\n", failed_line);
		ksft_test_result(!failed_line, "%s\n", tests[i].name);
	}
	ksft_finished();
}

#endif
