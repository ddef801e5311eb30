// SPDX-License-Identifier: GPL-2.0
/* Eventfds that raise interrupts: each signal is delivered or merged, none is lost. */
#include <unistd.h>
#include <sys/eventfd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define VECTOR		0x45
#define MSI_GSI		30
#define PIN		5
#define SIGNALS		100000u
#define ROUND_TRIPS	2000u

static volatile u32 taken;
static volatile u32 sent;		/* the host's count, written before it signals */
static volatile u32 seen;		/* `sent` as the handler last read it */
static volatile bool stop;

GUEST_ISR(on_vector)
{
	taken++;
	seen = sent;
	xapic_write(APIC_EOI, 0);
}

/* For level-triggered pins: the EOI is the loop's, or the guest would stay in here. */
GUEST_ISR(on_level)
{
	taken++;
}

static int event_new(u32 count)
{
	int fd = eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		die("no eventfd");
	return fd;
}

static void event_signal(int fd)
{
	const u64 one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die("an eventfd does not take a signal");
}

static u64 event_take(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static int assign(struct vm *vm, int fd, u32 gsi, u32 flags)
{
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = gsi, .flags = flags };

	return __vm_irqfd(vm, &irqfd);
}

FIXTURE(irqfd) {
	struct machine m;
	int fd;
};
FIXTURE_SETUP(irqfd)
{
	struct kvm_irq_routing_entry routes[] = {
		MSI_ROUTE(MSI_GSI, MSI_ADDRESS(0), VECTOR),
		CHIP_ROUTE(PIN, KVM_IRQCHIP_IOAPIC, PIN),
	};

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	if (device_cap(KVM_CAP_IRQFD) <= 0)
		SKIP(return, "the device has no KVM_CAP_IRQFD");
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	vm_set_routes(&self->m.vm, routes, ARRAY_SIZE(routes));
	machine_set_gate(&self->m, VECTOR, on_vector);
	self->fd = event_new(0);
}
FIXTURE_TEARDOWN(irqfd)
{
	close(self->fd);
	machine_destroy(&self->m);
}

/* A round lets interrupts in, and ends a level-triggered one. */
GUEST serves(u64 entry)
{
	xapic_enable();
	ioapic_set(PIN, entry);
	for (;;) {
		guest_say(0);
		take_interrupts();
		if (apic_bit(APIC_ISR, VECTOR))
			xapic_write(APIC_EOI, 0);
	}
}

static void begin(struct machine *m, u64 entry)
{
	machine_enter_at(m, 0, serves, entry);
	vcpu_run_until_say(&m->vcpu[0]);
}

static u32 one_round(struct machine *m)
{
	u32 before = taken;

	vcpu_run_until_say(&m->vcpu[0]);
	return taken - before;
}

/* What a thread of the kernel raises, as it does pins: rounds go by until it has run. */
static void await_one(struct machine *m)
{
	u32 before = taken;

	while (taken == before)
		vcpu_run_until_say(&m->vcpu[0]);
}

TEST_F(irqfd, sends_a_message)
{
	begin(&self->m, IOAPIC_MASKED);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	EXPECT_EQ(0u, one_round(&self->m));
	event_signal(self->fd);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(0u, event_take(self->fd));	/* the kernel has taken it */
}

TEST_F(irqfd, pulses_a_pin)
{
	begin(&self->m, VECTOR);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, PIN, 0));
	for (int i = 0; i < 3; i++) {
		event_signal(self->fd);
		await_one(&self->m);
		EXPECT_EQ(0u, one_round(&self->m));
	}
}

TEST_F(irqfd, an_eventfd_that_is_signalled_fires_at_once)
{
	begin(&self->m, IOAPIC_MASKED);
	event_signal(self->fd);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	await_one(&self->m);
	EXPECT_EQ(0u, one_round(&self->m));
}

TEST_F(irqfd, deassigned_it_says_nothing)
{
	begin(&self->m, IOAPIC_MASKED);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, KVM_IRQFD_FLAG_DEASSIGN));
	event_signal(self->fd);
	EXPECT_EQ(0u, one_round(&self->m));
	EXPECT_EQ(1u, event_take(self->fd));
	EXPECT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
}

TEST_F(irqfd, follows_the_routing_table)
{
	struct kvm_irq_routing_entry route = MSI_ROUTE(MSI_GSI, MSI_ADDRESS(7), VECTOR);

	begin(&self->m, IOAPIC_MASKED);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	vm_set_routes(&self->m.vm, &route, 1);	/* to nobody */
	event_signal(self->fd);
	EXPECT_EQ(0u, one_round(&self->m));
	route = MSI_ROUTE(MSI_GSI, MSI_ADDRESS(0), VECTOR);
	vm_set_routes(&self->m.vm, &route, 1);
	event_signal(self->fd);
	EXPECT_EQ(1u, one_round(&self->m));
	vm_set_routes(&self->m.vm, &route, 0);	/* to nowhere */
	event_signal(self->fd);
	EXPECT_EQ(0u, one_round(&self->m));
}

TEST_F(irqfd, closing_the_eventfd_ends_it)
{
	int fd = event_new(0);

	begin(&self->m, IOAPIC_MASKED);
	ASSERT_EQ(0, assign(&self->m.vm, fd, MSI_GSI, 0));
	event_signal(fd);
	EXPECT_EQ(1u, one_round(&self->m));
	close(fd);
	EXPECT_EQ(0u, one_round(&self->m));
	EXPECT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
}

