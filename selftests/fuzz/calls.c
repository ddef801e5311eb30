// SPDX-License-Identifier: GPL-2.0
/* The table of calls: see calls.h. */
#include "calls.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096ul

struct world world;

int world_fd(struct rng *rng, enum object kind)
{
	int fd = -1;

	/* Mostly one that is there. */
	for (u32 i = 0; i < 4 && fd < 0; i++)
		fd = __atomic_load_n(&world.fd[kind][below(rng, OBJECT_MANY)], __ATOMIC_RELAXED);
	return fd;
}

/* Drawn values: mostly possible ones. */

static u64 any(struct rng *rng)
{
	return rnd_value(rng);
}

static u64 zero(struct rng *rng)
{
	return chance(rng, 95) ? 0 : rnd_value(rng);
}

static u64 flag(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 2) : rnd_value(rng);
}

static u64 few(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 6) : rnd_value(rng);
}

static u64 bits(struct rng *rng)
{
	return chance(rng, 85) ? below(rng, 16) & below(rng, 16) : rnd_value(rng);
}

static u64 byte(struct rng *rng)
{
	return chance(rng, 95) ? below(rng, 256) : rnd_value(rng);
}

static u64 gpa(struct rng *rng)
{
	static const u64 pages[] = { 0xfee00000, 0xfec00000, 0xfffbd000, 0xd0000, 0xfffff000, 0x100000000 };

	if (chance(rng, 75))
		return below(rng, 2 * WORLD_RAM / PAGE) * PAGE;
	return chance(rng, 50) ? PICK(rng, pages) : rnd_value(rng);
}

static u64 slot_number(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 5) : rnd_value(rng);
}

/* Bitmaps of logs are as large as slots: none of terabytes, which is not what memory is for. */
static u64 slot_size(struct rng *rng)
{
	if (chance(rng, 15))
		return 0;
	if (chance(rng, 75))
		return (1 + below(rng, 1u << below(rng, 11))) * PAGE;
	return rnd_value(rng) & ((1ull << 33) - 1);
}

/* What is read and cleared of a log is a multiple of 64 pages, or all. */
static u64 log_pages(struct rng *rng)
{
	return chance(rng, 70) ? 64 * below(rng, 8) : rnd_value(rng);
}

static u64 slot_flags(struct rng *rng)
{
	return chance(rng, 95) ? below(rng, 4) & below(rng, 4) : rnd_value(rng);
}

static u64 hva(struct rng *rng)
{
	if (chance(rng, 95))
		return (u64)world.ram + below(rng, WORLD_RAM / PAGE) * PAGE;
	/* Not where the fuzzer itself is. */
	return rnd_value(rng) | 1ull << 62;
}

static u64 scratch(struct rng *rng)
{
	return chance(rng, 97) ? (u64)world.scratch : rnd_value(rng) >> 1 | 1ull << 63;
}

static u64 io_address(struct rng *rng)
{
	return chance(rng, 70) ? 0x10 + below(rng, 8) : gpa(rng);
}

static u64 io_length(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 5) & 3 ? 1u << below(rng, 4) : 0 : rnd_value(rng);
}

static u64 event_fd(struct rng *rng)
{
	return chance(rng, 90) ? world_fd(rng, EVENT) : world_fd(rng, below(rng, OBJECTS));
}

static u64 gsi(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 26) : rnd_value(rng);
}

static u64 msi_low(struct rng *rng)
{
	return chance(rng, 90) ? 0xfee00000 | below(rng, 6) << 12 | below(rng, 16) : rnd_value(rng);
}

static u64 msi_data(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, 0x1000) : rnd_value(rng);
}

static u64 vcpu_id(struct rng *rng)
{
	return chance(rng, 90) ? below(rng, OBJECT_MANY) : rnd_value(rng);
}

static u64 cap(struct rng *rng)
{
	return chance(rng, 95) ? below(rng, 256) : rnd_value(rng);
}

static u64 khz(struct rng *rng)
{
	return chance(rng, 50) ? 100000 + below(rng, 4000000) : rnd_value(rng);
}

static u64 mp_state(struct rng *rng)
{
	return chance(rng, 95) ? below(rng, 11) : rnd_value(rng);
}

