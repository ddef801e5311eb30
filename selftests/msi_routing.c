// SPDX-License-Identifier: GPL-2.0
/* Messages and the routing table: who is asked, and what the caller is told. */
#include <pthread.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define VECTOR	0x45
#define OTHER	0x55
#define GSI	30

static volatile u32 taken[256];
static volatile u32 nmis;
static volatile bool go;

#define COUNTS(name, vector)						\
GUEST_ISR(name)								\
{									\
	taken[vector]++;						\
	xapic_write(APIC_EOI, 0);					\
}
COUNTS(on_vector, VECTOR)
COUNTS(on_other, OTHER)

GUEST_ISR(on_nmi)
{
	nmis++;
}

FIXTURE(msi) {
	struct machine m;
};
FIXTURE_SETUP(msi)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 2);
	machine_set_gate(&self->m, VECTOR, on_vector);
	machine_set_gate(&self->m, OTHER, on_other);
	machine_set_gate(&self->m, NMI_VECTOR, on_nmi);
}
FIXTURE_TEARDOWN(msi)
{
	machine_destroy(&self->m);
}

GUEST serves(u64 ioapic_entry)
{
	xapic_enable();
	xapic_write(APIC_LDR, 0x01000000);
	if (ioapic_entry)
		ioapic_set(5, ioapic_entry);
	for (;;) {
		guest_say(0);
		take_interrupts();
	}
}

static void begin(struct machine *m, u64 ioapic_entry)
{
	machine_enter_at(m, 0, serves, ioapic_entry);
	vcpu_run_until_say(&m->vcpu[0]);
}

/* Address, data, and what must come of it on vCPU 0, which alone is enabled. */
static const struct {
	u32 address, data;
	int result;
	u32 irqs, nmis;
} messages[] = {
	{ MSI_ADDRESS(0), VECTOR, 1, 1, 0 },
	{ MSI_ADDRESS(0) | 4, VECTOR, 0, 0, 0 },		/* logical, of no one */
	{ MSI_ADDRESS(1) | 4, VECTOR, 1, 1, 0 },		/* logical 1 is vCPU 0 */
	{ MSI_ADDRESS(0xff), VECTOR, 1, 1, 0 },
	{ MSI_ADDRESS(0xff) | 4, VECTOR, 1, 1, 0 },
	{ MSI_ADDRESS(0), VECTOR | DM_LOWEST, 1, 1, 0 },
	{ MSI_ADDRESS(1) | 4 | 8, VECTOR | DM_LOWEST, 1, 1, 0 },
	{ MSI_ADDRESS(0), VECTOR | DM_NMI, 1, 0, 1 },
	{ MSI_ADDRESS(9), VECTOR, 0, 0, 0 },			/* no such vCPU */
	{ MSI_ADDRESS(1), VECTOR, 0, 0, 0 },			/* disabled by software */
	{ MSI_ADDRESS(0), VECTOR | 0x4000 | 0x8000, 1, 1, 0 },	/* level, asserted */
};

TEST_F(msi, destinations_and_modes)
{
	begin(&self->m, 0);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		taken[VECTOR] = 0;
		nmis = 0;
		EXPECT_EQ(messages[i].result > 0,
			  __vm_signal_msi(&self->m.vm, messages[i].address,
					  messages[i].data) > 0) {
			TH_LOG("row %zu", i);
		}
		vcpu_run_until_say(&self->m.vcpu[0]);
		EXPECT_EQ(messages[i].irqs, taken[VECTOR]) {
			TH_LOG("row %zu", i);
		}
		EXPECT_EQ(messages[i].nmis, nmis) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(msi, the_second_one_merges)
{
	begin(&self->m, 0);
	EXPECT_EQ(1, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), VECTOR));
	EXPECT_LE(0, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), VECTOR));
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken[VECTOR]);
}

TEST_F(msi, flags)
{
	struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS(0), .data = VECTOR, .flags = 2,
	};

	EXPECT_EQ(-EINVAL, __fd_ioctl(self->m.vm.fd, KVM_SIGNAL_MSI, (unsigned long)&msi));
}

/* A table, and what KVM_SET_GSI_ROUTING says to it. */
static struct kvm_irq_routing_entry bad_type = { .gsi = GSI, .type = 77 };
static struct kvm_irq_routing_entry bad_flags = {
	.gsi = GSI, .type = KVM_IRQ_ROUTING_MSI, .flags = 2,
};

