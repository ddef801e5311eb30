// SPDX-License-Identifier: GPL-2.0
/*
 * Guests of random instructions in random state, in all modes.
 *
 * A case is a VM with one vCPU that runs for some exits, or until its time is over. Now and
 * then its state is saved, checked, and restored into a new vCPU, which goes on. After
 * each return the host's own state must be what it was.
 *
 *	-p	no state that a CPU cannot have (Bochs' AMD-V hangs when an entry fails)
 *	-d FILE	the same result on every device: nothing that depends on time. What
 *		became of each case is a line of FILE, to be compared with another device's
 *	-c FILE	the guest's CPUID comes from there; if it is not there, it is written
 */
#include "guest.h"

#include <cpuid.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/time.h>

#define EXITS		60
#define CASE_US		15000
#define REPEATABLE_US	1000000	/* what takes so long is no case: its result is of the moment */
#define MIGRATIONS	4
#define PIECES		8	/* of an access that is open, at most */
#define TRACE		65536
#define CPUID_ENTRIES	256
#define SHOWN_CODE	256
#define SHOWN_PAGES	32	/* tables, code, stacks and a bit more */

static struct {
	bool tame;
	const char *results, *cpuid_file;
} options;

static struct kvm_cpuid2 *cpuid;
static struct kvm_run *volatile running;

/* What happened in this case, in words. */
static char trace[TRACE];
static size_t traced;
static bool timed_out;

static void __attribute__((format(printf, 1, 2))) tell(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(trace + traced, TRACE - traced, fmt, args);
	va_end(args);
	if (n > 0 && traced + n < TRACE)
		traced += n;
}

/* The host's own state: what a return from KVM_RUN must not have changed. */

static struct host {
	u8 extended[8192] __attribute__((aligned(64)));
	u16 segments[6];
	u64 flags;
} host_before, host_after;

static bool has_xsave;

static void host_pattern(void)
{
	u32 a, b, c, d;

	__cpuid(1, a, b, c, d);
	has_xsave = c & bit_OSXSAVE;
	for (u32 i = 0; i < 16; i++)
		memset(host_before.extended + 160 + 16 * i, 0x11 * i + 5, 16);
	*(u16 *)host_before.extended = 0x27f;
	*(u32 *)(host_before.extended + 24) = 0x9f80;
}

static void host_read_segments(struct host *h)
{
	u16 *s = h->segments;

	asm volatile("mov %%cs, %0\n mov %%ds, %1\n mov %%es, %2\n mov %%fs, %3\n mov %%gs, %4\n mov %%ss, %5"
		     : "=m" (s[0]), "=m" (s[1]), "=m" (s[2]), "=m" (s[3]), "=m" (s[4]), "=m" (s[5]));
}

/* KVM_RUN with known extended state, of which everything is read back before the compiler can use it. */
static int run_watched(struct vcpu *vcpu)
{
	long ret = 16;	/* ioctl's number */

	memset(host_after.extended, 0, sizeof(host_after.extended));
	host_read_segments(&host_before);
	if (has_xsave)
		asm volatile("fxrstor64 %[before]\n mov $-1, %%edx\n mov $-1, %%eax\n xsave64 %[before]\n"
			     "mov $16, %%eax\n mov $0xae80, %%esi\n xor %%edx, %%edx\n syscall\n mov %%rax, %%r8\n"
			     "mov $-1, %%edx\n mov $-1, %%eax\n xsave64 %[after]\n pushf\n pop %[flags]\n mov %%r8, %%rax\n"
			     : "=&a" (ret), [before] "+m" (host_before.extended), [after] "+m" (host_after.extended),
			       [flags] "=m" (host_after.flags)
			     : "D" ((long)vcpu->fd)
			     : "rcx", "rdx", "rsi", "r8", "r11", "memory");
	else
		asm volatile("fxrstor64 %[before]\n mov $0xae80, %%esi\n xor %%edx, %%edx\n syscall\n fxsave64 %[after]\n"
			     "pushf\n pop %[flags]\n"
			     : "+a" (ret), [before] "+m" (host_before.extended), [after] "+m" (host_after.extended),
			       [flags] "=m" (host_after.flags)
			     : "D" ((long)vcpu->fd)
			     : "rcx", "rdx", "rsi", "r11", "memory");
	host_read_segments(&host_after);
	return ret;
}

