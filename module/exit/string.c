// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: string port I/O
 *
 * INS and OUTS, with and without REP. One exit to userspace carries as many elements as one page
 * of guest memory and the buffer hold. Registers move only when userspace has done its part; as
 * long as RCX is not zero the CPU then executes the same instruction again, so that interrupts get
 * in between. The hardware has checked the right to the port, but not the memory operand.
 */
#include <linux/mm.h>

#include "../cpu/vendor.h"
#include "../insn/insn.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../run/run.h"

#define OUTS_BYTES	PAGE_SIZE
#define INS_BYTES	1024

static u8 index_register(bool in)
{
	return in ? VMLET_RDI : VMLET_RSI;
}

/* How many of the elements at @ea one exit can carry: ascending, in one page, without wrap of the index. A single step is over one. */
static u32 batch(struct vmlet_vcpu *vcpu, u64 ea, u64 count)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	u64 wrap = ~0ull >> (64 - 8 * insn->ad_bytes);
	u64 room = vcpu->pio.in ? INS_BYTES : OUTS_BYTES;

	if (vmlet_rflags(vcpu) & (X86_EFLAGS_DF | X86_EFLAGS_TF))
		return 1;
	room = min(room, wrap - ea);
	return clamp_t(u64, room / insn->op_bytes, 1, count);
}

/*
 * Where the next elements are: at most @count, less where the page ends. One element may cross
 * pages. Where not all are inside the segment, one at a time: the fault belongs to the element
 * that goes beyond.
 */
static int map_elements(struct vmlet_vcpu *vcpu, u64 ea, u32 *count, struct vmlet_span *span)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	u8 seg = vcpu->pio.in ? VMLET_ES : insn->seg;
	u8 access = vcpu->pio.in ? VMLET_ACCESS_WRITE : VMLET_ACCESS_READ;
	gva_t linear;
	u32 n;
	int ret;

	ret = vmlet_span_map(vcpu, seg, ea, insn->op_bytes, access, span);
	if (ret)
		return ret;
	n = (PAGE_SIZE - offset_in_page(span->gpa[0])) / insn->op_bytes;
	n = clamp_t(u32, n, 1, *count);
	if (!vmlet_linear(vcpu, seg, ea, n * insn->op_bytes, vcpu->pio.in, &linear))
		n = 1;
	if (n > 1)
		span->len = span->first = n * insn->op_bytes;
	*count = n;
	return 0;
}

/* Between guest memory and the buffer that is shared with userspace. */
static int copy_elements(struct vmlet_vcpu *vcpu, const struct vmlet_span *span)
{
	unsigned int done, piece;
	gpa_t gpa;
	int ret;

	for (done = 0; done < span->len; done += piece) {
		piece = vmlet_span_piece(span, done, &gpa);
		if (vcpu->pio.in)
			ret = vmlet_mem_write(vcpu, gpa, vcpu->pio_data + done, piece);
		else
			ret = vmlet_mem_read(vcpu, gpa, vcpu->pio_data + done, piece);
		if (ret == -ENXIO)
			return vmlet_emulation_failed(vcpu, vcpu->insn.bytes, vcpu->insn.len);
		if (ret)
			return ret;
	}
	return VMLET_RESUME;
}

/*
 * Userspace is done. It may have changed registers meanwhile: what counts is what they say now,
 * and no more is moved than was asked for.
 */
static int complete_elements(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	u8 index = index_register(vcpu->pio.in);
	u32 n = min_t(u64, vcpu->pio.count, vmlet_string_count(vcpu->regs, insn));
	struct vmlet_span span;
	int ret;

	if (vcpu->pio.in && n) {
		ret = map_elements(vcpu, vmlet_string_address(vcpu->regs, insn, index), &n, &span);
		if (ret)
			return ret;
		ret = copy_elements(vcpu, &span);
		if (ret != VMLET_RESUME)
			return ret;
	}
	vmlet_string_advance(vcpu->regs, insn, vmlet_rflags(vcpu), index, n);
	return vmlet_string_done(vcpu, insn, n);
}