static u64 msr_index(struct rng *rng)
{
	static const u32 groups[] = {
		0x10, 0x11, 0x17, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xce, 0xfe, 0x10a, 0x174, 0x175, 0x176,
		0x179, 0x17a, 0x17b, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x277, 0x2ff, 0x345, 0x400, 0x401,
		0x480, 0x6e0, 0x800, 0x830, 0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
		0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015, 0xc0010114, 0xc0010117,
		0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x40000000,
	};

	if (chance(rng, 5))
		return rnd_value(rng);
	return PICK(rng, groups) + (chance(rng, 30) ? below(rng, 64) : 0);
}

/* Most MSRs take an address, a few bits, or what they were. */
static u64 msr_value(struct rng *rng)
{
	return chance(rng, 40) ? gpa(rng) | below(rng, 4) : rnd_value(rng);
}

#define FIELD(type, member, draw) \
	{ offsetof(struct type, member), sizeof(((struct type *)0)->member), draw }
#define FIELDS(...) (const struct field[]){ __VA_ARGS__, { 0 } }

#define REGION_FIELDS(type)							\
	FIELD(type, slot, slot_number), FIELD(type, flags, slot_flags),		\
	FIELD(type, guest_phys_addr, gpa), FIELD(type, memory_size, slot_size),	\
	FIELD(type, userspace_addr, hva)
#define PIT_FIELDS(type)							\
	FIELD(type, channels[0], any), FIELD(type, channels[0].count, any),	\
	FIELD(type, channels[0].mode, few), FIELD(type, channels[1].mode, few),	\
	FIELD(type, channels[2].count, any), FIELD(type, channels[2].gate, flag)

/* Arrays: a head with a count, and entries. */

static u32 count(struct rng *rng, u32 most)
{
	return chance(rng, 90) ? below(rng, most + 1) : rnd_value(rng);
}

static u32 at_most(u32 n, u32 most)
{
	return n < most ? n : most;
}

static void fill_msrs(struct rng *rng, u8 *arg)
{
	struct kvm_msrs *msrs = (void *)arg;

	msrs->nmsrs = count(rng, 8);
	for (u32 i = 0; i < at_most(msrs->nmsrs, 64); i++) {
		msrs->entries[i].index = msr_index(rng);
		msrs->entries[i].data = msr_value(rng);
	}
}

static void fill_list(struct rng *rng, u8 *arg)
{
	((struct kvm_msr_list *)arg)->nmsrs = chance(rng, 60) ? 300 : rnd_value(rng);
}

static void fill_cpuid_room(struct rng *rng, u8 *arg)
{
	((struct kvm_cpuid2 *)arg)->nent = chance(rng, 60) ? 256 : rnd_value(rng);
}

/* What the device supports, with some bits changed. */
static void fill_cpuid(struct rng *rng, u8 *arg)
{
	struct kvm_cpuid2 *cpuid = (void *)arg;

	cpuid->nent = 256;
	if (__fd_ioctl(world_fd(rng, DEVICE), KVM_GET_SUPPORTED_CPUID, (u64)arg))
		return;
	if (chance(rng, 70))
		rnd_damage(rng, cpuid->entries, cpuid->nent * sizeof(cpuid->entries[0]));
	if (chance(rng, 10))
		cpuid->nent = rnd_value(rng);
}

static void fill_routes(struct rng *rng, u8 *arg)
{
	struct kvm_irq_routing *routes = (void *)arg;

	routes->nr = count(rng, 30);
	routes->flags = zero(rng);
	for (u32 i = 0; i < at_most(routes->nr, 200); i++) {
		struct kvm_irq_routing_entry *e = &routes->entries[i];

		/* One message, or one pin of a controller, a GSI: otherwise the table is refused. */
		e->gsi = i;
		e->type = 1 + below(rng, 2);
		if (e->type == KVM_IRQ_ROUTING_MSI) {
			e->u.msi.address_lo = msi_low(rng);
			e->u.msi.data = msi_data(rng);
		} else {
			e->u.irqchip.irqchip = below(rng, 3);
			e->u.irqchip.pin = below(rng, e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC ? 24 : 8);
		}
	}
	if (routes->nr && routes->nr <= 200 && chance(rng, 20))
		rnd_damage(rng, routes->entries, routes->nr * sizeof(routes->entries[0]));
}

