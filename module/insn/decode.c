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
#include "insn.h"

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

static u64 size_mask(unsigned int bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static u64 effective_address(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn)
{
	u64 ea = insn->disp;

	if (insn->base == VMLET_REG_RIP)
		ea += vmlet_rip(vcpu) + insn->len;
	else if (insn->base != VMLET_REG_NONE)
		ea += vmlet_gpr(vcpu, insn->base);
	if (insn->index != VMLET_REG_NONE)
		ea += vmlet_gpr(vcpu, insn->index) << insn->scale;
	return ea & size_mask(insn->ad_bytes);
}

/* What is wrong with the next page matters only if the instruction does not end in this one. */
int vmlet_insn_decode(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn)
{
	gva_t linear = vmlet_linear_rip(vcpu);
	struct vmlet_pf pf;
	int ret, err;

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
		insn->ea = effective_address(vcpu, insn);
	return ret;
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH and BH. */
static bool is_high_byte(const struct vmlet_insn *insn, u8 nr, unsigned int bytes)
{
	return bytes == 1 && !insn->rex && nr >= 4 && nr < 8;
}

u64 vmlet_operand(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes)
{
	if (is_high_byte(insn, nr, bytes))
		return (u8)(vmlet_gpr(vcpu, nr - 4) >> 8);
	return vmlet_gpr(vcpu, nr) & size_mask(bytes);
}

void vmlet_operand_set(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes,
		       u64 value)
{
	u64 mask = size_mask(bytes);

	if (is_high_byte(insn, nr, bytes)) {
		nr -= 4;
		mask <<= 8;
		value <<= 8;
	}
	value &= mask;
	if (bytes < 4)
		value |= vmlet_gpr(vcpu, nr) & ~mask;
	vmlet_gpr_set(vcpu, nr, value);
}

/* May @len bytes at @ea be accessed through @seg of a mode with limits? */
static bool in_limit(const struct kvm_segment *seg, u64 ea, unsigned int len)
{
	u64 last = ea + len - 1;

	if ((seg->type & 0xc) == 4)	/* data that expands down: valid above the limit */
		return ea > seg->limit && last <= (seg->db ? U32_MAX : U16_MAX);
	return last <= seg->limit;
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

int vmlet_span_map(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, unsigned int len, u8 access,
		   struct vmlet_span *span)
{
	struct vmlet_pf pf;
	gva_t linear, second;
	int ret;

	if (!vmlet_linear(vcpu, seg, ea, len, access & VMLET_ACCESS_WRITE, &linear))
		return vmlet_inject_error(vcpu, seg == VMLET_SS ? X86_TRAP_SS : X86_TRAP_GP, 0);
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

u64 vmlet_string_address(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 index)
{
	return vmlet_gpr(vcpu, index) & size_mask(insn->ad_bytes);
}

u64 vmlet_string_count(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn)
{
	if (!insn->rep)
		return 1;
	return vmlet_gpr(vcpu, VMLET_RCX) & size_mask(insn->ad_bytes);
}

void vmlet_string_advance(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 index, u64 n)
{
	u64 address = vmlet_gpr(vcpu, index);
	u64 delta = n * insn->op_bytes;

	address = vmlet_rflags(vcpu) & X86_EFLAGS_DF ? address - delta : address + delta;
	vmlet_operand_set(vcpu, insn, index, insn->ad_bytes, address);
}

int vmlet_string_done(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u64 n)
{
	u64 count = vmlet_string_count(vcpu, insn) - n;

	if (insn->rep)
		vmlet_operand_set(vcpu, insn, VMLET_RCX, insn->ad_bytes, count);
	if (!count || !insn->rep)
		vmlet_skip_len(vcpu, insn->len);
	return VMLET_RESUME;
}
