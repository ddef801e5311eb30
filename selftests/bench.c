// SPDX-License-Identifier: GPL-2.0
/*
 * What an exit costs: bench DEVICE [--json]
 *
 * Every figure is a difference of the time-stamp counter, from guest instruction to
 * next guest instruction, the guest's own loop included. On hardware it is in
 * cycles; in an emulator whose counter counts instructions, in instructions.
 * Exits that the kernel answers are timed by the guest, the others by the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#include "lib/guest.h"

#define BATCHES		7
#define RESULT		0x30000ul	/* where the guest leaves its difference */
#define TOUCHED		0x400000ul	/* memory for second-level page faults */
#define PAGE		4096ul

/* RBP rounds of the body, between two readings of the counter. */
#define TIMED(body)							\
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r8\n"	\
	"1: " body "\n dec %ebp\n jnz 1b\n"				\
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %r8, %rax\n"	\
	"mov %rax, 0x30000\n hlt"

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
GUEST_PROGRAM(touch_loop, LONG, "mov $0x400000, %edi\n"
	      TIMED("movb $1, (%rdi)\n add $0x1000, %rdi"));

struct bench {
	struct vm vm;
	struct vcpu vcpu;
	u8 *touched;
	u64 rounds;
};

/* Each returns what `rounds` rounds took. */
typedef u64 (*batch_fn)(struct bench *bench);

struct row {
	const char *name;
	const char *what;
	const struct guest_program *program;
	batch_fn batch;
	u64 rounds;
};

static u64 in_guest(struct bench *bench)
{
	struct kvm_regs regs;

	guest_restart(&bench->vcpu);
	vcpu_get_regs(&bench->vcpu, &regs);
	regs.rbp = bench->rounds;
	vcpu_set_regs(&bench->vcpu, &regs);
	vcpu_run_until(&bench->vcpu, KVM_EXIT_HLT);
	return *(u64 *)(bench->vm.ram + RESULT);
}