TEST_F(irqfd, errors)
{
	EXPECT_EQ(-EINVAL, assign(&self->m.vm, self->fd, MSI_GSI, 1 << 7));
	EXPECT_EQ(-EBADF, assign(&self->m.vm, -1, MSI_GSI, 0));
	EXPECT_EQ(-EINVAL, assign(&self->m.vm, self->m.vm.fd, MSI_GSI, 0));
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	EXPECT_EQ(-EBUSY, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	EXPECT_EQ(-EBUSY, assign(&self->m.vm, self->fd, PIN, 0));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->m.vm.fd, KVM_IRQFD, 0x10));
}

TEST_F(irqfd, several_on_one_gsi)
{
	int other = event_new(0);

	begin(&self->m, IOAPIC_MASKED);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	ASSERT_EQ(0, assign(&self->m.vm, other, MSI_GSI, 0));
	event_signal(self->fd);
	EXPECT_EQ(1u, one_round(&self->m));
	event_signal(other);
	EXPECT_EQ(1u, one_round(&self->m));
	close(other);
}

/* The line stays up until the guest's EOI, which is reported; then it may rise again. */
TEST_F(irqfd, resample)
{
	int resample = event_new(0);
	struct kvm_irqfd irqfd = {
		.fd = self->fd, .gsi = PIN, .resamplefd = resample,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
	};

	if (device_cap(KVM_CAP_IRQFD_RESAMPLE) <= 0)
		SKIP(return, "the device has no KVM_CAP_IRQFD_RESAMPLE");
	machine_set_gate(&self->m, VECTOR, on_level);
	begin(&self->m, VECTOR | IOAPIC_LEVEL);
	ASSERT_EQ(0, __vm_irqfd(&self->m.vm, &irqfd));
	for (int i = 0; i < 3; i++) {
		event_signal(self->fd);
		EXPECT_EQ(0u, event_take(resample));
		await_one(&self->m);
		EXPECT_EQ(1u, event_take(resample));
		EXPECT_EQ(0u, one_round(&self->m));
	}
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	EXPECT_EQ(0, __vm_irqfd(&self->m.vm, &irqfd));
	close(resample);
}

GUEST sleeps_until_stopped(u64 entry)
{
	xapic_enable();
	ioapic_set(PIN, entry);
	guest_say(0);
	while (!stop)
		sti_hlt();
	guest_done();
}

/*
 * A storm. Every signal is followed by a handler that begins after it: when all are
 * sent, the handler must come to see the last number, though many have merged.
 */
static void storm(struct __test_metadata *_metadata, struct machine *m, int fd, u32 gsi, u64 entry)
{
	machine_enter_at(m, 0, sleeps_until_stopped, entry);
	vcpu_run_until_say(&m->vcpu[0]);
	ASSERT_EQ(0, assign(&m->vm, fd, gsi, 0));
	machine_start(m, 0);
	for (u32 i = 1; i <= SIGNALS; i++) {
		sent = i;
		event_signal(fd);
	}
	while (seen != SIGNALS)
		usleep(1000);
	EXPECT_LT(0u, taken);
	EXPECT_GE(SIGNALS, taken);
	stop = true;
	event_signal(fd);
	machine_join(m, 0);
	TH_LOG("%u of %u signals merged", SIGNALS - taken, SIGNALS);
}

TEST_F_TIMEOUT(irqfd, storm_of_messages, LONG_TEST_SECONDS)
{
	storm(_metadata, &self->m, self->fd, MSI_GSI, IOAPIC_MASKED);
}

TEST_F_TIMEOUT(irqfd, storm_of_pulses, LONG_TEST_SECONDS)
{
	storm(_metadata, &self->m, self->fd, PIN, VECTOR);
}

/* One at a time: the next is sent when the last was seen, so none may merge. */
TEST_F_TIMEOUT(irqfd, one_interrupt_a_signal, LONG_TEST_SECONDS)
{
	machine_enter_at(&self->m, 0, sleeps_until_stopped, IOAPIC_MASKED);
	vcpu_run_until_say(&self->m.vcpu[0]);
	ASSERT_EQ(0, assign(&self->m.vm, self->fd, MSI_GSI, 0));
	machine_start(&self->m, 0);
	for (u32 i = 1; i <= ROUND_TRIPS; i++) {
		sent = i;
		event_signal(self->fd);
		while (seen != i)
			sched_yield();
	}
	EXPECT_EQ(ROUND_TRIPS, taken);
	stop = true;
	event_signal(self->fd);
	machine_join(&self->m, 0);
}

TEST_F(irqfd, the_vm_may_go_first)
{
	struct machine other;

	machine_create(&other, KERNEL_IRQCHIP, 1);
	ASSERT_EQ(0, assign(&other.vm, self->fd, PIN, 0));
	machine_destroy(&other);
	event_signal(self->fd);
	EXPECT_EQ(1u, event_take(self->fd));
}

FIXTURE_ONE_VCPU(no_irqchip)

TEST_F(no_irqchip, nothing_to_raise)
{
	int fd = event_new(0);

	SKIP_WITHOUT_CAP(KVM_CAP_IRQFD);
	EXPECT_EQ(-EINVAL, assign(&self->vm, fd, PIN, 0));
	close(fd);
}

TEST_HARNESS_MAIN
