// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the wrappers behind vmlet.h
 */
#include "vmlet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_SIZE 4096

/* Three pages below the 32-bit BIOS that KVM on VT-x may use for itself. */
#define TSS_ADDRESS 0xfffbd000ul

int vmlet_ioctl(int fd, unsigned long request, uintptr_t argument)
{
	int ret = ioctl(fd, request, argument);

	return ret < 0 ? -errno : ret;
}

int vmlet_device_open(const char *device)
{
	int fd, version;

	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	version = vmlet_ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		close(fd);
		return version < 0 ? -ENOTTY : -EPROTO;
	}
	return fd;
}

/* KVM_CREATE_VM waits for locks and gives up when a signal arrives. */
static int create_vm(int device_fd)
{
	int fd;

	do {
		fd = vmlet_ioctl(device_fd, KVM_CREATE_VM, 0);
	} while (fd == -EINTR);
	return fd;
}

int vmlet_vm_create(struct vmlet_vm *vm, const char *device)
{
	int ret;

	*vm = (struct vmlet_vm){ .device = device, .device_fd = -1, .fd = -1 };
	vm->device_fd = vmlet_device_open(device);
	if (vm->device_fd < 0)
		return vm->device_fd;
	vm->fd = create_vm(vm->device_fd);
	if (vm->fd < 0) {
		ret = vm->fd;
		vmlet_vm_destroy(vm);
		return ret;
	}
	ret = vmlet_ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	if (ret < 0)
		vmlet_vm_destroy(vm);
	return ret;
}

static int set_slot(const struct vmlet_vm *vm, unsigned int number, const struct vmlet_slot *slot)
{
	const struct kvm_userspace_memory_region region = {
		.slot = number,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->hva,
	};

	return vmlet_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region);
}

static int add_slot(struct vmlet_vm *vm, uint64_t gpa, uint64_t size)
{
	struct vmlet_slot slot = { gpa, size, NULL };
	void *hva;
	int ret;

	hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hva == MAP_FAILED)
		return -errno;
	slot.hva = hva;
	ret = set_slot(vm, vm->nr_slots, &slot);
	if (ret < 0) {
		munmap(hva, size);
		return ret;
	}
	vm->slots[vm->nr_slots++] = slot;
	return 0;
}

int vmlet_vm_add_memory(struct vmlet_vm *vm, uint64_t size)
{
	uint64_t low = size < VMLET_HOLE_START ? size : VMLET_HOLE_START;
	int ret;

	if (!size || size % PAGE_SIZE || vm->nr_slots)
		return -EINVAL;
	ret = add_slot(vm, 0, low);
	if (ret < 0 || size == low)
		return ret;
	return add_slot(vm, VMLET_HOLE_END, size - low);
}

void *vmlet_vm_memory(const struct vmlet_vm *vm, uint64_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < vm->nr_slots; i++) {
		const struct vmlet_slot *slot = &vm->slots[i];

		if (gpa < slot->gpa || gpa - slot->gpa > slot->size)
			continue;
		if (size <= slot->size - (gpa - slot->gpa))
			return (char *)slot->hva + (gpa - slot->gpa);
	}
	return NULL;
}

int vmlet_vm_has(const struct vmlet_vm *vm, int capability)
{
	int value = vmlet_ioctl(vm->fd, KVM_CHECK_EXTENSION, capability);

	return value < 0 ? 0 : value;
}

int vmlet_vm_create_irqchip(const struct vmlet_vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret = vmlet_ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0);

	return ret < 0 ? ret : vmlet_ioctl(vm->fd, KVM_CREATE_PIT2, (uintptr_t)&pit);
}

int vmlet_vm_irq_line(const struct vmlet_vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	return vmlet_ioctl(vm->fd, KVM_IRQ_LINE, (uintptr_t)&line);
}

int vmlet_vm_irqfd(const struct vmlet_vm *vm, int fd, unsigned int gsi, bool assign)
{
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = gsi, .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

	return vmlet_ioctl(vm->fd, KVM_IRQFD, (uintptr_t)&irqfd);
}

int vmlet_vm_ioeventfd(const struct vmlet_vm *vm, int fd, uint64_t gpa, uint32_t value)
{
	struct kvm_ioeventfd ioeventfd = {
		.fd = fd,
		.addr = gpa,
		.len = sizeof(value),
		.datamatch = value,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return vmlet_ioctl(vm->fd, KVM_IOEVENTFD, (uintptr_t)&ioeventfd);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vmlet_vm_destroy(struct vmlet_vm *vm)
{
	close_fd(&vm->fd);
	close_fd(&vm->device_fd);
	while (vm->nr_slots) {
		struct vmlet_slot *slot = &vm->slots[--vm->nr_slots];

		munmap(slot->hva, slot->size);
	}
}

/* The memory stays where it is: other threads may be using it. */
int vmlet_vm_renew(struct vmlet_vm *vm)
{
	struct vmlet_vm fresh;
	int ret;

	close_fd(&vm->fd);
	close_fd(&vm->device_fd);
	ret = vmlet_vm_create(&fresh, vm->device);
	if (ret < 0)
		return ret;
	vm->device_fd = fresh.device_fd;
	vm->fd = fresh.fd;
	for (unsigned int i = 0; ret == 0 && i < vm->nr_slots; i++)
		ret = set_slot(vm, i, &vm->slots[i]);
	return ret;
}

int vmlet_vcpu_create(struct vmlet_vcpu *vcpu, const struct vmlet_vm *vm, unsigned int id)
{
	int size, ret;
	void *run;

	*vcpu = (struct vmlet_vcpu){ .fd = -1 };
	size = vmlet_ioctl(vm->device_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return size;
	if ((size_t)size < sizeof(struct kvm_run))
		return -EPROTO;
	vcpu->fd = vmlet_ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return vcpu->fd;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		ret = -errno;
		close_fd(&vcpu->fd);
		return ret;
	}
	vcpu->run = run;
	vcpu->run_size = size;
	return 0;
}

int vmlet_vcpu_run(struct vmlet_vcpu *vcpu)
{
	return vmlet_ioctl(vcpu->fd, KVM_RUN, 0);
}

void vmlet_vcpu_destroy(struct vmlet_vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	vcpu->run = NULL;
	close_fd(&vcpu->fd);
}
