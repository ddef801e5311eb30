// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the MC146818 clock and the CMOS memory of a PC
 *
 * The time of day is a number of seconds that is cut into registers when one of them is
 * read. While the guest holds updates (the SET bit), the registers themselves count.
 */
#include "rtc.h"

#include "macros.h"

#define RTC_PORT 0x70
#define SECONDS_PER_DAY 86400
/* An update is announced this long before a second begins. */
#define UPDATE_NSEC 244000ull
#define PERIODIC_HZ 32768ull

enum {
	SECOND = 0x00, SECOND_ALARM = 0x01, MINUTE = 0x02, MINUTE_ALARM = 0x03,
	HOUR = 0x04, HOUR_ALARM = 0x05, WEEKDAY = 0x06, DAY = 0x07, MONTH = 0x08, YEAR = 0x09,
	REG_A = 0x0a, REG_B = 0x0b, REG_C = 0x0c, REG_D = 0x0d,
	BASE_MEMORY = 0x15, EXTENDED_MEMORY = 0x17, EXTENDED_MEMORY_2 = 0x30, CENTURY = 0x32,
	MEMORY_ABOVE_16M = 0x34, MEMORY_ABOVE_4G = 0x5b,
};

#define A_UPDATING 0x80
#define A_RATE 0x0f
#define A_DEFAULT 0x26
#define B_SET 0x80
#define B_PERIODIC 0x40
#define B_ALARM 0x20
#define B_UPDATE 0x10
#define B_BINARY 0x04
#define B_24_HOURS 0x02
#define C_IRQ 0x80
#define D_VALID 0x80
#define PM 0x80
#define ALARM_ANY 0xc0

/**
 * struct date - a day of the Gregorian calendar
 * @year: with the century
 * @month: 1 to 12
 * @day: 1 to 31
 */
struct date {
	int64_t year;
	unsigned int month;
	unsigned int day;
};

/*
 * Years begin in March here, so that the leap day comes last; 153 days are five
 * months of 31, 30, 31, 30, 31. Day 0 is 1 March of year 0, 719468 days before 1970.
 */
static struct date date_from_days(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = shifted / 146097;
	unsigned int day_of_era = shifted % 146097;
	unsigned int year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
			     day_of_era / 146096) / 365;
	unsigned int day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	unsigned int month = (5 * day_of_year + 2) / 153;

	return (struct date){
		.year = era * 400 + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = day_of_year - (153 * month + 2) / 5 + 1,
	};
}

static int64_t days_from_date(struct date date)
{
	int64_t year = date.month <= 2 ? date.year - 1 : date.year;
	unsigned int month = date.month > 2 ? date.month - 3 : date.month + 9;

	return year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 +
	       date.day - 1 - 719468;
}

