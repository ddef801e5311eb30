// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: PIT
 *
 * An 8254: three counters of 1193182 Hz. Nothing counts: what a channel shows follows from when it
 * was loaded. Channel 0 interrupts, from one timer whose every expiry is worked out from that same
 * moment, so that it does not drift; channel 2 is gated and read through port 0x61, where that is
 * asked for.
 *
 * A tick that comes while the guest has not acknowledged the one before is owed, and made up for
 * when it has. Ticks that nobody lets through are owed to nobody.
 */
#include <linux/bcd.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timex.h>

#include "irq.h"

#define CHANNELS	3
#define FULL		0x10000		/* what a count of 0 means */
#define FULL_BCD	10000
#define SHORTEST	239		/* 200 us: a shorter period would storm the host */
#define UNSET		0xff		/* the mode before one is written */

#define PORT_COUNTERS	0x40
#define PORT_CONTROL	0x43
#define PORT_SPEAKER	0x61

/* The control word. */
#define CHANNEL(value)	((value) >> 6)
#define READ_BACK	3
#define RB_NO_COUNT	0x20
#define RB_NO_STATUS	0x10
#define ACCESS(value)	((value) >> 4 & 3)
#define MODE(value)	((value) >> 1 & 7)

/* Port 0x61. */
#define SP_GATE		0x01
#define SP_DATA		0x02
#define SP_REFRESH	0x10
#define SP_OUT		0x20

#define FLAGS		(KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON)

/* Which byte comes next: kvm_pit_channel_state's read_state, write_state and count_latched. */
enum { BYTE_NONE, BYTE_LOW, BYTE_HIGH, BYTE_LOW_FIRST, BYTE_HIGH_SECOND };

/* How channel 0 interrupts; others: not at all. */
enum rhythm { NEVER, ONCE, REPEATEDLY };

static const struct {
	enum rhythm rhythm;
	bool gate_restarts;
} modes[] = {
	{ ONCE,		false },	/* interrupt on terminal count */
	{ ONCE,		true },		/* one-shot */
	{ REPEATEDLY,	true },		/* rate generator */
	{ REPEATEDLY,	true },		/* square wave */
	{ ONCE,		false },	/* software-triggered strobe */
	{ NEVER,	true },		/* hardware-triggered strobe */
};

/*
 * struct vmlet_pit - of a VM; everything but @vm and @speaker under @lock
 * @channel:	as the API saves them; counts are binary, and never 0
 * @flags:	KVM_PIT_FLAGS_*
 * @speaker:	port 0x61 is served here
 * @reinject:	ticks are made up for; without the lock
 * @armed:	@timer is to interrupt
 * @rounds:	periods of channel 0 that have been dealt with since it was loaded
 * @busy:	a tick has been raised and not yet acknowledged
 * @owed:	ticks that came meanwhile
 */
struct vmlet_pit {
	raw_spinlock_t lock;
	struct vmlet_vm *vm;
	struct hrtimer timer;
	struct kvm_pit_channel_state channel[CHANNELS];
	u32 flags;
	bool speaker;
	bool reinject;
	bool armed;
	u64 rounds;
	bool busy;
	u32 owed;
};

static u32 full_count(const struct kvm_pit_channel_state *ch)
{
	return ch->bcd ? FULL_BCD : FULL;
}

/* Ticks of the counter's clock since it was loaded, at @now. */
static u64 elapsed(const struct kvm_pit_channel_state *ch, u64 now)
{
	return mul_u64_u32_div(now - ch->count_load_time, PIT_TICK_RATE, NSEC_PER_SEC);
}

/* As it is read. Channel 2 counts in mode 0 whatever its gate says: clients rely on that. */
static u16 count_at(const struct kvm_pit_channel_state *ch, u64 now)
{
	u64 done = elapsed(ch, now);
	u32 full = full_count(ch), count;

	if (ch->mode == 2)
		count = ch->count - done % ch->count;
	else if (ch->mode == 3)
		count = ch->count - done * 2 % ch->count;
	else
		count = ch->count + full - done % full;
	count %= full;
	return ch->bcd ? bin2bcd(count / 100) << 8 | bin2bcd(count % 100) : count;
}

static bool out_at(const struct kvm_pit_channel_state *ch, u64 now)
{
	u64 done = elapsed(ch, now);

	switch (ch->mode) {
	case 0:
	case 1:
		return done >= ch->count;
	case 2:
		return done % ch->count != ch->count - 1;
	case 3:
		return done % ch->count < (ch->count + 1) / 2;
	default:
		return done != ch->count;
	}
}

