// SPDX-License-Identifier: GPL-2.0
/*
 * Calls in random order, with random arguments, on all three kinds of file, while other
 * threads do the same, write to run pages, and change the memory behind the slots.
 *
 * A case makes a few VMs with vCPUs whose guests do a bit of everything, then lets its
 * threads loose. Half of the cases have one thread only: those can be repeated exactly,
 * but for the signal that comes all two milliseconds and ends KVM_RUN.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../lib/guest.h"
#include "calls.h"

#define STEPS		300
#define WORKERS		2
#define FORKS		4
#define FILES		128
#define TICK_NS		2000000
#define RUN_SIZE	(3 * 4096ul)
#define EXTRA_MAPPINGS	4

/* Far from everything, and where no damaged bit leads back: what is behind slots is never the fuzzer itself. */
#define RAM_AT		((void *)0x2aaa00000000ul)
#define SCRATCH_AT	((void *)0x2bbb00000000ul)
#define RUN_AT		((u8 *)0x2ccc00000000ul)
#define ARGS_AT		((u8 *)0x2ddd00000000ul)

static int zero_fd;
static volatile bool stop;

/* Guests: touch memory in and out of slots, use devices, be interrupted. */
GUEST_PROGRAM(touches, LONG,
	      "sti\n mov $0x20000, %esi\n"
	      "1: add $0x1008, %esi\n and $0xfffff8, %esi\n or $0x20000, %esi\n"
	      "lock incq (%rsi)\n mov (%rsi), %rax\n cpuid\n jmp 1b");
GUEST_PROGRAM(exits, LONG,
	      "sti\n 1: out %al, $0x10\n in $0x11, %eax\n mov %rax, 0xd0000\n mov 0xd0000, %ebx\n"
	      "mov $0x12, %edx\n mov $0x30000, %edi\n mov $100, %ecx\n rep insw\n"
	      "mov $0x30000, %esi\n mov $100, %ecx\n rep outsb\n"
	      "mov $0xd0ff8, %edi\n mov $8, %ecx\n rep stosl\n"
	      "mov $0x4b564d01, %ecx\n mov $0x31001, %eax\n xor %edx, %edx\n wrmsr\n"
	      "mov %cr8, %rax\n mov %rax, %cr8\n mov %rax, %dr3\n mov %dr7, %rax\n"
	      "cpuid\n hlt\n jmp 1b");
GUEST_PROGRAM(interrupts_itself, LONG,
	      "sti\n mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n"
	      "movl $0xb, 0x3e0(%rbx)\n movl $0x20040, 0x320(%rbx)\n"
	      "1: movl $0x1000, 0x380(%rbx)\n movl $0x40041, 0x300(%rbx)\n"
	      "movl $0xc4042, 0x300(%rbx)\n movl $0, 0xb0(%rbx)\n incl %ecx\n movl %ecx, 0x80(%rbx)\n"
	      "mov $0xfec00000, %edx\n movl $0x14, (%rdx)\n movl $0x8043, 0x10(%rdx)\n"
	      "mov $0x830, %ecx\n xor %edx, %edx\n mov $0x40044, %eax\n wrmsr\n"
	      "hlt\n jmp 1b");

static const struct guest_program *const programs[] = { &touches, &exits, &interrupts_itself };

static void *map(void *at, size_t size, int prot)
{
	void *mem = mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (mem == MAP_FAILED)
		die("no memory");
	return mem;
}

static u8 *run_page(u32 i)
{
	return RUN_AT + i * 4 * RUN_SIZE;
}

/* Threads do not share argument buffers; behind each is a page that is not there. */
static u8 *args_of(u32 thread)
{
	return ARGS_AT + thread * 2 * ARG_MAX;
}

