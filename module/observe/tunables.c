// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: tunables
 */
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

#include "../run/run.h"
#include "tunables.h"

enum { HALT_POLL };

const struct vmlet_tunable vmlet_tunables[] = {
	[HALT_POLL] = { "halt_poll_ns", "ns", &vmlet_halt_poll_ns, 0, NSEC_PER_SEC },
};

const unsigned int vmlet_tunables_count = ARRAY_SIZE(vmlet_tunables);

int vmlet_tunable_set(const struct vmlet_tunable *tunable, u64 value)
{
	if (value < tunable->least || value > tunable->most)
		return -ERANGE;
	WRITE_ONCE(*tunable->value, value);
	return 0;
}

static int set(const char *text, const struct kernel_param *param)
{
	u64 value;

	return kstrtou64(text, 0, &value) ?: vmlet_tunable_set(param->arg, value);
}

static int get(char *buffer, const struct kernel_param *param)
{
	const struct vmlet_tunable *tunable = param->arg;

	return sysfs_emit(buffer, "%u\n", READ_ONCE(*tunable->value));
}

static const struct kernel_param_ops ops = { .set = set, .get = get };

module_param_cb(halt_poll_ns, &ops, (void *)&vmlet_tunables[HALT_POLL], 0644);
MODULE_PARM_DESC(halt_poll_ns, "The longest that a halted vCPU polls before it sleeps, in ns; 0: not at all");
