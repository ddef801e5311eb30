// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's clocks beside the host's, while the vCPU works, sleeps and moves. The
 * host looks at its own clock before and after: what the guest tells must be between.
 */
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define TIMER	0x61
#define MOVES	40

static struct pvclock page __attribute__((aligned(64)));
static volatile u64 clock_now, tsc_now, last_clock, last_tsc;
static volatile u32 steps_back, ticks;

GUEST_ISR(on_timer)
{
	ticks++;
	x2apic_write(APIC_EOI, 0);
}

GUEST_INLINE void look(void)
{
	u64 tsc = rdtsc(), now = pvclock_read(&page);

	if (now < last_clock || tsc < last_tsc)
		steps_back++;
	last_clock = now;
	last_tsc = tsc;
}

/* Tells both clocks, and works on until it is asked again. */
GUEST looks_at_clocks(u64 arg)
{
	(void)arg;
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&page | 1);
	for (;;) {
		for (int i = 0; i < 1000; i++)
			look();
		clock_now = last_clock;
		tsc_now = last_tsc;
		guest_say(0);
	}
}

FIXTURE(timekeeping) {
	struct machine m;
	cpu_set_t all;
};
FIXTURE_SETUP(timekeeping)
{
	SKIP_WITHOUT_PV(PV_CLOCKSOURCE2);
	sched_getaffinity(0, sizeof(self->all), &self->all);
	machine_create(&self->m, machine_missing(KERNEL_IRQCHIP) ? NO_IRQCHIP : KERNEL_IRQCHIP, 1);
}
FIXTURE_TEARDOWN(timekeeping)
{
	machine_destroy(&self->m);
}

static u64 host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Both sides' clocks at one moment, which the host knows from two sides. */
struct moment {
	u64 before, after, clock, tsc;
};

static struct moment look_at_both(struct machine *m)
{
	struct moment moment = { .before = host_ns() };

	vcpu_run_until_say(&m->vcpu[0]);
	moment.after = host_ns();
	moment.clock = clock_now;
	moment.tsc = tsc_now;
	return moment;
}

/* May differ by a hundredth, and by a millisecond. */
static void expect_between(struct __test_metadata *_metadata, u64 least, u64 value, u64 most)
{
	EXPECT_LE(least - least / 100, value + 1000000);
	EXPECT_GE(most + most / 100 + 1000000, value);
}

static void expect_agreement(struct __test_metadata *_metadata, struct machine *m,
			     const struct moment *from, const struct moment *to)
{
	u64 khz = __fd_ioctl(m->vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	u64 least = to->before - from->after, most = to->after - from->before;

	expect_between(_metadata, least, to->clock - from->clock, most);
	expect_between(_metadata, least, (to->tsc - from->tsc) * 1000000 / khz, most);
	EXPECT_EQ(0u, steps_back);
}

static void move_to(cpu_set_t *all, int number)
{
	int cpus = CPU_COUNT(all), cpu = 0;
	cpu_set_t set;

	for (number %= cpus; number >= 0; cpu++)
		number -= CPU_ISSET(cpu, all);
	CPU_ZERO(&set);
	CPU_SET(cpu - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot move to CPU %d", cpu - 1);
}

/* Works all the time, on one CPU after the other where there are several. */
TEST_F_TIMEOUT(timekeeping, under_load_and_moving, LONG_TEST_SECONDS)
{
	struct moment from, to;

	machine_enter_at(&self->m, 0, looks_at_clocks, 0);
	look_at_both(&self->m);
	from = look_at_both(&self->m);
	for (int i = 0; i < MOVES; i++) {
		move_to(&self->all, i);
		to = look_at_both(&self->m);
	}
	expect_agreement(_metadata, &self->m, &from, &to);
}

/* Not run for a while: time goes on. */
TEST_F(timekeeping, asleep)
{
	struct moment from, to;

	machine_enter_at(&self->m, 0, looks_at_clocks, 0);
	look_at_both(&self->m);
	from = look_at_both(&self->m);
	usleep(200000);
	to = look_at_both(&self->m);
	expect_agreement(_metadata, &self->m, &from, &to);
}

GUEST sleeps_by_its_timer(u64 deadline)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&page | 1);
	x2apic_enable();
	x2apic_write(APIC_TDCR, TDCR_BY_1);
	x2apic_write(APIC_LVTT, TIMER | (deadline ? LVT_DEADLINE : LVT_PERIODIC));
	if (!deadline)
		x2apic_write(APIC_TMICT, 1000000);	/* a millisecond: KVM's bus is at 1 GHz */
	for (;;) {
		for (u32 until = ticks + 20; ticks < until; ) {
			if (deadline)
				wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000000);
			sti_hlt();
			cli();
		}
		look();
		clock_now = last_clock;
		tsc_now = last_tsc;
		guest_say(0);
	}
}

/* No tick of a millisecond comes before its time; late ones may come close together. */
TEST_F(timekeeping, periodic_timer)
{
	u64 start = host_ns();
	struct moment from, to;

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_set_gate(&self->m, TIMER, on_timer);
	machine_enter_at(&self->m, 0, sleeps_by_its_timer, false);
	look_at_both(&self->m);
	from = look_at_both(&self->m);
	to = look_at_both(&self->m);
	expect_agreement(_metadata, &self->m, &from, &to);
	EXPECT_LE(60u, ticks);
	expect_between(_metadata, 0, ticks * 1000000ull, to.after - start);
}

TEST_F(timekeeping, deadline_timer)
{
	u64 khz = __fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	struct moment from, to;

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	machine_set_gate(&self->m, TIMER, on_timer);
	machine_enter_at(&self->m, 0, sleeps_by_its_timer, true);
	look_at_both(&self->m);
	from = look_at_both(&self->m);
	to = look_at_both(&self->m);
	expect_agreement(_metadata, &self->m, &from, &to);
	EXPECT_LE(20 * 1000000ull, to.tsc - from.tsc);
	EXPECT_LE(19 * 1000000ull * 1000000 / khz, to.after - from.before);
}

TEST_HARNESS_MAIN
