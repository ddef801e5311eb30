// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the paravirtual clock
 *
 * A page of guest memory per vCPU says what the clock was at some TSC and how fast it goes from there; the guest
 * computes the rest. All pages of a VM name the same moment, so all vCPUs agree to the nanosecond, and the pages are written
 * only when that moment or a TSC changes. The clock runs with the host's TSC, which is not slewed.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/timekeeping.h>
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "time.h"

/* Nanoseconds are (cycles << shift) * mul >> 32; a negative shift goes right. */
struct rate {
	u32 mul;
	s8 shift;
};

/* As many bits of @mul as there is room for: an error below one in 2^31. */
static struct rate rate_of(u64 hz)
{
	struct rate rate = { .shift = -2 };
	u64 mul;

	for (;; rate.shift++) {
		mul = div64_u64((u64)NSEC_PER_SEC << (32 - rate.shift), hz);
		if (!upper_32_bits(mul))
			break;
	}
	rate.mul = mul;
	return rate;
}

static u64 to_ns(struct rate rate, u64 cycles)
{
	cycles = rate.shift < 0 ? cycles >> -rate.shift : cycles << rate.shift;
	return mul_u64_u32_shr(cycles, rate.mul, 32);
}

static void read_clocks(struct vmlet_moment *now)
{
	unsigned long flags;

	local_irq_save(flags);
	now->tsc = rdtsc_ordered();
	now->real = ktime_get_real_ns();
	now->raw = ktime_get_raw_ns();
	local_irq_restore(flags);
}

/* Do the host's TSCs keep time, all of them alike? They can be found out not to at any time. */
static bool host_is_stable(void)
{
	return !check_tsc_unstable();
}

static u64 clock_ns(struct vmlet_vm *vm, const struct vmlet_moment *now)
{
	struct vmlet_clock *clock = &vm->clock;
	s64 cycles = now->tsc - clock->ref.tsc;

	lockdep_assert_held(&clock->lock);
	if (!host_is_stable())
		return clock->ref_ns + now->raw - clock->ref.raw;
	return clock->ref_ns + (cycles > 0 ? to_ns(rate_of(tsc_khz * 1000ull), cycles) : 0);
}

static void set_ref(struct vmlet_clock *clock, const struct vmlet_moment *now, u64 ns)
{
	clock->ref = *now;
	clock->ref_ns = ns;
}

void vmlet_clock_vm_init(struct vmlet_vm *vm)
{
	spin_lock_init(&vm->clock.lock);
	read_clocks(&vm->clock.ref);
	vmlet_tsc_vm_init(vm);
}

/* INIT switches the pages off, too: what comes after it does not know of them. */
void vmlet_clock_vcpu_reset(struct vmlet_vcpu *vcpu, bool init)
{
	if (!init)
		vmlet_tsc_vcpu_init(vcpu);
	vcpu->clock.system_msr = 0;
	vcpu->clock.steal_msr = 0;
	vcpu->clock.steal = vcpu->clock.away = vcpu->clock.stopped = vcpu->clock.wall_due = false;
}

static void request_all(struct vmlet_vm *vm)
{
	unsigned int i, n = vmlet_vcpu_count(vm);

	for (i = 0; i < n; i++)
		vmlet_request(vm->vcpus[i], VMLET_REQ_CLOCK);
}

void vmlet_clock_publish(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, unsigned int at)
{
	u32 *version = data + at;

	*version = (*version + 1) | 1;
	if (vmlet_mem_write(vcpu, gpa + at, version, sizeof(*version)))
		return;
	smp_wmb();	/* odd before the rest changes; the guest reads in the opposite order */
	vmlet_mem_write(vcpu, gpa, data, len);
	smp_wmb();	/* even when the rest has changed */
	++*version;
	vmlet_mem_write(vcpu, gpa + at, version, sizeof(*version));
}

static void write_wall(struct vmlet_vcpu *vcpu)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;
	gpa_t gpa = READ_ONCE(clock->wall_msr);
	struct pvclock_wall_clock wall;
	struct vmlet_moment now;
	u64 boot_ns;

	vcpu->clock.wall_due = false;
	if (!gpa || vmlet_mem_read(vcpu, gpa, &wall, sizeof(wall)))
		return;
	read_clocks(&now);
	spin_lock(&clock->lock);
	boot_ns = now.real - clock_ns(vcpu->vm, &now);
	spin_unlock(&clock->lock);
	wall.sec = div_u64_rem(boot_ns, NSEC_PER_SEC, &wall.nsec);
	vmlet_clock_publish(vcpu, gpa, &wall, sizeof(wall), offsetof(typeof(wall), version));
}

/* Can one page do for all vCPUs? If that has changed, each is to write its own anew. */
static void check_stable(struct vmlet_vm *vm)
{
	bool stable = host_is_stable() && vmlet_tsc_together(vm), changed;
	struct vmlet_clock *clock = &vm->clock;

	spin_lock(&clock->lock);
	changed = clock->stable != stable;
	clock->stable = stable;
	changed &= clock->used;
	spin_unlock(&clock->lock);
	if (changed)
		request_all(vm);
}

