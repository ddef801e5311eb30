/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: tracepoints
 *
 * vmlet:kvm_*, with the names and fields of KVM's own where they mean the same, so that those who know them need not learn. The
 * reason of an exit is there twice: as the hardware says it, and by vmlet's name.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmlet

#if !defined(VMLET_OBSERVE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VMLET_OBSERVE_TRACE_H

#include <linux/tracepoint.h>

#include "../cpu/vendor.h"

/* KVM's numbers. As macros: those who read formats do not know our enums. */
#define VMLET_ISA_VMX			1
#define VMLET_ISA_SVM			2
#define VMLET_MMIO_READ_UNSATISFIED	0
#define VMLET_MMIO_READ			1
#define VMLET_MMIO_WRITE		2

#define X(sym, name) TRACE_DEFINE_ENUM(VMLET_EXIT_##sym);
VMLET_EXIT_REASONS(X)
#undef X

#define VMLET_EXIT_SYMBOL(sym, name) { VMLET_EXIT_##sym, name },

TRACE_EVENT(kvm_entry,
	TP_PROTO(struct vmlet_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->rip = vmlet_rip(vcpu);
	),
	TP_printk("vcpu %u, rip 0x%lx", __entry->vcpu_id, __entry->rip)
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(struct vmlet_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u8, reason)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		__entry->exit_reason = vcpu->exit.hw_reason;
		__entry->guest_rip = vmlet_rip(vcpu);
		__entry->isa = vmlet_vendor == &vmlet_svm ? VMLET_ISA_SVM : VMLET_ISA_VMX;
		__entry->reason = vcpu->exit.reason;
		__entry->vcpu_id = vcpu->id;
	),
	TP_printk("vcpu %u reason %s rip 0x%lx hardware 0x%x", __entry->vcpu_id,
		  __print_symbolic(__entry->reason, VMLET_EXIT_REASONS(VMLET_EXIT_SYMBOL) { 255, "none" }),
		  __entry->guest_rip, __entry->exit_reason)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(struct vmlet_vcpu *vcpu, u64 fault_address, u64 error_code),
	TP_ARGS(vcpu, fault_address, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->guest_rip = vmlet_rip(vcpu);
		__entry->fault_address = fault_address;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx access %s%s%s", __entry->vcpu_id, __entry->guest_rip,
		  __entry->fault_address, __entry->error_code & VMLET_ACCESS_READ ? "r" : "",
		  __entry->error_code & VMLET_ACCESS_WRITE ? "w" : "", __entry->error_code & VMLET_ACCESS_EXEC ? "x" : "")
);

TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size, unsigned int count, u32 val),
	TP_ARGS(rw, port, size, count, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = size < 4 ? val & ((1u << 8 * size) - 1) : val;
	),
	TP_printk("pio_%s at 0x%x size %u count %u val 0x%x", __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val)
);

TRACE_EVENT(kvm_mmio,
	TP_PROTO(int type, int len, u64 gpa, u64 val),
	TP_ARGS(type, len, gpa, val),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = len < 8 ? val & ((1ull << 8 * len) - 1) : val;
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type, { VMLET_MMIO_READ_UNSATISFIED, "unsatisfied-read" },
				   { VMLET_MMIO_READ, "read" }, { VMLET_MMIO_WRITE, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(unsigned int write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read", __entry->ecx, __entry->data,
		  __entry->exception ? " (refused)" : "")
);

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector),
	TP_ARGS(vector),
	TP_STRUCT__entry(__field(unsigned int, vector)),
	TP_fast_assign(__entry->vector = vector;),
	TP_printk("vector 0x%x", __entry->vector)
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(unsigned int exception, bool has_error, u32 error_code),
	TP_ARGS(exception, has_error, error_code),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
	),
	TP_fast_assign(
		__entry->exception = exception;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
	),
	TP_printk("vector %u error 0x%x%s", __entry->exception, __entry->error_code, __entry->has_error ? "" : " (none)")
);

TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int errno),
	TP_ARGS(reason, errno),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = errno;
	),
	TP_printk("reason %u, KVM_RUN returns %d", __entry->reason, __entry->errno)
);

TRACE_EVENT(kvm_unmap_hva_range,
	TP_PROTO(unsigned long start, unsigned long end),
	TP_ARGS(start, end),
	TP_STRUCT__entry(
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("hva 0x%lx to 0x%lx", __entry->start, __entry->end)
);

TRACE_EVENT(kvm_mmu_set_spte,
	TP_PROTO(int level, gfn_t gfn, u64 spte),
	TP_ARGS(level, gfn, spte),
	TP_STRUCT__entry(
		__field(u64, gfn)
		__field(u64, spte)
		__field(u8, level)
	),
	TP_fast_assign(
		__entry->gfn = gfn;
		__entry->spte = spte;
		__entry->level = level;
	),
	TP_printk("gfn 0x%llx spte 0x%llx level %u", __entry->gfn, __entry->spte, __entry->level)
);

TRACE_EVENT(vmlet_memory_slot,
	TP_PROTO(u64 vm, const struct kvm_userspace_memory_region2 *region),
	TP_ARGS(vm, region),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, gpa)
		__field(u64, size)
		__field(u64, hva)
		__field(u32, slot)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->gpa = region->guest_phys_addr;
		__entry->size = region->memory_size;
		__entry->hva = region->userspace_addr;
		__entry->slot = region->slot;
		__entry->flags = region->flags;
	),
	TP_printk("vm %llu slot %u gpa 0x%llx size 0x%llx hva 0x%llx flags 0x%x", __entry->vm, __entry->slot, __entry->gpa,
		  __entry->size, __entry->hva, __entry->flags)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
