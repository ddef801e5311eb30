// SPDX-License-Identifier: GPL-2.0
/* Interrupts from vCPU to vCPU: who gets them, and who is started by them. */
#include <sched.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define VCPUS		4
#define FIRST_VECTOR	0x40	/* of row 0; row 1 has the next, ... */
#define STOP_VECTOR	0xf1
#define PING		0x51
#define PONG		0x52
#define ROUND_TRIPS	5000u	/* two interrupts each */
#define TRAMPOLINE	0x10000ul

enum mode { FLAT, CLUSTER, X2APIC };

/* One interrupt of vCPU 0, and the mask of vCPUs that must get it. */
struct row {
	enum mode mode;
	u32 dest, command;
	u32 mask;
	bool one_of;	/* one of the mask alone */
};

static const struct row rows[] = {
	{ FLAT, 0, 0, 0x1, false },
	{ FLAT, 3, 0, 0x8, false },
	{ FLAT, 9, 0, 0x0, false },
	{ FLAT, 0xff, 0, 0xf, false },
	{ FLAT, 0x1, DEST_LOGICAL, 0x1, false },
	{ FLAT, 0xa, DEST_LOGICAL, 0xa, false },
	{ FLAT, 0xff, DEST_LOGICAL, 0xf, false },
	{ FLAT, 0xf0, DEST_LOGICAL, 0x0, false },
	{ FLAT, 0, ICR_SELF, 0x1, false },
	{ FLAT, 0, ICR_ALL, 0xf, false },
	{ FLAT, 0, ICR_OTHERS, 0xe, false },
	{ FLAT, 0xf, DEST_LOGICAL | DM_LOWEST, 0xf, true },
	{ FLAT, 0x6, DEST_LOGICAL | DM_LOWEST, 0x6, true },
	{ CLUSTER, 0x01, DEST_LOGICAL, 0x1, false },	/* vCPUs 0 and 1: cluster 0 */
	{ CLUSTER, 0x03, DEST_LOGICAL, 0x3, false },
	{ CLUSTER, 0x13, DEST_LOGICAL, 0xc, false },	/* vCPUs 2 and 3: cluster 1 */
	{ CLUSTER, 0x12, DEST_LOGICAL, 0x8, false },
	{ CLUSTER, 0x23, DEST_LOGICAL, 0x0, false },
	{ CLUSTER, 0xff, DEST_LOGICAL, 0xf, false },
	{ CLUSTER, 2, 0, 0x4, false },
	{ CLUSTER, 0x13, DEST_LOGICAL | DM_LOWEST, 0xc, true },
	{ X2APIC, 0, 0, 0x1, false },
	{ X2APIC, 2, 0, 0x4, false },
	{ X2APIC, 0xff, 0, 0x0, false },		/* an ID like any other */
	{ X2APIC, 0xffffffff, 0, 0xf, false },
	{ X2APIC, 0x5, DEST_LOGICAL, 0x5, false },
	{ X2APIC, 0x1000f, DEST_LOGICAL, 0x0, false },
	{ X2APIC, 0, ICR_SELF, 0x1, false },
	{ X2APIC, 0, ICR_ALL, 0xf, false },
	{ X2APIC, 0, ICR_OTHERS, 0xe, false },
	{ X2APIC, 0xc, DEST_LOGICAL | DM_LOWEST, 0xc, true },
};

static volatile u32 got[ARRAY_SIZE(rows)][VCPUS];
static volatile u32 ready, nmis[VCPUS];
static volatile bool stop;

/* APIC IDs are vCPU numbers. */
GUEST_INLINE u32 this_vcpu(void)
{
	u32 id = apic_read(APIC_ID);

	return in_x2apic_mode() ? id : id >> 24;
}

/* The vector being serviced. */
GUEST_INLINE u8 in_service(void)
{
	for (int bank = 7; bank >= 0; bank--) {
		u32 bits = apic_read(APIC_ISR + 0x10 * bank);

		if (bits)
			return 32 * bank + 31 - __builtin_clz(bits);
	}
	return 0;
}

