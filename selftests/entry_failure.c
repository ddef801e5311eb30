// SPDX-License-Identifier: GPL-2.0
/* State that the CPU refuses to enter with: the statistics say which field and what is in it. Of vmlet only. */
#include <unistd.h>
#include <sys/mman.h>

#include "lib/harness.h"
#include "../uapi/vmlet.h"

GUEST_PROGRAM(halts, LONG, "hlt");

FIXTURE(failure) {
	struct vm vm;
	struct vcpu vcpu;
	const struct vmlet_stats *stats;
};
FIXTURE_SETUP(failure)
{
	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->stats = mmap(NULL, sizeof(*self->stats), PROT_READ, MAP_SHARED, self->vcpu.fd, VMLET_STATS_OFFSET);
	ASSERT_NE(MAP_FAILED, self->stats);
}
FIXTURE_TEARDOWN(failure)
{
	munmap((void *)self->stats, sizeof(*self->stats));
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define AT(field)	offsetof(struct kvm_sregs, field), sizeof(((struct kvm_sregs *)0)->field)
#define ANY		(~0ull)
#define NOT_CANONICAL	(1ull << 60)

/* What is changed of a state that is good; what the CPU then refuses, and its value or ANY. */
static const struct {
	size_t offset, size;
	u64 set;
	const char *field;
	u64 value;
	bool amd;	/* AMD-V refuses it, too */
} rows[] = {
	{ AT(cs.db), 1, "CS access rights", ANY, true },
	{ AT(cs.type), 5, "CS access rights", ANY, false },
	{ AT(cs.dpl), 1, "CS access rights", ANY, false },
	{ AT(cs.g), 0, "CS access rights", ANY, false },
	{ AT(cs.present), 0, "CS access rights", ANY, false },
	{ AT(ss.type), 1, "SS access rights", ANY, false },
	{ AT(ss.s), 0, "SS access rights", ANY, false },
	{ AT(ds.type), 9, "DS access rights", ANY, false },
	{ AT(ss.base), 1ull << 32, "SS base", 1ull << 32, false },
	{ AT(fs.base), NOT_CANONICAL, "FS base", NOT_CANONICAL, false },
	{ AT(gs.base), NOT_CANONICAL, "GS base", NOT_CANONICAL, false },
	{ AT(tr.type), 9, "TR access rights", ANY, false },
	{ AT(tr.selector), 4, "TR selector", 4, false },
	{ AT(tr.present), 0, "TR access rights", ANY, false },
	{ AT(tr.base), NOT_CANONICAL, "TR base", NOT_CANONICAL, false },
	{ AT(gdt.base), NOT_CANONICAL, "GDTR base", NOT_CANONICAL, false },
	{ AT(idt.base), NOT_CANONICAL, "IDTR base", NOT_CANONICAL, false },
};

static const struct deviation hangs = {
	.bochs_amd = "Bochs hangs after a VMRUN that fails",
};

static void expect_failure(struct __test_metadata *_metadata, const struct vmlet_stats *stats, struct vcpu *vcpu,
			   const char *field, u64 value)
{
	const struct vmlet_entry_failure *failure = &stats->entry_failure;
	u64 before = failure->count;

	vcpu_run_until(vcpu, KVM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(before + 1, failure->count);
	EXPECT_EQ(vcpu->run->fail_entry.hardware_entry_failure_reason, failure->hw_reason);
	EXPECT_STREQ(field, failure->field);
	EXPECT_LT(0u, strlen(failure->check));
	if (value != ANY)
		EXPECT_EQ(value, failure->value);
}

TEST_F(failure, names_the_field)
{
	struct kvm_sregs good, bad;

	if (skip_here(_metadata, &hangs))
		return;
	guest_load(&self->vcpu, &halts);
	vcpu_get_sregs(&self->vcpu, &good);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (host_is_amd() && !rows[i].amd)
			continue;
		bad = good;
		memcpy((u8 *)&bad + rows[i].offset, &rows[i].set, rows[i].size);
		vcpu_set_sregs(&self->vcpu, &bad);
		expect_failure(_metadata, self->stats, &self->vcpu, rows[i].field, rows[i].value);
		if (!_metadata->exit_code)
			continue;
		TH_LOG("row %zu: %s %#llx: %s", i, self->stats->entry_failure.field,
		       (unsigned long long)self->stats->entry_failure.value, self->stats->entry_failure.check);
		break;
	}
}

GUEST_PROGRAM(halts_in_pae, PAE, "hlt");

/* That is seen before an entry. The exit before it has nothing to do with it. */
TEST_F(failure, page_directory_pointers)
{
	u64 *pointers = (u64 *)(self->vm.ram + GUEST_PDPT32);

	guest_load(&self->vcpu, &halts_in_pae);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	guest_load(&self->vcpu, &halts_in_pae);
	pointers[0] |= 2;	/* reserved */
	expect_failure(_metadata, self->stats, &self->vcpu, "CR3", GUEST_PDPT32);
	EXPECT_EQ(0u, self->stats->entry_failure.hw_reason);
}

TEST_HARNESS_MAIN
