// SPDX-License-Identifier: GPL-2.0
/* KVM_CAP_X2APIC_API: local APIC IDs of 32 bits in messages and in the state page, and which message is a broadcast. */
#include "lib/harness.h"
#include "lib/machine.h"

#define VECTOR	0x45
#define GSI	30
#define WIDE	KVM_X2APIC_API_USE_32BIT_IDS
#define EXACT	KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK
#define LOGICAL	4

/* Of the three vCPUs; their last two bits differ, and are their places in @taken. */
static const u32 ids[] = { 0, 257, 255 };
#define TAKEN(id) (1u << ((id) & 3))
#define ALL (TAKEN(0) | TAKEN(255) | TAKEN(257))

static volatile u32 taken;

GUEST_ISR(on_vector)
{
	u32 id = in_x2apic_mode() ? x2apic_read(APIC_ID) : xapic_read(APIC_ID) >> 24;

	taken |= TAKEN(id);
	apic_eoi();
}

GUEST serves(u64 x2apic)
{
	if (x2apic) {
		x2apic_enable();
	} else {
		xapic_enable();
		xapic_write(APIC_LDR, 0x01000000);
	}
	for (;;) {
		guest_say(0);
		take_interrupts();
	}
}

/* Flags stay, whatever comes later. */
static void enable(struct __test_metadata *_metadata, struct machine *m, u64 flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API };

	for (u64 flag = 1; flag <= flags; flag <<= 1) {
		cap.args[0] = flags & flag;
		ASSERT_EQ(0, __vm_enable_cap(&m->vm, &cap));
	}
}

FIXTURE(api) {
	struct machine m;
};
FIXTURE_VARIANT(api) {
	u64 flags;
};
FIXTURE_VARIANT_ADD(api, narrow) { 0 };
FIXTURE_VARIANT_ADD(api, wide) { WIDE };
FIXTURE_VARIANT_ADD(api, exact) { EXACT };
FIXTURE_VARIANT_ADD(api, wide_and_exact) { WIDE | EXACT };
FIXTURE_SETUP(api)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_CAP(KVM_CAP_X2APIC_API);
	machine_create(&self->m, KERNEL_IRQCHIP, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		machine_add_vcpu_id(&self->m, ids[i]);
	machine_set_gate(&self->m, VECTOR, on_vector);
	enable(_metadata, &self->m, variant->flags);
}
FIXTURE_TEARDOWN(api)
{
	machine_destroy(&self->m);
}

static void run_all(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpus; i++)
		vcpu_run_until_say(&m->vcpu[i]);
}

/* Address and upper half of a message; what the call says, less than 0 or not; who must take it. */
static const struct {
	u64 flags;
	u32 low, high;
	bool xapic;		/* vCPU 0 is in that mode */
	int error;
	u32 taken;
} messages[] = {
	{ 0, MSI_ADDRESS(1), 0x100, false, 0, 0 },
	{ 0, MSI_ADDRESS(0), 0x101, false, 0, TAKEN(0) },
	{ 0, MSI_ADDRESS(0xff), 0, false, 0, ALL },
	{ 0, MSI_ADDRESS(0xff) | LOGICAL, 0, false, 0, ALL },
	{ 0, MSI_ADDRESS(0xff), 0, true, 0, ALL },
	{ WIDE, MSI_ADDRESS(1), 0x100, false, 0, TAKEN(257) },
	{ WIDE, MSI_ADDRESS(0), 0, false, 0, TAKEN(0) },
	{ WIDE, MSI_ADDRESS(0), 0x101, false, -EINVAL, 0 },
	{ WIDE, MSI_ADDRESS(2) | LOGICAL, 0x100000, false, 0, TAKEN(257) },
	{ WIDE, MSI_ADDRESS(0xff), 0, false, 0, ALL },
	{ WIDE, MSI_ADDRESS(0xff), 0xffffff00, false, 0, 0 },
	{ EXACT, MSI_ADDRESS(0xff), 0, false, 0, TAKEN(255) },
	{ EXACT, MSI_ADDRESS(0xff) | LOGICAL, 0, false, 0, TAKEN(0) },
	{ EXACT, MSI_ADDRESS(0xff), 0, true, 0, TAKEN(0) | TAKEN(255) },
	{ EXACT, MSI_ADDRESS(0xff) | LOGICAL, 0, true, 0, TAKEN(0) },
	{ EXACT, MSI_ADDRESS(0xfe), 0, false, 0, 0 },
	{ WIDE | EXACT, MSI_ADDRESS(0xff), 0xffffff00, false, 0, ALL },
	{ WIDE | EXACT, MSI_ADDRESS(0xff) | LOGICAL, 0xffffff00, false, 0, ALL },
	{ WIDE | EXACT, MSI_ADDRESS(0xff), 0, false, 0, TAKEN(255) },
};