static uint8_t encode(const struct vmlet_rtc *rtc, unsigned int value)
{
	return rtc->cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

static unsigned int decode(const struct vmlet_rtc *rtc, uint8_t value)
{
	return rtc->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct vmlet_rtc *rtc, unsigned int hour)
{
	if (rtc->cmos[REG_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? PM : 0);
}

static unsigned int decode_hour(const struct vmlet_rtc *rtc, uint8_t value)
{
	if (rtc->cmos[REG_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~PM) % 12 + (value & PM ? 12 : 0);
}

static bool held(const struct vmlet_rtc *rtc)
{
	return rtc->cmos[REG_B] & B_SET;
}

static int64_t seconds(const struct vmlet_rtc *rtc, uint64_t now)
{
	return rtc->epoch + (now - rtc->origin) / NSEC_PER_SEC;
}

static void fill_registers(struct vmlet_rtc *rtc, uint64_t now)
{
	int64_t time = seconds(rtc, now);
	unsigned int second = time % SECONDS_PER_DAY;
	struct date date = date_from_days(time / SECONDS_PER_DAY);

	rtc->cmos[SECOND] = encode(rtc, second % 60);
	rtc->cmos[MINUTE] = encode(rtc, second / 60 % 60);
	rtc->cmos[HOUR] = encode_hour(rtc, second / 3600);
	/* 1970 began with a Thursday; Sunday is 1. */
	rtc->cmos[WEEKDAY] = (time / SECONDS_PER_DAY + 4) % 7 + 1;
	rtc->cmos[DAY] = encode(rtc, date.day);
	rtc->cmos[MONTH] = encode(rtc, date.month);
	rtc->cmos[YEAR] = encode(rtc, date.year % 100);
	rtc->cmos[CENTURY] = encode(rtc, date.year / 100);
}

/* A guest may write any byte; what is no date still becomes some time, not before 1970. */
static void take_registers(struct vmlet_rtc *rtc, uint64_t now)
{
	struct date date = {
		.year = decode(rtc, rtc->cmos[CENTURY]) * 100 + decode(rtc, rtc->cmos[YEAR]),
		.month = (decode(rtc, rtc->cmos[MONTH]) + 11) % 12 + 1,
		.day = decode(rtc, rtc->cmos[DAY]),
	};
	int64_t time = days_from_date(date) * SECONDS_PER_DAY +
		       decode_hour(rtc, rtc->cmos[HOUR]) * 3600 +
		       decode(rtc, rtc->cmos[MINUTE]) * 60 + decode(rtc, rtc->cmos[SECOND]);

	rtc->epoch = time < 0 ? 0 : time;
	rtc->origin = now;
	rtc->second = 0;
}

static bool alarm_matches(const struct vmlet_rtc *rtc, uint8_t alarm, uint8_t value)
{
	return (rtc->cmos[alarm] & ALARM_ANY) == ALARM_ANY || rtc->cmos[alarm] == value;
}

static bool alarm_due(struct vmlet_rtc *rtc, uint64_t now)
{
	fill_registers(rtc, now);
	return alarm_matches(rtc, SECOND_ALARM, rtc->cmos[SECOND]) &&
	       alarm_matches(rtc, MINUTE_ALARM, rtc->cmos[MINUTE]) &&
	       alarm_matches(rtc, HOUR_ALARM, rtc->cmos[HOUR]);
}

/* Length of a period of the periodic interrupt, or 0. The two fastest rates are aliases. */
static uint64_t period_nsec(const struct vmlet_rtc *rtc)
{
	unsigned int rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate <= 2)
		rate += 7;
	return (NSEC_PER_SEC << (rate - 1)) / PERIODIC_HZ;
}

static void update_line(struct vmlet_rtc *rtc)
{
	bool raise = rtc->cmos[REG_C] & rtc->cmos[REG_B] & (B_PERIODIC | B_ALARM | B_UPDATE);

	if (raise)
		rtc->cmos[REG_C] |= C_IRQ;
	else
		rtc->cmos[REG_C] &= ~C_IRQ;
	vmlet_line_set(&rtc->line, raise);
}

void vmlet_rtc_advance(struct vmlet_rtc *rtc, uint64_t now)
{
	uint64_t second = (now - rtc->origin) / NSEC_PER_SEC;
	uint64_t period = period_nsec(rtc);

	if (!held(rtc) && second != rtc->second) {
		rtc->second = second;
		rtc->cmos[REG_C] |= B_UPDATE;
		if (alarm_due(rtc, now))
			rtc->cmos[REG_C] |= B_ALARM;
	}
	if (period && now / period != rtc->period) {
		rtc->period = now / period;
		rtc->cmos[REG_C] |= B_PERIODIC;
	}
	update_line(rtc);
}

/* What is flagged already raises nothing new until the guest reads register C. */
uint64_t vmlet_rtc_deadline(const struct vmlet_rtc *rtc)
{
	uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C];
	uint64_t second = VMLET_NEVER, periodic = VMLET_NEVER;
	uint64_t period = period_nsec(rtc);

	if ((wanted & (B_ALARM | B_UPDATE)) && !held(rtc))
		second = rtc->origin + (rtc->second + 1) * NSEC_PER_SEC;
	if ((wanted & B_PERIODIC) && period)
		periodic = (rtc->period + 1) * period;
	return second < periodic ? second : periodic;
}

static uint8_t read_a(const struct vmlet_rtc *rtc, uint64_t now)
{
	uint64_t into_second = (now - rtc->origin) % NSEC_PER_SEC;
	bool updating = !held(rtc) && into_second >= NSEC_PER_SEC - UPDATE_NSEC;

	return rtc->cmos[REG_A] | (updating ? A_UPDATING : 0);
}

static uint8_t read_c(struct vmlet_rtc *rtc)
{
	uint8_t value = rtc->cmos[REG_C];

	rtc->cmos[REG_C] = 0;
	update_line(rtc);
	return value;
}

static bool is_time(uint8_t index)
{
	return index == CENTURY || (index <= YEAR && index != SECOND_ALARM &&
				    index != MINUTE_ALARM && index != HOUR_ALARM);
}

static uint32_t rtc_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_rtc *rtc = device;

	if (!access->offset)
		return 0xff;
	vmlet_rtc_advance(rtc, access->now);
	if (rtc->index == REG_A)
		return read_a(rtc, access->now);
	if (rtc->index == REG_C)
		return read_c(rtc);
	if (is_time(rtc->index) && !held(rtc))
		fill_registers(rtc, access->now);
	return rtc->cmos[rtc->index];
}

