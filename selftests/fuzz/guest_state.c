// SPDX-License-Identifier: GPL-2.0
/* The state of a vCPU: made at random, saved, restored, compared. */
#include "guest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VM_FLAG		(1ull << 17)
#define MSR_TSC		0x10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_WALL_CLOCK	0x11
#define MSR_KVM_FIRST	0x4b564d00

static struct {
	struct kvm_msr_list head;
	u32 indices[512];
} list = { .head.nmsrs = 512 };

/* Some are there only with a bit of CPUID, which another device's may lack. */
static void drop_unreadable(struct kvm_cpuid2 *cpuid)
{
	struct vcpu vcpu;
	struct vm vm;
	u32 n = 0;

	vm_create(&vm);
	vcpu_create_bare(&vm, &vcpu, 0);
	vcpu_set_cpuid2(&vcpu, cpuid);
	for (u32 i = 0; i < list.head.nmsrs; i++) {
		u64 value;

		if (__vcpu_get_msr(&vcpu, list.indices[i], &value) == 1)
			list.indices[n++] = list.indices[i];
	}
	list.head.nmsrs = n;
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

void state_setup(struct kvm_cpuid2 *others_cpuid)
{
	int dev = dev_open();

	fd_ioctl(dev, KVM_GET_MSR_INDEX_LIST, (u64)&list, "KVM_GET_MSR_INDEX_LIST");
	if (list.head.nmsrs > STATE_MSRS)
		list.head.nmsrs = STATE_MSRS;
	close(dev);
	if (others_cpuid)
		drop_unreadable(others_cpuid);
}

/* Time goes on, and to write where clocks are starts them. */
static bool is_of_time(u32 index)
{
	return index == MSR_TSC || index == MSR_TSC_DEADLINE || index == MSR_WALL_CLOCK || index == MSR_WALL_CLOCK + 1 ||
	       index >> 8 == MSR_KVM_FIRST >> 8 || index >> 28 == 4;
}

static int get_msrs(struct vcpu *vcpu, struct state *state)
{
	u32 n = 0;
	int ret;

	for (u32 i = 0; i < list.head.nmsrs; i++)
		if (!is_of_time(list.indices[i]))
			state->msrs.entries[n++].index = list.indices[i];
	state->msrs.head.nmsrs = n;
	ret = __vcpu_get_msrs(vcpu, &state->msrs.head);
	return ret == (int)n ? 0 : -EINVAL;
}

const char *state_save(struct vcpu *vcpu, struct state *state)
{
	memset(state, 0, sizeof(*state));
	if (__vcpu_get_regs(vcpu, &state->regs))
		return "KVM_GET_REGS";
	if (__vcpu_get_sregs(vcpu, &state->sregs))
		return "KVM_GET_SREGS";
	if (__vcpu_get_xcrs(vcpu, &state->xcrs))
		return "KVM_GET_XCRS";
	if (__vcpu_get_xsave(vcpu, &state->xsave))
		return "KVM_GET_XSAVE";
	/* QEMU's FXRSTOR lets reserved bits of MXCSR through. */
	state->xsave.region[6] &= state->xsave.region[7];
	if (__vcpu_get_debugregs(vcpu, &state->debug))
		return "KVM_GET_DEBUGREGS";
	if (__vcpu_get_events(vcpu, &state->events))
		return "KVM_GET_VCPU_EVENTS";
	/* Without payloads one that waits is told as both, and given back as injected. */
	if (state->events.exception.injected)
		state->events.exception.pending = 0;
	return get_msrs(vcpu, state) ? "KVM_GET_MSRS" : NULL;
}

const char *state_restore(struct vcpu *vcpu, struct state *state)
{
	if (__vcpu_set_sregs(vcpu, &state->sregs))
		return "KVM_SET_SREGS";
	if (__vcpu_set_regs(vcpu, &state->regs))
		return "KVM_SET_REGS";
	if (__vcpu_set_xcrs(vcpu, &state->xcrs))
		return "KVM_SET_XCRS";
	if (__vcpu_set_xsave(vcpu, &state->xsave))
		return "KVM_SET_XSAVE";
	if (__vcpu_set_msrs(vcpu, &state->msrs.head) != (int)state->msrs.head.nmsrs)
		return "KVM_SET_MSRS";
	if (__vcpu_set_debugregs(vcpu, &state->debug))
		return "KVM_SET_DEBUGREGS";
	if (__vcpu_set_events(vcpu, &state->events))
		return "KVM_SET_VCPU_EVENTS";
	return NULL;
}

static const char *differs(const char *name, const void *a, const void *b, size_t size)
{
	static char text[128];
	const u32 *x = a, *y = b;

	for (size_t i = 0; i < size / 4; i++) {
		if (x[i] == y[i])
			continue;
		snprintf(text, sizeof(text), "%s + %#zx: %#x, %#x", name, 4 * i, x[i], y[i]);
		return text;
	}
	return NULL;
}

const char *state_difference(const struct state *a, const struct state *b)
{
#define PART(member) { #member, &a->member, &b->member, sizeof(a->member) }
	const struct {
		const char *name;
		const void *a, *b;
		size_t size;
	} parts[] = {
		PART(regs), PART(sregs), PART(xcrs), PART(xsave), PART(debug), PART(events), PART(msrs),
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *what = differs(parts[i].name, parts[i].a, parts[i].b, parts[i].size);

		if (what)
			return what;
	}
	return NULL;
}

const char *state_nonsense(const struct state *state)
{
	const struct kvm_sregs *s = &state->sregs;
	bool paging = s->cr0 & CR0_PG, lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;

	if (paging && !(s->cr0 & CR0_PE))
		return "paging without protection";
	if (lma != (lme && paging))
		return "LMA is not LME and PG";
	if (lma && !(s->cr4 & CR4_PAE))
		return "long mode without PAE";
	if ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD))
		return "NW without CD";
	if (!lma && s->cs.l && s->cs.present)
		return "64-bit code outside long mode";
	if (!(state->regs.rflags & RFLAGS_FIXED))
		return "RFLAGS bit 1 is 0";
	if (!(state->xcrs.xcrs[0].value & 1))
		return "XCR0 without x87";
	return NULL;
}

