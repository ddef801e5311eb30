// SPDX-License-Identifier: GPL-2.0
/* Hardware task switches: by JMP, CALL, IRET and task gates; what goes into which TSS. */
#include "lib/harness.h"

#define TS_VECTOR	10
#define NP_VECTOR	11
#define SS_VECTOR	12

/* Descriptors and tables beside the guest's usual ones. */
#define SEL_NEW		0x48
#define SEL_GATE	0x50
#define SEL_LDT		0x58
#define SEL_ABSENT	0x60
#define SEL_LOCAL	0x04
#define GDT_SIZE	0x68
#define NEW_TSS		0xd000ul
#define LDT		0xd400ul
#define NEW_STACK	0xe000ul
#define NEW_PD		0x12000ul	/* like GUEST_PD32 */
#define ALIAS		0x7fc00000ul	/* of linear 0, with NEW_PD only */
#define OLD_PART	24	/* in the code: where the new task's begins */

#define RFLAGS_STATUS	0x8d5ul
#define RFLAGS_NT	(1ul << 14)
#define RFLAGS_RF	(1ul << 16)
#define RFLAGS_VM	(1ul << 17)
#define CR0_TS		(1ul << 3)
#define BUSY		2

struct tss32 {
	u32 link, stacks[6], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, bitmap;
};

struct tss16 {
	u16 link, stacks[6], ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

FIXTURE(task) {
	struct vm vm;
	struct vcpu vcpu;
	struct tss32 *old, *new;
	struct tss16 *new16;
	u64 *gdt;
};
FIXTURE_SETUP(task)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->old = (void *)(self->vm.ram + GUEST_TSS);
	self->new = (void *)(self->vm.ram + NEW_TSS);
	self->new16 = (void *)(self->vm.ram + NEW_TSS);
	self->gdt = (void *)(self->vm.ram + GUEST_GDT);
}
FIXTURE_TEARDOWN(task)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static u64 system_descriptor(u64 base, u32 limit, u8 type)
{
	return 0x0000800000000000 | limit | base << 16 | (u64)type << 40;
}

/* Two tasks: the old one as guest_load() makes it, the new one ready to begin. */
static void load(FIXTURE_DATA(task) *self, const struct guest_program *program)
{
	struct kvm_sregs sregs;

	guest_load(&self->vcpu, program);
	self->gdt[SEL_NEW / 8] = system_descriptor(NEW_TSS, 0x67, 9);
	self->gdt[SEL_GATE / 8] = 0x0000850000000000 | SEL_NEW << 16;
	self->gdt[SEL_LDT / 8] = system_descriptor(LDT, 0xf, 2);
	self->gdt[SEL_ABSENT / 8] = 0x00cf13000000ffff;
	/* Not accessed yet. */
	*(u64 *)(self->vm.ram + LDT) = 0x00cf92000000ffff;
	*self->new = (struct tss32) {
		.eip = GUEST_CODE + OLD_PART, .eflags = RFLAGS_FIXED, .esp = NEW_STACK,
		.eax = 1, .ecx = 2, .edx = 3, .ebx = 4, .ebp = 5, .esi = 6, .edi = 7,
		.es = SEL_DATA, .cs = SEL_CODE32, .ss = SEL_DATA, .ds = SEL_DATA,
		.cr3 = GUEST_PD32, .bitmap = 0x68,
	};
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.gdt.limit = GDT_SIZE - 1;
	vcpu_set_sregs(&self->vcpu, &sregs);
}

static const struct deviation old_rip = {
	.qemu = "QEMU's new task faults at the old one's instruction",
};

static const struct deviation no_accessed_bit = {
	.qemu = "QEMU's task switches leave the accessed bits alone",
};

static const struct deviation same_cr3 = {
	.qemu = "QEMU raises #GP where a task switch changes CR3",
};

static const struct deviation lost_cr2 = {
	.bochs_amd = BOCHS_CR2,
};

