// SPDX-License-Identifier: GPL-2.0
/* The PIT: channel 0 interrupts, channel 2 is read through port 0x61. */
#include "lib/harness.h"
#include "lib/machine.h"

#define BASE		0x20
#define CHANNEL_2_OUT	0x20	/* in port 0x61 */

static volatile u32 ticks;
static volatile u32 result[16];

GUEST_ISR(on_tick)
{
	ticks++;
	outb(0x20, 0x20);
}

FIXTURE(pit) {
	struct machine m;
};
FIXTURE_SETUP(pit)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	vm_create_pit2(&self->m.vm, &config);
	machine_set_gate(&self->m, BASE, on_tick);
}
FIXTURE_TEARDOWN(pit)
{
	machine_destroy(&self->m);
}

GUEST_INLINE void pit_load(int channel, int mode, u16 value)
{
	outb(0x43, channel << 6 | 0x30 | mode << 1);
	outb(0x40 + channel, value);
	outb(0x40 + channel, value >> 8);
}

GUEST_INLINE u16 pit_read(int channel)
{
	u8 low;

	outb(0x43, channel << 6);	/* latch */
	low = inb(0x40 + channel);
	return low | inb(0x40 + channel) << 8;
}

static void run_guest(struct machine *m, void (*guest)(u64), u64 arg)
{
	machine_enter_at(m, 0, guest, arg);
	vcpu_run_until_done(&m->vcpu[0]);
}

GUEST ticks_along(u64 mode)
{
	pic_init(BASE, 1);
	pit_load(0, mode, 1193);	/* a millisecond */
	while (ticks < 5)
		sti_hlt();
	guest_done();
}

TEST_F(pit, rate_generator)
{
	run_guest(&self->m, ticks_along, 2);
	EXPECT_LE(5u, ticks);
}

TEST_F(pit, square_wave)
{
	run_guest(&self->m, ticks_along, 3);
	EXPECT_LE(5u, ticks);
}

GUEST ticks_once(u64 arg)
{
	(void)arg;
	pic_init(BASE, 1);
	pit_load(0, 0, 1193);
	while (!ticks)
		sti_hlt();
	cli();
	pit_load(0, 0, 1193);
	while (ticks < 2)
		sti_hlt();
	guest_done();
}

TEST_F(pit, terminal_count)
{
	run_guest(&self->m, ticks_once, 0);
	EXPECT_EQ(2u, ticks);
}

GUEST uses_port_61(u64 arg)
{
	(void)arg;
	outb(0x61, 1);				/* gate on, speaker off */
	pit_load(2, 0, 2000);
	result[0] = inb(0x61) & CHANNEL_2_OUT;
	while (!(inb(0x61) & CHANNEL_2_OUT))
		;
	result[1] = inb(0x61) & 1;
	guest_done();
}

/* As Linux calibrates its clocks: wait for channel 2's output to rise. */
TEST_F(pit, channel_2_output)
{
	run_guest(&self->m, uses_port_61, 0);
	EXPECT_EQ(1u, result[1]);
}

GUEST reads_counts(u64 arg)
{
	(void)arg;
	outb(0x61, 1);
	pit_load(2, 0, 0xffff);
	for (int i = 0; i < 4; i++)
		result[i] = pit_read(2);
	outb(0x43, 0xc0 | 1 << 3);		/* read-back: count and status, channel 2 */
	result[4] = inb(0x42);
	result[5] = inb(0x42);
	result[6] = inb(0x42);
	guest_done();
}

TEST_F(pit, counts_down)
{
	run_guest(&self->m, reads_counts, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_GE(result[i], result[i + 1]);
	EXPECT_EQ(0x30u, result[4] & 0x3f);	/* low then high byte, mode 0, binary */
	EXPECT_GE(result[3], result[5] | result[6] << 8);
}

TEST_F(pit, state_shows_what_was_programmed)
{
	struct kvm_pit_state2 state;

	run_guest(&self->m, reads_counts, 0);
	vm_get_pit2(&self->m.vm, &state);
	EXPECT_EQ(0xffffu, state.channels[2].count);
	EXPECT_EQ(0, state.channels[2].mode);
	EXPECT_EQ(3, state.channels[2].rw_mode);
	EXPECT_EQ(1, state.channels[2].gate);
}

GUEST waits(u64 arg)
{
	(void)arg;
	pic_init(BASE, 1);
	while (ticks < 3)
		sti_hlt();
	guest_done();
}

/* Restored while it ticks, it goes on ticking. */
TEST_F(pit, set_state_starts_channel_0)
{
	struct kvm_pit_state2 state;

	vm_get_pit2(&self->m.vm, &state);
	state.channels[0].count = 1193;
	state.channels[0].mode = 2;
	state.channels[0].rw_mode = 3;
	vm_set_pit2(&self->m.vm, &state);
	run_guest(&self->m, waits, 0);
	EXPECT_LE(3u, ticks);
}

/* Interrupts that nobody took are made up for, unless userspace says otherwise. */
TEST_F(pit, without_reinjection_it_ticks_all_the_same)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };

	vm_reinject_control(&self->m.vm, &control);
	run_guest(&self->m, ticks_along, 2);
	EXPECT_LE(5u, ticks);
}

FIXTURE_MACHINE(no_pit, KERNEL_IRQCHIP, 1)

GUEST uses_ports(u64 arg)
{
	(void)arg;
	outb(0x43, 0x34);
	guest_done();
}

TEST_F(no_pit, the_ports_are_userspaces)
{
	machine_enter_at(&self->m, 0, uses_ports, 0);
	EXPECT_EQ(0x34u, vcpu_run_until_out(&self->m.vcpu[0], 0x43));
	vcpu_run_until_done(&self->m.vcpu[0]);
}

TEST_HARNESS_MAIN