GUEST_ISR(on_row)
{
	u32 row = in_service() - FIRST_VECTOR;

	if (row < ARRAY_SIZE(rows))
		got[row][this_vcpu() % VCPUS]++;
	apic_eoi();
}

GUEST_ISR(on_stop)
{
	stop = true;
	apic_eoi();
}

GUEST_ISR(on_nmi)
{
	nmis[this_vcpu() % VCPUS]++;
}

GUEST_INLINE void set_mode(enum mode mode, u32 cpu)
{
	if (mode == X2APIC) {
		x2apic_enable();
	} else {
		xapic_enable();
		xapic_write(APIC_DFR, mode == FLAT ? 0xffffffff : 0x0fffffff);
		xapic_write(APIC_LDR, mode == FLAT ? 1u << (24 + cpu) :
				      (cpu / 2 << 4 | 1u << cpu % 2) << 24);
	}
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
}

GUEST receives(u64 arg)
{
	set_mode(arg >> 8, arg & 0xff);
	while (!stop)
		sti_hlt();
	/* Whatever is still there. */
	for (int i = 0; i < 4; i++)
		take_interrupts();
	guest_done();
}

/* Sends a row, and says so; the host goes on when it has arrived. */
GUEST sends_rows(u64 mode)
{
	set_mode(mode, 0);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].mode != mode)
			continue;
		apic_icr(rows[i].dest, rows[i].command | ICR_ASSERT | (FIRST_VECTOR + i));
		take_interrupts();
		guest_say(i);
	}
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | STOP_VECTOR);
	guest_done();
}

FIXTURE(ipi) {
	struct machine m;
};
FIXTURE_SETUP(ipi)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, VCPUS);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		machine_set_gate(&self->m, FIRST_VECTOR + i, on_row);
	machine_set_gate(&self->m, STOP_VECTOR, on_stop);
	machine_set_gate(&self->m, NMI_VECTOR, on_nmi);
}
FIXTURE_TEARDOWN(ipi)
{
	machine_destroy(&self->m);
}

/* All but vCPU 0 are to receive, on threads of their own. */
static void begin(struct machine *m, void (*sender)(u64), enum mode mode)
{
	machine_enter_at(m, 0, sender, mode);
	for (u32 i = 1; i < VCPUS; i++) {
		machine_enter_at(m, i, receives, mode << 8 | i);
		machine_start(m, i);
	}
	while (ready != VCPUS - 1)
		sched_yield();
}

static void end(struct machine *m)
{
	vcpu_run_until_done(&m->vcpu[0]);
	for (u32 i = 1; i < VCPUS; i++)
		machine_join(m, i);
}

static u32 how_many(u32 row)
{
	u32 sum = 0;

	for (int i = 0; i < VCPUS; i++)
		sum += got[row][i];
	return sum;
}

static void send_rows(struct machine *m, enum mode mode)
{
	begin(m, sends_rows, mode);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 expected = rows[i].one_of ? 1 : __builtin_popcount(rows[i].mask);

		if (rows[i].mode != mode)
			continue;
		if (vcpu_run_until_say(&m->vcpu[0]) != i)
			die("the guest is at another row than %u", i);
		while (how_many(i) < expected)
			sched_yield();
	}
	end(m);
}

static void expect_rows(struct __test_metadata *_metadata, struct machine *m, enum mode mode)
{
	send_rows(m, mode);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 mask = 0, sum = 0;

		if (rows[i].mode != mode)
			continue;
		for (u32 cpu = 0; cpu < VCPUS; cpu++) {
			mask |= (got[i][cpu] != 0) << cpu;
			sum += got[i][cpu];
		}
		EXPECT_EQ((u32)__builtin_popcount(mask), sum);
		EXPECT_TRUE(rows[i].one_of ? sum == 1 && !(mask & ~rows[i].mask) :
			    mask == rows[i].mask) {
			TH_LOG("row %u: mask %#x, %u times", i, mask, sum);
		}
	}
}

TEST_F_TIMEOUT(ipi, flat_destinations, LONG_TEST_SECONDS)
{
	expect_rows(_metadata, &self->m, FLAT);
}