static void host_check(void)
{
	/* Where the last floating point instruction was, is the CPU's affair. */
	memset(host_before.extended + 8, 0, 16);
	memset(host_after.extended + 8, 0, 16);
	for (size_t i = 0; i < sizeof(host_after.extended); i += 8)
		if (memcmp(host_before.extended + i, host_after.extended + i, 8))
			fuzz_fail("the host's extended state: %zu was %#llx, is %#llx", i,
				  *(unsigned long long *)(host_before.extended + i),
				  *(unsigned long long *)(host_after.extended + i));
	if (memcmp(host_before.segments, host_after.segments, sizeof(host_before.segments)))
		fuzz_fail("the host's segments have changed");
	if (host_after.flags & (RFLAGS_DF | RFLAGS_TF | 0x40000))
		fuzz_fail("the host's flags: %#llx", (unsigned long long)host_after.flags);
}

/* Time. */

static void time_is_up(int signal)
{
	(void)signal;
	timed_out = true;
	if (running)
		running->immediate_exit = 1;
}

static void start_time(struct vcpu *vcpu)
{
	u64 us = options.results ? REPEATABLE_US : CASE_US;
	struct itimerval once = { { 0, 0 }, { us / 1000000, us % 1000000 } };

	timed_out = false;
	running = vcpu->run;
	setitimer(ITIMER_REAL, &once, NULL);
}

static void stop_time(void)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
	running = NULL;
}

/* Exits: each must be one that is documented, and say what is possible. */

static void check_io(struct rng *rng, struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 size = run->io.size, bytes = size * run->io.count;
	u8 *data = (u8 *)run + run->io.data_offset;

	if ((size != 1 && size != 2 && size != 4) || !run->io.count || run->io.data_offset > vcpu->run_size ||
	    bytes > vcpu->run_size - run->io.data_offset)
		fuzz_fail("port I/O of %u times %u bytes at %#llx", run->io.count, run->io.size,
			  (unsigned long long)run->io.data_offset);
	tell(" %s %x %u*%u", run->io.direction ? "out" : "in", run->io.port, run->io.count, run->io.size);
	if (run->io.direction == KVM_EXIT_IO_IN)
		rnd_bytes(rng, data, bytes);
	else
		tell("=%x", *(u32 *)data & (size == 4 ? 0xffffffff : (1u << 8 * size) - 1));
}

static void check_mmio(struct rng *rng, struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 data = 0, last = run->mmio.phys_addr + run->mmio.len - 1;

	if (!run->mmio.len || run->mmio.len > 8 || (last ^ run->mmio.phys_addr) >> 12)
		fuzz_fail("MMIO of %u bytes at %#llx", run->mmio.len, (unsigned long long)run->mmio.phys_addr);
	if (last < RAM_SIZE)
		fuzz_fail("MMIO at %#llx, where memory is", (unsigned long long)run->mmio.phys_addr);
	memcpy(&data, run->mmio.data, run->mmio.len);
	tell(" %s %llx %u", run->mmio.is_write ? "write" : "read", (unsigned long long)run->mmio.phys_addr, run->mmio.len);
	if (run->mmio.is_write)
		tell("=%llx", (unsigned long long)data);
	else
		rnd_bytes(rng, run->mmio.data, sizeof(run->mmio.data));
}

/* Does the guest go on? */
static bool serve_exit(struct rng *rng, struct vcpu *vcpu, const struct limits *limits)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		check_io(rng, vcpu);
		return true;
	case KVM_EXIT_MMIO:
		check_mmio(rng, vcpu);
		return true;
	case KVM_EXIT_HLT:
		tell(" hlt");
		return chance(rng, 60);
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_HYPERCALL:
	case KVM_EXIT_DEBUG:
		tell(" %s", exit_name(run->exit_reason));
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		tell(" fail-entry");
		if (limits->tame && run->fail_entry.hardware_entry_failure_reason)
			fuzz_fail("entry fails (%#llx), and the state was good: %s",
				  (unsigned long long)run->fail_entry.hardware_entry_failure_reason, trace);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		tell(" internal-error %u", run->internal.suberror);
		return false;
	case KVM_EXIT_SHUTDOWN:
		tell(" shutdown");
		return false;
	}
	fuzz_fail("exit reason %u", run->exit_reason);
}

/* An access that is open ends; then all state is the registers'. Returns false if that takes an exit. */
static bool settle(struct vcpu *vcpu)
{
	int ret;

	vcpu->run->immediate_exit = 1;
	ret = __vcpu_run(vcpu);
	vcpu->run->immediate_exit = timed_out;
	return ret == -EINTR;
}

static void save_checked(struct vcpu *vcpu, struct state *state, const struct limits *limits)
{
	const char *what = state_save(vcpu, state);

	if (what)
		fuzz_fail("%s fails after%s", what, trace);
	what = limits->tame ? state_nonsense(state) : NULL;
	if (what)
		fuzz_fail("%s after%s", what, trace);
}

