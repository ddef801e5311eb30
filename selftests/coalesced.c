// SPDX-License-Identifier: GPL-2.0
/* Writes that wait in a ring for the next exit, which they do not cause. */
#include "lib/harness.h"
#include "lib/machine.h"

#define PORT	0x600
#define PAGE	4096ul
#define RING_ENTRIES ((u32)((PAGE - sizeof(struct kvm_coalesced_mmio_ring)) / \
			    sizeof(struct kvm_coalesced_mmio)))

GUEST_PROGRAM(stores, LONG,
	      "movb $0x11, 0xd0000\n movw $0x2233, 0xd0010\n movl $0x44556677, 0xd0020\n"
	      "mov $0x8899aabbccddeeff, %rax\n mov %rax, 0xd0ff8\n hlt");
GUEST_PROGRAM(outs, LONG, "mov $0x11223344, %eax\n mov $0x600, %edx\n"
	      "out %al, %dx\n out %ax, %dx\n out %eax, %dx\n hlt");
GUEST_PROGRAM(store_behind, LONG, "movl $1, 0xd1000\n hlt");
GUEST_PROGRAM(store_across, LONG, "movl $1, 0xd0ffe\n hlt");
GUEST_PROGRAM(out_elsewhere, LONG, "mov $0x604, %edx\n out %al, %dx\n hlt");
GUEST_PROGRAM(load, LONG, "mov 0xd0000, %eax\n hlt");
GUEST_PROGRAM(many_stores, LONG, "1: mov %eax, 0xd0000\n inc %eax\n jmp 1b");

FIXTURE(coalesced) {
	struct vm vm;
	struct vcpu vcpu;
	volatile struct kvm_coalesced_mmio_ring *ring;
};
FIXTURE_SETUP(coalesced)
{
	int page = device_cap(KVM_CAP_COALESCED_MMIO);

	if (page <= 0)
		SKIP(return, "the device has no KVM_CAP_COALESCED_MMIO");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	ASSERT_LE((page + 1) * PAGE, self->vcpu.run_size);
	self->ring = (void *)((u8 *)self->vcpu.run + page * PAGE);
}
FIXTURE_TEARDOWN(coalesced)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static struct kvm_coalesced_mmio_zone mmio_zone = { .addr = MMIO_BASE, .size = PAGE };
static struct kvm_coalesced_mmio_zone pio_zone = { .addr = PORT, .size = 4, .pio = 1 };

TEST_F(coalesced, the_ring_begins_empty)
{
	EXPECT_EQ(0u, self->ring->first);
	EXPECT_EQ(0u, self->ring->last);
}

static void expect_entry(struct __test_metadata *_metadata,
			 volatile struct kvm_coalesced_mmio_ring *ring, u32 i, u64 addr, u32 len,
			 u64 data, bool pio)
{
	struct kvm_coalesced_mmio entry = ring->coalesced_mmio[i];
	u64 value = 0;

	memcpy(&value, entry.data, entry.len <= 8 ? entry.len : 8);
	EXPECT_EQ(addr, entry.phys_addr);
	EXPECT_EQ(len, entry.len);
	EXPECT_EQ(data, value);
	EXPECT_EQ(pio, entry.pio);
}

TEST_F(coalesced, stores_of_every_size)
{
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	guest_load(&self->vcpu, &stores);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0u, self->ring->first);
	ASSERT_EQ(4u, self->ring->last);
	expect_entry(_metadata, self->ring, 0, MMIO_BASE, 1, 0x11, false);
	expect_entry(_metadata, self->ring, 1, MMIO_BASE + 0x10, 2, 0x2233, false);
	expect_entry(_metadata, self->ring, 2, MMIO_BASE + 0x20, 4, 0x44556677, false);
	expect_entry(_metadata, self->ring, 3, MMIO_BASE + 0xff8, 8, 0x8899aabbccddeeff, false);
}

TEST_F(coalesced, ports)
{
	SKIP_WITHOUT_CAP(KVM_CAP_COALESCED_PIO);
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &pio_zone));
	guest_load(&self->vcpu, &outs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(3u, self->ring->last);
	expect_entry(_metadata, self->ring, 0, PORT, 1, 0x44, true);
	expect_entry(_metadata, self->ring, 1, PORT, 2, 0x3344, true);
	expect_entry(_metadata, self->ring, 2, PORT, 4, 0x11223344, true);
}