static bool is_on(struct vmlet_vcpu *vcpu)
{
	return vcpu->clock.system_msr & KVM_MSR_ENABLED;
}

/* The TSC and the time of the VM's moment; where the host's TSCs differ, of now and of this CPU. */
static void fill_time(struct vmlet_vcpu *vcpu, struct pvclock_vcpu_time_info *page)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;
	bool steady = host_is_stable();
	struct vmlet_moment now;

	preempt_disable();
	vcpu->clock.cpu = smp_processor_id();
	read_clocks(&now);
	preempt_enable();
	spin_lock(&clock->lock);
	/* Named at the first use and not when the VM was made: that would often be before the guest's TSC was 0. */
	if (!clock->used)
		set_ref(clock, &now, clock_ns(vcpu->vm, &now));
	clock->used = true;
	page->tsc_timestamp = vmlet_tsc_guest(vcpu, steady ? clock->ref.tsc : now.tsc);
	page->system_time = steady ? clock->ref_ns : clock_ns(vcpu->vm, &now);
	page->flags &= PVCLOCK_GUEST_STOPPED;	/* until the guest takes it back */
	page->flags |= clock->stable ? PVCLOCK_TSC_STABLE_BIT : 0;
	spin_unlock(&clock->lock);
}

static void write_system(struct vmlet_vcpu *vcpu)
{
	gpa_t gpa = vcpu->clock.system_msr & ~(u64)KVM_MSR_ENABLED;
	struct rate rate = rate_of(vmlet_tsc_hz(vcpu));
	struct pvclock_vcpu_time_info page;

	/* Also where there is no memory: the next look is due with the next CPU. */
	vcpu->clock.cpu = raw_smp_processor_id();
	vcpu->clock.follow = !host_is_stable();
	if (vmlet_mem_read(vcpu, gpa, &page, sizeof(page)))
		return;
	fill_time(vcpu, &page);
	page.tsc_to_system_mul = rate.mul;
	page.tsc_shift = rate.shift;
	if (vcpu->clock.stopped)
		page.flags |= PVCLOCK_GUEST_STOPPED;
	vcpu->clock.stopped = false;
	vmlet_clock_publish(vcpu, gpa, &page, sizeof(page), offsetof(typeof(page), version));
}

void vmlet_clock_update(struct vmlet_vcpu *vcpu)
{
	lockdep_assert_held(&vcpu->mutex);
	check_stable(vcpu->vm);
	if (vcpu->clock.wall_due)
		write_wall(vcpu);
	if (is_on(vcpu))
		write_system(vcpu);
}

int vmlet_clock_wall_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = READ_ONCE(vcpu->vm->clock.wall_msr);
	return 0;
}

int vmlet_clock_wall_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	WRITE_ONCE(vcpu->vm->clock.wall_msr, value);
	vcpu->clock.wall_due = true;
	vmlet_request_own(vcpu, VMLET_REQ_CLOCK);
	return 0;
}

/* Whether there is memory at that address is seen each time it is written: it comes and goes. */
int vmlet_clock_system_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	vcpu->clock.system_msr = value;
	vmlet_request_own(vcpu, VMLET_REQ_CLOCK);
	return 0;
}

long vmlet_api_kvmclock_ctrl(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;

	if (!is_on(vcpu))
		return -EINVAL;
	vcpu->clock.stopped = true;
	vmlet_request_own(vcpu, VMLET_REQ_CLOCK);
	return 0;
}

/* vm->lock held, as in the next. Before there is a vCPU nobody sees a clock that could be stable. */
long vmlet_api_get_clock(void *obj, struct vmlet_arg *arg)
{
	struct kvm_clock_data *data = arg->data;
	struct vmlet_moment now;
	struct vmlet_vm *vm = obj;

	read_clocks(&now);
	if (vm->nr_vcpus && host_is_stable() && vmlet_tsc_together(vm)) {
		data->flags = VMLET_CLOCK_FLAGS;
		data->realtime = now.real;
		data->host_tsc = now.tsc;
	}
	spin_lock(&vm->clock.lock);
	data->clock = clock_ns(vm, &now);
	spin_unlock(&vm->clock.lock);
	return 0;
}

/* With a real time to go with it, the clock has gone on since then. What KVM_GET_CLOCK said may be given back as it is. */
long vmlet_api_set_clock(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_clock_data *data = arg->data;
	struct vmlet_vm *vm = obj;
	struct vmlet_moment now;
	u64 ns = data->clock;

	if (data->flags & ~VMLET_CLOCK_FLAGS)
		return -EINVAL;
	read_clocks(&now);
	if ((data->flags & KVM_CLOCK_REALTIME) && now.real > data->realtime)
		ns += now.real - data->realtime;
	spin_lock(&vm->clock.lock);
	set_ref(&vm->clock, &now, ns);
	spin_unlock(&vm->clock.lock);
	request_all(vm);
	return 0;
}
