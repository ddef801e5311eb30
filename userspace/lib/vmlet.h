/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the userspace library
 *
 * Thin wrappers around the KVM API for a program that runs one virtual machine.
 * They hide nothing: the ioctls, their numbers and structures are
 * those of <linux/kvm.h>, so the same program runs on /dev/vmlet and on /dev/kvm.
 *
 * Every function that can fail returns 0 (or a count) on success and a negative
 * errno otherwise; nothing prints, nothing exits.
 */
#ifndef VMLET_LIB_H
#define VMLET_LIB_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMLET_DEVICE "/dev/vmlet"
#define VMLET_MAX_SLOTS 2

/* Guest-physical addresses [3 GiB, 4 GiB) belong to devices, never to memory. */
#define VMLET_HOLE_START 0xc0000000ull
#define VMLET_HOLE_END 0x100000000ull

/**
 * struct vmlet_slot - one piece of guest memory
 * @gpa: guest-physical address of its first byte
 * @size: length in bytes, a multiple of 4096
 * @hva: where this process sees it
 */
struct vmlet_slot {
	uint64_t gpa;
	uint64_t size;
	void *hva;
};

/**
 * struct vmlet_vm - a virtual machine and its memory
 * @device: path of the device node the machine was made on
 * @device_fd: file descriptor of that node
 * @fd: file descriptor of the virtual machine
 * @slots: guest memory, by ascending address; slot numbers are the indices
 * @nr_slots: how many of @slots are in use
 */
struct vmlet_vm {
	const char *device;
	int device_fd;
	int fd;
	struct vmlet_slot slots[VMLET_MAX_SLOTS];
	unsigned int nr_slots;
};

/**
 * struct vmlet_vcpu - a virtual CPU
 * @fd: its file descriptor
 * @run: the page shared with the kernel, see struct kvm_run
 * @run_size: bytes mapped at @run
 */
struct vmlet_vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_size;
};

/**
 * vmlet_device_open() - open a device node and check what it speaks
 * @device: path, normally VMLET_DEVICE
 *
 * Return: a file descriptor, the errno of open(2), -ENOTTY if the node is
 * not a KVM-like device, -EPROTO if it speaks another version of the API.
 */
int vmlet_device_open(const char *device);

/**
 * vmlet_vm_create() - make a virtual machine without memory
 * @vm: filled in
 * @device: path of the node; must stay valid as long as @vm
 *
 * Return: 0 or a negative errno, see vmlet_device_open() and KVM_CREATE_VM.
 */
int vmlet_vm_create(struct vmlet_vm *vm, const char *device);

/**
 * vmlet_vm_add_memory() - give a virtual machine its memory
 * @vm: a machine without memory
 * @size: bytes, a multiple of 4096
 *
 * Memory starts at guest-physical address 0. What does not fit below
 * VMLET_HOLE_START continues at VMLET_HOLE_END in a slot of its own. The memory is
 * anonymous, zero, and takes no host memory until it is touched.
 *
 * Return: 0, -EINVAL for a size of 0 or one that is not whole pages, or the errno
 * of mmap(2) or KVM_SET_USER_MEMORY_REGION.
 */
int vmlet_vm_add_memory(struct vmlet_vm *vm, uint64_t size);

/**
 * vmlet_vm_memory() - translate a guest-physical range
 * @vm: the machine
 * @gpa: first byte
 * @size: length in bytes
 *
 * Return: pointer to the first byte, or NULL if not all of the range is memory
 * of one slot.
 */
void *vmlet_vm_memory(const struct vmlet_vm *vm, uint64_t gpa, uint64_t size);

/**
 * vmlet_vm_has() - ask the machine for a capability
 * @vm: the machine
 * @capability: a KVM_CAP_ number
 *
 * Return: the value of the capability, 0 where it is unknown.
 */
int vmlet_vm_has(const struct vmlet_vm *vm, int capability);