#define MSI(gsi) MSI_ROUTE(gsi, MSI_ADDRESS(0), VECTOR)

static const struct {
	int count;
	struct kvm_irq_routing_entry entries[4];
	int result;
} tables[] = {
	{ 0, {}, 0 },
	{ 1, { MSI(GSI) }, 0 },
	{ 2, { MSI(GSI), MSI(GSI + 1) }, 0 },
	{ 2, { MSI(GSI), MSI(GSI) }, -EINVAL },			/* one message a GSI */
	{ 2, { CHIP_ROUTE(GSI, 0, 1), CHIP_ROUTE(GSI, 2, 1) }, 0 },
	{ 2, { CHIP_ROUTE(GSI, 2, 1), CHIP_ROUTE(GSI, 2, 2) }, -EINVAL },
	{ 2, { CHIP_ROUTE(GSI, 2, 1), MSI(GSI) }, -EINVAL },
	{ 1, { CHIP_ROUTE(GSI, 2, 24) }, -EINVAL },
	{ 1, { CHIP_ROUTE(GSI, 0, 8) }, -EINVAL },
	{ 1, { CHIP_ROUTE(GSI, 1, 8) }, -EINVAL },
	{ 1, { CHIP_ROUTE(GSI, 3, 0) }, -EINVAL },
	{ 1, { MSI(4095) }, 0 },
	{ 1, { MSI(4096) }, -EINVAL },
};

TEST_F(msi, tables)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		EXPECT_EQ(tables[i].result, __vm_set_routes(&self->m.vm, tables[i].entries,
							    tables[i].count)) {
			TH_LOG("table %zu", i);
		}
	}
	EXPECT_EQ(-EINVAL, __vm_set_routes(&self->m.vm, &bad_type, 1));
	EXPECT_EQ(-EINVAL, __vm_set_routes(&self->m.vm, &bad_flags, 1));
}

TEST_F(msi, table_errors)
{
	struct kvm_irq_routing head = { .flags = 1 };
	struct kvm_irq_routing_entry *many;

	EXPECT_EQ(-EINVAL, __fd_ioctl(self->m.vm.fd, KVM_SET_GSI_ROUTING, (unsigned long)&head));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->m.vm.fd, KVM_SET_GSI_ROUTING, 0x10));
	many = calloc(4097, sizeof(*many));
	ASSERT_NE(NULL, many);
	for (u32 i = 0; i < 4097; i++)
		many[i] = MSI(i);
	EXPECT_EQ(-EINVAL, __vm_set_routes(&self->m.vm, many, 4097));
	EXPECT_EQ(0, __vm_set_routes(&self->m.vm, many, 4096));
	free(many);
}

/* A table that is refused leaves the old one in force. */
TEST_F(msi, a_refused_table_changes_nothing)
{
	struct kvm_irq_routing_entry good = MSI(GSI);

	begin(&self->m, 0);
	vm_set_routes(&self->m.vm, &good, 1);
	EXPECT_EQ(-EINVAL, __vm_set_routes(&self->m.vm, &bad_type, 1));
	vm_irq_line(&self->m.vm, GSI, 1);
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken[VECTOR]);
}

TEST_F(msi, a_line_may_send_a_message)
{
	struct kvm_irq_routing_entry route = MSI(GSI);

	begin(&self->m, 0);
	vm_set_routes(&self->m.vm, &route, 1);
	vm_irq_line(&self->m.vm, GSI, 1);
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken[VECTOR]);
	vm_irq_line(&self->m.vm, GSI, 0);	/* says nothing */
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken[VECTOR]);
	route.u.msi.data = OTHER;
	vm_set_routes(&self->m.vm, &route, 1);
	vm_irq_line(&self->m.vm, GSI, 1);
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken[VECTOR]);
	EXPECT_EQ(1u, taken[OTHER]);
}

