/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the instruction decoder
 *
 * Needed where the hardware does not say enough: MMIO, string port I/O, control and debug register
 * moves on CPUs without decode assists, and the length of an instruction on CPUs without NRIP
 * save.
 */
#ifndef VMLET_INSN_H
#define VMLET_INSN_H

#include "../vmlet.h"

/*
 * Fetch and decode the instruction at RIP. VMLET_RESUME: a fault was queued for the guest, enter
 * it; 0: decoded; -EINVAL: unknown to the decoder (@insn->bytes and @insn->len hold what was
 * fetched); -EFAULT: memory gone; -ENXIO: the code is not in memory.
 */
int vmlet_insn_decode(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn);

/* Register @nr as an operand, @bytes wide: four zero the upper half, fewer leave the rest alone. */
u64 vmlet_operand(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes);
void vmlet_operand_set(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u8 nr, unsigned int bytes,
		       u64 value);

/* Linear address of @len bytes at seg:ea; whether the segment permits them and the address is canonical. */
bool vmlet_linear(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, unsigned int len, bool write, gva_t *linear);

/*
 * Guest memory at seg:ea, at most a page of it, for VMLET_ACCESS_READ, WRITE or both, checked and
 * translated. 0; VMLET_RESUME: a fault was queued; -errno.
 */
int vmlet_span_map(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, unsigned int len, u8 access,
		   struct vmlet_span *span);

/* What is behind the first @done bytes: its GPA, and how much is contiguous. */
unsigned int vmlet_span_piece(const struct vmlet_span *span, unsigned int done, gpa_t *gpa);

/* Count off @n elements of a string instruction, which ends with the last one. Returns VMLET_RESUME. */
int vmlet_string_done(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, u64 n);

/*
 * Emulate the instruction at RIP, which exited with a nested fault where no memory is. It need not
 * be an operand that is there: the guest's page tables can be in read-only memory. Slow handler's
 * return value.
 */
int vmlet_mmio_emulate(struct vmlet_vcpu *vcpu);

/*
 * Likewise in the inner loop, where it is known that no memory is: a plain move, from or to a device of the kernel's. Fast
 * handler's return value. If it is userspace's, vmlet_mmio_ask() does what is left: vcpu->exit.fault.prepared is set.
 */
int vmlet_mmio_move(struct vmlet_vcpu *vcpu);
int vmlet_mmio_ask(struct vmlet_vcpu *vcpu);

/*
 * INS or OUTS, which are vcpu->insn and vcpu->pio, where no memory is: one element. Slow handler's return value. It
 * comes back for the port, to exit/string.c, which calls @answered when vcpu->pio_data has been read or written.
 */
int vmlet_mmio_port(struct vmlet_vcpu *vcpu);
int vmlet_string_port(struct vmlet_vcpu *vcpu, int (*answered)(struct vmlet_vcpu *vcpu));

#endif
