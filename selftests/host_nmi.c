// SPDX-License-Identifier: GPL-2.0
/*
 * NMIs that come while a guest runs are the host's, and the guest goes on behind them. They come
 * from the CMOS clock, whose pin of the IOAPIC is turned into one for NMIs. The
 * kernel lets nobody do that unless it is told to: iomem=relaxed, and hpet=disable, because an HPET
 * takes that pin. It will say that it does not know the reason.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "lib/harness.h"

#define NMIS		20
#define IOAPIC		0xfec00000
#define PIN		8
#define DELIVERS_NMI	0x400
#define RTC_A		10
#define RTC_B		11
#define RTC_C		12
#define RTC_PERIODIC	0x40
#define RTC_RATE	12	/* every 62 milliseconds */
#define COUNTER		0x30000

GUEST_PROGRAM(counts, LONG, SPIN "1: incq 0x30000\n jmp 1b");

static u8 rtc_read(u8 index)
{
	outb(index, 0x70);
	return inb(0x71);
}

static void rtc_write(u8 index, u8 value)
{
	outb(index, 0x70);
	outb(value, 0x71);
}

static u32 ioapic_read(volatile u32 *ioapic, u32 index)
{
	ioapic[0] = index;
	return ioapic[4];
}

static void ioapic_write(volatile u32 *ioapic, u32 index, u32 value)
{
	ioapic[0] = index;
	ioapic[4] = value;
}

static void ignore(int number __attribute__((unused)))
{
}

FIXTURE(host_nmi) {
	struct vm vm;
	struct vcpu vcpu;
	volatile u32 *ioapic;
	u32 pin[2];
	u8 rtc[2];
	int cpu;
};

static volatile u32 *map_ioapic(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IOAPIC);

	return page == MAP_FAILED ? NULL : page;
}

/* Stays on the last CPU, which takes no other interrupts of devices. Returns its APIC's ID. */
static u32 stay(int *cpu)
{
	u32 a, b, c, d;
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	*cpu = CPU_COUNT(&set) - 1;
	CPU_ZERO(&set);
	CPU_SET(*cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot move to CPU %d", *cpu);
	__cpuid(1, a, b, c, d);
	return b >> 24;
}

FIXTURE_SETUP(host_nmi)
{
	struct sigaction action = { .sa_handler = ignore };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };

	self->ioapic = map_ioapic();
	if (!self->ioapic || ioperm(0x70, 2, 1))
		SKIP(return, "this kernel lets nobody at the IOAPIC: no iomem=relaxed");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &counts);
	for (u32 i = 0; i < 2; i++) {
		self->pin[i] = ioapic_read(self->ioapic, 0x10 + 2 * PIN + i);
		self->rtc[i] = rtc_read(RTC_A + i);
	}
	ioapic_write(self->ioapic, 0x11 + 2 * PIN, stay(&self->cpu) << 24);
	ioapic_write(self->ioapic, 0x10 + 2 * PIN, DELIVERS_NMI);
	rtc_write(RTC_A, (self->rtc[0] & 0xf0) | RTC_RATE);
	rtc_write(RTC_B, self->rtc[1] | RTC_PERIODIC);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}
FIXTURE_TEARDOWN(host_nmi)
{
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	for (u32 i = 0; i < 2; i++) {
		rtc_write(RTC_A + i, self->rtc[i]);
		ioapic_write(self->ioapic, 0x11 + 2 * PIN - i, self->pin[1 - i]);
	}
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

/* What /proc/interrupts has in the column of this CPU. */
static u64 nmis_of(int cpu)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[1024], *word = NULL;
	u64 count = 0;

	while (file && fgets(line, sizeof(line), file) && !(word = strstr(line, "NMI:")))
		;
	if (!word)
		die("no NMIs in /proc/interrupts");
	word += 4;
	for (int i = 0; i <= cpu; i++)
		count = strtoull(word, &word, 10);
	fclose(file);
	return count;
}

/*
 * Nearly all of the time it is the guest that is interrupted. One that is lost is awaited for ever, and so is a
 * guest that does not go on.
 */
TEST_F_TIMEOUT(host_nmi, reaches_the_host, LONG_TEST_SECONDS)
{
	volatile u64 *counter = (volatile u64 *)(self->vm.ram + COUNTER);
	u64 first = nmis_of(self->cpu), seen = first;

	for (int i = 0; i < NMIS; i++) {
		rtc_read(RTC_C);	/* or no other tick comes */
		while (nmis_of(self->cpu) == seen)
			ASSERT_EQ(-EINTR, __vcpu_run(&self->vcpu));
		seen = nmis_of(self->cpu);
		for (u64 before = *counter; *counter == before; )
			ASSERT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	}
	EXPECT_LE(first + NMIS, seen);
}

TEST_HARNESS_MAIN
