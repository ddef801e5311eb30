// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: hardware task switches
 *
 * The CPU has checked the gate, and the selector and descriptor of the new TSS. The rest is left to us: the old task goes into
 * its TSS, the new one comes out of its own. What faults until commit() is the old task's, and after it the new one's.
 */
#include <linux/mm.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"
#include "../insn/insn.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "cr.h"

#define FLAGS_DEFINED	0x3f7fd5ul
#define DR7_LOCAL	0x155ul		/* breakpoints of one task */
#define TYPE_BUSY	2
#define TYPE_32		8
#define TSS_TRAP	BIT(0)

/* A TSS is an array of words: numbers of those that matter. Behind CR3 there are more. */
enum { TSS_LINK, TSS_CR3 = 7, TSS_DEBUG = 25, TSS_WORDS };

/* From the instruction pointer on they are in this order; the segment registers in the hardware's. */
enum { TASK_IP, TASK_FLAGS, TASK_GPRS, TASK_SEGS = TASK_GPRS + 8 };

struct tss {
	u16 selector;
	gva_t base;
	u8 size;		/* of a word: 2 or 4 bytes */
	u8 count, ip, segs, ldt;	/* of words, and segment registers */
	u32 word[TSS_WORDS];
};

/* With the rights of the kernel. 0; VMLET_RESUME: #PF was queued; -errno. */
static int system_access(struct vmlet_vcpu *vcpu, gva_t at, void *data, unsigned int len, bool write)
{
	u8 access = write ? VMLET_ACCESS_WRITE : VMLET_ACCESS_READ;
	struct vmlet_pf pf;
	unsigned int n;
	gpa_t gpa;
	int ret;

	for (; len; at += n, data += n, len -= n) {
		n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(at));
		ret = vmlet_gva_to_gpa(vcpu, (u32)at, access, &gpa, &pf);
		if (ret == -EACCES)
			return vmlet_inject_pf(vcpu, pf.address, pf.error);
		if (!ret)
			ret = write ? vmlet_mem_write(vcpu, gpa, data, n) : vmlet_mem_read(vcpu, gpa, data, n);
		if (ret)
			return ret;
	}
	return 0;
}

static gva_t gdt_entry(struct vmlet_vcpu *vcpu, u16 selector)
{
	return vcpu->gdt.base + (selector & ~7);
}

static int set_busy(struct vmlet_vcpu *vcpu, u16 selector, bool busy)
{
	gva_t at = gdt_entry(vcpu, selector) + 5;
	u8 type;
	int ret;

	ret = system_access(vcpu, at, &type, sizeof(type), false);
	if (ret)
		return ret;
	type = busy ? type | TYPE_BUSY : type & ~TYPE_BUSY;
	return system_access(vcpu, at, &type, sizeof(type), true);
}

static void tss_begin(struct tss *tss, const struct kvm_segment *seg)
{
	bool wide = seg->type & TYPE_32;

	*tss = (struct tss) {
		.selector = seg->selector, .base = seg->base, .size = wide ? 4 : 2, .count = wide ? 26 : 22,
		.ip = wide ? 8 : 7, .segs = wide ? 6 : 4, .ldt = wide ? 24 : 21,
	};
}

static int tss_read(struct vmlet_vcpu *vcpu, struct tss *tss)
{
	u8 raw[TSS_WORDS * 4];
	unsigned int i;
	int ret = system_access(vcpu, tss->base, raw, tss->count * tss->size, false);

	for (i = 0; !ret && i < tss->count; i++)
		memcpy(&tss->word[i], raw + i * tss->size, tss->size);
	return ret;
}

/* @n words from number @first on. */
static int tss_write(struct vmlet_vcpu *vcpu, const struct tss *tss, unsigned int first, unsigned int n)
{
	u8 raw[TSS_WORDS * 4];
	unsigned int i;

	for (i = 0; i < n; i++)
		memcpy(raw + i * tss->size, &tss->word[first + i], tss->size);
	return system_access(vcpu, tss->base + first * tss->size, raw, n * tss->size, true);
}

static void seg_from_desc(struct kvm_segment *seg, u16 selector, const struct desc_struct *desc)
{
	u32 limit = get_desc_limit(desc);

	*seg = (struct kvm_segment) {
		.base = get_desc_base(desc), .limit = desc->g ? limit << PAGE_SHIFT | ~PAGE_MASK : limit,
		.selector = selector, .type = desc->type, .present = desc->p, .dpl = desc->dpl, .db = desc->d,
		.s = desc->s, .l = desc->l, .g = desc->g, .avl = desc->avl,
	};
}

/* What the old task's registers are in its TSS. */
static void save(struct vmlet_vcpu *vcpu, struct tss *old, u32 rip)
{
	u32 *word = old->word + old->ip;
	unsigned int i;

	word[TASK_IP] = rip;
	word[TASK_FLAGS] = vcpu->rflags & ~vmlet_debug_tf(vcpu);
	if (vcpu->exit.task.source == VMLET_TASK_IRET)
		word[TASK_FLAGS] &= ~X86_EFLAGS_NT;
	for (i = 0; i < 8; i++)
		word[TASK_GPRS + i] = vcpu->regs[i];
	for (i = 0; i < old->segs; i++)
		word[TASK_SEGS + i] = vcpu->seg[i].selector;
}