static int ask_userspace(struct vmlet_vcpu *vcpu, int (*complete)(struct vmlet_vcpu *vcpu))
{
	struct kvm_run *run = vcpu->run;

	run->io.direction = vcpu->pio.in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = vcpu->pio.size;
	run->io.port = vcpu->pio.port;
	run->io.count = vcpu->pio.count;
	run->io.data_offset = VMLET_PIO_PAGE * PAGE_SIZE;
	if (vcpu->pio.in)
		memset(vcpu->pio_data, 0, vcpu->pio.size * vcpu->pio.count);
	return vmlet_to_user(vcpu, KVM_EXIT_IO, complete);
}

/* How many of the elements somebody in the kernel serves: up to the first that is userspace's. */
static u32 serve_elements(struct vmlet_vcpu *vcpu)
{
	unsigned int size = vcpu->pio.size;
	u8 *data = vcpu->pio_data;
	u64 value;
	u32 n;

	guard(rcu)();
	for (n = 0; n < vcpu->pio.count; n++, data += size) {
		value = 0;
		memcpy(&value, data, size);
		if (!vmlet_bus_access(vcpu, VMLET_BUS_PORT, vcpu->pio.port, size, &value, !vcpu->pio.in))
			break;
		if (vcpu->pio.in)
			memcpy(data, &value, size);
	}
	return n;
}

int vmlet_string_port(struct vmlet_vcpu *vcpu, int (*answered)(struct vmlet_vcpu *vcpu))
{
	return serve_elements(vcpu) ? answered(vcpu) : ask_userspace(vcpu, answered);
}

/* Or is some of it a device? */
static bool is_memory(struct vmlet_vcpu *vcpu, const struct vmlet_span *span)
{
	unsigned int done, piece;
	gpa_t gpa;

	for (done = 0; done < span->len; done += piece) {
		piece = vmlet_span_piece(span, done, &gpa);
		if (!vmlet_mem_is_there(vcpu, gpa, vcpu->pio.in))
			return false;
	}
	return true;
}

/* ins: 6c, 6d; outs: 6e, 6f */
static bool is_string_io(const struct vmlet_insn *insn)
{
	return insn->map == VMLET_MAP_ONE && (insn->opcode & 0xfc) == 0x6c;
}

static void set_operation(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn *insn = &vcpu->insn;

	/* There are no ports of eight bytes: REX.W is ignored. */
	if (insn->op_bytes == 8)
		insn->op_bytes = 4;
	vcpu->pio.in = !(insn->opcode & 2);
	vcpu->pio.size = insn->op_bytes;
	vcpu->pio.port = vmlet_gpr(vcpu, VMLET_RDX);
}

int vmlet_exit_io_string(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn *insn = &vcpu->insn;
	struct vmlet_span span;
	u64 ea, count;
	u32 served;
	int ret;

	ret = vmlet_insn_decode(vcpu, insn);
	if (ret == -EINVAL || ret == -ENXIO || (!ret && !is_string_io(insn)))
		return vmlet_emulation_failed(vcpu, insn->bytes, insn->len);
	if (ret)
		return ret;
	set_operation(vcpu);
	count = vmlet_string_count(vcpu->regs, insn);
	if (!count)
		return vmlet_string_done(vcpu, insn, 0);

	ea = vmlet_string_address(vcpu->regs, insn, index_register(vcpu->pio.in));
	vcpu->pio.count = batch(vcpu, ea, count);
	ret = map_elements(vcpu, ea, &vcpu->pio.count, &span);
	if (ret)
		return ret;
	if (!is_memory(vcpu, &span)) {
		vcpu->pio.count = 1;
		return vmlet_mmio_port(vcpu);
	}
	if (!vcpu->pio.in) {
		ret = copy_elements(vcpu, &span);
		if (ret != VMLET_RESUME)
			return ret;
	}
	served = serve_elements(vcpu);
	if (!served)
		return ask_userspace(vcpu, complete_elements);
	vcpu->pio.count = served;
	return complete_elements(vcpu);
}