static const struct deviation no_next_rip = {
	.bochs_amd = "Bochs' AMD-V does not tell what stock KVM asks for",
};

static bool skip_stock(struct __test_metadata *_metadata, const char *reason)
{
	if (device_is_vmlet())
		return false;
	SKIP(return true, "stock KVM %s", reason);
}

static void set_task_gate(FIXTURE_DATA(task) *self, u8 vector)
{
	((u64 *)(self->vm.ram + GUEST_IDT))[vector] = 0x0000e50000000000 | SEL_NEW << 16;
}

static bool is_busy(FIXTURE_DATA(task) *self, u16 selector)
{
	return self->gdt[selector / 8] >> 40 & BUSY;
}

/* The new task runs, and not the old one: TR, CR0.TS, busy bits, the link if it is nested. */
static void expect_switched(struct __test_metadata *_metadata, FIXTURE_DATA(task) *self,
			    bool nested)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_get_sregs(&self->vcpu, &sregs);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(SEL_NEW, sregs.tr.selector);
	EXPECT_EQ(NEW_TSS, sregs.tr.base);
	EXPECT_EQ(0x67u, sregs.tr.limit);
	EXPECT_EQ(CR0_TS, sregs.cr0 & CR0_TS);
	EXPECT_TRUE(is_busy(self, SEL_NEW));
	EXPECT_EQ(nested, is_busy(self, SEL_TSS));
	EXPECT_EQ(nested ? RFLAGS_NT : 0, regs.rflags & RFLAGS_NT);
	EXPECT_EQ(nested ? SEL_TSS : 0, self->new->link & 0xffff);
}

static void expect_old(struct __test_metadata *_metadata, FIXTURE_DATA(task) *self, u64 offset)
{
	EXPECT_EQ(GUEST_CODE + offset, self->old->eip);
	EXPECT_EQ(GUEST_STACK, self->old->esp);
	EXPECT_EQ(RFLAGS_FIXED, self->old->eflags & ~(RFLAGS_RF | RFLAGS_STATUS));
	EXPECT_EQ(SEL_CODE32, self->old->cs & 0xffff);
	EXPECT_EQ(SEL_DATA, self->old->ss & 0xffff);
	EXPECT_EQ(SEL_DATA, self->old->gs & 0xffff);
}

#define TASKS(id, mode, old, new)					\
	GUEST_PROGRAM(id, mode, old "\n hlt\n .org " #id "_start + 24\n" new "\n hlt")

TASKS(jumps, PROT, "mov $0x11, %edi\n ljmp $0x48, $0", "inc %ebx\n push %eax");
#define JUMPS 12

TEST_F(task, jmp)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	load(self, &jumps);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, false);
	expect_old(_metadata, self, JUMPS);
	EXPECT_EQ(0x11u, self->old->edi);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rax);
	EXPECT_EQ(2u, regs.rcx);
	EXPECT_EQ(3u, regs.rdx);
	EXPECT_EQ(5u, regs.rbx);
	EXPECT_EQ(5u, regs.rbp);
	EXPECT_EQ(6u, regs.rsi);
	EXPECT_EQ(7u, regs.rdi);
	EXPECT_EQ(NEW_STACK - 4, regs.rsp);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_TRUE(sregs.fs.unusable);
	EXPECT_TRUE(sregs.gs.unusable);
	EXPECT_TRUE(sregs.ldt.unusable);
}

TASKS(jumps_by_gate, PROT, "mov $0x11, %edi\n ljmp $0x50, $0", "inc %ebx");

TEST_F(task, jmp_by_gate)
{
	load(self, &jumps_by_gate);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, false);
	expect_old(_metadata, self, JUMPS);
}

/* The second call finds the new task behind its IRET. */
TASKS(calls, PROT, "lcall $0x48, $0\n inc %edi\n lcall $0x48, $0", "inc %ebx\n iret\n inc %esi");
#define CALLS 7
#define CALLED_AGAIN 15

