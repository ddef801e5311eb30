// SPDX-License-Identifier: GPL-2.0
/* The board's controllers and its timer at work together. */
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define BASE		0x20
#define VECTOR		0x45
#define PIN		5
#define PIT_PIN		0	/* by default */
#define PERIOD		11932	/* 10 ms */
#define OWED		50

static volatile u32 ticks, count, progress;
static volatile u8 order[16];
static volatile u32 result[16];

GUEST_ISR(on_tick)
{
	ticks++;
	outb(0x20, 0x20);
}

GUEST_ISR(on_apic_tick)
{
	ticks++;
	xapic_write(APIC_EOI, 0);
}

#define PIC_ISR(irq)							\
GUEST_ISR(on_irq##irq)							\
{									\
	order[count++ % 16] = irq;					\
}
PIC_ISR(1)
PIC_ISR(3)
PIC_ISR(5)
PIC_ISR(10)
PIC_ISR(15)

FIXTURE(board) {
	struct machine m;
};
FIXTURE_SETUP(board)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	vm_create_pit2(&self->m.vm, &config);
	machine_set_gate(&self->m, BASE, on_tick);
	machine_set_gate(&self->m, BASE + 1, on_irq1);
	machine_set_gate(&self->m, BASE + 3, on_irq3);
	machine_set_gate(&self->m, BASE + 5, on_irq5);
	machine_set_gate(&self->m, BASE + 10, on_irq10);
	machine_set_gate(&self->m, BASE + 15, on_irq15);
	machine_set_gate(&self->m, VECTOR, on_apic_tick);
}
FIXTURE_TEARDOWN(board)
{
	machine_destroy(&self->m);
}

GUEST_INLINE void start_ticks(u16 period)
{
	outb(0x43, 0x34);
	outb(0x40, period);
	outb(0x40, period >> 8);
}

GUEST_INLINE void use_ioapic(int pin, u64 entry)
{
	outb(0x21, 0xff);
	xapic_enable();
	xapic_write(APIC_LVT0, LVT_MASKED);
	ioapic_set(pin, entry);
}

GUEST ticks_by_pic(u64 wanted)
{
	pic_init(BASE, 1);
	start_ticks(PERIOD);
	guest_say(0);
	while (ticks < wanted)
		sti_hlt();
	guest_done();
}

GUEST ticks_by_ioapic(u64 wanted)
{
	use_ioapic(PIT_PIN, VECTOR);
	start_ticks(PERIOD);
	guest_say(0);
	while (ticks < wanted)
		sti_hlt();
	guest_done();
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/*
 * The guest does not run for so long, then takes as many ticks as have been owed to it
 * since. They come faster than the timer's period, or it has lost some; and there are no
 * more of them than periods.
 */
static void expect_owed_ticks(struct __test_metadata *_metadata, struct machine *m,
			      void (*guest)(u64))
{
	u64 start = now_ns(), back;

	machine_enter_at(m, 0, guest, OWED);
	vcpu_run_until_say(&m->vcpu[0]);
	usleep((OWED + 5) * 10000);
	back = now_ns();
	vcpu_run_until_done(&m->vcpu[0]);
	EXPECT_LE(OWED, ticks);
	EXPECT_GT((OWED - 5) * 10000000ull, now_ns() - back);
	EXPECT_GE((now_ns() - start) / 10000000, ticks);
}

TEST_F(board, ticks_are_made_up_for_by_the_pic)
{
	expect_owed_ticks(_metadata, &self->m, ticks_by_pic);
}

TEST_F(board, ticks_are_made_up_for_by_the_ioapic)
{
	expect_owed_ticks(_metadata, &self->m, ticks_by_ioapic);
}

static bool irq_0_requested(struct machine *m)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	vm_get_irqchip(&m->vm, &chip);
	return chip.chip.pic.irr & 1;
}

static void load_channel_0(struct machine *m, u32 flags)
{
	struct kvm_pit_state2 state;

	vm_get_pit2(&m->vm, &state);
	state.channels[0].count = 1193;
	state.channels[0].mode = 2;
	state.flags = flags;
	vm_set_pit2(&m->vm, &state);
}

TEST_F(board, the_hpet_takes_irq_0)
{
	load_channel_0(&self->m, KVM_PIT_FLAGS_HPET_LEGACY);
	usleep(50000);
	EXPECT_FALSE(irq_0_requested(&self->m));
	load_channel_0(&self->m, 0);
	while (!irq_0_requested(&self->m))
		usleep(1000);
}

