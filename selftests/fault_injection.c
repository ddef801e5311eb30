// SPDX-License-Identifier: GPL-2.0
/*
 * Each ioctl that allocates memory or reads the program's, with each of its
 * allocations and copies failing in turn: the call says ENOMEM or EFAULT, or goes
 * on without. Then the same call succeeds, the guest runs, and all of it goes.
 *
 * The kernel must have been built with fault injection, as the debug lab kernel is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define KNOBS		"/sys/kernel/debug/"
#define PORT		0x80
#define BIG_GPA		0x1000000ul
#define BIG_SIZE	(8ul << 20)
#define MANY		64	/* entries: more than fit on the kernel's stack */

/* What a row begins with. Each stage has what those before it have. */
enum stage { NOTHING, VM, IRQCHIP, PIT, VCPU };

struct scene {
	struct vm vm;
	struct vcpu vcpu;
	bool has_vcpu;
	int event, resample;
	u8 *big;
};

GUEST_PROGRAM(says_and_says, LONG, "1: out %al, $0x80\n jmp 1b");

/* Pages that nobody has touched, each under a page table of its own. */
GUEST_PROGRAM(touches_memory, LONG,
	      "mov $0x1000000, %edi\n mov $4, %ecx\n1: mov %rcx, (%rdi)\n add $0x200000, %edi\n loop 1b\n"
	      "2: out %al, $0x80\n jmp 2b");

static void add_vcpu(struct scene *scene)
{
	vcpu_create(&scene->vm, &scene->vcpu, 0);
	guest_load(&scene->vcpu, &says_and_says);
	scene->has_vcpu = true;
}

static void scene_create(struct scene *scene, enum stage stage)
{
	struct kvm_pit_config pit = { 0 };

	*scene = (struct scene) { .event = eventfd(0, 0), .resample = eventfd(0, 0) };
	if (stage == NOTHING) {
		scene->vm = (struct vm) { .dev = dev_open(), .fd = -1 };
		return;
	}
	vm_create(&scene->vm);
	scene->big = pages_alloc(BIG_SIZE);
	vm_set_memory(&scene->vm, 1, 0, BIG_GPA, BIG_SIZE, scene->big);
	if (stage >= IRQCHIP)
		fd_ioctl(scene->vm.fd, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
	if (stage >= PIT)
		vm_create_pit2(&scene->vm, &pit);
	if (stage >= VCPU)
		add_vcpu(scene);
}

static void scene_destroy(struct scene *scene)
{
	if (scene->has_vcpu)
		vcpu_destroy(&scene->vcpu);
	vm_destroy(&scene->vm);
	if (scene->big)
		munmap(scene->big, BIG_SIZE);
	close(scene->event);
	close(scene->resample);
}

/* The calls: a value of zero or more, or -errno. Each can be made again. */

static int close_result(int fd)
{
	return fd < 0 ? fd : close(fd);
}

static int create_vm(struct scene *scene)
{
	return close_result(__fd_ioctl(scene->vm.dev, KVM_CREATE_VM, 0));
}

static int create_vcpu(struct scene *scene)
{
	return close_result(__fd_ioctl(scene->vm.fd, KVM_CREATE_VCPU, 1));
}

static int new_slot(struct scene *scene)
{
	return __vm_set_memory(&scene->vm, 2, 0, BIG_GPA + BIG_SIZE, 4096, scene->big);
}

static int log_slot(struct scene *scene)
{
	return __vm_set_memory(&scene->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BIG_GPA, BIG_SIZE, scene->big);
}

static int move_slot(struct scene *scene)
{
	return __vm_set_memory(&scene->vm, 1, 0, BIG_GPA * 2, BIG_SIZE, scene->big);
}

static int delete_slot(struct scene *scene)
{
	int ret = __vm_set_memory(&scene->vm, 1, 0, BIG_GPA, 0, scene->big);

	return ret == -EINVAL ? 0 : ret;	/* it is gone, then */
}

static int create_irqchip(struct scene *scene)
{
	return __fd_ioctl(scene->vm.fd, KVM_CREATE_IRQCHIP, 0);
}

static int split_irqchip(struct scene *scene)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	return __vm_enable_cap(&scene->vm, &cap);
}

static int create_pit(struct scene *scene)
{
	struct kvm_pit_config config = { 0 };

	return __vm_create_pit2(&scene->vm, &config);
}

static int get_pit(struct scene *scene)
{
	struct kvm_pit_state2 state;

	return __vm_get_pit2(&scene->vm, &state);
}

static int get_irqchip(struct scene *scene)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	return __vm_get_irqchip(&scene->vm, &chip);
}

static int irqfd_call(struct scene *scene, u32 flags)
{
	struct kvm_irqfd irqfd = {
		.fd = scene->event, .resamplefd = scene->resample, .gsi = 5, .flags = flags,
	};

	return __vm_irqfd(&scene->vm, &irqfd);
}

static int irqfd(struct scene *scene)
{
	return irqfd_call(scene, 0);
}