TEST_F(task, call_and_iret)
{
	load(self, &calls);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, true);
	expect_old(_metadata, self, CALLED_AGAIN);
	EXPECT_EQ(1u, self->old->edi);
	EXPECT_EQ(GUEST_CODE + OLD_PART + 2, self->new->eip);
	EXPECT_EQ(0u, self->new->eflags & RFLAGS_NT);
	EXPECT_EQ(5u, self->new->ebx);
}

TASKS(software, PROT, "int $0x80\n inc %edi\n hlt", "inc %ebx\n iret");

TEST_F(task, software_interrupt)
{
	struct kvm_regs regs;

	if (!device_is_vmlet() && skip_here(_metadata, &no_next_rip))
		return;
	load(self, &software);
	set_task_gate(self, 0x80);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_old(_metadata, self, 2);
	EXPECT_EQ(5u, self->new->ebx);
	EXPECT_FALSE(is_busy(self, SEL_NEW));
	EXPECT_TRUE(is_busy(self, SEL_TSS));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rdi);
	EXPECT_EQ(0u, regs.rflags & RFLAGS_NT);
}

TASKS(breaks, PROT, "int3\n inc %edi", "inc %ebx");

TEST_F(task, breakpoint)
{
	load(self, &breaks);
	set_task_gate(self, BP_VECTOR);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, true);
	expect_old(_metadata, self, 1);
}

/* The error code is on the new task's stack. */
TASKS(faults, PROT, "nop\n mov %ecx, %ds\n inc %edi", "pop %ebx");

TEST_F(task, fault_with_error_code)
{
	struct row_regs in = { .rcx = 0x1008 };
	struct kvm_regs regs;

	load(self, &faults);
	row_set_regs(&self->vcpu, &in);
	set_task_gate(self, GP_VECTOR);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, true);
	expect_old(_metadata, self, 1);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x1008u, regs.rbx);
	EXPECT_EQ(NEW_STACK, regs.rsp);
}

TASKS(waits, PROT, "sti\n nop\n nop", "inc %ebx");

TEST_F(task, interrupt)
{
	struct kvm_interrupt irq = { 0x40 };
	struct kvm_regs regs;

	load(self, &waits);
	set_task_gate(self, 0x40);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(&self->vcpu, &regs);
	vcpu_interrupt(&self->vcpu, &irq);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, true);
	EXPECT_EQ(GUEST_CODE, self->old->eip);
	EXPECT_EQ(RFLAGS_IF, self->old->eflags & RFLAGS_IF);
}

/* NMIs are blocked in the new task until it returns. */
TASKS(returns, PROT, "nop\n inc %edi", "hlt\n iret");

TEST_F(task, nmi)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	load(self, &returns);
	set_task_gate(self, NMI_VECTOR);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, true);
	expect_old(_metadata, self, 0);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.injected);
	run_to_halt(_metadata, &self->vcpu, PROT);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(0, events.nmi.masked);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rdi);
}

TEST_F(task, sixteen_bits)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (skip_stock(_metadata, "saves the old task as the new one's TSS is"))
		return;
	load(self, &jumps);
	memset(self->new, 0xff, sizeof(*self->new));
	*self->new16 = (struct tss16) {
		.ip = GUEST_CODE + OLD_PART, .flags = RFLAGS_FIXED, .sp = NEW_STACK,
		.ax = 1, .cx = 2, .dx = 3, .bx = 4, .bp = 5, .si = 6, .di = 7,
		.es = SEL_DATA, .cs = SEL_CODE32, .ss = SEL_DATA, .ds = SEL_DATA,
	};
	self->gdt[SEL_NEW / 8] = system_descriptor(NEW_TSS, 0x2b, 1);
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_old(_metadata, self, JUMPS);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rax & 0xffff);
	EXPECT_EQ(5u, regs.rbx & 0xffff);
	EXPECT_EQ(7u, regs.rdi & 0xffff);
	EXPECT_EQ(NEW_STACK - 4, regs.rsp & 0xffff);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(SEL_NEW, sregs.tr.selector);
	EXPECT_EQ(3, sregs.tr.type);
}

