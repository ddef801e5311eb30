/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the last exits of each vCPU
 *
 * In its statistics, while the tunable exit_records is on; otherwise a jump that is not taken.
 */
#ifndef VMLET_OBSERVE_RECORDS_H
#define VMLET_OBSERVE_RECORDS_H

#include <linux/jump_label.h>

#include "../vmlet.h"

DECLARE_STATIC_KEY_FALSE(vmlet_exit_records);

/* In the inner loop, before an exit is handled and before its time is taken. */
void vmlet_record_exit(struct vmlet_vcpu *vcpu);

/*
 * The hardware refused to enter or, @hw_reason 0, PDPTEs could not be loaded: look for the reason and tell it, in the statistics
 * and in the log. May sleep.
 */
void vmlet_record_failure(struct vmlet_vcpu *vcpu, u64 hw_reason);

#endif
