// SPDX-License-Identifier: GPL-2.0
/* Which interrupt controllers a VM has, in which order they come, and their state. */
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

enum target { VM, VCPU };

/* A call, on a VM of each kind: what it says there. */
FIXTURE(irqchip_call) {
	struct machine m;
};
FIXTURE_VARIANT(irqchip_call) {
	enum target target;
	unsigned long cmd;
	const void *arg;
	int vcpus;
	int result[3];	/* by enum irqchip */
};
FIXTURE_SETUP(irqchip_call)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
}
FIXTURE_TEARDOWN(irqchip_call)
{
}

#define CALL(id, target, cmd, arg, vcpus, none, full, split)		\
FIXTURE_VARIANT_ADD(irqchip_call, id) {					\
	target, cmd, arg, vcpus, { none, full, split } }

static struct kvm_enable_cap split24 = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
static struct kvm_enable_cap split99 = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 4097 } };
static struct kvm_enable_cap split_flags = {
	.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 }, .flags = 1,
};
static struct kvm_enable_cap bus_25_mhz = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { 40 } };
static struct kvm_enable_cap bus_0 = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS };
static struct kvm_enable_cap bus_longest = {
	.cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { 1 << 25 },
};
static struct kvm_enable_cap bus_too_long = {
	.cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { (1 << 25) + 1 },
};
static struct kvm_pit_config pit_plain;
static struct kvm_irqchip chip_ioapic = { .chip_id = KVM_IRQCHIP_IOAPIC };
static struct kvm_irqchip chip_bad = { .chip_id = 3 };
static struct kvm_pit_state2 pit_state;
static struct kvm_irq_level line_gsi5 = { .irq = 5, .level = 1 };
static struct kvm_irq_level line_unrouted = { .irq = 1000, .level = 1 };
static struct kvm_irq_level line_status = { .irq = 1000, .level = 0 };
static struct kvm_msi msi_to_0 = { .address_lo = MSI_ADDRESS(0), .data = 0x41 };
static struct kvm_irq_routing no_routes;
static struct kvm_lapic_state lapic_state;
static struct kvm_vapic_addr vapic_none;
static struct kvm_interrupt vector_41 = { .irq = 0x41 };
static struct kvm_interrupt vector_256 = { .irq = 256 };
static struct kvm_reinject_control reinject;

CALL(create, VM, KVM_CREATE_IRQCHIP, NULL, 0, 0, -EEXIST, -EEXIST);
CALL(create_late, VM, KVM_CREATE_IRQCHIP, NULL, 1, -EINVAL, -EEXIST, -EEXIST);
CALL(split, VM, KVM_ENABLE_CAP, &split24, 0, 0, -EEXIST, -EEXIST);
CALL(split_late, VM, KVM_ENABLE_CAP, &split24, 1, -EEXIST, -EEXIST, -EEXIST);
CALL(split_too_many_pins, VM, KVM_ENABLE_CAP, &split99, 0, -EINVAL, -EINVAL, -EINVAL);
CALL(split_flags, VM, KVM_ENABLE_CAP, &split_flags, 0, -EINVAL, -EINVAL, -EINVAL);
CALL(bus_clock, VM, KVM_ENABLE_CAP, &bus_25_mhz, 0, -ENXIO, 0, 0);
CALL(bus_clock_late, VM, KVM_ENABLE_CAP, &bus_25_mhz, 1, -ENXIO, -EINVAL, -EINVAL);
CALL(bus_clock_stands, VM, KVM_ENABLE_CAP, &bus_0, 0, -EINVAL, -EINVAL, -EINVAL);
CALL(bus_clock_longest, VM, KVM_ENABLE_CAP, &bus_longest, 0, -ENXIO, 0, 0);
CALL(bus_clock_too_long, VM, KVM_ENABLE_CAP, &bus_too_long, 0, -EINVAL, -EINVAL, -EINVAL);
CALL(pit, VM, KVM_CREATE_PIT2, &pit_plain, 0, -ENOENT, 0, -ENOENT);
CALL(pit_late, VM, KVM_CREATE_PIT2, &pit_plain, 1, -ENOENT, 0, -ENOENT);
CALL(pit_1, VM, KVM_CREATE_PIT, NULL, 0, -ENOENT, 0, -ENOENT);
CALL(get_pit_without_one, VM, KVM_GET_PIT2, &pit_state, 0, -ENXIO, -ENXIO, -ENXIO);
CALL(set_pit_without_one, VM, KVM_SET_PIT2, &pit_state, 0, -ENXIO, -ENXIO, -ENXIO);
CALL(reinject_without_pit, VM, KVM_REINJECT_CONTROL, &reinject, 0, -ENXIO, -ENXIO, -ENXIO);
CALL(get_chip, VM, KVM_GET_IRQCHIP, &chip_ioapic, 0, -ENXIO, 0, -ENXIO);
CALL(get_bad_chip, VM, KVM_GET_IRQCHIP, &chip_bad, 0, -ENXIO, -EINVAL, -ENXIO);
CALL(set_bad_chip, VM, KVM_SET_IRQCHIP, &chip_bad, 0, -ENXIO, -EINVAL, -ENXIO);
CALL(irq_line, VM, KVM_IRQ_LINE, &line_gsi5, 1, -ENXIO, 0, 0);
CALL(irq_line_unrouted, VM, KVM_IRQ_LINE, &line_unrouted, 1, -ENXIO, 0, 0);
CALL(irq_line_status, VM, KVM_IRQ_LINE_STATUS, &line_status, 1, -ENXIO, 0, 0);
CALL(routing, VM, KVM_SET_GSI_ROUTING, &no_routes, 0, -EINVAL, 0, 0);
CALL(signal_msi_blocked, VM, KVM_SIGNAL_MSI, &msi_to_0, 1, -EINVAL, 0, 0);
CALL(get_lapic, VCPU, KVM_GET_LAPIC, &lapic_state, 1, -EINVAL, 0, 0);
CALL(vapic_addr, VCPU, KVM_SET_VAPIC_ADDR, &vapic_none, 1, -EINVAL, 0, 0);
CALL(interrupt, VCPU, KVM_INTERRUPT, &vector_41, 1, 0, -ENXIO, 0);
CALL(interrupt_bad_vector, VCPU, KVM_INTERRUPT, &vector_256, 1, -EINVAL, -EINVAL, -EINVAL);
CALL(boot_cpu_late, VM, KVM_SET_BOOT_CPU_ID, NULL, 1, -EBUSY, -EBUSY, -EBUSY);