TASKS(jumps_paged, PAGED, "mov $0x11, %edi\n ljmp $0x48, $0", "mov 0x7fc30000, %ebx");

TEST_F(task, page_tables)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (skip_here(_metadata, &same_cr3))
		return;
	load(self, &jumps_paged);
	memcpy(self->vm.ram + NEW_PD, self->vm.ram + GUEST_PD32, 4096);
	((u32 *)(self->vm.ram + NEW_PD))[ALIAS >> 22] = PTE_PS | PTE_P | PTE_W;
	*(u32 *)(self->vm.ram + 0x30000) = 0x5555;
	self->new->cr3 = NEW_PD;
	run_to_halt(_metadata, &self->vcpu, PAGED);
	expect_switched(_metadata, self, false);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x5555u, regs.rbx);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(NEW_PD, sregs.cr3);
}

/* A local data segment, which is accessed now. */
TASKS(jumps_local, PROT, "mov $0x11, %edi\n ljmp $0x48, $0", "mov 0x30000, %ebx");

TEST_F(task, local_descriptors)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	load(self, &jumps_local);
	*(u32 *)(self->vm.ram + 0x30000) = 0x5555;
	self->new->ldt = SEL_LDT;
	self->new->ds = SEL_LOCAL;
	run_to_halt(_metadata, &self->vcpu, PROT);
	expect_switched(_metadata, self, false);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x5555u, regs.rbx);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(LDT, sregs.ldt.base);
	EXPECT_EQ(SEL_LDT, sregs.ldt.selector);
	EXPECT_EQ(SEL_LOCAL, sregs.ds.selector);
	if (!deviation_here(&no_accessed_bit))
		EXPECT_EQ(0x93, *(self->vm.ram + LDT + 5));
}

TASKS(jumps_v86, PROT, "mov $0x11, %edi\n ljmp $0x48, $0", "nop");

/* HLT is not allowed there. */
TEST_F(task, into_virtual_8086_mode)
{
	static const struct deviation crashes = { .qemu = AMD_V86, .bochs_amd = AMD_V86 };
	struct guest_trap trap;

	if (skip_here(_metadata, &crashes))
		return;
	load(self, &jumps_v86);
	self->new->eflags |= RFLAGS_VM;
	self->new->stacks[0] = GUEST_STACK;
	self->new->stacks[1] = SEL_DATA;
	self->new->cs = GUEST_CODE >> 4;
	self->new->eip = OLD_PART;
	self->new->ss = NEW_STACK >> 4;
	self->new->esp = 0x100;
	run_to_trap(_metadata, &self->vcpu, PROT, GP_VECTOR, &trap);
	EXPECT_EQ(OLD_PART + 1u, trap.rip);
	EXPECT_EQ(GUEST_CODE >> 4, trap.cs & 0xffff);
	EXPECT_EQ(RFLAGS_VM, trap.rflags & RFLAGS_VM);
}

/* What is wrong with the new task is the new task's fault. */
struct wrong {
	const char *name;
	u32 cs, ss, ds, ldt;
	u8 vector;
	u16 error;
};

