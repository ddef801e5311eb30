// SPDX-License-Identifier: GPL-2.0
/* No stale translation: after the guest's own changes, a slot's end, a reused tag. */
#include <pthread.h>
#include <sched.h>

#include "lib/harness.h"

#define PAGE	4096ul
#define GPA	0x200000ul

/* Of a table for the last 2 MiB below 1 GiB, entry 1 is switched between pages. */
#define WINDOW	0x3fe01000ul

GUEST_PROGRAM(switches_page, LONG,
	      "mov 0x3fe01000, %rax\n movq $0x31003, 0x9008\n invlpg 0x3fe01000\n"
	      "mov 0x3fe01000, %rbx\n hlt");
GUEST_PROGRAM(switches_by_cr3, LONG,
	      "mov 0x3fe01000, %rax\n movq $0x31003, 0x9008\n mov %cr3, %rcx\n mov %rcx, %cr3\n"
	      "mov 0x3fe01000, %rbx\n xor %ecx, %ecx\n hlt");
GUEST_PROGRAM(reads_window, LONG,
	      "mov 0x3fe01000, %rax\n hlt\n jmp 1f\n1: mov 0x3fe01000, %rax\n hlt");
GUEST_PROGRAM(reads_for_ever, LONG, SPIN "1: mov 0x200000, %eax\n incq 0x30000\n jmp 1b");
GUEST_PROGRAM(reads_stamp, LONG, "1: mov 0x30000, %rax\n hlt\n jmp 1b");

FIXTURE(translations) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_SETUP(translations)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(translations)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static void load_with_window(struct vcpu *vcpu, const struct guest_program *program)
{
	u8 *ram = vcpu->vm->ram;

	guest_load(vcpu, program);
	((u64 *)(ram + GUEST_PD))[511] = GUEST_PT | PTE_P | PTE_W;
	((u64 *)(ram + GUEST_PT))[1] = 0x30000 | PTE_P | PTE_W;
	*(u64 *)(ram + 0x30000) = 0x1111;
	*(u64 *)(ram + 0x31000) = 0x2222;
}

static void expect_switch(struct __test_metadata *_metadata, struct vcpu *vcpu,
			  const struct guest_program *program)
{
	struct kvm_regs regs;

	load_with_window(vcpu, program);
	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x1111u, regs.rax);
	EXPECT_EQ(0x2222u, regs.rbx);
}

TEST_F(translations, invlpg)
{
	expect_switch(_metadata, &self->vcpu, &switches_page);
}

TEST_F(translations, cr3_load)
{
	expect_switch(_metadata, &self->vcpu, &switches_by_cr3);
}

/* SET_SREGS with a new CR3 must not leave translations of the old one. */
TEST_F(translations, cr3_set_by_userspace)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	u8 *ram = self->vm.ram;

	load_with_window(&self->vcpu, &reads_window);
	run_to_halt(_metadata, &self->vcpu, LONG);
	/* A second set of tables: the top three levels copied, another last one. */
	memcpy(ram + 0x40000, ram + GUEST_PML4, PAGE);
	memcpy(ram + 0x41000, ram + GUEST_PDPT, PAGE);
	memcpy(ram + 0x42000, ram + GUEST_PD, PAGE);
	*(u64 *)(ram + 0x40000) = 0x41000 | PTE_P | PTE_W;
	*(u64 *)(ram + 0x41000) = 0x42000 | PTE_P | PTE_W;
	((u64 *)(ram + 0x42000))[511] = 0x43000 | PTE_P | PTE_W;
	((u64 *)(ram + 0x43000))[1] = 0x31000 | PTE_P | PTE_W;
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.cr3 = 0x40000;
	vcpu_set_sregs(&self->vcpu, &sregs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x2222u, regs.rax);
}

static void *run_to_exit(void *arg)
{
	return (void *)(long)__vcpu_run(arg);
}

/* A slot that another thread deletes is gone for the running vCPU, too. */
TEST_F(translations, slot_deleted_under_a_running_vcpu)
{
	volatile u64 *counter = (volatile u64 *)(self->vm.ram + 0x30000);
	pthread_t thread;
	void *result;

	vm_set_memory(&self->vm, 1, 0, GPA, PAGE, pages_alloc(PAGE));
	guest_load(&self->vcpu, &reads_for_ever);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_exit, &self->vcpu));
	while (*counter < 10)
		sched_yield();
	vm_set_memory(&self->vm, 1, 0, GPA, 0, NULL);
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(0, (long)result);
	EXPECT_EQ(KVM_EXIT_MMIO, self->vcpu.run->exit_reason);
	EXPECT_EQ(GPA, self->vcpu.run->mmio.phys_addr);
}

/* More vCPUs in turn than a small CPU has tags, all with the same addresses. */
TEST_F_TIMEOUT(translations, more_vms_than_tags, LONG_TEST_SECONDS)
{
	struct vm vms[40];
	struct vcpu vcpus[40];
	struct kvm_regs regs;

	for (u64 i = 0; i < ARRAY_SIZE(vms); i++) {
		vm_create(&vms[i]);
		vcpu_create(&vms[i], &vcpus[i], 0);
		guest_load(&vcpus[i], &reads_stamp);
		*(u64 *)(vms[i].ram + 0x30000) = i + 100;
	}
	for (int round = 0; round < 3; round++) {
		for (u64 i = 0; i < ARRAY_SIZE(vms); i++) {
			vcpu_run_until(&vcpus[i], KVM_EXIT_HLT);
			vcpu_get_regs(&vcpus[i], &regs);
			ASSERT_EQ(i + 100, regs.rax);
		}
	}
	for (u64 i = 0; i < ARRAY_SIZE(vms); i++) {
		vcpu_destroy(&vcpus[i]);
		vm_destroy(&vms[i]);
	}
}

TEST_HARNESS_MAIN
