// SPDX-License-Identifier: GPL-2.0
/* Instructions that exit, or may, and that the module answers by itself. */
#include "lib/harness.h"

TEST_GUEST_ROWS

GUEST_ROW(invd, LONG, "invd\n inc %rbx", .out = { .rbx = 1 });
GUEST_ROW(wbinvd, LONG, "wbinvd\n inc %rbx", .out = { .rbx = 1 });
GUEST_ROW(pause, LONG, "1: pause\n loop 1b\n inc %rbx", .in = { .rcx = 2000 },
	  .out = { .rbx = 1 });
GUEST_ROW(monitor_and_mwait_do_nothing, LONG,
	  "mov $0x30000, %eax\n monitor\n xor %eax, %eax\n mwait\n inc %rbx",
	  .out = { .rbx = 1 });
GUEST_ROW(invlpg, LONG, "invlpg 0x30000\n inc %rbx", .out = { .rbx = 1 });
GUEST_ROW(cr0_toggle, LONG,
	  "mov %cr0, %rax\n mov %rax, %rsi\n xor $0x20, %eax\n mov %rax, %cr0\n"
	  "mov %cr0, %rdi\n xor %rsi, %rdi\n mov %rsi, %cr0\n"
	  "xor %eax, %eax\n xor %esi, %esi",
	  .out = { .rdi = 0x20 });
GUEST_ROW(clts_and_lmsw, LONG,
	  "mov %cr0, %rsi\n mov $9, %eax\n or %esi, %eax\n lmsw %ax\n"
	  "mov %cr0, %rdi\n clts\n mov %cr0, %rbx\n"
	  "and $8, %edi\n and $8, %ebx\n xor %eax, %eax\n xor %esi, %esi",
	  .out = { .rdi = 8 });
GUEST_ROW(smsw, LONG, "mov %cr0, %rax\n smsw %rbx\n sub %rbx, %rax\n xor %ebx, %ebx",
	  .out = { .rax = 0 });
GUEST_ROW(smsw_to_memory, LONG, "smsw 0xc000\n movzwl 0xc000, %eax\n and $1, %eax",
	  .out = { .rax = 1 });
GUEST_ROW(cr3_read_write, LONG,
	  "mov %cr3, %rax\n mov %rax, %cr3\n mov %cr3, %rbx", .out = { .rax = 0x3000, .rbx = 0x3000 });
GUEST_ROW(cr4_toggle_pge, LONG,
	  "mov %cr4, %rax\n mov %rax, %rsi\n xor $0x80, %eax\n mov %rax, %cr4\n"
	  "mov %cr4, %rdi\n xor %rsi, %rdi\n xor %eax, %eax\n xor %esi, %esi",
	  .out = { .rdi = 0x80 });
GUEST_ROW(cr2_is_the_guests, LONG, "mov %rax, %cr2\n cpuid\n mov %cr2, %rax\n"
	  "xor %ebx, %ebx\n xor %ecx, %ecx\n xor %edx, %edx",
	  .in = { .rax = 0x123456789000 }, .out = { .rax = 0x123456789000 },
	  .deviation.bochs_amd = BOCHS_CR2);
GUEST_ROW(control_registers_with_caches_off, LONG,
	  "mov %cr0, %rsi\n mov %rsi, %rdi\n or $0x40000000, %edi\n mov %rdi, %cr0\n"
	  "mov %rax, %cr2\n mov %cr2, %rbx\n mov %cr3, %rcx\n mov %rcx, %cr3\n mov %cr4, %rdx\n mov %rdx, %cr4\n"
	  "mov %cr0, %rdx\n xor %rdi, %rdx\n mov %rsi, %cr0\n xor %esi, %esi\n xor %edi, %edi",
	  .in = { .rax = 0x123456789000 }, .out = { .rax = 0x123456789000, .rbx = 0x123456789000, .rcx = 0x3000 },
	  .deviation.bochs_amd = BOCHS_CR2);
GUEST_ROW(cr8_raise, LONG, "mov %rax, %cr8\n mov %cr8, %rbx",
	  .in = { .rax = 9 }, .out = { .rax = 9, .rbx = 9 });