static void remember(struct rng *rng, enum object kind, int fd)
{
	int old = __atomic_exchange_n(&world.fd[kind][below(rng, OBJECT_MANY)], fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

static void map_run_page(u32 i, int fd)
{
	/* Of no vCPU: memory all the same, so that whoever writes there need not ask. */
	if (mmap(run_page(i), RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		map(run_page(i), RUN_SIZE, PROT_READ | PROT_WRITE);
}

/* A machine as a program would make it; what fails, fails. */
static void make_machine(struct rng *rng, u32 i)
{
	static const u32 caps[] = { KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };
	struct kvm_enable_cap cap = { .cap = PICK(rng, caps), .args[0] = 1 };
	struct vm vm = { .dev = world.fd[DEVICE][0], .ram = world.ram };
	struct vcpu vcpu = { .vm = &vm, .run_size = RUN_SIZE };

	vm.fd = fd_ioctl(vm.dev, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
	world.fd[VM][i] = vm.fd;
	if (chance(rng, 50))
		__fd_ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0);
	if (chance(rng, 30))
		__fd_ioctl(vm.fd, KVM_ENABLE_CAP, (u64)&cap);
	vm_set_memory(&vm, 0, 0, 0, RAM_SIZE, vm.ram);
	for (u32 id = 0; id < 2; id++) {
		vcpu_create_bare(&vm, &vcpu, id);
		munmap(vcpu.run, vcpu.run_size);
		world.fd[VCPU][2 * i + id] = vcpu.fd;
		map_run_page(2 * i + id, vcpu.fd);
		if (chance(rng, 90))
			call_make(rng, call_find(KVM_SET_CPUID2, VCPU), args_of(0));
		guest_load(&vcpu, PICK(rng, programs));
	}
}

static void close_one(struct rng *rng)
{
	enum object kind = below(rng, OBJECTS);

	remember(rng, kind, kind == DEVICE ? open(device_path(), O_RDWR | O_CLOEXEC) : -1);
}

static void dup_one(struct rng *rng)
{
	enum object kind = below(rng, OBJECTS);

	remember(rng, kind, dup(world_fd(rng, kind)));
}

static void make_event(struct rng *rng)
{
	remember(rng, EVENT, eventfd(below(rng, 2), EFD_NONBLOCK | EFD_CLOEXEC));
}

static void use_event(struct rng *rng)
{
	u64 value = 1;
	int fd = world_fd(rng, EVENT);

	if (chance(rng, 70) ? write(fd, &value, 8) != 8 : read(fd, &value, 8) != 8)
		return;
}

/* What is not an ioctl: refused, or harmless. */
static void use_file(struct rng *rng)
{
	int fd = world_fd(rng, below(rng, OBJECTS));
	u8 bytes[8];

	switch (below(rng, 5)) {
	case 0:
		lseek(fd, 0, SEEK_SET);
		break;
	case 1:
		if (pread(fd, bytes, sizeof(bytes), 0) >= 0)
			return;
		break;
	case 2:
		fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
		break;
	case 3:
		fsync(fd);
		break;
	default:
		syscall(SYS_ftruncate, fd, 0);
	}
}

/* Run pages once more, at other offsets, of any size and kind; and away again. */
static void map_more(struct rng *rng)
{
	u8 *at = run_page(OBJECT_MANY + below(rng, EXTRA_MAPPINGS));
	int flags = chance(rng, 70) ? MAP_SHARED : MAP_PRIVATE;
	size_t size = (1 + below(rng, 4)) * 4096;
	u8 byte = 1;

	if (chance(rng, 30)) {
		munmap(at, 4 * 4096);
		return;
	}
	if (mmap(at, size, below(rng, 8), flags | MAP_FIXED, world_fd(rng, VCPU), below(rng, 5) * 4096) == MAP_FAILED)
		return;
	/* By a system call: there need be nothing. */
	if (read(zero_fd, at + below(rng, size), 1) == 1 && write(zero_fd, at, 1) == 1)
		mremap(at, size, size, byte);
}

/* Something else happens to the memory behind slots. */
static void change_memory(struct rng *rng)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, MADV_MERGEABLE,
		MADV_UNMERGEABLE, MADV_COLLAPSE, MADV_POPULATE_WRITE, MADV_DONTFORK, MADV_DOFORK,
	};
	static const int rights[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE };
	size_t pages = 1u << below(rng, 11), size;
	u8 *at = world.ram + below(rng, WORLD_RAM / 4096) * 4096;

	size = pages * 4096;
	if (size > (size_t)(world.ram + WORLD_RAM - at))
		size = world.ram + WORLD_RAM - at;
	switch (below(rng, 8)) {
	case 0:
		mprotect(at, size, PICK(rng, rights));
		break;
	case 1:
		munmap(at, size);
		break;
	case 2:
		mmap(at, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED |
		     (chance(rng, 70) ? MAP_PRIVATE : MAP_SHARED), -1, 0);
		break;
	case 3:
		mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, world.ram + below(rng, WORLD_RAM / 8192) * 4096);
		break;
	case 4:
		if (syscall(SYS_getrandom, at, size < 65536 ? size : 65536, 0) < 0)
			return;
		break;
	default:
		madvise(at, size, PICK(rng, advice));
	}
}

/* Another process with the same files, and copies of the memory. */
static void fork_one(struct rng *rng)
{
	static u32 forks;
	int fd;

	if (__atomic_fetch_add(&forks, 1, __ATOMIC_RELAXED) >= FORKS || fork())
		return;
	for (u32 i = 0; i < 10; i++)
		call_make(rng, call_any(rng), args_of(WORKERS + 1));
	for (u32 i = 0; i < 10; i++)
		change_memory(rng);
	fd = world_fd(rng, VM);
	if (fd >= 0 && __fd_ioctl(fd, KVM_GET_CLOCK, (u64)args_of(WORKERS + 1)) != -EIO)
		_exit(2);
	_exit(0);
}

static void move_away(struct rng *rng)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(below(rng, 4), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void scribble(struct rng *rng)
{
	u8 *page = run_page(below(rng, OBJECT_MANY));
	u64 value = rnd_value(rng);
	size_t size = 1u << below(rng, 4), at;

	/* The fields, mostly; or data, or the ring. */
	at = chance(rng, 70) ? below(rng, 256) : below(rng, RUN_SIZE);
	memcpy(page + at / size * size, &value, size);
}

/* What makes every KVM_RUN fail, or return at once, is taken back now and then. */
static void tidy(struct rng *rng)
{
	struct kvm_run *run = (void *)run_page(below(rng, OBJECT_MANY));

	run->immediate_exit = 0;
	run->cr8 = 0;
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = 0;
}

static void call(struct rng *rng, u32 thread)
{
	tidy(rng);
	call_make(rng, call_any(rng), args_of(thread));
}

static const struct {
	void (*fn)(struct rng *rng);
	u32 weight;
} acts[] = {
	{ close_one, 1 }, { dup_one, 2 }, { make_event, 3 }, { use_event, 6 }, { use_file, 1 }, { map_more, 2 },
	{ change_memory, 8 }, { fork_one, 1 }, { move_away, 1 }, { scribble, 8 },
};

static void act(struct rng *rng)
{
	u32 total = 0, at;

	for (u32 i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		total += acts[i].weight;
	at = below(rng, total);
	for (u32 i = 0; ; i++) {
		if (at < acts[i].weight) {
			acts[i].fn(rng);
			return;
		}
		at -= acts[i].weight;
	}
}

static void tick(int signal)
{
	(void)signal;
}

/* KVM_RUN of this thread ends again and again. */
static void start_ticks(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec every = { { 0, TICK_NS }, { 0, TICK_NS } };
	timer_t timer;

	event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		die("no timer");
}

static void work(struct rng *rng, u32 thread)
{
	for (u32 i = 0; i < STEPS && !stop && !fuzz_time_up(); i++) {
		if (chance(rng, 75))
			call(rng, thread);
		else
			act(rng);
	}
}

struct thread {
	pthread_t thread;
	struct rng rng;
	u32 number;
};

static void *worker(void *arg)
{
	struct thread *t = arg;

	cover_thread();
	start_ticks();
	work(&t->rng, t->number);
	return NULL;
}

static void *scribbler(void *arg)
{
	struct thread *t = arg;

	while (!stop) {
		for (u32 i = 0; i < 100; i++)
			scribble(&t->rng);
		sched_yield();
	}
	return NULL;
}

static void *changer(void *arg)
{
	struct thread *t = arg;

	cover_thread();
	while (!stop && !fuzz_time_up()) {
		change_memory(&t->rng);
		usleep(below(&t->rng, 300));
	}
	return NULL;
}

static void start(struct thread *t, struct rng *rng, void *(*fn)(void *))
{
	t->rng = rng_fork(rng);
	if (pthread_create(&t->thread, NULL, fn, t))
		die("no thread");
}

static void setup(void)
{
	struct rlimit files = { FILES, FILES };
	struct sigaction action = { .sa_handler = tick };

	setrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGUSR1, &action, NULL);
	/* Signals of files and timers that a case made end nothing. */
	signal(SIGIO, SIG_IGN);
	zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	memset(world.fd, -1, sizeof(world.fd));
	world.ram = map(RAM_AT, WORLD_RAM, PROT_READ | PROT_WRITE);
	world.scratch = map(SCRATCH_AT, WORLD_SCRATCH, PROT_READ | PROT_WRITE);
	for (u32 i = 0; i < OBJECT_MANY; i++)
		map(run_page(i), RUN_SIZE, PROT_READ | PROT_WRITE);
	for (u32 i = 0; i < WORKERS + 2; i++)
		map(args_of(i), ARG_MAX, PROT_READ | PROT_WRITE);
}

static void run(struct rng *rng)
{
	struct thread threads[WORKERS + 2] = { 0 };
	bool alone = chance(rng, 50);

	rnd_bytes(rng, world.scratch, 64);
	world.fd[DEVICE][0] = dev_open();
	make_event(rng);
	make_event(rng);
	for (u32 i = 0; i < 1 + below(rng, 2); i++)
		make_machine(rng, i);
	start_ticks();
	if (!alone) {
		for (u32 i = 0; i < WORKERS; i++) {
			threads[i].number = 1 + i;
			start(&threads[i], rng, worker);
		}
		start(&threads[WORKERS], rng, scribbler);
		start(&threads[WORKERS + 1], rng, changer);
	}
	work(rng, 0);
	stop = true;
	/* Half of the time threads are killed wherever they are. */
	for (u32 i = 0; !alone && i < WORKERS + 2 && chance(rng, 75); i++)
		pthread_join(threads[i].thread, NULL);
}

const struct fuzzer fuzzer = {
	.name = "ioctl",
	.run = run,
	.setup = setup,
	.batch = 1,
	.limit_ms = 600,
	.may_hang = true,
};