static u64 word_of_guest(struct rng *rng)
{
	static const u64 places[] = {
		GUEST_DATA, GUEST_STACK, GUEST_FREE, GUEST_CODE, GUEST_DATA + 0xffe, MMIO_BASE, RAM_SIZE - 2, UNMAPPED_GVA,
	};

	return chance(rng, 60) ? PICK(rng, places) + below(rng, 8) : rnd_value(rng);
}

/* Kinds of state. Each is given a state that the vCPU has, and changes something. */

static void some_registers(struct rng *rng, struct state *state, u8 *ram)
{
	u64 *gpr = (u64 *)&state->regs;

	(void)ram;
	for (u32 i = 0; i < 16; i++)
		if (i != 6 && chance(rng, 50))
			gpr[i] = word_of_guest(rng);
	/* Counts of string instructions are small. */
	if (chance(rng, 70))
		state->regs.rcx = below(rng, 40);
	if (chance(rng, 20))
		state->regs.rsp = word_of_guest(rng);
}

static void some_flags(struct rng *rng, struct state *state, u8 *ram)
{
	static const u32 flags[] = { 1, 4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x3000, 0x4000, 0x10000, 0x40000 };

	(void)ram;
	for (u32 i = 0; i < 3; i++)
		state->regs.rflags ^= PICK(rng, flags);
}