TEST_F_TIMEOUT(ipi, cluster_destinations, LONG_TEST_SECONDS)
{
	expect_rows(_metadata, &self->m, CLUSTER);
}

TEST_F_TIMEOUT(ipi, x2apic_destinations, LONG_TEST_SECONDS)
{
	expect_rows(_metadata, &self->m, X2APIC);
}

GUEST sends_nmis(u64 mode)
{
	set_mode(mode, 0);
	apic_icr(2, DM_NMI | ICR_ASSERT);
	guest_say(0);
	apic_icr(0, DM_NMI | ICR_ASSERT | ICR_OTHERS);
	guest_say(1);
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | STOP_VECTOR);
	guest_done();
}

TEST_F_TIMEOUT(ipi, nmi, LONG_TEST_SECONDS)
{
	begin(&self->m, sends_nmis, FLAT);
	vcpu_run_until_say(&self->m.vcpu[0]);
	while (!nmis[2])
		sched_yield();
	vcpu_run_until_say(&self->m.vcpu[0]);
	while (!nmis[1] || nmis[2] < 2 || !nmis[3])
		sched_yield();
	end(&self->m);
	EXPECT_EQ(0u, nmis[0]);
	EXPECT_EQ(1u, nmis[1]);
	EXPECT_EQ(2u, nmis[2]);
	EXPECT_EQ(1u, nmis[3]);
}

static volatile u32 pings, pongs;

GUEST_ISR(on_ping)
{
	pings++;
	apic_eoi();
}

GUEST_ISR(on_pong)
{
	pongs++;
	apic_eoi();
}

GUEST serves_pings(u64 x2apic)
{
	set_mode(x2apic ? X2APIC : FLAT, 0);
	for (u32 i = 1; i <= ROUND_TRIPS; i++) {
		apic_icr(1, ICR_ASSERT | PING);
		while (pongs != i)
			sti_hlt();
		cli();
	}
	guest_done();
}

GUEST answers_pings(u64 x2apic)
{
	set_mode(x2apic ? X2APIC : FLAT, 1);
	for (u32 i = 1; i <= ROUND_TRIPS; i++) {
		while (pings != i)
			sti_hlt();
		cli();
		apic_icr(0, ICR_ASSERT | PONG);
	}
	guest_done();
}

/* Both sleep in the kernel while they wait, and no wakeup is lost. */
static void ping_pong(struct machine *m, u64 x2apic)
{
	machine_set_gate(m, PING, on_ping);
	machine_set_gate(m, PONG, on_pong);
	machine_enter_at(m, 0, serves_pings, x2apic);
	machine_enter_at(m, 1, answers_pings, x2apic);
	machine_start(m, 1);
	while (!ready)
		sched_yield();
	machine_start(m, 0);
	machine_join(m, 0);
	machine_join(m, 1);
}

TEST_F_TIMEOUT(ipi, ping_pong, LONG_TEST_SECONDS)
{
	ping_pong(&self->m, true);
	EXPECT_EQ(ROUND_TRIPS, pings);
	EXPECT_EQ(ROUND_TRIPS, pongs);
}

/* What a SIPI starts: says where it is, and ends. */
GUEST_CODE_BYTES(trampoline, "16",
		 "mov %cs, %ax\n mov %ax, %ds\n movw %ax, 0x100\n incw 0x102\n"
		 "mov %esp, %eax\n out %al, $0xe0\n hlt");

FIXTURE(start) {
	struct machine m;
	struct vcpu *ap;
};
FIXTURE_SETUP(start)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 2);
	memcpy(self->m.vm.ram + TRAMPOLINE, trampoline_start, trampoline_end - trampoline_start);
	self->ap = &self->m.vcpu[1];
}
FIXTURE_TEARDOWN(start)
{
	machine_destroy(&self->m);
}