static void fill_signal_mask(struct rng *rng, u8 *arg)
{
	struct kvm_signal_mask *mask = (void *)arg;

	mask->len = chance(rng, 90) ? 8 : rnd_value(rng);
	rnd_bytes(rng, mask->sigset, 8);
	/* Without the fuzzer's own signal most cases would end here. */
	if (chance(rng, 90))
		mask->sigset[(SIGUSR1 - 1) / 8] &= ~(1u << (SIGUSR1 - 1) % 8);
}

static void fill_filter(struct rng *rng, u8 *arg)
{
	struct kvm_msr_filter *filter = (void *)arg;

	filter->flags = flag(rng);
	for (u32 i = 0; i < below(rng, 4); i++) {
		filter->ranges[i].flags = bits(rng);
		filter->ranges[i].nmsrs = count(rng, 64);
		filter->ranges[i].base = msr_index(rng);
		filter->ranges[i].bitmap = (u8 *)scratch(rng);
	}
}

/* A controller's state, as it is, and which one. */
static void fill_irqchip(struct rng *rng, u8 *arg)
{
	struct kvm_irqchip *chip = (void *)arg;

	chip->chip_id = below(rng, 3);
	__fd_ioctl(world_fd(rng, VM), KVM_GET_IRQCHIP, (u64)arg);
	rnd_damage(rng, &chip->chip, sizeof(chip->chip));
	if (chance(rng, 10))
		chip->chip_id = rnd_value(rng);
}

static void fill_attr(struct rng *rng, u8 *arg)
{
	*(struct kvm_device_attr *)arg = (struct kvm_device_attr) {
		.flags = zero(rng), .group = flag(rng), .attr = flag(rng), .addr = scratch(rng),
	};
}

static void fill_cap(struct rng *rng, u8 *arg)
{
	static const u32 caps[] = {
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_MAX_VCPU_ID, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_X2APIC_API,
		KVM_CAP_X86_DISABLE_EXITS, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_USER_SPACE_MSR,
		KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_EXIT_HYPERCALL, KVM_CAP_X86_NOTIFY_VMEXIT,
		KVM_CAP_X86_BUS_LOCK_EXIT, KVM_CAP_HALT_POLL, KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
		KVM_CAP_DIRTY_LOG_RING, KVM_CAP_HYPERV_SYNIC, KVM_CAP_DISABLE_QUIRKS2,
	};
	struct kvm_enable_cap *cap = (void *)arg;

	cap->cap = chance(rng, 80) ? PICK(rng, caps) : below(rng, 256);
	cap->flags = zero(rng);
	cap->args[0] = chance(rng, 70) ? few(rng) : rnd_value(rng);
}

static void fill_routes_or_empty(struct rng *rng, u8 *arg)
{
	if (chance(rng, 90))
		fill_routes(rng, arg);
}

#define CALL(kind, number, ...) { .name = #number, .cmd = number, .target = kind, ##__VA_ARGS__ }

