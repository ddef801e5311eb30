// SPDX-License-Identifier: GPL-2.0
/*
 * What an exit costs: bench DEVICE [--json] [--rounds N] [ROW...]
 *
 * Every figure is a difference of the time-stamp counter, from guest instruction to
 * next guest instruction, the guest's own loop included. On hardware it is in
 * cycles; in an emulator whose counter counts instructions, in instructions.
 * Exits that the kernel answers are timed by the guest, the others by the host.
 * What is timed has a mark before and behind it: scripts/bench-count.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/machine.h"
#include "lib/pvclock.h"

#define BATCHES		7
#define RESULT		0x30000ul	/* where the guest leaves its difference */
#define TOUCHED		0x400000ul	/* memory for second-level page faults */
#define PAGE		4096ul
#define EVENT_PORT	0x500
#define VECTOR		0x45
#define GSI		30

/* Nothing to a CPU, a breakpoint to Bochs' debugger and known to our plugin for QEMU. */
#define MARK	"xchg %bx, %bx\n"

/* RBP rounds of the body, between two readings of the counter. */
#define TIMED(body)							\
	MARK "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r8\n"	\
	"1: " body "\n dec %ebp\n jnz 1b\n"				\
	"rdtsc\n" MARK "shl $32, %rdx\n or %rdx, %rax\n"		\
	"sub %r8, %rax\n mov %rax, 0x30000\n hlt"

GUEST_PROGRAM(cpuid_loop, LONG, TIMED("xor %eax, %eax\n cpuid"));
GUEST_PROGRAM(rdmsr_loop, LONG, "mov $0x1b, %ecx\n" TIMED("rdmsr"));
GUEST_PROGRAM(pat_loop, LONG, "mov $0x277, %ecx\n" TIMED("rdmsr\n wrmsr"));
GUEST_PROGRAM(vmcall_loop, LONG, TIMED("mov $0x7777, %eax\n vmcall"));
GUEST_PROGRAM(vmmcall_loop, LONG, TIMED("mov $0x7777, %eax\n vmmcall"));
GUEST_PROGRAM(wbinvd_loop, LONG, TIMED("wbinvd"));
GUEST_PROGRAM(cr0_loop, LONG, TIMED("mov %cr0, %rax\n xor $0x20, %eax\n mov %rax, %cr0"));
GUEST_PROGRAM(out_loop, LONG, "1: out %al, $0x10\n jmp 1b");
GUEST_PROGRAM(in_loop, LONG, "1: in $0x10, %al\n jmp 1b");
GUEST_PROGRAM(write_loop, LONG, "1: mov %eax, 0xd0000\n jmp 1b");
GUEST_PROGRAM(read_loop, LONG, "1: mov 0xd0000, %eax\n jmp 1b");
GUEST_PROGRAM(hlt_loop, LONG, "1: hlt\n jmp 1b");
GUEST_PROGRAM(touch_loop, LONG, TIMED("movb $1, (%rdi)\n add $0x1000, %rdi"));

GUEST_PROGRAM(event_port_loop, LONG, "mov $0x500, %edx\n mov %edx, %esi\n"
	      TIMED("mov %esi, %edx\n out %al, %dx"));
GUEST_PROGRAM(event_page_loop, LONG, TIMED("mov %eax, 0xd0000"));

/* The same for C. */
GUEST_INLINE u64 timed_from(void)
{
	asm volatile(MARK);
	return rdtsc();
}

GUEST_INLINE u64 timed_since(u64 begin)
{
	u64 cost = rdtsc() - begin;

	asm volatile(MARK);
	return cost;
}

/* For machines with interrupt controllers. */
static volatile u64 ticks;
static volatile u32 taken, answered, ready;

#define TIMED_GUEST(name, setup, body)					\
GUEST name(u64 rounds)							\
{									\
	u64 begin;							\
									\
	x2apic_enable();						\
	setup;								\
	begin = timed_from();						\
	for (u64 i = 0; i < rounds; i++) {				\
		body;							\
	}								\
	ticks = timed_since(begin);					\
	guest_done();							\
}