GUEST starts_the_ap(u64 x2apic)
{
	if (x2apic)
		x2apic_enable();
	else
		xapic_enable();
	guest_say(0);
	apic_icr(1, DM_INIT | ICR_ASSERT | ICR_LEVEL);
	apic_icr(1, DM_INIT | ICR_LEVEL);	/* de-assert: ignored */
	guest_say(1);
	apic_icr(1, DM_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12);
	guest_say(2);
	apic_icr(1, DM_STARTUP | ICR_ASSERT | 0x99);
	guest_say(3);
	guest_done();
}

static u32 mp_state(struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	vcpu_get_mp_state(vcpu, &state);
	return state.mp_state;
}

static void say(struct __test_metadata *_metadata, struct machine *m, u32 value)
{
	ASSERT_EQ(value, vcpu_run_until_say(&m->vcpu[0]));
}

TEST_F(start, states_on_the_way)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp_state(&self->m.vcpu[0]));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp_state(self->ap));
	machine_enter_at(&self->m, 0, starts_the_ap, false);
	say(_metadata, &self->m, 0);
	say(_metadata, &self->m, 1);
	EXPECT_EQ(KVM_MP_STATE_INIT_RECEIVED, mp_state(self->ap));
	say(_metadata, &self->m, 2);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp_state(self->ap));

	vcpu_get_sregs(self->ap, &sregs);
	EXPECT_EQ(TRAMPOLINE, sregs.cs.base);
	EXPECT_EQ(TRAMPOLINE >> 4, sregs.cs.selector);
	EXPECT_EQ(0u, sregs.cr0 & CR0_PE);
	EXPECT_EQ(0u, sregs.efer);
	vcpu_get_regs(self->ap, &regs);
	EXPECT_EQ(0u, regs.rip);
	vcpu_run_until_done(self->ap);
	EXPECT_EQ(TRAMPOLINE >> 4, *(u16 *)(self->m.vm.ram + TRAMPOLINE + 0x100));

	/* A second SIPI does nothing to a vCPU that runs. */
	say(_metadata, &self->m, 3);
	vcpu_get_sregs(self->ap, &sregs);
	EXPECT_EQ(TRAMPOLINE, sregs.cs.base);
}

static volatile u32 again, others;

/* KVM_RUN as clients call it: EAGAIN says that the state has changed. */
static void *run_ap(void *arg)
{
	struct vcpu *ap = arg;
	int ret;

	while ((ret = __vcpu_run(ap)) == -EAGAIN)
		again++;
	if (ret || ap->run->exit_reason != KVM_EXIT_IO || ap->run->io.port != PORT_DONE)
		others++;
	return NULL;
}

static void start_ap(struct __test_metadata *_metadata, struct machine *m, u64 x2apic)
{
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, run_ap, &m->vcpu[1]));
	machine_enter_at(m, 0, starts_the_ap, x2apic);
	for (u32 i = 0; i <= 2; i++)
		say(_metadata, m, i);
	pthread_join(thread, NULL);
	say(_metadata, m, 3);
	EXPECT_LE(1u, again);
	EXPECT_EQ(0u, others);
	EXPECT_EQ(1u, *(u16 *)(m->vm.ram + TRAMPOLINE + 0x102));
}

TEST_F(start, a_waiting_ap_starts)
{
	start_ap(_metadata, &self->m, false);
}

TEST_F(start, a_waiting_ap_starts_by_x2apic)
{
	start_ap(_metadata, &self->m, true);
}

GUEST loops(u64 arg)
{
	(void)arg;
	guest_say(0);
	for (;;)
		sti_hlt();
}

/* INIT takes a vCPU out of whatever it does, and it waits for the SIPI. */
TEST_F(start, init_of_a_running_ap)
{
	pthread_t thread;

	machine_enter_at(&self->m, 1, loops, 0);
	EXPECT_EQ(0u, vcpu_run_until_say(self->ap));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_ap, self->ap));
	machine_enter_at(&self->m, 0, starts_the_ap, false);
	for (u32 i = 0; i <= 2; i++)
		say(_metadata, &self->m, i);
	pthread_join(thread, NULL);
	EXPECT_EQ(0u, others);
	EXPECT_EQ(1u, *(u16 *)(self->m.vm.ram + TRAMPOLINE + 0x102));
}

TEST_HARNESS_MAIN