/* What is written back as it was read goes on counting. */
TEST_F(board, the_old_state_structure)
{
	struct kvm_pit_state state;
	struct kvm_pit_state2 state2;

	load_channel_0(&self->m, 0);
	fd_ioctl(self->m.vm.fd, KVM_GET_PIT, (unsigned long)&state, "KVM_GET_PIT");
	EXPECT_EQ(1193u, state.channels[0].count);
	EXPECT_EQ(2, state.channels[0].mode);
	state.channels[2].count = 4660;
	fd_ioctl(self->m.vm.fd, KVM_SET_PIT, (unsigned long)&state, "KVM_SET_PIT");
	vm_get_pit2(&self->m.vm, &state2);
	EXPECT_EQ(4660u, state2.channels[2].count);
	while (!irq_0_requested(&self->m))
		usleep(1000);
}

/* State that nobody would save is taken, or refused, and hurts nobody. */
TEST_F(board, nonsense_as_state)
{
	struct kvm_irqchip chip;
	struct kvm_pit_state2 state;

	memset(&state, 0xff, sizeof(state));
	vm_set_pit2(&self->m.vm, &state);
	for (u32 id = 0; id < 3; id++) {
		memset(&chip, 0xff, sizeof(chip));
		chip.chip_id = id;
		vm_set_irqchip(&self->m.vm, &chip);
		vm_get_irqchip(&self->m.vm, &chip);
	}
	memset(&state, 0, sizeof(state));
	vm_set_pit2(&self->m.vm, &state);
	vm_get_pit2(&self->m.vm, &state);
	EXPECT_EQ(0x10000u, state.channels[1].count);
}

GUEST_ISR(on_stuck)
{
	count++;
	xapic_write(APIC_EOI, 0);
}

GUEST works_on(u64 arg)
{
	(void)arg;
	use_ioapic(PIN, VECTOR | IOAPIC_LEVEL);
	asm volatile("sti");
	while (progress < 100000)
		progress++;
	guest_done();
}

/* A line that stays up whatever its handler does leaves the guest some time. */
TEST_F_TIMEOUT(board, a_stuck_line, LONG_TEST_SECONDS)
{
	machine_set_gate(&self->m, VECTOR, on_stuck);
	machine_enter_at(&self->m, 0, works_on, 0);
	vm_irq_line(&self->m.vm, PIN, 1);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_LT(1u, count);
}

GUEST uses_narrow_accesses(u64 arg)
{
	(void)arg;
	ioapic_set(PIN, VECTOR | IOAPIC_MASKED | 3ull << 56);
	*(volatile u8 *)IOAPIC_GPA = 0x10 + 2 * PIN;
	result[0] = *(volatile u8 *)(IOAPIC_GPA + 0x10);
	result[1] = *(volatile u16 *)(IOAPIC_GPA + 0x10);
	result[2] = *(volatile u32 *)(IOAPIC_GPA + 0x10);
	*(volatile u16 *)IOAPIC_GPA = 1;
	result[3] = *(volatile u32 *)(IOAPIC_GPA + 0x10);
	result[4] = *(volatile u32 *)(IOAPIC_GPA + 0x20);
	*(volatile u8 *)IOAPIC_GPA = 0xff;
	*(volatile u32 *)(IOAPIC_GPA + 0x10) = 0;
	guest_done();
}