/* Hidden parts of segment registers stay until load_segs(): they are valid, whatever happens there. */
static void commit(struct vmlet_vcpu *vcpu, const struct tss *new, const struct kvm_segment *tr)
{
	const u32 *word = new->word + new->ip;
	struct vmlet_events *ev = &vcpu->events;
	unsigned int i;

	vcpu->dirty |= VMLET_G_RIP | VMLET_G_RSP | VMLET_G_RFLAGS | VMLET_G_SEGS | VMLET_G_CR | VMLET_G_DR |
		       VMLET_G_SHADOW;
	vcpu->rip = word[TASK_IP];
	vcpu->rflags = (word[TASK_FLAGS] & FLAGS_DEFINED) | X86_EFLAGS_FIXED | vmlet_debug_tf(vcpu);
	for (i = 0; i < 8; i++)
		vcpu->regs[i] = word[TASK_GPRS + i];
	for (i = 0; i <= VMLET_GS; i++)
		vcpu->seg[i].selector = i < new->segs ? word[TASK_SEGS + i] : 0;
	vcpu->seg[VMLET_LDTR].selector = new->word[new->ldt];
	vcpu->seg[VMLET_TR] = *tr;
	vcpu->seg[VMLET_TR].type |= TYPE_BUSY;
	vcpu->cr0 |= X86_CR0_TS;
	vcpu->dr7 &= ~DR7_LOCAL;
	vcpu->int_shadow = 0;
	/* What led to a gate is delivered. */
	if (vcpu->exit.task.source == VMLET_TASK_IRET)
		vcpu->nmi_masked = false;
	else if (ev->mask & VMLET_EV_REDO_NMI)
		vcpu->nmi_masked = true;
	ev->mask &= ~(VMLET_EV_EXCEPTION | VMLET_EV_REDO_NMI | VMLET_EV_REDO_IRQ);
}

static bool is_allowed(unsigned int nr, const struct desc_struct *desc, u8 rpl, u8 cpl)
{
	u8 kind = desc->type & 0xc;	/* code, conforming */

	switch (nr) {
	case VMLET_LDTR:
		return !desc->s && desc->type == 2;
	case VMLET_CS:
		return desc->s && (kind == 0xc ? desc->dpl <= rpl : kind == 8 && desc->dpl == rpl);
	case VMLET_SS:
		return desc->s && (desc->type & 0xa) == 2 && desc->dpl == cpl && rpl == cpl;
	default:
		return desc->s && (desc->type & 0xa) != 8 && (kind == 0xc || desc->dpl >= max(rpl, cpl));
	}
}

/* 0; VMLET_RESUME: a fault was queued; -errno. */
static int load_seg(struct vmlet_vcpu *vcpu, unsigned int nr)
{
	const struct kvm_segment *ldt = &vcpu->seg[VMLET_LDTR];
	u8 cpl = vcpu->seg[VMLET_CS].selector & 3;
	u16 selector = vcpu->seg[nr].selector;
	bool local = selector & 4;
	gva_t at = local ? ldt->base + (selector & ~7) : gdt_entry(vcpu, selector);
	u32 limit = !local ? vcpu->gdt.limit : ldt->unusable || nr == VMLET_LDTR ? 0 : ldt->limit;
	struct desc_struct desc;
	int ret;

	if (!(selector & ~3) && nr != VMLET_CS && nr != VMLET_SS) {
		vcpu->seg[nr] = (struct kvm_segment) { .selector = selector, .unusable = 1 };
		return 0;
	}
	if (!(selector & ~3) || (selector | 7) > limit)
		return vmlet_inject_error(vcpu, X86_TRAP_TS, selector & ~3);
	ret = system_access(vcpu, at, &desc, sizeof(desc), false);
	if (ret)
		return ret;
	if (!is_allowed(nr, &desc, selector & 3, cpl) || (!desc.p && nr == VMLET_LDTR))
		return vmlet_inject_error(vcpu, X86_TRAP_TS, selector & ~3);
	if (!desc.p)
		return vmlet_inject_error(vcpu, nr == VMLET_SS ? X86_TRAP_SS : X86_TRAP_NP, selector & ~3);
	if (desc.s && !(desc.type & 1)) {
		desc.type |= 1;	/* accessed */
		ret = system_access(vcpu, at, &desc, sizeof(desc), true);
	}
	seg_from_desc(&vcpu->seg[nr], selector, &desc);
	return ret;
}