GUEST_ROW(dr_round_trip, LONG,
	  "mov %rax, %dr0\n mov %rcx, %dr3\n mov %dr0, %rbx\n mov %dr3, %rdx",
	  .in = { .rax = 0x1111, .rcx = 0x7fff00001234 },
	  .out = { .rax = 0x1111, .rbx = 0x1111, .rcx = 0x7fff00001234,
		   .rdx = 0x7fff00001234 });
GUEST_ROW(dr7_reads_back, LONG, "mov $0x155, %eax\n mov %rax, %dr7\n mov %dr7, %rbx\n"
	  "mov $0x400, %eax\n mov %rax, %dr7\n xor %eax, %eax",
	  .out = { .rbx = 0x555 });
GUEST_ROW(dr6_at_first, LONG, "mov %dr6, %rax", .out = { .rax = 0xffff0ff0 });
GUEST_ROW(rdtsc_moves_on, LONG,
	  "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rsi\n"
	  "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n cmp %rax, %rsi\n setb %bl\n"
	  "xor %eax, %eax\n xor %edx, %edx\n xor %esi, %esi",
	  .out = { .rbx = 1 });
GUEST_ROW(xsetbv_avx_or_sse, LONG,
	  "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n"
	  "mov $3, %eax\n xsetbv\n xor %eax, %eax\n xgetbv",
	  .out = { .rax = 3 });
/* Prefixes that mean nothing belong to the instruction all the same. */
GUEST_ROW(prefixed_long, LONG,
	  ".byte 0x2e\n wbinvd\n inc %rsi\n .byte 0x48\n cpuid\n inc %rsi\n"
	  "mov $0x174, %ecx\n .byte 0x48\n rdmsr\n inc %rsi\n .byte 0x3e, 0x48\n wrmsr\n inc %rsi\n"
	  "xor %eax, %eax\n xor %ebx, %ebx\n xor %ecx, %ecx\n xor %edx, %edx",
	  .out = { .rsi = 4 });
GUEST_ROW(prefixed_prot, PROT,
	  ".byte 0x2e\n wbinvd\n inc %esi\n .byte 0x3e, 0x2e\n cpuid\n inc %esi\n"
	  "mov $0x174, %ecx\n .byte 0x2e\n rdmsr\n inc %esi\n"
	  "xor %eax, %eax\n xor %ebx, %ebx\n xor %ecx, %ecx\n xor %edx, %edx",
	  .out = { .rsi = 3 });
GUEST_ROW(prefixed_real, REAL,
	  ".byte 0x2e\n wbinvd\n inc %si\n .byte 0x3e\n cpuid\n inc %si\n"
	  "xor %eax, %eax\n xor %ebx, %ebx\n xor %ecx, %ecx\n xor %edx, %edx",
	  .out = { .rsi = 2 });
GUEST_ROW(far_jump_chain, LONG,
	  "mov $100000, %ecx\n1: dec %ecx\n jnz 1b\n inc %rbx", .out = { .rbx = 1 });
GUEST_ROW(cpuid_keeps_upper_halves_clear, LONG,
	  "mov $-1, %rbx\n mov $-1, %rdx\n mov $0x80000000, %eax\n cpuid\n"
	  "shr $32, %rax\n shr $32, %rbx\n shr $32, %rcx\n shr $32, %rdx",
	  .in = { .rcx = 0 });
GUEST_ROW(real_cpuid, REAL, "cpuid\n xor %eax, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n"
	  "xor %ebx, %ebx\n inc %bx", .out = { .rbx = 1 });
GUEST_ROW(sgdt_sidt, LONG, "sgdt 0xc000\n sidt 0xc010\n mov 0xc002, %eax\n mov 0xc012, %ebx",
	  .out = { .rax = GUEST_GDT, .rbx = GUEST_IDT });
GUEST_ROW(ltr_lldt, LONG, "xor %eax, %eax\n lldt %ax\n sldt %ebx\n str %ecx",
	  .out = { .rcx = SEL_TSS });

FIXTURE_ONE_VCPU(instruction)

