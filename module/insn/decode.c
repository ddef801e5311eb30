// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the instruction at RIP
 *
 * What parsing needs of a vCPU: fetch through the guest's page tables, registers, segments, and
 * the addresses that an operand has.
 */
#include <asm/page.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <linux/mm.h>

#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "peek.h"

static u8 user_access(struct vmlet_vcpu *vcpu)
{
	return vmlet_cpl(vcpu) == 3 ? VMLET_ACCESS_USER : 0;
}

/* Outside 64-bit mode linear addresses wrap at 4 GiB. */
static gva_t linear_add(struct vmlet_vcpu *vcpu, gva_t linear, u64 offset)
{
	linear += offset;
	return vmlet_is_64bit(vcpu) ? linear : (u32)linear;
}

static bool canonical(struct vmlet_vcpu *vcpu, gva_t linear)
{
	vmlet_need(vcpu, VMLET_G_CR);
	return __is_canonical_address(linear, vcpu->cr4 & X86_CR4_LA57 ? 57 : 48);
}

/* By way of the stack: hardened copies look long at the heap. */
static int read_bytes(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 *bytes, unsigned int len)
{
	u8 copy[VMLET_INSN_MAX];
	int ret = vmlet_mem_read(vcpu, gpa, copy, len);

	if (!ret)
		memcpy(bytes, copy, len);
	return ret;
}

/* Bytes of the page of @linear, appended. 0; -EACCES with @pf; -EINVAL: not an address; -ENXIO, -EFAULT. */
static int fetch_page(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn, gva_t linear, struct vmlet_pf *pf)
{
	unsigned int len = min_t(unsigned int, VMLET_INSN_MAX - insn->len, PAGE_SIZE - offset_in_page(linear));
	gpa_t gpa;
	int ret;

	if (!canonical(vcpu, linear))
		return -EINVAL;
	ret = vmlet_gva_to_gpa(vcpu, linear, VMLET_ACCESS_EXEC | user_access(vcpu), &gpa, pf);
	if (!ret)
		ret = read_bytes(vcpu, gpa, insn->bytes + insn->len, len);
	if (!ret)
		insn->len += len;
	return ret;
}

/* The default address size. */
static unsigned int mode_bytes(struct vmlet_vcpu *vcpu)
{
	if (vmlet_is_64bit(vcpu))
		return 8;
	vmlet_need(vcpu, VMLET_G_SEGS);
	return vcpu->seg[VMLET_CS].db ? 4 : 2;
}

/* Other code than the last time, or by another way. */
bool vmlet_insn_anew(struct vmlet_vcpu *vcpu, struct vmlet_code *code, const struct vmlet_slots *slots, int change)
{
	struct vmlet_insn *insn = &code->insn;

	insn->len = 0;
	code->op = NULL;
	if (change < 0 && (!vmlet_code_find(vcpu, code, slots) || vmlet_code_read(code) < 0))
		return false;
	memcpy(insn->bytes, code->bytes, VMLET_INSN_MAX);
	insn->len = VMLET_INSN_MAX;
	if (!vmlet_insn_parse(insn, 8))
		return true;
	code->slots = 0;
	return false;
}

/* True: @insn is what vmlet_insn_peek() found. */
static bool peek(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	const struct vmlet_code *code = vmlet_insn_peek(vcpu, vmlet_slots(vcpu->vm));

	if (code)
		*insn = code->insn;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return code;
}

/* What is wrong with the next page matters only if the instruction does not end in this one. */
int vmlet_insn_decode(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn)
{
	struct vmlet_pf pf;
	gva_t linear;
	int ret, err;

	if (peek(vcpu, insn))
		return 0;
	linear = vmlet_linear_rip(vcpu);
	insn->len = 0;
	err = fetch_page(vcpu, insn, linear, &pf);
	if (!err && insn->len < VMLET_INSN_MAX)
		err = fetch_page(vcpu, insn, linear_add(vcpu, linear, insn->len), &pf);

	ret = vmlet_insn_parse(insn, mode_bytes(vcpu));
	if (ret == -ENODATA)
		ret = err ?: -EINVAL;
	if (ret == -EACCES)
		return vmlet_inject_pf(vcpu, pf.address, pf.error);
	if (!ret)
		insn->ea = vmlet_insn_address(vcpu, insn);
	return ret;
}