static int irqfd_resample(struct scene *scene)
{
	return irqfd_call(scene, KVM_IRQFD_FLAG_RESAMPLE);
}

static int ioeventfd_call(struct scene *scene, u32 flags)
{
	struct kvm_ioeventfd ioeventfd = { .addr = MMIO_BASE, .len = 4, .fd = scene->event, .flags = flags };

	return __vm_ioeventfd(&scene->vm, &ioeventfd);
}

static int ioeventfd(struct scene *scene)
{
	return ioeventfd_call(scene, 0);
}

static int ioeventfd_deassign(struct scene *scene)
{
	int ret = ioeventfd_call(scene, KVM_IOEVENTFD_FLAG_DEASSIGN);

	return ret == -ENOENT ? 0 : ret;
}

static int set_routes(struct scene *scene)
{
	struct kvm_irq_routing_entry entries[MANY];

	for (int i = 0; i < MANY; i++)
		entries[i] = MSI_ROUTE(i, MSI_ADDRESS(0), 0x40 + i);
	return __vm_set_routes(&scene->vm, entries, MANY);
}

static int coalesce(struct scene *scene)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = MMIO_BASE, .size = 0x100 };

	return __vm_coalesce(&scene->vm, &zone);
}

static int uncoalesce(struct scene *scene)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = MMIO_BASE, .size = 0x100 };

	return __vm_uncoalesce(&scene->vm, &zone);
}

static int get_dirty_log(struct scene *scene)
{
	static u64 bitmap[BIG_SIZE / 4096 / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	return __vm_get_dirty_log(&scene->vm, &log);
}

static int supported_cpuid_call(struct scene *scene)
{
	static union {
		struct kvm_cpuid2 head;
		u8 space[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.head.nent = 256;
	return __fd_ioctl(scene->vm.dev, KVM_GET_SUPPORTED_CPUID, (u64)&cpuid);
}

static struct kvm_cpuid2 *cpuid;

static int read_cpuid(struct scene *scene)
{
	cpuid = supported_cpuid(scene->vm.dev);
	return 0;
}

static int set_cpuid(struct scene *scene)
{
	return __vcpu_set_cpuid2(&scene->vcpu, cpuid);
}

union many_msrs {
	struct kvm_msrs head;
	u8 space[sizeof(struct kvm_msrs) + MANY * sizeof(struct kvm_msr_entry)];
};

static void fill_msrs(union many_msrs *msrs)
{
	*msrs = (union many_msrs) { .head.nmsrs = MANY };
	for (int i = 0; i < MANY; i++)
		msrs->head.entries[i].index = 0x174;	/* SYSENTER_CS */
}

static int get_msrs(struct scene *scene)
{
	union many_msrs msrs;

	fill_msrs(&msrs);
	return __vcpu_get_msrs(&scene->vcpu, &msrs.head);
}

static int set_msrs(struct scene *scene)
{
	union many_msrs msrs;

	fill_msrs(&msrs);
	return __vcpu_set_msrs(&scene->vcpu, &msrs.head);
}

static int set_xsave(struct scene *scene)
{
	struct kvm_xsave xsave;
	int ret = __vcpu_get_xsave(&scene->vcpu, &xsave);

	return ret < 0 ? ret : __vcpu_set_xsave(&scene->vcpu, &xsave);
}

static int set_lapic(struct scene *scene)
{
	struct kvm_lapic_state state;
	int ret = __vcpu_get_lapic(&scene->vcpu, &state);

	return ret < 0 ? ret : __vcpu_set_lapic(&scene->vcpu, &state);
}

static int set_sregs(struct scene *scene)
{
	struct kvm_sregs sregs;
	int ret = __vcpu_get_sregs(&scene->vcpu, &sregs);

	sregs.apic_base ^= 0x800;	/* off, or on again: another map of APICs */
	return ret < 0 ? ret : __vcpu_set_sregs(&scene->vcpu, &sregs);
}

static int run_page(struct scene *scene)
{
	void *page = mmap(NULL, scene->vcpu.run_size, PROT_READ, MAP_SHARED | MAP_POPULATE, scene->vcpu.fd, 0);

	return page == MAP_FAILED ? -errno : munmap(page, scene->vcpu.run_size);
}

static int load_toucher(struct scene *scene)
{
	guest_load(&scene->vcpu, &touches_memory);
	return 0;
}

static int run_touches(struct scene *scene)
{
	return __vcpu_run(&scene->vcpu);
}

static int touch(struct scene *scene)
{
	load_toucher(scene);
	return run_touches(scene);
}

static int filter_msrs(struct scene *scene)
{
	static u8 bits[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ, .nmsrs = 8 * sizeof(bits), .bitmap = bits },
	};

	memset(bits, 0xff, sizeof(bits));
	return __fd_ioctl(scene->vm.fd, KVM_X86_SET_MSR_FILTER, (u64)&filter);
}

static int stats_fd(struct scene *scene)
{
	return close_result(__fd_ioctl(scene->vm.fd, KVM_GET_STATS_FD, 0));
}

static void knob(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

/* Whatever can fail may fail, without a word in the log. */
static bool injection_setup(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[80];

	if (access("/proc/thread-self/fail-nth", W_OK) || access(KNOBS "failslab", F_OK))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), KNOBS "%s/verbose", kinds[i]);
		knob(path, "0");
	}
	knob(KNOBS "failslab/ignore-gfp-wait", "N");
	knob(KNOBS "fail_page_alloc/ignore-gfp-wait", "N");
	knob(KNOBS "fail_page_alloc/ignore-gfp-highmem", "N");
	knob(KNOBS "fail_page_alloc/min-order", "0");
	return true;
}