TEST_F(irqchip_call, result)
{
	for (enum irqchip kind = NO_IRQCHIP; kind <= SPLIT_IRQCHIP; kind++) {
		int fds[2];

		machine_create(&self->m, kind, variant->vcpus);
		fds[VM] = self->m.vm.fd;
		fds[VCPU] = self->m.vcpu[0].fd;
		EXPECT_EQ(variant->result[kind],
			  __fd_ioctl(fds[variant->target], variant->cmd,
				     (unsigned long)variant->arg)) {
			TH_LOG("in mode %d", kind);
		}
		machine_destroy(&self->m);
	}
}

/* What a client may rely on once there are interrupt controllers at all. */
static const struct {
	long cap;
	int least, most;
} caps[] = {
	{ KVM_CAP_IRQ_ROUTING, 256, 65536 },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1, 1 },
	{ KVM_CAP_PIT2, 1, 1 },
	{ KVM_CAP_PIT_STATE2, 1, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1, 1 },
	{ KVM_CAP_IRQFD, 1, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1, 1 },
	{ KVM_CAP_IOEVENTFD, 1, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1, 1 },
	{ KVM_CAP_COALESCED_MMIO, 1, 2 },
	{ KVM_CAP_COALESCED_PIO, 1, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1, 1 },
	{ KVM_CAP_VAPIC, 1, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1, 1 },
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE, 15 },
	{ KVM_CAP_MCE, 10, 32 },
	{ KVM_CAP_MP_STATE, 1, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1, 3 },
	{ KVM_CAP_MSI_DEVID, 0, 0 },
	{ KVM_CAP_MAX_VCPUS, 64, 65536 },
};

FIXTURE_MACHINE(kernel, KERNEL_IRQCHIP, 1)

TEST_F(kernel, capabilities)
{
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		int value = __vm_check_extension(&self->m.vm, caps[i].cap);

		EXPECT_TRUE(caps[i].least <= value && value <= caps[i].most) {
			TH_LOG("capability %ld: %d", caps[i].cap, value);
		}
	}
}

TEST_F(kernel, reset_state_of_the_pics)
{
	static const u8 elcr_mask[] = { 0xf8, 0xde };

	for (u32 id = 0; id < 2; id++) {
		struct kvm_irqchip chip = { .chip_id = id };
		struct kvm_pic_state expected = { .elcr_mask = elcr_mask[id] };

		vm_get_irqchip(&self->m.vm, &chip);
		EXPECT_EQ(0, memcmp(&expected, &chip.chip.pic, sizeof(expected)));
	}
}

TEST_F(kernel, reset_state_of_the_ioapic)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_get_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(0xfec00000u, chip.chip.ioapic.base_address);
	EXPECT_EQ(0u, chip.chip.ioapic.id);
	EXPECT_EQ(0u, chip.chip.ioapic.irr);
	for (int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
		EXPECT_EQ(IOAPIC_MASKED, chip.chip.ioapic.redirtbl[pin].bits);
}