#define EXPECT_OF(row, expected, seen)					\
	EXPECT_EQ(expected, seen) {					\
		TH_LOG("message %zu", row);				\
	}

static void expect_message(struct __test_metadata *_metadata, struct machine *m, size_t row)
{
	struct kvm_msi msi = {
		.address_lo = messages[row].low, .address_hi = messages[row].high, .data = VECTOR,
	};
	struct kvm_irq_routing_entry route = MSI_ROUTE(GSI, msi.address_lo, VECTOR);
	int ret;

	taken = 0;
	ret = __fd_ioctl(m->vm.fd, KVM_SIGNAL_MSI, (unsigned long)&msi);
	EXPECT_OF(row, messages[row].error, ret < 0 ? ret : 0);
	run_all(m);
	EXPECT_OF(row, messages[row].taken, taken);

	taken = 0;
	route.u.msi.address_hi = msi.address_hi;
	EXPECT_OF(row, messages[row].error, __vm_set_routes(&m->vm, &route, 1));
	if (messages[row].error)
		return;
	vm_irq_line(&m->vm, GSI, 1);
	run_all(m);
	EXPECT_OF(row, messages[row].taken, taken);
}

TEST_F(api, messages)
{
	struct machine *m = &self->m;

	for (u32 xapic = 0; xapic < 2; xapic++) {
		ASSERT_EQ(1, __vcpu_set_msr(&m->vcpu[0], MSR_APICBASE, APIC_GPA | APICBASE_ENABLE));
		for (unsigned int i = 0; i < m->vcpus; i++)
			machine_enter_at(m, i, serves, i || !xapic);
		run_all(m);
		for (size_t row = 0; row < ARRAY_SIZE(messages); row++) {
			if (messages[row].flags != variant->flags || messages[row].xapic != xapic)
				continue;
			expect_message(_metadata, m, row);
		}
	}
}

/* Where the ID of 32 bits is told, no other is taken. */
TEST_F(api, state_page)
{
	struct vcpu *vcpu = &self->m.vcpu[1];
	bool wide = variant->flags & WIDE;
	struct kvm_lapic_state state;

	for (u32 x2apic = 0; x2apic < 2; x2apic++) {
		u64 base = APIC_GPA | APICBASE_ENABLE | (x2apic ? APICBASE_X2APIC : 0);
		u32 id = wide && x2apic ? 257 : 1u << 24;

		ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_APICBASE, base));
		vcpu_get_lapic(vcpu, &state);
		EXPECT_EQ(id, lapic_reg(&state, APIC_ID));
		EXPECT_EQ(0, __vcpu_set_lapic(vcpu, &state));
		lapic_set_reg(&state, APIC_ID, 7u << 24);
		lapic_set_reg(&state, APIC_TPR, 0x20);
		EXPECT_EQ(wide && x2apic ? -EINVAL : 0, __vcpu_set_lapic(vcpu, &state));
		vcpu_get_lapic(vcpu, &state);
		EXPECT_EQ(x2apic ? id : 7u << 24, lapic_reg(&state, APIC_ID));
	}
}

TEST_F(api, errors)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { 1u << 2 } };

	EXPECT_EQ(-EINVAL, __vm_enable_cap(&self->m.vm, &cap));
	cap.args[0] = WIDE;
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, __vm_enable_cap(&self->m.vm, &cap));
}

TEST_HARNESS_MAIN