static void write_b(struct vmlet_rtc *rtc, uint8_t value, uint64_t now)
{
	bool was_held = held(rtc);

	rtc->cmos[REG_B] = value;
	if (!was_held)
		fill_registers(rtc, now);
	if (was_held && !held(rtc))
		take_registers(rtc, now);
	update_line(rtc);
}

static void write_register(struct vmlet_rtc *rtc, uint8_t value, uint64_t now)
{
	switch (rtc->index) {
	case REG_A:
		rtc->cmos[REG_A] = value & ~A_UPDATING;
		return;
	case REG_B:
		write_b(rtc, value, now);
		return;
	case REG_C:
	case REG_D:
		return;
	}
	if (is_time(rtc->index) && !held(rtc)) {
		fill_registers(rtc, now);
		rtc->cmos[rtc->index] = value;
		take_registers(rtc, now);
	}
	rtc->cmos[rtc->index] = value;
}

/* Bit 7 of the index port masks NMIs, which nothing here raises. */
static void rtc_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_rtc *rtc = device;

	vmlet_rtc_advance(rtc, access->now);
	if (access->offset)
		write_register(rtc, access->value, access->now);
	else
		rtc->index = access->value % VMLET_RTC_REGISTERS;
}

static void store(struct vmlet_rtc *rtc, uint8_t index, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		rtc->cmos[index + i] = value >> (8 * i);
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* Where a BIOS records the size of memory: in KiB, and in 64 KiB above 16 MiB and 4 GiB. */
static void store_memory(struct vmlet_rtc *rtc, uint64_t low, uint64_t high)
{
	uint64_t above_1m = low > 1 << 20 ? low - (1 << 20) : 0;
	uint64_t above_16m = low > 16 << 20 ? low - (16 << 20) : 0;

	store(rtc, BASE_MEMORY, 640, 2);
	store(rtc, EXTENDED_MEMORY, at_most(above_1m >> 10, 0xffff), 2);
	store(rtc, EXTENDED_MEMORY_2, at_most(above_1m >> 10, 0xffff), 2);
	store(rtc, MEMORY_ABOVE_16M, at_most(above_16m >> 16, 0xffff), 2);
	store(rtc, MEMORY_ABOVE_4G, at_most(high >> 16, 0xffffff), 3);
}

bool vmlet_rtc_init(struct vmlet_rtc *rtc, struct vmlet_ports *ports,
		    const struct vmlet_rtc_setup *setup)
{
	const struct vmlet_port_range range = {
		.name = "rtc", .first = RTC_PORT, .count = 2, .width = 1,
		.device = rtc, .in = rtc_in, .out = rtc_out,
	};

	*rtc = (struct vmlet_rtc){
		.epoch = setup->epoch,
		.origin = setup->now,
		.line = setup->line,
		.cmos = { [REG_A] = A_DEFAULT, [REG_B] = B_24_HOURS, [REG_D] = D_VALID },
	};
	store_memory(rtc, setup->low_memory, setup->high_memory);
	return vmlet_ports_add(ports, &range);
}
