/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the instruction decoder
 *
 * Needed where the hardware does not say enough: MMIO, string port I/O, control and debug register moves on CPUs
 * without decode assists, and the length of an instruction on CPUs without NRIP save.
 */
#ifndef VMLET_INSN_H
#define VMLET_INSN_H

#include "../vmlet.h"

/**
 * struct vmlet_insn - a decoded instruction
 * @len:	bytes, 1 to 15
 * @bytes:	fetched once
 * @map, @opcode: opcode map (0 one byte, 1 0F, 2 0F38, 3 0F3A) and opcode byte
 * @op_bytes, @ad_bytes: operand and address size: 1, 2, 4, 8
 * @rep:	0, 0xF2 or 0xF3
 * @seg:	segment of the memory operand, enum vmlet_seg
 * @reg:	register named by ModRM.reg with REX.R; @rm: by ModRM.rm with REX.B
 * @has_modrm, @is_mem: ModRM was there; it names memory
 * @ea:		effective address of the memory operand, without segment base
 * @imm:	immediate, sign extended
 */
struct vmlet_insn {
	u8 len;
	u8 bytes[VMLET_INSN_MAX];
	u8 map, opcode, modrm, rex, rep;
	u8 op_bytes, ad_bytes;
	u8 seg, reg, rm;
	bool has_modrm, is_mem, lock;
	u64 ea;
	u64 imm;
};

/*
 * Fetch and decode the instruction at RIP. VMLET_RESUME: a fault was queued for the guest, enter it; 0: decoded;
 * -EINVAL: unknown to the decoder (@insn->bytes and @insn->len hold what was fetched); -EFAULT: memory gone;
 * -ENXIO: the code is not in memory.
 */
int vmlet_insn_decode(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn);

/* Linear address of @len bytes at seg:ea, checked. 0, or VMLET_RESUME: #GP or #SS was queued. */
int vmlet_linear(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, unsigned int len, bool write, gva_t *linear);

/* Emulate the instruction at RIP that touched @gpa, where no memory is. Slow handler's return value. */
int vmlet_mmio_emulate(struct vmlet_vcpu *vcpu, gpa_t gpa);

#endif