/* A new vCPU takes over from here. */
static void migrate(struct vcpu *vcpu, u32 id, const struct limits *limits)
{
	static struct state before, after;
	struct vcpu next;
	const char *what;

	save_checked(vcpu, &before, limits);
	vcpu_create_bare(vcpu->vm, &next, id);
	vcpu_set_cpuid2(&next, cpuid);
	what = state_restore(&next, &before);
	if (what)
		fuzz_fail("%s refuses what was saved after%s", what, trace);
	save_checked(&next, &after, limits);
	what = state_difference(&before, &after);
	if (what)
		fuzz_fail("restored, %s after%s", what, trace);
	next.run->cr8 = vcpu->run->cr8;
	running = next.run;
	vcpu_destroy(vcpu);
	*vcpu = next;
	tell(" (moved)");
}

/* What userspace may do between two runs. */
static void interfere(struct rng *rng, struct vcpu *vcpu, const struct limits *limits)
{
	struct kvm_interrupt irq = { .irq = below(rng, 256) };
	struct kvm_translation tr = { .linear_address = rnd_value(rng) };
	struct kvm_vcpu_events events;

	switch (below(rng, 6)) {
	case 0:
		__vcpu_interrupt(vcpu, &irq);
		break;
	case 1:
		__vcpu_nmi(vcpu, NULL);
		break;
	case 2:
		vcpu->run->request_interrupt_window ^= 1;
		break;
	case 3:
		vcpu->run->cr8 = below(rng, 16);
		break;
	case 4:
		__vcpu_translate(vcpu, &tr);
		break;
	default:
		if (limits->tame || __vcpu_get_events(vcpu, &events))
			break;
		rnd_damage(rng, &events, sizeof(events));
		__vcpu_set_events(vcpu, &events);
	}
}

static void run_guest(struct rng *rng, struct vcpu *vcpu, const struct limits *limits)
{
	u32 moved = 0;

	for (u32 i = 0; i < EXITS && !timed_out; i++) {
		int ret = run_watched(vcpu);

		host_check();
		if (ret == -EINTR)
			break;
		if (ret)
			fuzz_fail("KVM_RUN: error %d after%s", -ret, trace);
		if (!serve_exit(rng, vcpu, limits))
			break;
		if (limits->repeatable)
			continue;
		if (chance(rng, 15))
			interfere(rng, vcpu, limits);
		if (moved < MIGRATIONS && chance(rng, 10) && settle(vcpu))
			migrate(vcpu, ++moved, limits);
	}
}

/* Whatever it was: a good state makes a good vCPU again. */
static void check_alive(struct vcpu *vcpu)
{
	static const u8 code[] = { 0x48, 0xff, 0xc3, 0xf4 };	/* inc %rbx; hlt */
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW };
	struct kvm_debugregs debug = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct guest_program program = { .mode = LONG, .start = code, .end = code + sizeof(code) };
	struct kvm_regs regs;

	for (u32 i = 0; i < PIECES && !settle(vcpu); i++)
		;
	vcpu->run->request_interrupt_window = 0;
	vcpu->run->immediate_exit = 0;
	vcpu->run->cr8 = 0;
	memset(vcpu->vm->ram, 0, RAM_SIZE);
	if (__vcpu_set_events(vcpu, &events) || __vcpu_set_debugregs(vcpu, &debug))
		fuzz_fail("cannot reset events");
	guest_load(vcpu, &program);
	if (__vcpu_run(vcpu) || vcpu->run->exit_reason != KVM_EXIT_HLT)
		fuzz_fail("a good guest ends with %s after%s", exit_name(vcpu->run->exit_reason), trace);
	vcpu_get_regs(vcpu, &regs);
	if (regs.rbx != 1)
		fuzz_fail("a good guest counts to %llu after%s", (unsigned long long)regs.rbx, trace);
}

static u64 hash(const void *data, size_t size)
{
	const u64 *words = data;
	u64 sum = 0;

	for (size_t i = 0; i < size / 8; i++)
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull + 1;
	return sum;
}