/* As load_seg(). The privilege level is that of CS, and for us that of SS. */
static int load_segs(struct vmlet_vcpu *vcpu)
{
	static const u8 order[] = { VMLET_SS, VMLET_DS, VMLET_ES, VMLET_FS, VMLET_GS };
	unsigned int i;
	int ret = load_seg(vcpu, VMLET_LDTR);

	if (vcpu->rflags & X86_EFLAGS_VM) {
		for (i = 0; i <= VMLET_GS; i++)
			vcpu->seg[i] = (struct kvm_segment) {
				.base = vcpu->seg[i].selector << 4, .limit = U16_MAX, .type = 3, .s = 1, .dpl = 3,
				.selector = vcpu->seg[i].selector, .present = 1,
			};
		return ret;
	}
	if (!ret)
		ret = load_seg(vcpu, VMLET_CS);
	if (!ret)
		vcpu->seg[VMLET_SS].dpl = vcpu->seg[VMLET_CS].selector & 3;
	for (i = 0; !ret && i < ARRAY_SIZE(order); i++)
		ret = load_seg(vcpu, order[i]);
	return ret;
}

/* The error code of the exception that led to the gate. */
static int push_error(struct vmlet_vcpu *vcpu, unsigned int size, u32 error)
{
	u32 mask = vcpu->seg[VMLET_SS].db ? U32_MAX : U16_MAX;
	u32 rsp = vcpu->regs[VMLET_RSP], top = (rsp - size) & mask;
	struct vmlet_span span;
	unsigned int n;
	gpa_t gpa;
	int ret = vmlet_span_map(vcpu, VMLET_SS, top, size, VMLET_ACCESS_WRITE, &span);

	if (ret)
		return ret;
	vcpu->regs[VMLET_RSP] = (rsp & ~mask) | top;
	n = vmlet_span_piece(&span, 0, &gpa);
	ret = vmlet_mem_write(vcpu, gpa, &error, min(n, size));
	if (!ret && n < size)
		ret = vmlet_mem_write(vcpu, span.gpa[1], (u8 *)&error + n, size - n);
	return ret;
}

/* Where the old task goes on. As load_seg(). */
static int next_rip(struct vmlet_vcpu *vcpu, u32 *rip)
{
	unsigned int len = vcpu->exit.insn_len;
	struct vmlet_insn insn;
	int ret;

	if (vcpu->exit.task.is_insn && !len) {
		ret = vmlet_insn_decode(vcpu, &insn);
		if (ret)
			return ret == -EINVAL ? -ENXIO : ret;
		len = insn.len;
	}
	*rip = vcpu->rip + len;
	return 0;
}

/* Both TSSs and both descriptors in memory. A fault leaves what the instruction, executed again, finds as it needs it. */
static int switch_memory(struct vmlet_vcpu *vcpu, struct tss *old, struct tss *new)
{
	enum vmlet_task_source source = vcpu->exit.task.source;
	bool nests = source == VMLET_TASK_CALL || source == VMLET_TASK_GATE;
	int ret = tss_write(vcpu, old, old->ip, TASK_SEGS + old->segs);

	if (!ret && nests) {
		new->word[TSS_LINK] = old->selector;
		ret = tss_write(vcpu, new, TSS_LINK, 1);
		new->word[new->ip + TASK_FLAGS] |= X86_EFLAGS_NT;
	}
	if (!ret && source != VMLET_TASK_IRET)
		ret = set_busy(vcpu, new->selector, true);
	if (!ret && !nests)
		ret = set_busy(vcpu, old->selector, false);
	return ret;
}

/* 0; VMLET_RESUME: a fault was queued, of this task or of the other; -errno. */
static int switch_task(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;
	bool has_error = (ev->mask & VMLET_EV_EXCEPTION) && ev->has_error;
	u16 selector = vcpu->exit.task.selector;
	u32 error = ev->error, rip;
	struct desc_struct desc;
	struct kvm_segment tr;
	struct tss old, new;
	int ret;

	ret = next_rip(vcpu, &rip);
	if (!ret)
		ret = system_access(vcpu, gdt_entry(vcpu, selector), &desc, sizeof(desc), false);
	if (ret)
		return ret;
	seg_from_desc(&tr, selector, &desc);
	tss_begin(&new, &tr);
	tss_begin(&old, &vcpu->seg[VMLET_TR]);
	save(vcpu, &old, rip);
	ret = tss_read(vcpu, &new);
	if (!ret)
		ret = switch_memory(vcpu, &old, &new);
	if (!ret && new.size == 4 && (vcpu->cr0 & X86_CR0_PG))
		ret = vmlet_cr3_load(vcpu, new.word[TSS_CR3]);
	if (ret)
		return ret;
	commit(vcpu, &new, &tr);
	ret = load_segs(vcpu);
	if (!ret && has_error)
		ret = push_error(vcpu, new.size, error);
	if (!ret && new.size == 4 && (new.word[TSS_DEBUG] & TSS_TRAP))
		ret = vmlet_inject_db(vcpu, DR_SWITCH);
	return ret;
}

int vmlet_exit_task_switch(struct vmlet_vcpu *vcpu)
{
	int ret;

	vmlet_need(vcpu, VMLET_G_RIP | VMLET_G_RSP | VMLET_G_RFLAGS | VMLET_G_SEGS | VMLET_G_DT | VMLET_G_CR | VMLET_G_DR |
		   VMLET_G_SHADOW);
	ret = switch_task(vcpu);
	if (ret == -ENXIO)	/* not in memory */
		return vmlet_emulation_failed(vcpu, NULL, 0);
	return ret ?: VMLET_RESUME;
}