/* What is not a write into the zone goes to userspace as ever. */
static const struct {
	const struct guest_program *program;
	u32 exit;
} exiting[] = {
	{ &store_behind, KVM_EXIT_MMIO },
	{ &store_across, KVM_EXIT_MMIO },	/* the half that is outside */
	{ &load, KVM_EXIT_MMIO },
	{ &out_elsewhere, KVM_EXIT_IO },
};

TEST_F(coalesced, other_accesses_exit)
{
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &pio_zone));
	for (size_t i = 0; i < ARRAY_SIZE(exiting); i++) {
		guest_load(&self->vcpu, exiting[i].program);
		vcpu_run_until(&self->vcpu, exiting[i].exit);
		vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	}
}

/* One place stays free; then writes exit, until userspace has emptied the ring. */
TEST_F(coalesced, a_full_ring_exits)
{
	u32 entries = RING_ENTRIES;

	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	guest_load(&self->vcpu, &many_stores);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(entries - 1, self->ring->last);
	EXPECT_EQ(entries - 1, *(u32 *)self->vcpu.run->mmio.data);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(entries, *(u32 *)self->vcpu.run->mmio.data);
	for (u32 i = 0; i < entries - 1; i++)
		ASSERT_EQ(i, *(u32 *)self->ring->coalesced_mmio[i].data);

	/* It wraps around. */
	self->ring->first = self->ring->last;
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(2 * entries, *(u32 *)self->vcpu.run->mmio.data);
	EXPECT_EQ(entries - 2, self->ring->last);
	EXPECT_EQ(entries + 1, *(u32 *)self->ring->coalesced_mmio[entries - 1].data);
	EXPECT_EQ(entries + 2, *(u32 *)self->ring->coalesced_mmio[0].data);
}

/* Indices are userspace's to spoil: nothing is written where they say. */
TEST_F(coalesced, hostile_indices)
{
	static const u32 lasts[] = { 170, 171, 0x7fffffff, 0xffffffff };

	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	for (size_t i = 0; i < ARRAY_SIZE(lasts); i++) {
		self->ring->first = 0;
		self->ring->last = lasts[i];
		guest_load(&self->vcpu, &store_behind);
		vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
		vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
		guest_load(&self->vcpu, &many_stores);
		ASSERT_EQ(0, __vcpu_run(&self->vcpu));
		EXPECT_EQ(KVM_EXIT_MMIO, self->vcpu.run->exit_reason);
		/* Finish the store: the next program begins where this one did. */
		self->vcpu.run->immediate_exit = 1;
		EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
		self->vcpu.run->immediate_exit = 0;
	}
}

TEST_F(coalesced, unregistered_it_exits)
{
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	ASSERT_EQ(0, __vm_uncoalesce(&self->vm, &mmio_zone));
	guest_load(&self->vcpu, &stores);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(0u, self->ring->last);
}

TEST_F(coalesced, zones_that_are_not_there)
{
	struct kvm_coalesced_mmio_zone bad = { .addr = PORT, .size = 4, .pio = 2 };

	EXPECT_EQ(0, __vm_uncoalesce(&self->vm, &mmio_zone));
	EXPECT_EQ(0, __vm_uncoalesce(&self->vm, &pio_zone));
	EXPECT_EQ(-EINVAL, __vm_coalesce(&self->vm, &bad));
	EXPECT_EQ(-EINVAL, __vm_uncoalesce(&self->vm, &bad));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->vm.fd, KVM_REGISTER_COALESCED_MMIO, 0x10));
}

/* All vCPUs of a VM share the ring. */
TEST_F(coalesced, one_ring_a_vm)
{
	int page = device_cap(KVM_CAP_COALESCED_MMIO);
	volatile struct kvm_coalesced_mmio_ring *ring;
	struct vcpu second;

	vcpu_create(&self->vm, &second, 1);
	ring = (void *)((u8 *)second.run + page * PAGE);
	ASSERT_EQ(0, __vm_coalesce(&self->vm, &mmio_zone));
	guest_load(&self->vcpu, &stores);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(4u, ring->last);
	guest_load(&second, &stores);
	run_to_halt(_metadata, &second, LONG);
	EXPECT_EQ(8u, self->ring->last);
	vcpu_destroy(&second);
}

TEST_HARNESS_MAIN