u64 vmlet_operand(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes)
{
	if (nr == VMLET_RSP)
		vmlet_need(vcpu, VMLET_G_RSP);
	return vmlet_reg(vcpu->regs, insn, nr, bytes);
}

void vmlet_operand_set(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes,
		       u64 value)
{
	if (nr == VMLET_RSP)
		vmlet_touch(vcpu, VMLET_G_RSP);
	vmlet_reg_set(vcpu->regs, insn, nr, bytes, value);
}

/* May @len bytes at @ea be accessed through @seg of a mode with limits? */
static bool in_limit(const struct kvm_segment *seg, u64 ea, unsigned int len)
{
	u64 last = ea + len - 1;

	if ((seg->type & 0xc) == 4)	/* data that expands down: valid above the limit */
		return ea > seg->limit && last <= (seg->db ? U32_MAX : U16_MAX);
	return last <= seg->limit || seg->limit == U32_MAX;
}

static bool has_right(struct vmlet_vcpu *vcpu, const struct kvm_segment *seg, bool write)
{
	if (!(vcpu->cr0 & X86_CR0_PE) || vmlet_rflags(vcpu) & X86_EFLAGS_VM)
		return true;
	if (seg->unusable)
		return false;
	return write ? (seg->type & 0xa) == 2 : (seg->type & 0xa) != 8;
}

bool vmlet_linear(struct vmlet_vcpu *vcpu, u8 nr, u64 ea, unsigned int len, bool write, gva_t *linear)
{
	const struct kvm_segment *seg = &vcpu->seg[nr];

	vmlet_need(vcpu, VMLET_G_CR);
	if (vmlet_is_64bit(vcpu)) {
		*linear = ea;
		if (nr == VMLET_FS || nr == VMLET_GS) {
			vmlet_need(vcpu, VMLET_G_SEGS);
			*linear += seg->base;
		}
		return canonical(vcpu, *linear) && canonical(vcpu, *linear + len - 1);
	}
	vmlet_need(vcpu, VMLET_G_SEGS);
	*linear = (u32)(ea + seg->base);
	return has_right(vcpu, seg, write) && in_limit(seg, ea, len);
}

/* Alignment is checked of user code, if its kernel says so, and of what is not larger than a register. */
static bool is_misaligned(struct vmlet_vcpu *vcpu, gva_t linear, unsigned int len)
{
	if (vmlet_cpl(vcpu) != 3 || !(vcpu->cr0 & X86_CR0_AM) || !(vmlet_rflags(vcpu) & X86_EFLAGS_AC))
		return false;
	return len <= sizeof(u64) && linear & (len - 1);
}

int vmlet_span_map(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, unsigned int len, u8 access,
		   struct vmlet_span *span)
{
	struct vmlet_pf pf;
	gva_t linear, second;
	int ret;

	if (!vmlet_linear(vcpu, seg, ea, len, access & VMLET_ACCESS_WRITE, &linear))
		return vmlet_inject_error(vcpu, seg == VMLET_SS ? X86_TRAP_SS : X86_TRAP_GP, 0);
	if (is_misaligned(vcpu, linear, len))
		return vmlet_inject_error(vcpu, X86_TRAP_AC, 0);
	access |= user_access(vcpu);
	span->len = len;
	span->first = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
	ret = vmlet_gva_to_gpa(vcpu, linear, access, &span->gpa[0], &pf);
	if (!ret && span->first < len) {
		second = linear_add(vcpu, linear, span->first);
		ret = vmlet_gva_to_gpa(vcpu, second, access, &span->gpa[1], &pf);
	}
	if (ret == -EACCES)
		return vmlet_inject_pf(vcpu, pf.address, pf.error);
	return ret;
}

unsigned int vmlet_span_piece(const struct vmlet_span *span, unsigned int done, gpa_t *gpa)
{
	if (done < span->first) {
		*gpa = span->gpa[0] + done;
		return span->first - done;
	}
	*gpa = span->gpa[1] + (done - span->first);
	return span->len - done;
}

int vmlet_string_done(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u64 n)
{
	/* A trap flag is honoured after each iteration. */
	vmlet_skip_len(vcpu, vmlet_string_step(vcpu->regs, insn, n) ? insn->len : 0);
	return VMLET_RESUME;
}