/* The routes there are from the start: GSI n is pin n. */
TEST_F(msi, default_routes)
{
	struct kvm_irqchip chip;

	begin(&self->m, 0);
	for (u32 gsi = 0; gsi < KVM_IOAPIC_NUM_PINS; gsi++) {
		vm_irq_line(&self->m.vm, gsi, 1);
		chip.chip_id = KVM_IRQCHIP_IOAPIC;
		vm_get_irqchip(&self->m.vm, &chip);
		EXPECT_EQ(1u << gsi, chip.chip.ioapic.irr);
		chip.chip_id = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		vm_get_irqchip(&self->m.vm, &chip);
		/* A line of the slave raises line 2 of the master. */
		EXPECT_EQ(gsi < 16, chip.chip.pic.last_irr >> gsi % 8 & 1);
		vm_irq_line(&self->m.vm, gsi, 0);
	}
}

TEST_F(msi, routes_can_be_taken_away)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irq_routing_entry timer = CHIP_ROUTE(0, KVM_IRQCHIP_IOAPIC, 2);

	vm_set_routes(&self->m.vm, &timer, 1);
	vm_irq_line(&self->m.vm, 0, 1);
	vm_irq_line(&self->m.vm, 5, 1);
	vm_get_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(1u << 2, chip.chip.ioapic.irr);
}

/* With pin 5's entry, and no other route, what a rise is said to have done. */
static const struct {
	u64 entry;
	int least, most;
} statuses[] = {
	{ VECTOR, 1, 1 },			/* delivered */
	{ VECTOR | IOAPIC_MASKED, -1, -1 },	/* ignored */
	{ VECTOR | IOAPIC_LEVEL | IOAPIC_MASKED, -1, -1 },
	{ VECTOR | 9ull << 56, -1, 0 },		/* nobody's */
};

TEST_F(msi, irq_line_status)
{
	struct kvm_irq_routing_entry route = CHIP_ROUTE(5, KVM_IRQCHIP_IOAPIC, 5);

	vm_set_routes(&self->m.vm, &route, 1);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		int status;

		begin(&self->m, statuses[i].entry);
		status = vm_irq_line_status(&self->m.vm, 5, 1);
		EXPECT_TRUE(statuses[i].least <= status && status <= statuses[i].most) {
			TH_LOG("row %zu: status %d", i, status);
		}
		vm_irq_line(&self->m.vm, 5, 0);
		vcpu_run_until_say(&self->m.vcpu[0]);
	}
}

TEST_F(msi, an_edge_that_is_none_is_coalesced)
{
	struct kvm_irq_routing_entry route = CHIP_ROUTE(5, KVM_IRQCHIP_IOAPIC, 5);

	vm_set_routes(&self->m.vm, &route, 1);
	begin(&self->m, VECTOR);
	EXPECT_EQ(1, vm_irq_line_status(&self->m.vm, 5, 1));
	EXPECT_EQ(0, vm_irq_line_status(&self->m.vm, 5, 1));
}

TEST_F(msi, irq_line_status_without_a_route)
{
	struct kvm_irq_routing_entry route = MSI(GSI);

	vm_set_routes(&self->m.vm, &route, 1);
	EXPECT_EQ(-1, vm_irq_line_status(&self->m.vm, 5, 1));
}

/* One table says VECTOR, the other OTHER: each message goes to one of the two. */
static void *swap_tables(void *arg)
{
	struct kvm_irq_routing_entry routes[] = {
		MSI_ROUTE(GSI, MSI_ADDRESS(0), VECTOR), MSI_ROUTE(GSI, MSI_ADDRESS(0), OTHER),
	};
	struct vm *vm = arg;

	for (int i = 0; i < 50; i++)
		vm_set_routes(vm, &routes[i % 2], 1);
	go = false;
	return NULL;
}

TEST_F(msi, tables_are_replaced_as_a_whole)
{
	struct kvm_irq_routing_entry route = MSI(GSI);
	pthread_t thread;
	u32 sent = 0;

	begin(&self->m, 0);
	vm_set_routes(&self->m.vm, &route, 1);
	go = true;
	ASSERT_EQ(0, pthread_create(&thread, NULL, swap_tables, &self->m.vm));
	while (go) {
		vm_irq_line(&self->m.vm, GSI, 1);
		vcpu_run_until_say(&self->m.vcpu[0]);
		sent++;
		ASSERT_EQ(sent, taken[VECTOR] + taken[OTHER]);
	}
	pthread_join(thread, NULL);
}

TEST_HARNESS_MAIN