static const struct call calls[] = {
	CALL(DEVICE, KVM_GET_API_VERSION, .value = zero),
	CALL(DEVICE, KVM_CREATE_VM, .value = zero, .weight = 3),
	CALL(DEVICE, KVM_CHECK_EXTENSION, .value = cap),
	CALL(DEVICE, KVM_GET_VCPU_MMAP_SIZE, .value = zero),
	CALL(DEVICE, KVM_GET_SUPPORTED_CPUID, .fill = fill_cpuid_room),
	CALL(DEVICE, KVM_GET_EMULATED_CPUID, .fill = fill_cpuid_room),
	CALL(DEVICE, KVM_GET_MSR_INDEX_LIST, .fill = fill_list),
	CALL(DEVICE, KVM_GET_MSR_FEATURE_INDEX_LIST, .fill = fill_list),
	CALL(DEVICE, KVM_GET_MSRS, .fill = fill_msrs),
	CALL(DEVICE, KVM_X86_GET_MCE_CAP_SUPPORTED),
	CALL(DEVICE, KVM_SET_DEVICE_ATTR, .fill = fill_attr),
	CALL(DEVICE, KVM_GET_DEVICE_ATTR, .fill = fill_attr),
	CALL(DEVICE, KVM_HAS_DEVICE_ATTR, .fill = fill_attr),

	CALL(VM, KVM_CHECK_EXTENSION, .value = cap),
	CALL(VM, KVM_CREATE_VCPU, .value = vcpu_id, .weight = 8),
	CALL(VM, KVM_SET_USER_MEMORY_REGION, .fields = FIELDS(REGION_FIELDS(kvm_userspace_memory_region)),
	     .weight = 20),
	CALL(VM, KVM_SET_USER_MEMORY_REGION2, .fields = FIELDS(REGION_FIELDS(kvm_userspace_memory_region2),
	     FIELD(kvm_userspace_memory_region2, guest_memfd_offset, zero)), .weight = 8),
	CALL(VM, KVM_GET_DIRTY_LOG, .fields = FIELDS(FIELD(kvm_dirty_log, slot, slot_number),
	     FIELD(kvm_dirty_log, dirty_bitmap, scratch)), .weight = 10),
	CALL(VM, KVM_CLEAR_DIRTY_LOG, .fields = FIELDS(FIELD(kvm_clear_dirty_log, slot, slot_number),
	     FIELD(kvm_clear_dirty_log, num_pages, log_pages), FIELD(kvm_clear_dirty_log, first_page, log_pages),
	     FIELD(kvm_clear_dirty_log, dirty_bitmap, scratch)), .weight = 10),
	CALL(VM, KVM_SET_NR_MMU_PAGES, .value = any),
	CALL(VM, KVM_GET_NR_MMU_PAGES, .value = zero),
	CALL(VM, KVM_SET_TSS_ADDR, .value = gpa),
	CALL(VM, KVM_SET_IDENTITY_MAP_ADDR, .fields = (const struct field[]){ { 0, 8, gpa }, { 0 } }),
	CALL(VM, KVM_GET_TSC_KHZ, .value = zero),
	CALL(VM, KVM_SET_TSC_KHZ, .value = khz),
	CALL(VM, KVM_GET_CLOCK),
	CALL(VM, KVM_SET_CLOCK, .get = KVM_GET_CLOCK, .weight = 4),
	CALL(VM, KVM_ENABLE_CAP, .fill = fill_cap, .weight = 6),
	CALL(VM, KVM_SET_BOOT_CPU_ID, .value = vcpu_id),
	CALL(VM, KVM_CREATE_IRQCHIP, .value = zero, .weight = 4),
	CALL(VM, KVM_GET_IRQCHIP, .fields = FIELDS(FIELD(kvm_irqchip, chip_id, few)), .weight = 3),
	CALL(VM, KVM_SET_IRQCHIP, .fill = fill_irqchip, .weight = 8),
	CALL(VM, KVM_CREATE_PIT, .value = zero),
	CALL(VM, KVM_CREATE_PIT2, .fields = FIELDS(FIELD(kvm_pit_config, flags, flag)), .weight = 3),
	CALL(VM, KVM_GET_PIT),
	CALL(VM, KVM_SET_PIT, .get = KVM_GET_PIT, .weight = 3),
	CALL(VM, KVM_GET_PIT2),
	CALL(VM, KVM_SET_PIT2, .get = KVM_GET_PIT2, .weight = 3),
	CALL(VM, KVM_SET_PIT2, .fields = FIELDS(PIT_FIELDS(kvm_pit_state2)), .weight = 3),
	CALL(VM, KVM_REINJECT_CONTROL, .fields = FIELDS(FIELD(kvm_reinject_control, pit_reinject, flag))),
	CALL(VM, KVM_IRQ_LINE, .fields = FIELDS(FIELD(kvm_irq_level, irq, gsi), FIELD(kvm_irq_level, level, flag)),
	     .weight = 10),
	CALL(VM, KVM_IRQ_LINE_STATUS, .fields = FIELDS(FIELD(kvm_irq_level, irq, gsi),
	     FIELD(kvm_irq_level, level, flag)), .weight = 10),
	CALL(VM, KVM_SIGNAL_MSI, .fields = FIELDS(FIELD(kvm_msi, address_lo, msi_low),
	     FIELD(kvm_msi, address_hi, zero), FIELD(kvm_msi, data, msi_data), FIELD(kvm_msi, flags, zero)),
	     .weight = 10),
	CALL(VM, KVM_SET_GSI_ROUTING, .fill = fill_routes_or_empty, .weight = 8),
	CALL(VM, KVM_IRQFD, .fields = FIELDS(FIELD(kvm_irqfd, fd, event_fd), FIELD(kvm_irqfd, gsi, gsi),
	     FIELD(kvm_irqfd, flags, bits), FIELD(kvm_irqfd, resamplefd, event_fd)), .weight = 15),
	CALL(VM, KVM_IOEVENTFD, .fields = FIELDS(FIELD(kvm_ioeventfd, datamatch, few),
	     FIELD(kvm_ioeventfd, addr, io_address), FIELD(kvm_ioeventfd, len, io_length),
	     FIELD(kvm_ioeventfd, fd, event_fd), FIELD(kvm_ioeventfd, flags, bits)), .weight = 15),
	CALL(VM, KVM_REGISTER_COALESCED_MMIO, .fields = FIELDS(FIELD(kvm_coalesced_mmio_zone, addr, io_address),
	     FIELD(kvm_coalesced_mmio_zone, size, few), FIELD(kvm_coalesced_mmio_zone, pio, flag)), .weight = 6),
	CALL(VM, KVM_UNREGISTER_COALESCED_MMIO, .fields = FIELDS(FIELD(kvm_coalesced_mmio_zone, addr, io_address),
	     FIELD(kvm_coalesced_mmio_zone, size, few), FIELD(kvm_coalesced_mmio_zone, pio, flag)), .weight = 4),
	CALL(VM, KVM_X86_SET_MSR_FILTER, .fill = fill_filter, .weight = 4),
	CALL(VM, KVM_GET_STATS_FD, .value = zero),
	CALL(VM, KVM_CREATE_DEVICE, .fields = FIELDS(FIELD(kvm_create_device, type, few),
	     FIELD(kvm_create_device, flags, flag))),
	CALL(VM, KVM_SET_MEMORY_ATTRIBUTES, .fields = FIELDS(FIELD(kvm_memory_attributes, address, gpa),
	     FIELD(kvm_memory_attributes, size, slot_size), FIELD(kvm_memory_attributes, attributes, bits))),
	CALL(VM, KVM_CREATE_GUEST_MEMFD, .fields = FIELDS(FIELD(kvm_create_guest_memfd, size, slot_size),
	     FIELD(kvm_create_guest_memfd, flags, zero))),
	CALL(VM, KVM_RESET_DIRTY_RINGS, .value = zero),
	CALL(VM, KVM_SET_PMU_EVENT_FILTER, .fields = FIELDS(FIELD(kvm_pmu_event_filter, action, few))),

	CALL(VCPU, KVM_RUN, .value = zero, .weight = 90),
	CALL(VCPU, KVM_GET_REGS),
	CALL(VCPU, KVM_SET_REGS, .get = KVM_GET_REGS, .weight = 5),
	CALL(VCPU, KVM_GET_SREGS),
	CALL(VCPU, KVM_SET_SREGS, .get = KVM_GET_SREGS, .weight = 6),
	CALL(VCPU, KVM_GET_SREGS2),
	CALL(VCPU, KVM_SET_SREGS2, .get = KVM_GET_SREGS2, .weight = 4),
	CALL(VCPU, KVM_TRANSLATE, .fields = FIELDS(FIELD(kvm_translation, linear_address, gpa)), .weight = 3),
	CALL(VCPU, KVM_INTERRUPT, .fields = FIELDS(FIELD(kvm_interrupt, irq, byte)), .weight = 4),
	CALL(VCPU, KVM_NMI, .value = zero, .weight = 3),
	CALL(VCPU, KVM_SMI, .value = zero),
	CALL(VCPU, KVM_GET_MSRS, .fill = fill_msrs, .weight = 4),
	CALL(VCPU, KVM_SET_MSRS, .fill = fill_msrs, .weight = 15),
	CALL(VCPU, KVM_SET_CPUID, .fields = FIELDS(FIELD(kvm_cpuid, nent, few))),
	CALL(VCPU, KVM_SET_CPUID2, .fill = fill_cpuid, .weight = 4),
	CALL(VCPU, KVM_GET_CPUID2, .fill = fill_cpuid_room),
	CALL(VCPU, KVM_SET_SIGNAL_MASK, .fill = fill_signal_mask),
	CALL(VCPU, KVM_GET_FPU),
	CALL(VCPU, KVM_SET_FPU, .get = KVM_GET_FPU, .weight = 3),
	CALL(VCPU, KVM_GET_XSAVE),
	CALL(VCPU, KVM_GET_XSAVE2),
	CALL(VCPU, KVM_SET_XSAVE, .get = KVM_GET_XSAVE, .weight = 5),
	CALL(VCPU, KVM_GET_XCRS),
	CALL(VCPU, KVM_SET_XCRS, .get = KVM_GET_XCRS, .weight = 3),
	CALL(VCPU, KVM_GET_LAPIC),
	CALL(VCPU, KVM_SET_LAPIC, .get = KVM_GET_LAPIC, .weight = 8),
	CALL(VCPU, KVM_TPR_ACCESS_REPORTING, .fields = FIELDS(FIELD(kvm_tpr_access_ctl, enabled, flag),
	     FIELD(kvm_tpr_access_ctl, flags, zero))),
	CALL(VCPU, KVM_SET_VAPIC_ADDR, .fields = FIELDS(FIELD(kvm_vapic_addr, vapic_addr, gpa))),
	CALL(VCPU, KVM_GET_MP_STATE),
	CALL(VCPU, KVM_SET_MP_STATE, .fields = FIELDS(FIELD(kvm_mp_state, mp_state, mp_state)), .weight = 5),
	CALL(VCPU, KVM_SET_GUEST_DEBUG, .fields = FIELDS(FIELD(kvm_guest_debug, control, any),
	     FIELD(kvm_guest_debug, arch.debugreg[0], gpa), FIELD(kvm_guest_debug, arch.debugreg[7], any)),
	     .weight = 4),
	CALL(VCPU, KVM_X86_SETUP_MCE, .fields = (const struct field[]){ { 0, 8, few }, { 0 } }),
	CALL(VCPU, KVM_X86_SET_MCE, .fields = FIELDS(FIELD(kvm_x86_mce, status, any), FIELD(kvm_x86_mce, addr, gpa),
	     FIELD(kvm_x86_mce, mcg_status, bits), FIELD(kvm_x86_mce, bank, few)), .weight = 3),
	CALL(VCPU, KVM_GET_VCPU_EVENTS),
	CALL(VCPU, KVM_SET_VCPU_EVENTS, .get = KVM_GET_VCPU_EVENTS, .weight = 8),
	CALL(VCPU, KVM_GET_DEBUGREGS),
	CALL(VCPU, KVM_SET_DEBUGREGS, .get = KVM_GET_DEBUGREGS, .weight = 3),
	CALL(VCPU, KVM_ENABLE_CAP, .fill = fill_cap),
	CALL(VCPU, KVM_KVMCLOCK_CTRL, .value = zero),
	CALL(VCPU, KVM_GET_TSC_KHZ, .value = zero),
	CALL(VCPU, KVM_SET_TSC_KHZ, .value = khz, .weight = 2),
	CALL(VCPU, KVM_SET_DEVICE_ATTR, .fill = fill_attr),
	CALL(VCPU, KVM_GET_DEVICE_ATTR, .fill = fill_attr),
	CALL(VCPU, KVM_HAS_DEVICE_ATTR, .fill = fill_attr),
	CALL(VCPU, KVM_GET_STATS_FD, .value = zero),
	CALL(VCPU, KVM_GET_NESTED_STATE),
	CALL(VCPU, KVM_SET_NESTED_STATE, .fields = FIELDS(FIELD(kvm_nested_state, size, any))),
	CALL(VCPU, KVM_PRE_FAULT_MEMORY, .fields = FIELDS(FIELD(kvm_pre_fault_memory, gpa, gpa),
	     FIELD(kvm_pre_fault_memory, size, slot_size)), .weight = 2),
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static u32 weight(const struct call *call)
{
	return call->weight ?: 1;
}

const struct call *call_any(struct rng *rng)
{
	static u32 total;
	u32 n = 0, at;

	if (!total) {
		for (u32 i = 0; i < CALLS; i++)
			n += weight(&calls[i]);
		total = n;
	}
	at = below(rng, total);
	for (u32 i = 0; ; i++) {
		if (at < weight(&calls[i]))
			return &calls[i];
		at -= weight(&calls[i]);
	}
}

const struct call *call_find(unsigned long cmd, enum object target)
{
	for (u32 i = 0; i < CALLS; i++)
		if (calls[i].cmd == cmd && calls[i].target == target)
			return &calls[i];
	die("no call %#lx", cmd);
}

static void fill_fields(struct rng *rng, const struct field *field, u8 *arg)
{
	for (; field->draw; field++) {
		u64 value = field->draw(rng);

		if (field->size <= sizeof(value))
			memcpy(arg + field->offset, &value, field->size);
		else
			rnd_bytes(rng, arg + field->offset, field->size);
	}
}

static u8 *make_argument(struct rng *rng, const struct call *call, int fd, u8 *arg)
{
	memset(arg, 0, ARG_MAX);
	if (call->get) {
		__fd_ioctl(fd, call->get, (u64)arg);
		if (chance(rng, 80))
			rnd_damage(rng, arg, _IOC_SIZE(call->cmd));
	}
	if (call->fields)
		fill_fields(rng, call->fields, arg);
	if (call->fill)
		call->fill(rng, arg);
	if (chance(rng, 3))
		rnd_damage(rng, arg, _IOC_SIZE(call->cmd) ?: 8);
	return arg;
}

/* Where else an argument can be: partly or not at all in memory, or in the guest's. */
static u8 *misplace(struct rng *rng, u8 *arg, size_t size)
{
	u8 *moved;

	switch (below(rng, 60)) {
	case 0:
		return NULL;
	case 1:
		return (u8 *)(rnd_value(rng) | 1ull << 63);
	case 2:
		return world.ram + below(rng, WORLD_RAM - ARG_MAX);
	case 3:
		/* The page behind the buffer is not there. */
		moved = arg + ARG_MAX - below(rng, size + 1);
		memmove(moved, arg, arg + ARG_MAX - moved);
		return moved;
	default:
		return arg;
	}
}

/* Anything else, such as a code that only the kernel itself may see, is a bug. */
static bool is_documented(int error)
{
	static const u8 errors[] = {
		EPERM, ENOENT, EINTR, ENXIO, E2BIG, EBADF, EAGAIN, ENOMEM, EFAULT, EBUSY, EEXIST, EINVAL, EMFILE,
		ENOTTY, ENOSPC, EIO, EOPNOTSUPP,
	};

	for (u32 i = 0; i < sizeof(errors); i++)
		if (errors[i] == error)
			return true;
	return false;
}

/* A new VM or vCPU takes an old one's place, or goes. */
static void keep(struct rng *rng, enum object kind, int fd)
{
	int old = __atomic_exchange_n(&world.fd[kind][below(rng, OBJECT_MANY)], fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

void call_make(struct rng *rng, const struct call *call, u8 *buffer)
{
	enum object target = chance(rng, 98) ? call->target : below(rng, OBJECTS);
	int fd = world_fd(rng, target), ret;
	u64 arg;

	if (call->value)
		arg = call->value(rng);
	else
		arg = (u64)misplace(rng, make_argument(rng, call, fd, buffer), _IOC_SIZE(call->cmd));
	ret = __fd_ioctl(fd, call->cmd, arg);
	fuzz_say("%s(%d, %#llx) = %d", call->name, fd, (unsigned long long)arg, ret);
	if (ret < 0 && !is_documented(-ret))
		fuzz_fail("%s: error %d", call->name, -ret);
	if (ret < 0 || target == EVENT)
		return;
	if (call->cmd == KVM_CREATE_VM)
		keep(rng, VM, ret);
	else if (call->cmd == KVM_CREATE_VCPU)
		keep(rng, VCPU, ret);
	else if (call->cmd == KVM_GET_STATS_FD)
		close(ret);
}