TEST_F(board, narrow_accesses_to_the_ioapic)
{
	machine_enter_at(&self->m, 0, uses_narrow_accesses, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(VECTOR, result[0]);
	EXPECT_EQ(VECTOR, result[1]);
	EXPECT_EQ(VECTOR | IOAPIC_MASKED, result[2]);
	EXPECT_EQ(0x170011u, result[3]);
	EXPECT_EQ(0u, result[4]);
}

/* Commands to the first PIC once 1, 3 and 5 are in service or wait: what is taken, in order. */
struct pic_row {
	const char *name;
	u8 commands[4];
	u8 order[6];
};

static const struct pic_row pic_rows[] = {
	{ "ends", { 0x20 }, { 1, 3, 5 } },
	{ "ends and rotates", { 0xa0 }, { 1, 3, 5 } },
	{ "priority", { 0xc2, 0x20 }, { 3, 5, 1 } },
	{ "lowest 3", { 0xc3, 0x20 }, { 5, 1, 3 } },
	{ "ends specific", { 0x61 }, { 1, 3 } },
};

GUEST runs_row(u64 index)
{
	const struct pic_row *row = &pic_rows[index];

	pic_init(BASE, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5);
	if (row->commands[1])
		outb(0x20, row->commands[0]);
	guest_say(0);
	for (int i = 0; i < 4; i++) {
		take_interrupts();
		outb(0x20, row->commands[row->commands[1] ? 1 : 0]);
	}
	guest_done();
}

static void pulse(struct machine *m, int irq)
{
	vm_irq_line(&m->vm, irq, 1);
	vm_irq_line(&m->vm, irq, 0);
}

TEST_F(board, pic_commands)
{
	for (size_t i = 0; i < ARRAY_SIZE(pic_rows); i++) {
		u8 taken[6] = { 0 };

		count = 0;
		machine_enter_at(&self->m, 0, runs_row, i);
		vcpu_run_until_say(&self->m.vcpu[0]);
		pulse(&self->m, 5);
		pulse(&self->m, 1);
		pulse(&self->m, 3);
		vcpu_run_until_done(&self->m.vcpu[0]);
		for (u32 n = 0; n < count && n < 6; n++)
			taken[n] = order[n];
		EXPECT_EQ(0, memcmp(pic_rows[i].order, taken, sizeof(taken))) {
			TH_LOG("%s: %u: %u %u %u %u", pic_rows[i].name, count,
			       taken[0], taken[1], taken[2], taken[3]);
		}
	}
}

/* The second PIC's interrupt is masked there after the first has asked for it. */
GUEST masks_late(u64 arg)
{
	(void)arg;
	pic_init(BASE, 1 << 2 | 1 << 10);
	guest_say(0);
	outb(0xa1, 0xff);
	take_interrupts();
	outb(0x20, 0x20);
	outb(0xa1, (u8)~(1 << 2));
	take_interrupts();
	result[1] = count;
	outb(0xa0, 0x0b);
	result[2] = inb(0xa0);
	outb(0x20, 0x0b);
	result[3] = inb(0x20);
	guest_done();
}

TEST_F(board, cascade)
{
	machine_enter_at(&self->m, 0, masks_late, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	pulse(&self->m, 10);
	vcpu_run_until_done(&self->m.vcpu[0]);
	/* There may have been a spurious one, as real ones have. */
	ASSERT_LE(1u, result[1]);
	EXPECT_EQ(10, order[result[1] - 1]);
	EXPECT_EQ(1u << 2, result[2]);
	EXPECT_EQ(1u << 2, result[3]);
}

/* Access modes of the PIT's counters, read back by status. */
static const struct {
	u8 control, status;
} pit_rows[] = {
	{ 0xb0, 0x30 }, { 0xb6, 0x36 }, { 0x90, 0x10 }, { 0xa4, 0x24 }, { 0xbe, 0x36 }, { 0xb8, 0x38 },
};

GUEST reads_status(u64 index)
{
	u8 control = pit_rows[index].control;

	outb(0x43, control);
	if (control & 0x10)
		outb(0x42, 0x34);
	if (control & 0x20)
		outb(0x42, 0x12);
	outb(0x43, 0xe8);		/* status of channel 2 */
	result[0] = inb(0x42) & 0x3f;
	guest_done();
}

TEST_F(board, pit_modes)
{
	static const u32 loaded[] = { 0x34, 0x1200, 0x1234 };

	for (size_t i = 0; i < ARRAY_SIZE(pit_rows); i++) {
		struct kvm_pit_state2 state;

		machine_enter_at(&self->m, 0, reads_status, i);
		vcpu_run_until_done(&self->m.vcpu[0]);
		vm_get_pit2(&self->m.vm, &state);
		EXPECT_EQ(pit_rows[i].status, result[0]);
		EXPECT_EQ(loaded[(pit_rows[i].control >> 4 & 3) - 1], state.channels[2].count);
	}
}

/*
 * Two vCPUs write what they like to the controllers' registers and take what comes, while
 * the host moves lines, and sets and gets state. Nothing is expected but that all get on.
 */
FIXTURE_MACHINE(churn, KERNEL_IRQCHIP, 2)

#define CHURN_VECTOR	0x40	/* 64 of them */

static volatile u64 turns[2];

GUEST_ISR(on_any)
{
	xapic_write(APIC_EOI, 0);
	outb(0x20, 0x20);
	outb(0xa0, 0x20);
}

GUEST_INLINE u32 random_next(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* Vectors and modes are such that the guest stays in charge of itself. */
#define CHURN_BITS	(0x3f | DM_LOWEST | IOAPIC_LEVEL | IOAPIC_MASKED)
#define CHURN_ENTRY(random) (CHURN_VECTOR | ((random) & CHURN_BITS))

GUEST churns(u64 index)
{
	static const u16 ports[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x4d0, 0x4d1,
	};
	u64 seed = index;

	xapic_enable();
	for (;;) {
		u32 random = random_next(&seed);
		u16 port = ports[(random >> 16) % ARRAY_SIZE(ports)];

		if (random & 0x100)
			inb(port);
		else	/* no ICW1, which begins a change of vectors */
			outb(port, port == 0x20 || port == 0xa0 ? random & 0xef : random);
		if (random & 0x200)
			ioapic_set(random_next(&seed) % KVM_IOAPIC_NUM_PINS, CHURN_ENTRY(random));
		take_interrupts();
		turns[index]++;
	}
}

static void churn_chip(struct machine *m, u64 *seed)
{
	struct kvm_irqchip chip = { .chip_id = random_next(seed) % 3 };
	u8 *byte = (u8 *)&chip.chip;

	vm_get_irqchip(&m->vm, &chip);
	if (chip.chip_id == KVM_IRQCHIP_IOAPIC) {
		for (int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
			chip.chip.ioapic.redirtbl[pin].bits = CHURN_ENTRY(random_next(seed));
		chip.chip.ioapic.irr = random_next(seed);
	} else {
		for (size_t i = 0; i < sizeof(chip.chip.pic); i++)
			byte[i] = random_next(seed);
		chip.chip.pic.init_state = 0;
		chip.chip.pic.priority_add &= 7;
		chip.chip.pic.irq_base = CHURN_VECTOR + 8 * chip.chip_id;
	}
	vm_set_irqchip(&m->vm, &chip);
}

static void churn_pit(struct machine *m, u64 *seed)
{
	struct kvm_reinject_control control = { .pit_reinject = random_next(seed) & 1 };
	struct kvm_pit_state2 state;

	vm_get_pit2(&m->vm, &state);
	for (int i = 0; i < 3; i++) {
		state.channels[i].mode = random_next(seed) % 6;
		state.channels[i].count = random_next(seed) & 0xffff;
	}
	vm_set_pit2(&m->vm, &state);
	vm_reinject_control(&m->vm, &control);
}

TEST_F_TIMEOUT(churn, all_at_once, LONG_TEST_SECONDS)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 seed = 4711;

	vm_create_pit2(&self->m.vm, &config);
	for (int vector = CHURN_VECTOR; vector < CHURN_VECTOR + 64; vector++)
		machine_set_gate(&self->m, vector, on_any);
	machine_set_gate(&self->m, 0xff, on_any);
	for (u32 id = 0; id < 2; id++) {
		struct kvm_irqchip chip = { .chip_id = id };

		vm_get_irqchip(&self->m.vm, &chip);
		chip.chip.pic.irq_base = CHURN_VECTOR + 8 * id;
		vm_set_irqchip(&self->m.vm, &chip);
		machine_enter_at(&self->m, id, churns, id);
	}
	for (u32 id = 0; id < 2; id++)
		machine_start(&self->m, id);
	for (int i = 0; i < 5000; i++) {
		vm_irq_line(&self->m.vm, random_next(&seed) % 24, random_next(&seed) & 1);
		if (i % 16 == 0)
			churn_chip(&self->m, &seed);
		if (i % 64 == 0)
			churn_pit(&self->m, &seed);
	}
	/* With all lines down they go on. */
	for (u32 gsi = 0; gsi < 24; gsi++)
		vm_irq_line(&self->m.vm, gsi, 0);
	for (int id = 0; id < 2; id++) {
		u64 before = turns[id];

		while (turns[id] < before + 100)
			usleep(1000);
		machine_stop(&self->m, id);
	}
}

TEST_HARNESS_MAIN