static enum rhythm rhythm(const struct vmlet_pit *pit)
{
	u8 mode = pit->channel[0].mode;

	if (mode >= ARRAY_SIZE(modes) || (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY))
		return NEVER;
	return modes[mode].rhythm;
}

static u32 period(const struct vmlet_pit *pit)
{
	u32 count = pit->channel[0].count;

	return rhythm(pit) == REPEATEDLY ? max_t(u32, count, SHORTEST) : count;
}

/* When this round ends. Rounded up: by then that many ticks have passed. */
static u64 due(const struct vmlet_pit *pit)
{
	u64 ticks = (pit->rounds + 1) * period(pit);

	return pit->channel[0].count_load_time + 1 +
		mul_u64_u32_div(ticks, NSEC_PER_SEC, PIT_TICK_RATE);
}

static void start_timer(struct vmlet_pit *pit)
{
	hrtimer_start(&pit->timer, ns_to_ktime(due(pit)), HRTIMER_MODE_ABS_HARD);
}

/*
 * Channel 0 begins anew, or stops. The timer's function may be waiting for the lock: it looks at
 * @armed and at the time.
 */
static void rearm(struct vmlet_pit *pit)
{
	lockdep_assert_held(&pit->lock);
	pit->rounds = 0;
	pit->busy = false;
	pit->owed = 0;
	pit->armed = rhythm(pit) != NEVER;
	if (pit->armed)
		start_timer(pit);
	else
		hrtimer_try_to_cancel(&pit->timer);
}

static void raise(struct vmlet_pit *pit)
{
	int ret = vmlet_irq_line(pit->vm, 0, VMLET_IRQ_PIT, true);

	vmlet_irq_line(pit->vm, 0, VMLET_IRQ_PIT, false);
	pit->busy = ret > 0;
	if (!pit->busy)
		pit->owed = 0;
}

/* @ticks at once if the timer comes late. */
static void tick(struct vmlet_pit *pit, u64 ticks)
{
	if (!READ_ONCE(pit->reinject)) {
		raise(pit);
		return;
	}
	pit->owed = min_t(u64, pit->owed + ticks, U32_MAX);
	if (pit->busy)
		return;
	pit->owed--;
	raise(pit);
}

static struct vmlet_pit *pit_of(struct vmlet_vm *vm)
{
	/* It may be made while vCPUs run; pairs with vmlet_pit_create(). */
	return smp_load_acquire(&vm->irq.pit);
}

