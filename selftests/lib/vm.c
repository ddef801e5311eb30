// SPDX-License-Identifier: GPL-2.0
/* The device, VMs and vCPUs: see vm.h. */
#include "vm.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "kselftest.h"

#define CPUID_ENTRIES 256

void die(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(KSFT_FAIL);
}

const char *device_path(void)
{
	const char *path = getenv("VMLET_DEVICE");

	return path ? path : "/dev/vmlet";
}

bool device_is_vmlet(void)
{
	return strstr(device_path(), "vmlet");
}

bool host_is_amd(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_AMD_ebx;
}

/* QEMU's own CPU, that is, not a CPU that QEMU passes on. */
static bool host_is_qemu(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0x40000000, eax, ebx, ecx, edx);
	return ebx == 0x54474354 && ecx == 0x43544743 && edx == 0x47435447;
}

static bool host_is_bochs(void)
{
	FILE *file = fopen("/sys/class/dmi/id/bios_vendor", "re");
	char vendor[64] = "";

	if (!file)
		return false;
	if (!fgets(vendor, sizeof(vendor), file))
		vendor[0] = 0;
	fclose(file);
	return strstr(vendor, "Bochs");
}

const char *deviation_here(const struct deviation *deviation)
{
	if (deviation->qemu && host_is_qemu())
		return deviation->qemu;
	if (deviation->bochs_amd && host_is_amd() && host_is_bochs())
		return deviation->bochs_amd;
	if (deviation->bochs_intel && !host_is_amd() && host_is_bochs())
		return deviation->bochs_intel;
	return NULL;
}

const char *exit_name(u32 reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_SET_TPR] = "SET_TPR",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	};

	if (reason < sizeof(names) / sizeof(names[0]) && names[reason])
		return names[reason];
	return "of another kind";
}

int dev_open(void)
{
	int fd = open(device_path(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("cannot open %s: %s; load the module, or name another device in VMLET_DEVICE",
		    device_path(), strerror(errno));
	return fd;
}

int __fd_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

int fd_ioctl(int fd, unsigned long cmd, unsigned long arg, const char *name)
{
	int ret = __fd_ioctl(fd, cmd, arg);

	if (ret < 0)
		die("%s: %s", name, strerror(-ret));
	return ret;
}

static void read_stats(int stats, void *to, size_t len, off_t at)
{
	if (pread(stats, to, len, at) != (ssize_t)len)
		die("%zu bytes at %ld of the statistics: %s", len, (long)at, strerror(errno));
}

u64 fd_stat(int fd, const char *name)
{
	int stats = fd_ioctl(fd, KVM_GET_STATS_FD, 0, "KVM_GET_STATS_FD");
	union { struct kvm_stats_desc desc; char space[256]; } one;
	struct kvm_stats_header header;
	u64 value;

	read_stats(stats, &header, sizeof(header), 0);
	for (u32 i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(one.desc) + header.name_size;

		read_stats(stats, &one, size, header.desc_offset + i * size);
		if (strcmp(one.desc.name, name))
			continue;
		read_stats(stats, &value, sizeof(value), header.data_offset + one.desc.offset);
		close(stats);
		return value;
	}
	die("no statistics called %s", name);
}

void *pages_alloc(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap of %zu bytes: %s", size, strerror(errno));
	return mem;
}

void vm_create_bare(struct vm *vm)
{
	vm->dev = dev_open();
	vm->fd = fd_ioctl(vm->dev, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
	vm->ram = NULL;
}

void vm_create(struct vm *vm)
{
	vm_create_bare(vm);
	fd_ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000, "KVM_SET_TSS_ADDR");
	vm->ram = pages_alloc(RAM_SIZE);
	vm_set_memory(vm, 0, 0, 0, RAM_SIZE, vm->ram);
}

void vm_destroy(struct vm *vm)
{
	close(vm->fd);
	close(vm->dev);
	if (vm->ram)
		munmap(vm->ram, RAM_SIZE);
}

int __vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		    const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)hva,
	};

	return __fd_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION,
			  (unsigned long)&region);
}

void vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		   const void *hva)
{
	int ret = __vm_set_memory(vm, slot, flags, gpa, size, hva);

	if (ret)
		die("memory slot %u at %#llx: %s", slot,
		    (unsigned long long)gpa, strerror(-ret));
}

int __vm_check_extension(struct vm *vm, long cap)
{
	return __fd_ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);
}

void vcpu_create_bare(struct vm *vm, struct vcpu *vcpu, u32 id)
{
	vcpu->vm = vm;
	vcpu->fd = fd_ioctl(vm->fd, KVM_CREATE_VCPU, id, "KVM_CREATE_VCPU");
	vcpu->run_size = fd_ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0,
				  "KVM_GET_VCPU_MMAP_SIZE");
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die("mmap of the run page: %s", strerror(errno));
}

void vcpu_create(struct vm *vm, struct vcpu *vcpu, u32 id)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vm->dev);

	vcpu_create_bare(vm, vcpu, id);
	vcpu_set_cpuid2(vcpu, cpuid);
	free(cpuid);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
}

struct kvm_cpuid2 *cpuid_alloc(u32 nent)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
	if (!cpuid)
		die("no memory for %u CPUID entries", nent);
	cpuid->nent = nent;
	return cpuid;
}

struct kvm_cpuid2 *supported_cpuid(int dev)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(CPUID_ENTRIES);

	fd_ioctl(dev, KVM_GET_SUPPORTED_CPUID, (unsigned long)cpuid,
		 "KVM_GET_SUPPORTED_CPUID");
	return cpuid;
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, u32 function,
				    u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function &&
		    cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

int __vcpu_run(struct vcpu *vcpu)
{
	return __fd_ioctl(vcpu->fd, KVM_RUN, 0);
}

void vcpu_run_until(struct vcpu *vcpu, u32 reason)
{
	int ret = __vcpu_run(vcpu);

	if (ret)
		die("KVM_RUN: %s, exit %s", strerror(-ret),
		    exit_name(vcpu->run->exit_reason));
	if (vcpu->run->exit_reason != reason)
		die("exit %s (%u) instead of %s",
		    exit_name(vcpu->run->exit_reason), vcpu->run->exit_reason,
		    exit_name(reason));
}

union one_msr {
	struct kvm_msrs head;
	u8 space[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

int __vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *value)
{
	union one_msr msr = { .head.nmsrs = 1 };
	int ret;

	msr.head.entries[0].index = index;
	ret = __vcpu_get_msrs(vcpu, &msr.head);
	*value = msr.head.entries[0].data;
	return ret;
}

int __vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	union one_msr msr = { .head.nmsrs = 1 };

	msr.head.entries[0].index = index;
	msr.head.entries[0].data = value;
	return __vcpu_set_msrs(vcpu, &msr.head);
}

u64 vcpu_get_msr(struct vcpu *vcpu, u32 index)
{
	u64 value;

	if (__vcpu_get_msr(vcpu, index, &value) != 1)
		die("MSR %#x cannot be read", index);
	return value;
}