static void tell_state(const struct state *state, const u8 *ram)
{
	const struct kvm_segment *seg = &state->sregs.cs;

	tell(" | rip %llx flags %llx", state->regs.rip, state->regs.rflags);
	for (u32 i = 0; i < 16; i++)
		tell(" %llx", ((__u64 *)&state->regs)[i]);
	for (u32 i = 0; i < 8; i++)
		tell(" %x/%llx/%x/%x", seg[i].selector, seg[i].base, seg[i].limit,
		     seg[i].unusable ? 0 : seg[i].type | seg[i].dpl << 4 | seg[i].db << 6 | seg[i].l << 7);
	tell(" cr %llx %llx %llx %llx %llx efer %llx", state->sregs.cr0, state->sregs.cr2, state->sregs.cr3, state->sregs.cr4,
	     state->sregs.cr8, state->sregs.efer);
	tell(" gdt %llx/%x idt %llx/%x", state->sregs.gdt.base, state->sregs.gdt.limit, state->sregs.idt.base, state->sregs.idt.limit);
	tell(" dr %llx %llx %llx %llx %llx %llx", state->debug.db[0], state->debug.db[1], state->debug.db[2], state->debug.db[3],
	     state->debug.dr6, state->debug.dr7);
	if (state->events.exception.injected)
		tell(" exception %x/%x", state->events.exception.nr, state->events.exception.error_code);
	tell(" nmi %x/%x/%x shadow %x", state->events.nmi.injected, state->events.nmi.pending, state->events.nmi.masked,
	     state->events.interrupt.shadow);
	tell(" x %llx memory", (unsigned long long)hash(state->xsave.region + 8, 384));
	for (u32 page = 0; page < SHOWN_PAGES; page++)
		tell(" %x", (u16)hash(ram + page * 4096, 4096));
}

/* A line of what became of it. */
static void record(struct vcpu *vcpu, struct seed seed)
{
	static FILE *file;
	static struct state state;
	u32 reason = vcpu->run->exit_reason;

	if (timed_out) {
		traced = 0;
		tell(" time");
	} else if (reason != KVM_EXIT_SHUTDOWN && reason != KVM_EXIT_INTERNAL_ERROR && settle(vcpu) && !state_save(vcpu, &state)) {
		/* AMD-V leaves nothing of a shutdown, and devices differ in what is left of an error. */
		tell_state(&state, vcpu->vm->ram);
	}
	if (!file)
		file = fopen(options.results, "ae");
	if (!file)
		die("cannot write to %s", options.results);
	fprintf(file, "%llu:%s\n", (unsigned long long)seed.first, trace);
	fflush(file);
}

/* For a disassembler. */
static void say_code(const u8 *code, int bits)
{
	char text[3 * SHOWN_CODE + 1] = "";
	u32 n = SHOWN_CODE;

	while (n && code[n - 1] == 0xf4)
		n--;
	for (u32 i = 0; i < n; i++)
		sprintf(text + 3 * i, "%02x ", code[i]);
	fuzz_say("code of %d bits: %s", bits, text);
}

static void run(struct rng *rng)
{
	struct seed seed = { .first = rng->state };
	struct limits limits = { .tame = true, .repeatable = options.results };
	struct vcpu vcpu;
	struct vm vm;
	int bits;

	if (!options.tame && !options.results)
		limits.tame = chance(rng, 60);
	traced = 0;
	trace[0] = 0;
	vm_create(&vm);
	vcpu_create_bare(&vm, &vcpu, 0);
	vcpu_set_cpuid2(&vcpu, cpuid);
	bits = state_make(rng, &vcpu, &limits);
	code_make(rng, vm.ram + GUEST_CODE, GUEST_DATA - GUEST_CODE, bits, &limits);
	say_code(vm.ram + GUEST_CODE, bits);
	start_time(&vcpu);
	run_guest(rng, &vcpu, &limits);
	stop_time();
	fuzz_say("%s, %d bits:%s", limits.tame ? "tame" : "wild", bits, trace);
	if (options.results) {
		record(&vcpu, seed);
		fuzz_say("%s", trace);
	} else {
		check_alive(&vcpu);
	}
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

static void load_cpuid(void)
{
	int dev = dev_open();
	size_t size = sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]);
	FILE *file = options.cpuid_file ? fopen(options.cpuid_file, "re") : NULL;

	cpuid = supported_cpuid(dev);
	close(dev);
	if (file) {
		if (fread(cpuid, 1, size, file) != size)
			die("%s is too short", options.cpuid_file);
		fclose(file);
	} else if (options.cpuid_file) {
		file = fopen(options.cpuid_file, "we");
		if (!file || fwrite(cpuid, 1, size, file) != size || fclose(file))
			die("cannot write to %s", options.cpuid_file);
	}
}

static void setup(void)
{
	struct sigaction action = { .sa_handler = time_is_up };

	sigaction(SIGALRM, &action, NULL);
	load_cpuid();
	state_setup(options.cpuid_file ? cpuid : NULL);
	host_pattern();
}

static void option(int letter, const char *value)
{
	if (letter == 'p')
		options.tame = true;
	else if (letter == 'd')
		options.results = value;
	else
		options.cpuid_file = value;
}

const struct fuzzer fuzzer = {
	.name = "guest",
	.run = run,
	.setup = setup,
	.batch = 50,
	.limit_ms = 3000,
	.options = "pd:c:",
	.option = option,
};