/*
 * Makes the call, and the @n-th thing in it that can fail does. False: there are
 * fewer. To look and to switch off are calls as well, in which one may.
 */
static bool call_failing(int fd, int n, int (*call)(struct scene *scene), struct scene *scene, int *ret)
{
	char number[16] = "";

	snprintf(number, sizeof(number), "%d", n);
	if (pwrite(fd, number, strlen(number), 0) < 0)
		die("fail-nth: %s", strerror(errno));
	*ret = call(scene);
	if (pread(fd, number, sizeof(number) - 1, 0) < 0)
		return false;
	if (pwrite(fd, "0", 1, 0) < 0)
		return false;
	return atoi(number) == 0;
}

FIXTURE(faults) {
	int fd;
};
FIXTURE_VARIANT(faults) {
	int (*call)(struct scene *scene);
	enum stage stage;
	int (*before)(struct scene *scene);
	long cap;
};
FIXTURE_SETUP(faults)
{
	if (!injection_setup())
		SKIP(return, "this kernel was built without fault injection");
	if (variant->cap)
		SKIP_WITHOUT_CAP(variant->cap);
	self->fd = open("/proc/thread-self/fail-nth", O_RDWR);
	ASSERT_LE(0, self->fd);
}
FIXTURE_TEARDOWN(faults)
{
}

#define FAULT_ROW(function, ...) FIXTURE_VARIANT_ADD(faults, function) { function, __VA_ARGS__ }

FAULT_ROW(create_vm, NOTHING);
FAULT_ROW(supported_cpuid_call, NOTHING);
FAULT_ROW(create_irqchip, VM);
FAULT_ROW(split_irqchip, VM);
FAULT_ROW(new_slot, VM);
FAULT_ROW(create_pit, IRQCHIP);
FAULT_ROW(create_vcpu, IRQCHIP);
FAULT_ROW(irqfd, IRQCHIP);
FAULT_ROW(irqfd_resample, IRQCHIP);
FAULT_ROW(set_routes, IRQCHIP);
FAULT_ROW(get_irqchip, IRQCHIP);
FAULT_ROW(get_pit, PIT);
FAULT_ROW(ioeventfd, VCPU);
FAULT_ROW(ioeventfd_deassign, VCPU, ioeventfd);
FAULT_ROW(coalesce, VCPU);
FAULT_ROW(uncoalesce, VCPU, coalesce);
FAULT_ROW(log_slot, VCPU, touch);
FAULT_ROW(move_slot, VCPU, touch);
FAULT_ROW(delete_slot, VCPU, touch);
FAULT_ROW(get_dirty_log, VCPU, log_slot);
FAULT_ROW(set_cpuid, VCPU, read_cpuid);
FAULT_ROW(get_msrs, VCPU);
FAULT_ROW(set_msrs, VCPU);
FAULT_ROW(set_xsave, VCPU);
FAULT_ROW(set_lapic, VCPU);
FAULT_ROW(set_sregs, VCPU);
FAULT_ROW(run_page, VCPU);
FAULT_ROW(run_touches, VCPU, load_toucher);
FAULT_ROW(filter_msrs, VM, .cap = KVM_CAP_X86_MSR_FILTER);
FAULT_ROW(stats_fd, VM, .cap = KVM_CAP_BINARY_STATS_FD);

static void works(struct scene *scene)
{
	if (!scene->has_vcpu)
		add_vcpu(scene);
	guest_load(&scene->vcpu, &says_and_says);
	vcpu_run_until_out(&scene->vcpu, PORT);
}

TEST_F_TIMEOUT(faults, each_in_turn, LONG_TEST_SECONDS)
{
	bool failed = true;
	int n, ret;

	for (n = 0; failed; n++) {
		struct scene scene;

		scene_create(&scene, variant->stage);
		if (variant->before)
			ASSERT_LE(0, variant->before(&scene));
		failed = call_failing(self->fd, n + 1, variant->call, &scene, &ret);
		if (ret < 0) {
			EXPECT_TRUE(failed && (ret == -ENOMEM || ret == -EFAULT))
				TH_LOG("failing %d: %s", n + 1, strerror(-ret));
			EXPECT_LE(0, variant->call(&scene));
		}
		if (variant->stage != NOTHING)
			works(&scene);
		scene_destroy(&scene);
	}
	TH_LOG("%d places where it can fail", n - 1);
	EXPECT_LT(1, n);
}

TEST_HARNESS_MAIN
