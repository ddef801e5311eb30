// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the last exits, and the last entry that failed
 */
#include <linux/ratelimit.h>
#include <linux/string.h>
#include <asm/tsc.h>

#include "../cpu/vendor.h"
#include "records.h"

#define IO_IN	0x80

DEFINE_STATIC_KEY_FALSE(vmlet_exit_records);

/* What the exit was about. The guest's registers are as it left them. */
static void describe(struct vmlet_exit_record *record, struct vmlet_vcpu *vcpu)
{
	const struct vmlet_exit *exit = &vcpu->exit;
	const u64 *regs = vcpu->regs;

	switch (exit->reason) {
	case VMLET_EXIT_NESTED_FAULT:
		record->info = exit->fault.gpa;
		record->data = exit->fault.access;
		break;
	case VMLET_EXIT_IO:
	case VMLET_EXIT_IO_STRING:
		record->info = exit->io.port;
		record->data = exit->io.size | (exit->io.in ? IO_IN : 0);
		break;
	case VMLET_EXIT_WRMSR:
		record->data = (u32)regs[VMLET_RAX] | regs[VMLET_RDX] << 32;
		fallthrough;
	case VMLET_EXIT_RDMSR:
		record->info = (u32)regs[VMLET_RCX];
		break;
	case VMLET_EXIT_CPUID:
		record->info = (u32)regs[VMLET_RAX];
		record->data = (u32)regs[VMLET_RCX];
		break;
	case VMLET_EXIT_HYPERCALL:
		record->info = regs[VMLET_RAX];
		break;
	case VMLET_EXIT_CR_READ ... VMLET_EXIT_DR_WRITE:
		record->info = exit->cr.nr;
		break;
	case VMLET_EXIT_EXCEPTION:
		record->info = exit->exception.vector;
		record->data = exit->exception.error;
		break;
	}
}

void vmlet_record_exit(struct vmlet_vcpu *vcpu)
{
	struct vmlet_stats *stats = vcpu->stats;
	struct vmlet_exit_record *record = &stats->record[stats->recorded % VMLET_RECORDS];

	/* Nothing is between an entry and this. */
	*record = (struct vmlet_exit_record) {
		.entry		= vcpu->moment,
		.exit		= rdtsc(),
		.rip		= vmlet_rip(vcpu),
		.hw_reason	= vcpu->exit.hw_reason,
		.reason		= vcpu->exit.reason,
	};
	describe(record, vcpu);
	barrier();	/* readers: what is counted is there */
	WRITE_ONCE(stats->recorded, stats->recorded + 1);
}

/* Once for a vCPU: the statistics have the last one, and who wants each has the notifications. */
static void log_failure(const struct vmlet_vcpu *vcpu, const struct vmlet_broken_rule *rule)
{
	const struct vmlet_entry_failure *failure = &vcpu->stats->entry_failure;
	u64 vm = vcpu->vm->owner.id;

	if (failure->count != 1)
		return;
	if (rule->check)
		pr_info_ratelimited("vmlet: VM %llu, vCPU %d: VM entry failed (%#llx): %s is %#llx: %s\n", vm, vcpu->id,
				    failure->hw_reason, rule->field, rule->value, rule->check);
	else
		pr_info_ratelimited("vmlet: VM %llu, vCPU %d: VM entry failed (%#llx): no broken rule found\n", vm, vcpu->id,
				    failure->hw_reason);
}

void vmlet_record_failure(struct vmlet_vcpu *vcpu, u64 hw_reason)
{
	struct vmlet_entry_failure *failure = &vcpu->stats->entry_failure;
	struct vmlet_broken_rule rule = {};

	if (hw_reason)
		vmlet_vendor->explain(vcpu, &rule);
	else	/* it has not come to an entry */
		rule = (struct vmlet_broken_rule) { "CR3", "no page-directory-pointer table that is valid", vcpu->cr3 };
	failure->hw_reason = hw_reason;
	failure->value = rule.value;
	strscpy(failure->field, rule.field ?: "", sizeof(failure->field));
	strscpy(failure->check, rule.check ?: "", sizeof(failure->check));
	WRITE_ONCE(failure->count, failure->count + 1);
	log_failure(vcpu, &rule);
}