TEST_F(task, faults_of_the_new_task)
{
	static const struct wrong wrong[] = {
		{ "no CS", 0, SEL_DATA, SEL_DATA, 0, TS_VECTOR, 0 },
		{ "CS beyond", 0x1000, SEL_DATA, SEL_DATA, 0, TS_VECTOR, 0x1000 },
		{ "CS of data", SEL_DATA, SEL_DATA, SEL_DATA, 0, TS_VECTOR, SEL_DATA },
		{ "no SS", SEL_CODE32, 0, SEL_DATA, 0, TS_VECTOR, 0 },
		{ "SS of code", SEL_CODE32, SEL_CODE32, SEL_DATA, 0, TS_VECTOR, SEL_CODE32 },
		{ "SS of users", SEL_CODE32, SEL_UDATA, SEL_DATA, 0, TS_VECTOR, SEL_UDATA & ~3 },
		{ "SS absent", SEL_CODE32, SEL_ABSENT, SEL_DATA, 0, SS_VECTOR, SEL_ABSENT },
		{ "DS absent", SEL_CODE32, SEL_DATA, SEL_ABSENT, 0, NP_VECTOR, SEL_ABSENT },
		{ "DS beyond", SEL_CODE32, SEL_DATA, 0x1000, 0, TS_VECTOR, 0x1000 },
		{ "DS local", SEL_CODE32, SEL_DATA, SEL_LOCAL, 0, TS_VECTOR, SEL_LOCAL },
		{ "no LDT", SEL_CODE32, SEL_DATA, SEL_DATA, SEL_DATA, TS_VECTOR, SEL_DATA },
	};
	struct guest_trap trap;

	if (skip_here(_metadata, &old_rip) || skip_stock(_metadata, "drops them"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		load(self, &jumps);
		self->new->cs = wrong[i].cs;
		self->new->ss = wrong[i].ss;
		self->new->ds = wrong[i].ds;
		self->new->ldt = wrong[i].ldt;
		vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
		EXPECT_EQ(wrong[i].vector, guest_trap(&self->vcpu, PROT, &trap)) {
			TH_LOG("%s", wrong[i].name);
		}
		EXPECT_EQ(wrong[i].error, trap.error & ~1u) {
			TH_LOG("%s", wrong[i].name);
		}
		EXPECT_EQ(GUEST_CODE + OLD_PART, trap.rip);
	}
}

/* A TSS that is not mapped is the old task's fault, and nothing has happened. */
TASKS(jumps_nowhere, PAGED, "mov $0x11, %edi\n ljmp $0x48, $0", "inc %ebx");

TEST_F(task, tss_not_mapped)
{
	struct kvm_sregs sregs;
	struct guest_trap trap;

	if (skip_stock(_metadata, "drops it"))
		return;
	load(self, &jumps_nowhere);
	self->gdt[SEL_NEW / 8] = system_descriptor(NEW_TSS, 0x67, 9) | 0x40ull << 56;
	run_to_trap(_metadata, &self->vcpu, PAGED, PF_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 5, trap.rip);
	vcpu_get_sregs(&self->vcpu, &sregs);
	if (!deviation_here(&lost_cr2))
		EXPECT_EQ(UNMAPPED_GVA, sregs.cr2 & ~0xfffful);
	EXPECT_EQ(SEL_TSS, sregs.tr.selector);
	EXPECT_FALSE(is_busy(self, SEL_NEW));
}

/* #GP by a gate to a task that cannot be is #PF, and that one's gate is no better. */
TASKS(faults_nowhere, PAGED, "nop\n mov %ecx, %ds\n inc %edi", "pop %ebx");

TEST_F(task, double_fault)
{
	struct row_regs in = { .rcx = 0x1008 };
	struct guest_trap trap;

	if (skip_stock(_metadata, "drops them"))
		return;
	load(self, &faults_nowhere);
	row_set_regs(&self->vcpu, &in);
	set_task_gate(self, PF_VECTOR);
	self->gdt[SEL_NEW / 8] = system_descriptor(NEW_TSS, 0x67, 9) | 0x40ull << 56;
	set_task_gate(self, GP_VECTOR);
	run_to_trap(_metadata, &self->vcpu, PAGED, DF_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 1, trap.rip);
}

TEST_F(task, trap_bit)
{
	struct kvm_debugregs regs;
	struct guest_trap trap;

	if (skip_here(_metadata, &old_rip) || skip_stock(_metadata, "does not know the bit"))
		return;
	load(self, &jumps);
	self->new->trap = 1;
	run_to_trap(_metadata, &self->vcpu, PROT, DB_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + OLD_PART, trap.rip);
	vcpu_get_debugregs(&self->vcpu, &regs);
	EXPECT_EQ(0x8000u, regs.dr6 & 0xe00f);
}

TEST_HARNESS_MAIN
