// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: tunables
 */
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>

#include "../run/run.h"
#include "leaves.h"
#include "records.h"
#include "times.h"
#include "tunables.h"

enum { HALT_POLL, EXIT_RECORDS, EXIT_PHASES, CPUID_LEAVES };

static DEFINE_MUTEX(lock);
static unsigned int exit_records, exit_phases;

const struct vmlet_tunable vmlet_tunables[] = {
	[HALT_POLL] = { "halt_poll_ns", "ns", &vmlet_halt_poll_ns, 0, NSEC_PER_SEC },
	[EXIT_RECORDS] = { "exit_records", "0: off, 1: on", &exit_records, 0, 1, &vmlet_exit_records },
	[EXIT_PHASES] = { "exit_phases", "0: off, 1: on", &exit_phases, 0, 1, &vmlet_exit_phases },
	[CPUID_LEAVES] = { "cpuid_leaves", "0: off, 1: on", &vmlet_cpuid_leaves, 0, 1 },
};

const unsigned int vmlet_tunables_count = ARRAY_SIZE(vmlet_tunables);

int vmlet_tunable_set(const struct vmlet_tunable *tunable, u64 value)
{
	if (value < tunable->least || value > tunable->most)
		return -ERANGE;
	mutex_lock(&lock);
	WRITE_ONCE(*tunable->value, value);
	if (tunable->key && value)
		static_branch_enable(tunable->key);
	else if (tunable->key)
		static_branch_disable(tunable->key);
	mutex_unlock(&lock);
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

module_param_cb(exit_records, &ops, (void *)&vmlet_tunables[EXIT_RECORDS], 0644);
MODULE_PARM_DESC(exit_records, "Keep the last exits of each vCPU in its statistics; 0: off, 1: on");

module_param_cb(exit_phases, &ops, (void *)&vmlet_tunables[EXIT_PHASES], 0644);
MODULE_PARM_DESC(exit_phases, "Tell what the kernel's time of each exit goes to; 0: off, 1: on");

module_param_cb(cpuid_leaves, &ops, (void *)&vmlet_tunables[CPUID_LEAVES], 0644);
MODULE_PARM_DESC(cpuid_leaves, "Guests read their exits by CPUID leaves 0x4ffffffc to 0x4fffffff; 0: off, 1: on");