static void virtual_8086(struct rng *rng, struct state *state, u8 *ram)
{
	struct kvm_segment *seg = &state->sregs.cs;

	(void)ram;
	if (!(state->sregs.cr0 & CR0_PE) || (state->sregs.efer & EFER_LMA))
		return;
	state->regs.rflags |= VM_FLAG | (chance(rng, 50) ? 0x3000 : 0);
	for (u32 i = 0; i < 6; i++) {
		u16 selector = chance(rng, 60) ? 0 : below(rng, 0x1000);

		if (i == 0)
			selector = 0;
		seg[i] = (struct kvm_segment) {
			.base = selector * 16, .selector = selector, .limit = 0xffff, .type = 3, .s = 1, .dpl = 3, .present = 1,
		};
	}
}

static void user_mode(struct rng *rng, struct state *state, u8 *ram)
{
	struct kvm_sregs *s = &state->sregs;

	(void)rng;
	(void)ram;
	if (!(s->cr0 & CR0_PE) || (state->regs.rflags & VM_FLAG))
		return;
	s->cs.dpl = s->ss.dpl = 3;
	s->cs.selector = SEL_UCODE64;
	s->ss.selector = SEL_UDATA;
	if (!(s->efer & EFER_LMA))
		s->cs.l = 0;
	s->ds = s->es = s->ss;
}

/* A data segment with limits that are met: small, expanding down, of 16 bits, away from 0. */
static void data_segment(struct rng *rng, struct state *state, u8 *ram)
{
	static const u32 limits[] = { 0, 0xfff, 0xcfff, 0xffff, 0xfffff };
	static const u32 bases[] = { 0, 0, 0x1000, MMIO_BASE, RAM_SIZE - 0x1000, 0xffff0000 };
	struct kvm_segment *seg = &state->sregs.ds + below(rng, 4);
	u32 cpl = state->sregs.ss.dpl;

	(void)ram;
	if (!(state->sregs.cr0 & CR0_PE) || (state->regs.rflags & VM_FLAG))
		return;
	*seg = (struct kvm_segment) {
		.base = PICK(rng, bases), .limit = PICK(rng, limits), .selector = SEL_DATA | cpl,
		.type = 1 + 2 * below(rng, 4), .s = 1, .dpl = cpl, .present = 1, .db = below(rng, 2),
	};
	if (chance(rng, 30))
		*seg = (struct kvm_segment) { .unusable = 1, .type = 1, .s = 1 };
}

static void code_of_16_bits(struct rng *rng, struct state *state, u8 *ram)
{
	(void)rng;
	(void)ram;
	if ((state->sregs.cr0 & CR0_PE) && !state->sregs.cs.l)
		state->sregs.cs.db = 0;
}

static void control_registers(struct rng *rng, struct state *state, u8 *ram)
{
	static const u64 cr0[] = { 2, 4, 8, 0x20, CR0_WP, 1 << 18, CR0_CD, CR0_CD | CR0_NW };
	static const u64 cr4[] = {
		1, 2, 4, 8, CR4_PSE, 0x40, 0x80, 0x100, CR4_OSFXSR, CR4_OSXMMEXCPT, 1 << 11, 1 << 16, CR4_OSXSAVE, 1 << 20, 1 << 21,
	};

	(void)ram;
	for (u32 i = 0; i < 2; i++) {
		state->sregs.cr0 ^= chance(rng, 40) ? PICK(rng, cr0) : 0;
		state->sregs.cr4 ^= chance(rng, 60) ? PICK(rng, cr4) : 0;
	}
	state->sregs.efer ^= chance(rng, 40) ? 1 : 0;
	state->sregs.efer ^= chance(rng, 40) ? EFER_NX : 0;
	state->sregs.cr2 = rnd_value(rng);
	state->sregs.cr8 = below(rng, 16);
}

static void breakpoints(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	for (u32 i = 0; i < 4; i++)
		state->debug.db[i] = chance(rng, 50) ? GUEST_CODE + below(rng, 64) : word_of_guest(rng);
	state->debug.dr7 = 0x400 | (rnd(rng) & 0xffff23ff & rnd(rng));
	/* Breakpoints on code have no length. */
	if (chance(rng, 50))
		state->debug.dr7 &= 0xffff;
	state->debug.dr6 = 0xffff0ff0 | (rnd(rng) & 0xe00f);
}