static enum hrtimer_restart expired(struct hrtimer *timer)
{
	struct vmlet_pit *pit = container_of(timer, struct vmlet_pit, timer);
	u64 now = ktime_get_ns(), over;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	if (pit->armed && now >= due(pit)) {
		over = elapsed(&pit->channel[0], now) / period(pit);
		if (rhythm(pit) == REPEATEDLY) {
			tick(pit, over - pit->rounds);
			pit->rounds = over;
			start_timer(pit);
		} else {
			pit->armed = false;
			tick(pit, 1);
		}
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return HRTIMER_NORESTART;
}

/* Nothing is on its way any more; what is owed follows, or is forgiven. */
static void settle(struct vmlet_vm *vm, bool forgive)
{
	struct vmlet_pit *pit = pit_of(vm);
	unsigned long flags;

	if (!pit)
		return;
	raw_spin_lock_irqsave(&pit->lock, flags);
	pit->busy = false;
	if (forgive)
		pit->owed = 0;
	if (pit->owed) {
		pit->owed--;
		raise(pit);
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
}

void vmlet_pit_acked(struct vmlet_vm *vm)
{
	settle(vm, false);
}

void vmlet_pit_unmasked(struct vmlet_vm *vm)
{
	settle(vm, true);
}

/* @count: binary, and what does not fit counts as full. */
static void load(struct vmlet_pit *pit, unsigned int nr, u32 count)
{
	struct kvm_pit_channel_state *ch = &pit->channel[nr];
	u32 full = full_count(ch);

	ch->count = count && count <= full ? count : full;
	ch->count_load_time = ktime_get_ns();
	if (!nr)
		rearm(pit);
}

static void load_written(struct vmlet_pit *pit, unsigned int nr, u16 value)
{
	bool bcd = pit->channel[nr].bcd;

	load(pit, nr, bcd ? bcd2bin(value >> 8) * 100 + bcd2bin(value & 0xff) : value);
}

static void latch(struct kvm_pit_channel_state *ch, bool count, bool status)
{
	u64 now = ktime_get_ns();

	if (count && !ch->count_latched) {
		ch->latched_count = count_at(ch, now);
		ch->count_latched = ch->rw_mode;
	}
	if (status && !ch->status_latched) {
		ch->status = out_at(ch, now) << 7 | ch->rw_mode << 4 | (ch->mode & 7) << 1 |
			     ch->bcd;
		ch->status_latched = 1;
	}
}

static void read_back(struct vmlet_pit *pit, u8 value)
{
	unsigned int nr;

	for (nr = 0; nr < CHANNELS; nr++)
		if (value & 2 << nr)
			latch(&pit->channel[nr], !(value & RB_NO_COUNT), !(value & RB_NO_STATUS));
}

static void write_control(struct vmlet_pit *pit, u8 value)
{
	struct kvm_pit_channel_state *ch;

	if (CHANNEL(value) == READ_BACK) {
		read_back(pit, value);
		return;
	}
	ch = &pit->channel[CHANNEL(value)];
	if (!ACCESS(value)) {
		latch(ch, true, false);
		return;
	}
	ch->rw_mode = ch->read_state = ch->write_state = ACCESS(value);
	ch->count_latched = ch->status_latched = 0;
	/* Modes 6 and 7 are 2 and 3. */
	ch->mode = MODE(value) > 5 ? MODE(value) - 4 : MODE(value);
	ch->bcd = value & 1;
	/* It waits for a count. */
	if (ch == &pit->channel[0]) {
		pit->armed = false;
		hrtimer_try_to_cancel(&pit->timer);
	}
}

static void write_counter(struct vmlet_pit *pit, unsigned int nr, u8 value)
{
	struct kvm_pit_channel_state *ch = &pit->channel[nr];

	switch (ch->write_state) {
	case BYTE_LOW_FIRST:
		ch->write_latch = value;
		ch->write_state = BYTE_HIGH_SECOND;
		break;
	case BYTE_HIGH_SECOND:
		ch->write_state = BYTE_LOW_FIRST;
		load_written(pit, nr, value << 8 | ch->write_latch);
		break;
	case BYTE_HIGH:
		load_written(pit, nr, value << 8);
		break;
	default:
		load_written(pit, nr, value);
	}
}

static u8 read_latched(struct kvm_pit_channel_state *ch)
{
	u8 which = ch->count_latched;

	ch->count_latched = which == BYTE_LOW_FIRST ? BYTE_HIGH : BYTE_NONE;
	return which == BYTE_HIGH ? ch->latched_count >> 8 : ch->latched_count;
}

static u8 read_counter(struct kvm_pit_channel_state *ch)
{
	u16 count;

	if (ch->status_latched) {
		ch->status_latched = 0;
		return ch->status;
	}
	if (ch->count_latched)
		return read_latched(ch);
	count = count_at(ch, ktime_get_ns());
	switch (ch->read_state) {
	case BYTE_LOW_FIRST:
		ch->read_state = BYTE_HIGH_SECOND;
		return count;
	case BYTE_HIGH_SECOND:
		ch->read_state = BYTE_LOW_FIRST;
		return count >> 8;
	case BYTE_HIGH:
		return count >> 8;
	default:
		return count;
	}
}

static void write_speaker(struct vmlet_pit *pit, u8 value)
{
	struct kvm_pit_channel_state *ch = &pit->channel[2];
	bool rises = (value & SP_GATE) && !ch->gate;

	if (rises && ch->mode < ARRAY_SIZE(modes) && modes[ch->mode].gate_restarts)
		ch->count_load_time = ktime_get_ns();
	ch->gate = value & SP_GATE;
	pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (value & SP_DATA)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

/* The bit of memory refresh toggles, about every 15 us: guests wait for that. */
static u8 read_speaker(struct vmlet_pit *pit)
{
	u64 now = ktime_get_ns();
	u8 value = now >> 14 & 1 ? SP_REFRESH : 0;

	if (pit->channel[2].gate)
		value |= SP_GATE;
	if (pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON)
		value |= SP_DATA;
	if (out_at(&pit->channel[2], now))
		value |= SP_OUT;
	return value;
}

static void write_port(struct vmlet_pit *pit, u16 port, u8 value)
{
	if (port == PORT_SPEAKER)
		write_speaker(pit, value);
	else if (port == PORT_CONTROL)
		write_control(pit, value);
	else
		write_counter(pit, port - PORT_COUNTERS, value);
}

static u8 read_port(struct vmlet_pit *pit, u16 port)
{
	if (port == PORT_SPEAKER)
		return read_speaker(pit);
	return port == PORT_CONTROL ? 0 : read_counter(&pit->channel[port - PORT_COUNTERS]);
}

bool vmlet_pit_port(struct vmlet_vm *vm, u16 port, unsigned int len, void *data, bool write)
{
	struct vmlet_pit *pit = pit_of(vm);
	unsigned long flags;
	u8 value;

	if (!pit || ((port & ~3) != PORT_COUNTERS && (port != PORT_SPEAKER || !pit->speaker)))
		return false;
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (write) {
		write_port(pit, port, *(u8 *)data);
	} else {
		value = read_port(pit, port);
		memset(data, 0, len);
		*(u8 *)data = value;
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return true;
}

/* What would index a table, or divide, is within its bounds from here on. */
static void sanitize(struct kvm_pit_channel_state *ch)
{
	ch->bcd = !!ch->bcd;
	ch->gate = !!ch->gate;
	ch->rw_mode &= 3;
	if (ch->mode >= ARRAY_SIZE(modes))
		ch->mode = UNSET;
}

static bool is_same_program(const struct kvm_pit_channel_state *a,
			    const struct kvm_pit_channel_state *b)
{
	return a->count == b->count && a->mode == b->mode && a->bcd == b->bcd &&
		a->count_load_time == b->count_load_time;
}

/*
 * A channel that userspace hands back as it got it runs on: for port 0x61 clients read the state,
 * change a gate and write it back. Others are loaded now, because what their clocks said at the
 * time of loading may be of another machine.
 */
static void put(struct vmlet_pit *pit, const struct kvm_pit_channel_state *channels, u32 flags)
{
	bool muted = (pit->flags ^ flags) & KVM_PIT_FLAGS_HPET_LEGACY;
	struct kvm_pit_channel_state old;
	unsigned int nr;

	pit->flags = flags & FLAGS;
	for (nr = 0; nr < CHANNELS; nr++) {
		old = pit->channel[nr];
		pit->channel[nr] = channels[nr];
		sanitize(&pit->channel[nr]);
		if (!is_same_program(&old, &pit->channel[nr]) || (!nr && muted))
			load(pit, nr, channels[nr].count);
	}
}

void vmlet_pit_get(struct vmlet_vm *vm, struct kvm_pit_channel_state *channels, u32 *pit_flags)
{
	struct vmlet_pit *pit = vm->irq.pit;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(channels, pit->channel, sizeof(pit->channel));
	if (pit_flags)
		*pit_flags = pit->flags;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
}

void vmlet_pit_put(struct vmlet_vm *vm, const struct kvm_pit_channel_state *channels,
		   const u32 *pit_flags)
{
	struct vmlet_pit *pit = vm->irq.pit;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	put(pit, channels, pit_flags ? *pit_flags : pit->flags);
	raw_spin_unlock_irqrestore(&pit->lock, flags);
}

void vmlet_pit_reinject(struct vmlet_vm *vm, bool reinject)
{
	WRITE_ONCE(vm->irq.pit->reinject, reinject);
	settle(vm, true);
}

int vmlet_pit_create(struct vmlet_vm *vm, u32 flags)
{
	struct vmlet_pit *pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	unsigned int nr;

	lockdep_assert_held(&vm->lock);
	if (!pit)
		return -ENOMEM;
	raw_spin_lock_init(&pit->lock);
	hrtimer_setup(&pit->timer, expired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	pit->vm = vm;
	pit->speaker = flags & KVM_PIT_SPEAKER_DUMMY;
	pit->reinject = true;
	for (nr = 0; nr < CHANNELS; nr++)
		pit->channel[nr] = (struct kvm_pit_channel_state) {
			.count = FULL, .mode = UNSET, .gate = nr != 2,
			.count_load_time = ktime_get_ns(),
		};
	/* Pairs with those who look for it without vm->lock. */
	smp_store_release(&vm->irq.pit, pit);
	return 0;
}

void vmlet_pit_destroy(struct vmlet_vm *vm)
{
	struct vmlet_pit *pit = vm->irq.pit;
	unsigned long flags;

	if (!pit)
		return;
	raw_spin_lock_irqsave(&pit->lock, flags);
	pit->armed = false;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	hrtimer_cancel(&pit->timer);
	kfree(pit);
	vm->irq.pit = NULL;
}