/* Says that it is over, as handlers of x2APICs do. */
GUEST_ISR(on_vector)
{
	taken++;
	x2apic_write(APIC_EOI, 0);
}

/* Says it in memory, where the host has told it to. */
static volatile u32 eoi_flag __attribute__((aligned(4)));

GUEST_ISR(on_vector_pv)
{
	bool lent;

	asm volatile("btrl $0, %0" : "+m"(eoi_flag), "=@ccc"(lent));
	if (!lent)
		x2apic_write(APIC_EOI, 0);
}

TIMED_GUEST(eoi_loop, cli(), x2apic_write(APIC_EOI, 0))
TIMED_GUEST(deadline_loop, x2apic_write(APIC_LVTT, LVT_DEADLINE | VECTOR),
	    wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ul << 40)))
TIMED_GUEST(self_ipi_loop, sti(),
	    x2apic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR))
TIMED_GUEST(self_ipi_pv_loop, wrmsr(MSR_KVM_PV_EOI_EN, (u64)&eoi_flag | 1); sti(),
	    x2apic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | (VECTOR + 2)))
TIMED_GUEST(self_ipi_hlt_loop, cli(),
	    x2apic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR); sti_hlt(); cli())
TIMED_GUEST(deadline_hlt_loop, x2apic_write(APIC_LVTT, LVT_DEADLINE | VECTOR),
	    wrmsr(MSR_TSC_DEADLINE, rdtsc() + 2000); sti_hlt(); cli())
GUEST_INLINE void ping(u64 number)
{
	x2apic_write(APIC_ICR, 1ul << 32 | ICR_ASSERT | VECTOR);
	while (answered != number)
		sti_hlt();
	cli();
}

/* Until the other vCPU takes interrupts. */
GUEST_INLINE void await_ready(void)
{
	cli();
	while (!ready)
		relax();
}
TIMED_GUEST(ping_loop, await_ready(), ping(i + 1))

GUEST_ISR(on_ping)
{
	answered++;
	x2apic_write(APIC_EOI, 0);
	x2apic_write(APIC_ICR, ICR_ASSERT | (VECTOR + 1));
}

GUEST answers(u64 rounds)
{
	x2apic_enable();
	cli();
	ready = 1;	/* until now an interrupt would have been lost */
	while (answered < rounds) {
		sti_hlt();
		cli();
	}
	guest_done();
}

struct bench {
	struct machine m;
	pid_t others;		/* who has other VMs */
	u8 *touched;
	int event;
	u64 rounds;
	unsigned int size;
};

/* Each returns what `rounds` rounds took. */
typedef u64 (*batch_fn)(struct bench *bench);

struct row {
	const char *name;
	const char *what;
	const struct guest_program *program;
	batch_fn batch;
	u64 rounds;
	void (*guest)(u64 rounds); /* instead of a program: with interrupt controllers */
	long cap;		/* without it there is nothing to measure */
	void (*prepare)(struct bench *bench);
	unsigned int size;	/* of what there is more and more in rows of one kind */
};

/* What touches pages begins at this one. */
static u64 in_guest_at(struct bench *bench, u64 rounds, u64 page)
{
	struct kvm_regs regs;

	guest_restart(&bench->m.vcpu[0]);
	vcpu_get_regs(&bench->m.vcpu[0], &regs);
	regs.rbp = rounds;
	regs.rdi = TOUCHED + page * PAGE;
	vcpu_set_regs(&bench->m.vcpu[0], &regs);
	vcpu_run_until(&bench->m.vcpu[0], KVM_EXIT_HLT);
	return *(u64 *)(bench->m.vm.ram + RESULT);
}

static u64 in_guest(struct bench *bench)
{
	return in_guest_at(bench, bench->rounds, 0);
}

/* The guest in C, which is told how many rounds there are. */
static void (*c_guest)(u64 rounds);

static u64 in_c_guest(struct bench *bench)
{
	machine_enter_at(&bench->m, 0, c_guest, bench->rounds);
	vcpu_run_until_done(&bench->m.vcpu[0]);
	return ticks;
}