static void model_registers(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	for (u32 i = 0; i < 4 && state->msrs.head.nmsrs; i++)
		state->msrs.entries[below(rng, state->msrs.head.nmsrs)].data = chance(rng, 50) ? word_of_guest(rng) : rnd_value(rng);
}

static void pending_nmi(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	state->events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	state->events.nmi.pending = below(rng, 3);
	state->events.nmi.masked = below(rng, 2);
	state->events.interrupt.shadow = chance(rng, 50) ? 1u << below(rng, 2) : 0;
	/* STI blocks only what IF lets in. */
	if (!(state->regs.rflags & RFLAGS_IF))
		state->events.interrupt.shadow &= KVM_X86_SHADOW_INT_MOV_SS;
}

static void pending_interrupt(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	state->regs.rflags |= RFLAGS_IF;
	state->events.interrupt.injected = 1;
	state->events.interrupt.nr = 32 + below(rng, 224);
}

static void pending_exception(struct rng *rng, struct state *state, u8 *ram)
{
	u8 vector = below(rng, 20);

	(void)ram;
	if (vector == NMI_VECTOR || vector == 9 || vector == 15)
		return;
	state->events.exception.injected = 1;
	state->events.exception.nr = vector;
	state->events.exception.has_error_code = vector_has_error_code(vector) && (state->sregs.cr0 & CR0_PE);
	state->events.exception.error_code = below(rng, 0x8000);
}

static void extended_state(struct rng *rng, struct state *state, u8 *ram)
{
	u8 *bytes = (u8 *)state->xsave.region;

	(void)ram;
	/* Registers; what controls them must be possible. */
	rnd_bytes(rng, bytes + 32, 384);
	bytes[512] |= 3;
	if (chance(rng, 30))
		bytes[0] ^= rnd(rng);
	if (chance(rng, 20))
		state->xcrs.xcrs[0].value ^= 1ull << below(rng, 10);
}

/* Bits of tables that the CPU reads: pages, descriptors, gates. */
static void tables(struct rng *rng, struct state *state, u8 *ram)
{
	static const u32 at[] = { GUEST_PML4, GUEST_PDPT, GUEST_PD, GUEST_PD, GUEST_PD32, GUEST_PDPT32, GUEST_GDT, GUEST_IDT, GUEST_TSS };
	u32 n = 1 + below(rng, 3);

	(void)state;
	while (n--) {
		u8 *entry = ram + PICK(rng, at) + (chance(rng, 70) ? 0 : 8 * below(rng, 64));
		u64 value;

		memcpy(&value, entry, 8);
		value ^= 1ull << below(rng, 64);
		memcpy(entry, &value, 8);
	}
}

/* Small pages for the first 2 MiB, each with rights of its own. */
static void small_pages(struct rng *rng, struct state *state, u8 *ram)
{
	u64 *pt = (u64 *)(ram + GUEST_PT), *pd = (u64 *)(ram + GUEST_PD);

	for (u64 i = 0; i < 512; i++) {
		u64 rights = PTE_P | PTE_W | PTE_U;

		if (chance(rng, 10))
			rights ^= 1ull << below(rng, 12);
		if ((state->sregs.efer & EFER_NX) && chance(rng, 10))
			rights |= 1ull << 63;
		pt[i] = i << 12 | rights;
	}
	pd[0] = GUEST_PT | PTE_P | PTE_W | PTE_U;
}

/* Not what a CPU can be in, as a rule. */

static void damaged_segments(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	rnd_damage(rng, &state->sregs.cs, sizeof(state->sregs.cs) * 8);
}