static u64 run_loop(struct bench *bench, u32 exit)
{
	u64 begin = __rdtsc();

	for (u64 i = 0; i < bench->rounds; i++)
		vcpu_run_until(&bench->vcpu, exit);
	return __rdtsc() - begin;
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
	vm_set_memory(&bench->vm, 1, 0, TOUCHED, size, bench->touched);
	cost = in_guest(bench);
	vm_set_memory(&bench->vm, 1, 0, TOUCHED, 0, bench->touched);
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

/* What the host's own fault costs: the yardstick for the row above. */
static u64 touch_in_host(struct bench *bench)
{
	size_t size = bench->rounds * PAGE;
	u64 begin;

	madvise(bench->touched, size, MADV_DONTNEED);
	begin = __rdtsc();
	for (size_t i = 0; i < size; i += PAGE)
		*(volatile u8 *)(bench->touched + i) = 1;
	return __rdtsc() - begin;
}

static u64 immediate_exits(struct bench *bench)
{
	u64 cost, begin;

	bench->vcpu.run->immediate_exit = 1;
	begin = __rdtsc();
	for (u64 i = 0; i < bench->rounds; i++)
		__vcpu_run(&bench->vcpu);
	cost = __rdtsc() - begin;
	bench->vcpu.run->immediate_exit = 0;
	return cost;
}

static u64 create_and_destroy(struct bench *bench)
{
	u64 begin = __rdtsc();

	for (u64 i = 0; i < bench->rounds; i++) {
		struct vcpu vcpu;
		struct vm vm;

		vm_create_bare(&vm);
		vcpu_create_bare(&vm, &vcpu, 0);
		vcpu_destroy(&vcpu);
		vm_destroy(&vm);
	}
	return __rdtsc() - begin;
}

static u64 getppids(struct bench *bench)
{
	u64 begin = __rdtsc();

	for (u64 i = 0; i < bench->rounds; i++)
		syscall(SYS_getppid);
	return __rdtsc() - begin;
}

static u64 failing_ioctls(struct bench *bench)
{
	u64 begin = __rdtsc();

	for (u64 i = 0; i < bench->rounds; i++)
		ioctl(bench->vm.dev, KVM_GET_API_VERSION, 1);
	return __rdtsc() - begin;
}

static const struct row rows[] = {
	{ "cpuid", "answered in the kernel", &cpuid_loop, in_guest, 2000 },
	{ "rdmsr_apicbase", "answered in the kernel", &rdmsr_loop, in_guest, 2000 },
	{ "rdmsr_wrmsr_pat", "two exits", &pat_loop, in_guest, 2000 },
	{ "hypercall", "unknown number", NULL, in_guest, 2000 },
	{ "wbinvd", "ignored in the kernel", &wbinvd_loop, in_guest, 2000 },
	{ "mov_cr0_toggle_ne", "read and write", &cr0_loop, in_guest, 2000 },
	{ "out_userspace", "port write, one KVM_RUN", &out_loop, io_exits, 1000 },
	{ "in_userspace", "port read, one KVM_RUN", &in_loop, io_exits, 1000 },
	{ "mmio_write_userspace", "one KVM_RUN", &write_loop, mmio_exits, 1000 },
	{ "mmio_read_userspace", "one KVM_RUN", &read_loop, mmio_exits, 1000 },
	{ "hlt_userspace", "one KVM_RUN", &hlt_loop, hlt_exits, 1000 },
	{ "npf_present", "host page there, per page", &touch_loop, touch_present, 1024 },
	{ "npf_absent", "host page not there, per page", &touch_loop, touch_absent, 1024 },
	{ "host_fault", "for scale: the host's own", &touch_loop, touch_in_host, 1024 },
	{ "run_immediate_exit", "KVM_RUN, no guest", &hlt_loop, immediate_exits, 2000 },
	{ "vm_create_destroy", "with one vCPU", &hlt_loop, create_and_destroy, 4 },
	{ "getppid", "for scale: a system call", &hlt_loop, getppids, 5000 },
	{ "ioctl_error", "for scale: a failing ioctl", &hlt_loop, failing_ioctls, 5000 },
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Fills in the cost of a round for each batch, lowest first. */
static void measure(const struct row *row, double cost[BATCHES])
{
	const struct guest_program *program = row->program;
	struct bench bench = { .rounds = row->rounds };

	if (!program)
		program = host_is_amd() ? &vmmcall_loop : &vmcall_loop;
	vm_create(&bench.vm);
	vcpu_create(&bench.vm, &bench.vcpu, 0);
	bench.touched = pages_alloc(row->rounds * PAGE);
	madvise(bench.touched, row->rounds * PAGE, MADV_NOHUGEPAGE);
	guest_load(&bench.vcpu, program);
	row->batch(&bench);	/* warm up */
	for (int i = 0; i < BATCHES; i++)
		cost[i] = (double)row->batch(&bench) / row->rounds;
	qsort(cost, BATCHES, sizeof(cost[0]), compare);
	munmap(bench.touched, row->rounds * PAGE);
	vcpu_destroy(&bench.vcpu);
	vm_destroy(&bench.vm);
}

static void print_text(const struct row *row, const double cost[BATCHES])
{
	double median = cost[BATCHES / 2];

	printf("%-22s %12.0f  %6.1f %%  %s\n", row->name, median,
	       100 * (cost[BATCHES - 1] - cost[0]) / median, row->what);
	fflush(stdout);
}

static void print_json(const struct row *row, const double cost[BATCHES], bool first)
{
	printf("%s\n    {\"name\": \"%s\", \"median\": %.1f, \"rounds\": %llu, \"batches\": [",
	       first ? "" : ",", row->name, cost[BATCHES / 2],
	       (unsigned long long)row->rounds);
	for (int i = 0; i < BATCHES; i++)
		printf("%s%.1f", i ? ", " : "", cost[i]);
	printf("]}");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool json = argc == 3 && !strcmp(argv[2], "--json");

	if (argc < 2 || argc > 3 || argv[1][0] == '-' || (argc == 3 && !json)) {
		fprintf(stderr, "usage: %s DEVICE [--json]\n"
			"  DEVICE  /dev/vmlet, /dev/kvm, or another that speaks the KVM API\n",
			argv[0]);
		return 2;
	}
	setenv("VMLET_DEVICE", argv[1], 1);
	if (json)
		printf("{\"device\": \"%s\", \"rows\": [", argv[1]);
	else
		printf("%-22s %12s  %8s  %s\n", argv[1], "TSC, median", "spread", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double cost[BATCHES];

		measure(&rows[i], cost);
		if (json)
			print_json(&rows[i], cost, i == 0);
		else
			print_text(&rows[i], cost);
	}
	if (json)
		printf("\n]}\n");
	return 0;
}