TEST_F(kernel, pic_round_trip)
{
	struct kvm_irqchip set = { .chip_id = KVM_IRQCHIP_PIC_SLAVE };
	struct kvm_irqchip got = { .chip_id = KVM_IRQCHIP_PIC_SLAVE };

	set.chip.pic = (struct kvm_pic_state) {
		.last_irr = 0x10, .irr = 0x20, .imr = 0xa5, .isr = 0x40, .priority_add = 3,
		.irq_base = 0x78, .read_reg_select = 1, .elcr = 0x0c, .elcr_mask = 0xde,
	};
	vm_set_irqchip(&self->m.vm, &set);
	vm_get_irqchip(&self->m.vm, &got);
	EXPECT_EQ(0, memcmp(&set.chip.pic, &got.chip.pic, sizeof(set.chip.pic)));
}

TEST_F(kernel, ioapic_round_trip)
{
	struct kvm_irqchip set = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irqchip got = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_get_irqchip(&self->m.vm, &set);
	set.chip.ioapic.id = 5;
	set.chip.ioapic.ioregsel = 0x12;
	for (int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
		set.chip.ioapic.redirtbl[pin].bits = IOAPIC_MASKED | (0x30 + pin) |
						     (u64)pin << 56 | IOAPIC_LEVEL;
	vm_set_irqchip(&self->m.vm, &set);
	vm_get_irqchip(&self->m.vm, &got);
	EXPECT_EQ(0, memcmp(&set.chip.ioapic, &got.chip.ioapic, sizeof(set.chip.ioapic)));
}

TEST_F(kernel, the_second_pit_exists_already)
{
	struct kvm_pit_config config = { 0 };

	EXPECT_EQ(0, __vm_create_pit2(&self->m.vm, &config));
	EXPECT_EQ(-EEXIST, __vm_create_pit2(&self->m.vm, &config));
	EXPECT_EQ(-EEXIST, __fd_ioctl(self->m.vm.fd, KVM_CREATE_PIT, 0));
}

TEST_F(kernel, reset_state_of_the_pit)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_pit_state2 state;

	vm_create_pit2(&self->m.vm, &config);
	vm_get_pit2(&self->m.vm, &state);
	EXPECT_EQ(0u, state.flags);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0x10000u, state.channels[i].count);
		EXPECT_EQ(0xff, state.channels[i].mode);
		EXPECT_EQ(i != 2, state.channels[i].gate);
		EXPECT_EQ(0, state.channels[i].bcd);
	}
}

TEST_F(kernel, pit_round_trip)
{
	struct kvm_pit_config config = { 0 };
	struct kvm_pit_state2 set, got;

	vm_create_pit2(&self->m.vm, &config);
	vm_get_pit2(&self->m.vm, &set);
	set.channels[2].count = 0x1234;
	set.channels[2].mode = 2;
	set.channels[2].rw_mode = 3;
	set.channels[2].gate = 1;
	set.channels[2].latched_count = 0x55aa;
	set.flags = KVM_PIT_FLAGS_HPET_LEGACY;
	vm_set_pit2(&self->m.vm, &set);
	vm_get_pit2(&self->m.vm, &got);
	EXPECT_EQ(0x1234u, got.channels[2].count);
	EXPECT_EQ(2, got.channels[2].mode);
	EXPECT_EQ(3, got.channels[2].rw_mode);
	EXPECT_EQ(1, got.channels[2].gate);
	EXPECT_EQ(0x55aau, got.channels[2].latched_count);
	EXPECT_EQ(KVM_PIT_FLAGS_HPET_LEGACY, got.flags);
}

TEST_F(kernel, reinject_control)
{
	struct kvm_pit_config config = { 0 };
	struct kvm_reinject_control control = { .pit_reinject = 1 };

	vm_create_pit2(&self->m.vm, &config);
	EXPECT_EQ(0, __vm_reinject_control(&self->m.vm, &control));
	control.pit_reinject = 0;
	EXPECT_EQ(0, __vm_reinject_control(&self->m.vm, &control));
}

/* run->ready_for_interrupt_injection, with the guest's interrupts off. */
static int ready_when_off(enum irqchip kind)
{
	struct machine m;
	int ready;

	machine_create(&m, kind, 1);
	m.vcpu[0].run->immediate_exit = 1;
	if (__vcpu_run(&m.vcpu[0]) != -EINTR)
		die("KVM_RUN did not end with EINTR");
	ready = m.vcpu[0].run->ready_for_interrupt_injection;
	machine_destroy(&m);
	return ready;
}

TEST_F(kernel, ready_for_injection)
{
	EXPECT_EQ(0, ready_when_off(NO_IRQCHIP));
	EXPECT_EQ(1, ready_when_off(KERNEL_IRQCHIP));
	EXPECT_EQ(0, ready_when_off(SPLIT_IRQCHIP));
}

GUEST sees_tpr(u64 arg)
{
	(void)arg;
	set_cr8(5);
	guest_done();
}

TEST_F(kernel, the_run_page_shows_the_apic)
{
	machine_enter_at(&self->m, 0, sees_tpr, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(5u, self->m.vcpu[0].run->cr8);
	EXPECT_EQ(APIC_GPA | APICBASE_ENABLE | APICBASE_BSP, self->m.vcpu[0].run->apic_base);
}

TEST_HARNESS_MAIN