static u64 between_vcpus(struct bench *bench)
{
	u64 cost;

	answered = 0;
	ready = 0;
	machine_enter_at(&bench->m, 1, answers, bench->rounds);
	machine_start(&bench->m, 1);
	cost = in_c_guest(bench);
	machine_join(&bench->m, 1);
	return cost;
}

static u64 event_writes(struct bench *bench)
{
	const u64 one = 1;
	u64 begin = timed_from();

	for (u64 i = 0; i < bench->rounds; i++)
		if (write(bench->event, &one, sizeof(one)) != sizeof(one))
			die("an eventfd does not take a signal");
	return timed_since(begin);
}

static void prepare_irqfd(struct bench *bench)
{
	struct kvm_irq_routing_entry route = MSI_ROUTE(GSI, MSI_ADDRESS(0), VECTOR);
	struct kvm_irqfd irqfd = { .fd = bench->event, .gsi = GSI };

	vm_set_routes(&bench->m.vm, &route, 1);
	vm_irqfd(&bench->m.vm, &irqfd);
}

static void prepare_event(struct bench *bench, u64 addr, u32 len, u32 flags)
{
	struct kvm_ioeventfd event = {
		.addr = addr, .len = len, .fd = bench->event, .flags = flags,
	};

	vm_ioeventfd(&bench->m.vm, &event);
}

static void prepare_port(struct bench *bench)
{
	prepare_event(bench, EVENT_PORT, 1, KVM_IOEVENTFD_FLAG_PIO);
}

static void prepare_page(struct bench *bench)
{
	prepare_event(bench, MMIO_BASE, 4, 0);
}

static u64 run_loop(struct bench *bench, u32 exit)
{
	u64 begin = timed_from();

	for (u64 i = 0; i < bench->rounds; i++)
		vcpu_run_until(&bench->m.vcpu[0], exit);
	return timed_since(begin);
}

static u64 io_exits(struct bench *bench)
{
	return run_loop(bench, KVM_EXIT_IO);
}

static u64 mmio_exits(struct bench *bench)
{
	return run_loop(bench, KVM_EXIT_MMIO);
}

static u64 hlt_exits(struct bench *bench)
{
	return run_loop(bench, KVM_EXIT_HLT);
}

/* A new slot begins without second-level mappings. */
static u64 touch(struct bench *bench, int advice)
{
	size_t size = bench->rounds * PAGE;
	u64 cost;

	madvise(bench->touched, size, MADV_DONTNEED);
	if (advice)
		madvise(bench->touched, size, advice);
	vm_set_memory(&bench->m.vm, 1, 0, TOUCHED, size, bench->touched);
	cost = in_guest(bench);
	vm_set_memory(&bench->m.vm, 1, 0, TOUCHED, 0, bench->touched);
	return cost;
}

static u64 touch_present(struct bench *bench)
{
	return touch(bench, MADV_POPULATE_WRITE);
}

static u64 touch_absent(struct bench *bench)
{
	return touch(bench, 0);
}

/* Slots of a page each. Another one every time, far from the last: no cache helps. */
static u64 touch_slots(struct bench *bench)
{
	u64 cost = 0;

	for (u64 i = 0; i < bench->rounds; i++) {
		u64 page = i * 7919 % bench->size;

		madvise(bench->touched + page * PAGE, PAGE, MADV_DONTNEED);
		madvise(bench->touched + page * PAGE, PAGE, MADV_POPULATE_WRITE);
		cost += in_guest_at(bench, 1, page);
	}
	return cost;
}

static void prepare_slots(struct bench *bench)
{
	for (u64 i = 0; i < bench->size; i++)
		vm_set_memory(&bench->m.vm, i + 1, 0, TOUCHED + i * PAGE, PAGE, bench->touched + i * PAGE);
}

static void prepare_vcpus(struct bench *bench)
{
	while (bench->m.vcpus < bench->size) {
		vcpu_create(&bench->m.vm, &bench->m.vcpu[bench->m.vcpus], bench->m.vcpus);
		bench->m.vcpus++;
	}
}