/**
 * vmlet_vm_destroy() - close a machine and free its memory
 * @vm: the machine; its vCPUs must have been destroyed
 */
void vmlet_vm_destroy(struct vmlet_vm *vm);

/**
 * vmlet_vm_renew() - close a machine and make another one with the same memory
 * @vm: the machine; its vCPUs must have been destroyed
 *
 * Return: 0 or a negative errno as of vmlet_vm_create() and KVM_SET_USER_MEMORY_REGION.
 */
int vmlet_vm_renew(struct vmlet_vm *vm);

/**
 * vmlet_vm_create_irqchip() - give a machine the kernel's interrupt controllers and timer
 * @vm: a machine without vCPUs
 *
 * That is a local APIC for every vCPU to come, an IOAPIC, the 8259 pair and an 8254.
 * GSI n is input n of the IOAPIC and, below 16, of the 8259 pair.
 *
 * Return: 0 or the errno of KVM_CREATE_IRQCHIP or KVM_CREATE_PIT2.
 */
int vmlet_vm_create_irqchip(const struct vmlet_vm *vm);

/**
 * vmlet_vm_irq_line() - set the level of an interrupt line
 * @vm: a machine with interrupt controllers
 * @gsi: the line
 * @level: asserted or not
 *
 * Return: 0 or the errno of KVM_IRQ_LINE.
 */
int vmlet_vm_irq_line(const struct vmlet_vm *vm, unsigned int gsi, bool level);

/**
 * vmlet_vm_irqfd() - have an eventfd raise interrupts, or no longer
 * @vm: a machine with interrupt controllers
 * @fd: the eventfd; each write to it is an edge
 * @gsi: the line
 * @assign: false ends it; what has been written by then has arrived
 *
 * Return: 0 or the errno of KVM_IRQFD.
 */
int vmlet_vm_irqfd(const struct vmlet_vm *vm, int fd, unsigned int gsi, bool assign);

/**
 * vmlet_vm_ioeventfd() - have a write to device memory signal an eventfd
 * @vm: the machine
 * @fd: the eventfd
 * @gpa: address of the write, which is of four bytes
 * @value: what must be written
 *
 * Return: 0 or the errno of KVM_IOEVENTFD.
 */
int vmlet_vm_ioeventfd(const struct vmlet_vm *vm, int fd, uint64_t gpa, uint32_t value);

/**
 * vmlet_vcpu_create() - make a vCPU and map its run page
 * @vcpu: filled in
 * @vm: the machine it belongs to
 * @id: its number, which is its APIC ID too
 *
 * Return: 0, -EPROTO if the run page is smaller than struct kvm_run, or the errno
 * of KVM_CREATE_VCPU or mmap(2).
 */
int vmlet_vcpu_create(struct vmlet_vcpu *vcpu, const struct vmlet_vm *vm, unsigned int id);

/**
 * vmlet_vcpu_run() - enter the guest
 * @vcpu: the vCPU; only the thread that runs it calls this
 *
 * Return: 0 with vcpu->run->exit_reason set, -EINTR after a signal or with
 * immediate_exit set, -EAGAIN when a vCPU that waited to be started by another one
 * must be run again, -EFAULT for guest memory that this process cannot access,
 * or another errno of KVM_RUN.
 */
int vmlet_vcpu_run(struct vmlet_vcpu *vcpu);

/**
 * vmlet_vcpu_destroy() - unmap the run page and close the vCPU
 * @vcpu: the vCPU
 */
void vmlet_vcpu_destroy(struct vmlet_vcpu *vcpu);

/**
 * vmlet_ioctl() - ioctl(2) with the errno as its result
 * @fd: file descriptor
 * @request: ioctl number
 * @argument: third argument, a pointer or a value
 *
 * Return: what ioctl(2) returned, or a negative errno.
 */
int vmlet_ioctl(int fd, unsigned long request, uintptr_t argument);

#endif