static void damaged_sregs(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	rnd_damage(rng, &state->sregs.gdt, sizeof(state->sregs) - offsetof(struct kvm_sregs, gdt));
}

static void damaged_regs(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	rnd_damage(rng, &state->regs.rip, 16);
}

static void damaged_events(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	rnd_damage(rng, &state->events, sizeof(state->events));
	state->events.flags = below(rng, 16);
}

static void damaged_xsave(struct rng *rng, struct state *state, u8 *ram)
{
	(void)ram;
	rnd_damage(rng, &state->xsave, 832);
}

#define USER(change, percent) { #change, change, percent, .user = true }
#define TAME(change, percent) { #change, change, percent, .user = false }
#define WILD(change, percent) { #change, change, percent, .wild = true }

static const struct kind {
	const char *name;
	void (*change)(struct rng *rng, struct state *state, u8 *ram);
	u8 percent;
	bool wild, user;
} kinds[] = {
	USER(virtual_8086, 10),
	USER(user_mode, 25),
	TAME(code_of_16_bits, 15),
	TAME(control_registers, 30),
	TAME(data_segment, 30),
	TAME(some_registers, 90),
	TAME(some_flags, 40),
	TAME(breakpoints, 15),
	TAME(model_registers, 20),
	TAME(pending_nmi, 10),
	TAME(pending_interrupt, 8),
	TAME(pending_exception, 8),
	TAME(extended_state, 20),
	TAME(small_pages, 20),
	TAME(tables, 15),
	WILD(damaged_segments, 8),
	WILD(damaged_sregs, 8),
	WILD(damaged_regs, 5),
	WILD(damaged_events, 5),
	WILD(damaged_xsave, 4),
};

/* What the device lacks, such as a bit of CR4, leaves it all as it was; of the rest each part that the API takes. */
static void set_parts(struct vcpu *vcpu, struct state *state)
{
	if (__vcpu_set_sregs(vcpu, &state->sregs))
		return;
	__vcpu_set_regs(vcpu, &state->regs);
	__vcpu_set_xcrs(vcpu, &state->xcrs);
	__vcpu_set_xsave(vcpu, &state->xsave);
	for (u32 i = 0; i < state->msrs.head.nmsrs; i++)
		__vcpu_set_msr(vcpu, state->msrs.entries[i].index, state->msrs.entries[i].data);
	__vcpu_set_debugregs(vcpu, &state->debug);
	__vcpu_set_events(vcpu, &state->events);
}

static const struct deviation busy_tss = {
	.qemu = "on the way from another ring QEMU looks for a TSS that is not busy, and ends itself",
};

/* Outside long mode, where the ring's stack is in the TSS. */
static void keep_in_kernel(u8 *ram)
{
	static const u16 selectors[] = { SEL_UCODE64, SEL_UDATA };

	for (u32 i = 0; i < 2; i++)
		ram[GUEST_GDT + (selectors[i] & ~7) + 5] &= ~0x60;
}

int state_make(struct rng *rng, struct vcpu *vcpu, struct limits *limits)
{
	enum guest_mode mode = below(rng, LONG + 1);
	struct state state;

	limits->kernel = mode < COMPAT && deviation_here(&busy_tss);
	guest_set_mode(vcpu, mode);
	guest_restart(vcpu);
	if (limits->kernel)
		keep_in_kernel(vcpu->vm->ram);
	if (state_save(vcpu, &state))
		fuzz_fail("a new vCPU cannot be saved");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *kind = &kinds[i];

		if (!chance(rng, kind->percent) || (kind->wild && limits->tame) || (kind->user && limits->kernel))
			continue;
		kind->change(rng, &state, vcpu->vm->ram);
		fuzz_say("state: %s", kind->name);
	}
	if (limits->kernel)
		state.sregs.ss.dpl = 0;
	set_parts(vcpu, &state);
	return state.sregs.cs.l ? 64 : state.sregs.cs.db ? 32 : 16;
}