static void create_machine(struct machine *m)
{
	vm_create_bare(&m->vm);
	vcpu_create_bare(&m->vm, &m->vcpu[0], 0);
	m->vcpus = 1;
}

/* In a process of their own, as others are: its memory is no business of theirs. */
static void prepare_others(struct bench *bench)
{
	struct machine *others = calloc(bench->size, sizeof(*others));
	int made[2];
	char byte;

	if (!others || pipe(made))
		die("no memory or no pipe for other VMs");
	bench->others = fork();
	if (!bench->others) {
		for (unsigned int i = 0; i < bench->size; i++)
			create_machine(&others[i]);
		if (write(made[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(made[1]);
	if (read(made[0], &byte, 1) != 1)
		die("other VMs cannot be made");
	close(made[0]);
	free(others);
}

static void drop_others(struct bench *bench)
{
	if (!bench->others)
		return;
	kill(bench->others, SIGKILL);
	waitpid(bench->others, NULL, 0);
}

/* What the host's own fault costs: the yardstick for the row above. */
static u64 touch_in_host(struct bench *bench)
{
	size_t size = bench->rounds * PAGE;
	u64 begin;

	madvise(bench->touched, size, MADV_DONTNEED);
	begin = timed_from();
	for (size_t i = 0; i < size; i += PAGE)
		*(volatile u8 *)(bench->touched + i) = 1;
	return timed_since(begin);
}

static u64 immediate_exits(struct bench *bench)
{
	u64 cost, begin;

	bench->m.vcpu[0].run->immediate_exit = 1;
	begin = timed_from();
	for (u64 i = 0; i < bench->rounds; i++)
		__vcpu_run(&bench->m.vcpu[0]);
	cost = timed_since(begin);
	bench->m.vcpu[0].run->immediate_exit = 0;
	return cost;
}

static u64 create_and_destroy(struct bench *bench)
{
	u64 begin = timed_from();

	for (u64 i = 0; i < bench->rounds; i++) {
		struct machine m;

		create_machine(&m);
		machine_destroy(&m);
	}
	return timed_since(begin);
}

static u64 getppids(struct bench *bench)
{
	u64 begin = timed_from();

	for (u64 i = 0; i < bench->rounds; i++)
		syscall(SYS_getppid);
	return timed_since(begin);
}

static u64 failing_ioctls(struct bench *bench)
{
	u64 begin = timed_from();

	for (u64 i = 0; i < bench->rounds; i++)
		ioctl(bench->m.vm.dev, KVM_GET_API_VERSION, 1);
	return timed_since(begin);
}

#define PROGRAM(name, what, program, batch, rounds) \
	{ name, what, program, batch, rounds, NULL, 0, NULL, 0 }
#define EVENT(name, what, program, prepare) \
	{ name, what, program, in_guest, 2000, NULL, KVM_CAP_IOEVENTFD, prepare, 0 }
#define APIC(name, what, guest, batch, rounds, prepare) \
	{ name, what, NULL, batch, rounds, guest, 0, prepare, 0 }
#define SLOTS(size) { "npf_slots_" #size, "host page there, its slot one of so many", \
	&touch_loop, touch_slots, 100, NULL, 0, prepare_slots, size }
#define VCPUS(size) { "cpuid_vcpus_" #size, "vCPUs created, one runs", \
	&cpuid_loop, in_guest, 2000, NULL, 0, prepare_vcpus, size }
#define VMS(size) { "vm_create_vms_" #size, "VMs that there are besides", \
	&hlt_loop, create_and_destroy, 4, NULL, 0, prepare_others, size }

static const struct row rows[] = {
	PROGRAM("cpuid", "answered in the kernel", &cpuid_loop, in_guest, 2000),
	PROGRAM("rdmsr_apicbase", "answered in the kernel", &rdmsr_loop, in_guest, 2000),
	PROGRAM("rdmsr_wrmsr_pat", "two exits", &pat_loop, in_guest, 2000),
	PROGRAM("hypercall", "unknown number", NULL, in_guest, 2000),
	PROGRAM("wbinvd", "ignored in the kernel", &wbinvd_loop, in_guest, 2000),
	PROGRAM("mov_cr0_toggle_ne", "read and write", &cr0_loop, in_guest, 2000),
	PROGRAM("out_userspace", "port write, one KVM_RUN", &out_loop, io_exits, 1000),
	PROGRAM("in_userspace", "port read, one KVM_RUN", &in_loop, io_exits, 1000),
	PROGRAM("mmio_write_userspace", "one KVM_RUN", &write_loop, mmio_exits, 1000),
	PROGRAM("mmio_read_userspace", "one KVM_RUN", &read_loop, mmio_exits, 1000),
	PROGRAM("hlt_userspace", "one KVM_RUN", &hlt_loop, hlt_exits, 1000),
	PROGRAM("npf_present", "host page there, per page", &touch_loop, touch_present, 1024),
	PROGRAM("npf_absent", "host page not there, per page", &touch_loop, touch_absent, 1024),
	PROGRAM("host_fault", "for scale: the host's own", &touch_loop, touch_in_host, 1024),
	PROGRAM("run_immediate_exit", "KVM_RUN, no guest", &hlt_loop, immediate_exits, 2000),
	PROGRAM("vm_create_destroy", "with one vCPU", &hlt_loop, create_and_destroy, 4),
	PROGRAM("getppid", "for scale: a system call", &hlt_loop, getppids, 5000),
	PROGRAM("ioctl_error", "for scale: a failing ioctl", &hlt_loop, failing_ioctls, 5000),
	EVENT("portio_eventfd", "ioeventfd, port", &event_port_loop, prepare_port),
	EVENT("mmio_eventfd", "ioeventfd, memory", &event_page_loop, prepare_page),
	APIC("x2apic_eoi", "nothing in service", eoi_loop, in_c_guest, 2000, NULL),
	APIC("tsc_deadline_write", "far ahead", deadline_loop, in_c_guest, 2000, NULL),
	APIC("x2apic_self_ipi", "with its handler and EOI", self_ipi_loop, in_c_guest, 1000, NULL),
	APIC("x2apic_self_ipi_pv_eoi", "with an end in memory", self_ipi_pv_loop, in_c_guest, 1000, NULL),
	APIC("x2apic_self_ipi_hlt", "behind STI; HLT", self_ipi_hlt_loop, in_c_guest, 1000, NULL),
	APIC("tsc_deadline_hlt", "2000 ticks ahead, and HLT", deadline_hlt_loop, in_c_guest, 200, NULL),
	APIC("ipi_halt", "there and back, both halted", ping_loop, between_vcpus, 200, NULL),
	APIC("irqfd_msi", "a signal, by the host", eoi_loop, event_writes, 2000, prepare_irqfd),
	PROGRAM("eventfd", "for scale: without an irqfd", &hlt_loop, event_writes, 2000),
	SLOTS(1), SLOTS(10), SLOTS(100), SLOTS(1000), SLOTS(10000), SLOTS(30000),
	VCPUS(1), VCPUS(8), VCPUS(64),
	VMS(0), VMS(10), VMS(100),
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static size_t touched_bytes(const struct bench *bench)
{
	return (bench->rounds > bench->size ? bench->rounds : bench->size) * PAGE;
}

static void set_up(struct bench *bench, const struct row *row)
{
	const struct guest_program *program = row->program;

	bench->size = row->size;
	bench->event = eventfd(0, EFD_CLOEXEC);
	if (row->guest) {
		machine_create(&bench->m, KERNEL_IRQCHIP, 2);
		machine_set_gate(&bench->m, VECTOR, row->batch == between_vcpus ? on_ping : on_vector);
		machine_set_gate(&bench->m, VECTOR + 1, on_vector);
		machine_set_gate(&bench->m, VECTOR + 2, on_vector_pv);
		c_guest = row->guest;
	} else {
		if (!program)
			program = host_is_amd() ? &vmmcall_loop : &vmcall_loop;
		vm_create(&bench->m.vm);
		vcpu_create(&bench->m.vm, &bench->m.vcpu[0], 0);
		bench->m.vcpus = 1;
		guest_load(&bench->m.vcpu[0], program);
	}
	bench->touched = pages_alloc(touched_bytes(bench));
	madvise(bench->touched, touched_bytes(bench), MADV_NOHUGEPAGE);
	if (row->prepare)
		row->prepare(bench);
}

/* Fills in the cost of a round for each batch, lowest first; false: it cannot be had. */
static bool measure(const struct row *row, u64 rounds, double cost[BATCHES])
{
	struct bench bench = { .rounds = rounds };

	if (row->cap && device_cap(row->cap) <= 0)
		return false;
	if (row->guest && machine_missing(KERNEL_IRQCHIP))
		return false;
	set_up(&bench, row);
	row->batch(&bench);	/* warm up */
	for (int i = 0; i < BATCHES; i++)
		cost[i] = (double)row->batch(&bench) / rounds;
	qsort(cost, BATCHES, sizeof(cost[0]), compare);
	munmap(bench.touched, touched_bytes(&bench));
	drop_others(&bench);
	machine_destroy(&bench.m);
	close(bench.event);
	return true;
}

static void print_text(const struct row *row, const double cost[BATCHES])
{
	double median = cost[BATCHES / 2];

	printf("%-24s %12.0f  %6.1f %%  %s\n", row->name, median,
	       100 * (cost[BATCHES - 1] - cost[0]) / median, row->what);
	fflush(stdout);
}

static void print_json(const struct row *row, u64 rounds, const double cost[BATCHES], bool first)
{
	printf("%s\n    {\"name\": \"%s\", \"median\": %.1f, \"rounds\": %llu, \"batches\": [",
	       first ? "" : ",", row->name, cost[BATCHES / 2], (unsigned long long)rounds);
	for (int i = 0; i < BATCHES; i++)
		printf("%s%.1f", i ? ", " : "", cost[i]);
	printf("]}");
	fflush(stdout);
}

/* Is it one of those that were asked for, or of all, and not left out? */
static bool wanted(const struct row *row, char *const *patterns)
{
	bool is = !*patterns || **patterns == '!';

	for (; *patterns; patterns++) {
		if (**patterns != '!')
			is |= !fnmatch(*patterns, row->name, 0);
		else if (!fnmatch(*patterns + 1, row->name, 0))
			return false;
	}
	return is;
}

static void report(const struct row *row, u64 rounds, bool json)
{
	static bool first = true;
	double cost[BATCHES];

	if (!measure(row, rounds, cost)) {
		if (!json)
			printf("%-24s %12s  %8s  %s\n", row->name, "-", "", row->what);
		return;
	}
	if (json)
		print_json(row, rounds, cost, first);
	else
		print_text(row, cost);
	first = false;
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s DEVICE [--json] [--rounds N] [ROW...]\n"
		"  DEVICE  /dev/vmlet, /dev/kvm, or another that speaks the KVM API\n"
		"  N       rounds of each batch, instead of what each row has\n"
		"  ROW     what to measure, as patterns of the shell's: all that there is if none is given;\n"
		"          !ROW leaves out\n",
		name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "rounds", required_argument, NULL, 'r' },
		{ 0 }
	};
	bool json = false;
	u64 rounds = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			json = true;
		else if (option == 'r')
			rounds = strtoul(optarg, NULL, 0);
		else
			return usage(argv[0]);
	}
	if (optind == argc)
		return usage(argv[0]);
	setenv("VMLET_DEVICE", argv[optind], 1);
	if (json)
		printf("{\"device\": \"%s\", \"rows\": [", argv[optind]);
	else
		printf("%-24s %12s  %8s  %s\n", argv[optind], "TSC, median", "spread", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (wanted(&rows[i], argv + optind + 1))
			report(&rows[i], rounds ? rounds : rows[i].rounds, json);
	if (json)
		printf("\n]}\n");
	return 0;
}