/* A number that nobody has. */
GUEST_PROGRAM(hypercall_amd, LONG, "vmmcall\n inc %rbx\n hlt");
GUEST_PROGRAM(hypercall_intel, LONG, "vmcall\n inc %rbx\n hlt");

static void expect_call(struct __test_metadata *_metadata, struct vcpu *vcpu, const struct guest_program *program)
{
	struct row_regs row = { .rax = 0x7777 };
	struct kvm_regs regs;

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(-1000l, (long)regs.rax);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(GUEST_CODE + 7, regs.rip);
}

TEST_F(instruction, unknown_hypercall)
{
	expect_call(_metadata, &self->vcpu, host_is_amd() ? &hypercall_amd : &hypercall_intel);
}

/* KVM writes the right instruction over it. */
TEST_F(instruction, hypercall_of_the_other_vendor)
{
	expect_call(_metadata, &self->vcpu, host_is_amd() ? &hypercall_intel : &hypercall_amd);
}

/* From ring 3 a hypercall is refused, not performed. */
GUEST_PROGRAM(user_hypercall_amd, LONG,
	      "push $0x2b\n push $0xf800\n push $2\n push $0x23\n"
	      "lea 1f(%rip), %rax\n push %rax\n iretq\n1: mov $5, %eax\n vmmcall\n ud2");
GUEST_PROGRAM(user_hypercall_intel, LONG,
	      "push $0x2b\n push $0xf800\n push $2\n push $0x23\n"
	      "lea 1f(%rip), %rax\n push %rax\n iretq\n1: mov $5, %eax\n vmcall\n ud2");

TEST_F(instruction, hypercall_from_ring_3)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(&self->vcpu, host_is_amd() ? &user_hypercall_amd :
						&user_hypercall_intel);
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(-1, (long)regs.rax);
}

/* No client needs x87 instructions on device memory. */
GUEST_PROGRAM(user_flds, LONG,
	      "push $0x2b\n push $0xf800\n push $2\n push $0x23\n"
	      "lea 1f(%rip), %rax\n push %rax\n iretq\n1: flds 0xd0000");

TEST_F(instruction, emulation_failure_in_ring_3)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 2 } };
	struct kvm_run *run = self->vcpu.run;
	struct guest_trap trap;

	guest_load(&self->vcpu, &user_flds);
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
	EXPECT_EQ(-EINVAL, __vm_enable_cap(&self->vm, &cap));
	cap.args[0] = 1;
	vm_enable_cap(&self->vm, &cap);
	guest_load(&self->vcpu, &user_flds);
	vcpu_run_until(&self->vcpu, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
	EXPECT_LE(3u, run->emulation_failure.ndata);
	EXPECT_EQ(0xd9, run->emulation_failure.insn_bytes[0]);
}

/* A lowered CR8 is userspace's business: the interrupt controller is there. */
GUEST_PROGRAM(lowers_cr8, LONG,
	      "mov $7, %eax\n mov %rax, %cr8\n mov $2, %eax\n mov %rax, %cr8\n"
	      "mov %cr8, %rbx\n hlt");

TEST_F(instruction, lowered_cr8_is_an_exit)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &lowers_cr8);
	vcpu_run_until(&self->vcpu, KVM_EXIT_SET_TPR);
	EXPECT_EQ(2u, self->vcpu.run->cr8);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(2u, regs.rbx);
}

/* What the guest must not find: the virtualization extensions themselves. */
GUEST_PROGRAM(uses_vmx, LONG, "vmxoff\n hlt");
GUEST_PROGRAM(uses_svm, LONG, "vmload %rax\n hlt");

static bool offers(struct vm *vm, u32 function, u32 mask)
{
	return cpuid_find(supported_cpuid(vm->dev), function, 0)->ecx & mask;
}

TEST_F(instruction, virtualization_is_undefined)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, host_is_amd() ? &uses_svm : &uses_vmx);
	if (offers(&self->vm, 1, 1 << 5) || offers(&self->vm, 0x80000001, 1 << 2))
		SKIP(return, "%s offers nesting", device_path());
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
}

TEST_HARNESS_MAIN
