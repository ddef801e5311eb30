// SPDX-License-Identifier: GPL-2.0
/*
 * The runner's devices, alone: what a driver writes to their ports, what it then
 * reads, and when their interrupt lines rise. Time is a number that the test chooses,
 * so every result is exact. Needs no virtual machine.
 */
#include "../reset.h"
#include "../rtc.h"
#include "../uart.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MSEC 1000000ull
#define SEC 1000000000ull

static struct vmlet_ports ports;
static struct vmlet_rtc rtc;
static struct vmlet_uart uart;
static struct vmlet_reset reset;
static uint64_t now;

static union {
	struct kvm_run run;
	uint8_t bytes[8192];
} page;

static bool access_port(uint8_t direction, uint16_t port, uint8_t size, uint32_t count)
{
	page.run.io.direction = direction;
	page.run.io.port = port;
	page.run.io.size = size;
	page.run.io.count = count;
	page.run.io.data_offset = 4096;
	return vmlet_ports_access(&ports, &page.run, sizeof(page), now);
}

static void out(uint16_t port, uint8_t size, uint32_t value)
{
	memcpy(page.bytes + 4096, &value, sizeof(value));
	access_port(KVM_EXIT_IO_OUT, port, size, 1);
}

static uint32_t in(uint16_t port, uint8_t size)
{
	uint32_t value = 0;

	access_port(KVM_EXIT_IO_IN, port, size, 1);
	memcpy(&value, page.bytes + 4096, size);
	return value;
}

static void outb(uint8_t value, uint16_t port)
{
	out(port, 1, value);
}

static uint8_t inb(uint16_t port)
{
	return in(port, 1);
}

/* Edges of a line that does not go to the interrupt controller. */
static unsigned int edges;
static bool level;

static void count_edges(void *controller, unsigned int irq, bool raise)
{
	(void)controller;
	(void)irq;
	edges += raise && !level;
	level = raise;
}

static const struct vmlet_line test_line = { count_edges, NULL, 0 };

static uint8_t sent[64];
static unsigned int sent_count;

static void transmit(void *to, uint8_t byte)
{
	(void)to;
	sent[sent_count++ % sizeof(sent)] = byte;
}

static void power_on(void)
{
	memset(&ports, 0, sizeof(ports));
	now = 10 * SEC;
	edges = 0;
	level = false;
	sent_count = 0;
}

static void init_rtc(int64_t epoch)
{
	struct vmlet_rtc_setup setup = {
		.epoch = epoch, .low_memory = 256 << 20, .high_memory = 1ull << 32,
		.line = test_line,
	};

	power_on();
	setup.now = now;
	vmlet_rtc_init(&rtc, &ports, &setup);
}

static uint8_t get(uint8_t index)
{
	outb(index, 0x70);
	return inb(0x71);
}

static void set(uint8_t index, uint8_t value)
{
	outb(index, 0x70);
	outb(value, 0x71);
}

static unsigned int bcd(unsigned int value)
{
	return value / 10 << 4 | value % 10;
}

static bool rtc_shows(int64_t epoch)
{
	time_t time = epoch;
	struct tm tm;

	gmtime_r(&time, &tm);
	return get(0) == bcd(tm.tm_sec) && get(2) == bcd(tm.tm_min) && get(4) == bcd(tm.tm_hour) &&
	       get(6) == tm.tm_wday + 1 && get(7) == bcd(tm.tm_mday) &&
	       get(8) == bcd(tm.tm_mon + 1) && get(9) == bcd(tm.tm_year % 100) &&
	       get(0x32) == bcd(tm.tm_year / 100 + 19);
}

static void rtc_calendar(void)
{
	/* Every day of 1970 to 2133, at an hour that moves. */
	for (int64_t day = 0; day < 60000; day++) {
		int64_t epoch = day * 86400 + day * 7919 % 86400;

		init_rtc(epoch);
		CHECK(rtc_shows(epoch));
		now += SEC;
		CHECK(rtc_shows(epoch + 1));
	}
}

static void rtc_formats(void)
{
	init_rtc(15 * 3600 + 59 * 60 + 58);
	CHECK(get(4) == 0x15);
	set(0xb, 0x04 | 0x02);
	CHECK(get(4) == 15 && get(2) == 59);
	set(0xb, 0x04);
	CHECK(get(4) == (0x80 | 3));
	set(0xb, 0x00);
	now += 9 * 3600 * SEC;
	CHECK(get(4) == 0x12);
}

static void rtc_set(void)
{
	init_rtc(1000000000);
	set(0xb, 0x82);
	now += 100 * SEC;
	set(0, 0x59);
	set(2, 0x59);
	set(4, 0x23);
	set(7, 0x29);
	set(8, 0x02);
	set(9, 0x24);
	set(0x32, 0x20);
	now += 100 * SEC;
	CHECK(get(0) == 0x59);
	set(0xb, 0x02);
	now += SEC;
	CHECK(rtc_shows(1709251200));
}

static void rtc_interrupts(void)
{
	init_rtc(1000000000);
	CHECK(vmlet_rtc_deadline(&rtc) == VMLET_NEVER);
	set(0xb, 0x12);
	CHECK(vmlet_rtc_deadline(&rtc) == now + SEC);
	now += SEC;
	vmlet_rtc_advance(&rtc, now);
	CHECK(edges == 1 && level);
	CHECK((get(0xc) & 0xb0) == 0x90);
	CHECK(!level && get(0xc) == 0);
	/* One alarm, ten seconds ahead. */
	set(0xb, 0x22);
	set(1, bcd((1000000011) % 60));
	set(3, 0xff);
	set(5, 0xff);
	for (unsigned int i = 0; i < 10; i++) {
		CHECK(edges == 1);
		now += SEC;
		vmlet_rtc_advance(&rtc, now);
	}
	CHECK(edges == 2 && (get(0xc) & 0xa0) == 0xa0);
}

static void rtc_periodic(void)
{
	init_rtc(0);
	set(0xa, 0x26);
	set(0xb, 0x42);
	get(0xc);
	edges = 0;
	for (uint64_t end = now + SEC; vmlet_rtc_deadline(&rtc) <= end; get(0xc)) {
		now = vmlet_rtc_deadline(&rtc);
		vmlet_rtc_advance(&rtc, now);
	}
	CHECK(edges == 1024);
}

static void rtc_cmos(void)
{
	init_rtc(0);
	CHECK(get(0x15) == 0x80 && get(0x16) == 0x02);
	CHECK((get(0x34) | get(0x35) << 8) == 240 << 4);
	CHECK((get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16) == 0x10000);
	set(0x40, 0x5a);
	CHECK(get(0x40) == 0x5a && get(0xd) == 0x80);
	now += SEC - 100000;
	CHECK(get(0xa) == 0xa6);
	now += 200000;
	CHECK(get(0xa) == 0x26);
}

static void init_uart(void)
{
	power_on();
	uart = (struct vmlet_uart){ .line = test_line, .transmit = transmit };
	vmlet_uart_init(&uart, &ports);
}

static void uart_sends(void)
{
	init_uart();
	CHECK((inb(0x3fd) & 0x60) == 0x60);
	outb('o', 0x3f8);
	outb('k', 0x3f8);
	CHECK(sent_count == 2 && sent[0] == 'o' && sent[1] == 'k' && edges == 0);
	/* The announcement that the transmitter is empty. */
	outb(0x0b, 0x3fc);
	outb(0x02, 0x3f9);
	CHECK(edges == 1 && inb(0x3fa) == 0x02 && !level && inb(0x3fa) == 0x01);
	outb('!', 0x3f8);
	CHECK(edges == 2 && level);
	outb('!', 0x3f8);
	CHECK(edges == 3 && level);
	outb(0x00, 0x3f9);
	CHECK(!level);
	outb(0x02, 0x3f9);
	CHECK(edges == 4);
}

static void uart_receives(void)
{
	init_uart();
	outb(0x01, 0x3fa);
	outb(0x0b, 0x3fc);
	outb(0x01, 0x3f9);
	for (unsigned int i = 0; i < 16; i++) {
		CHECK(vmlet_uart_ready(&uart));
		vmlet_uart_receive(&uart, 'a' + i);
	}
	CHECK(!vmlet_uart_ready(&uart) && edges == 1 && inb(0x3fa) == 0xcc);
	for (unsigned int i = 0; i < 16; i++)
		CHECK((inb(0x3fd) & 3) == 1 && inb(0x3f8) == 'a' + i);
	CHECK(!level && inb(0x3fa) == 0xc1 && !(inb(0x3fd) & 1));
	for (unsigned int i = 0; i < 17; i++)
		vmlet_uart_receive(&uart, i);
	CHECK(inb(0x3fd) & 2);
	CHECK(!(inb(0x3fd) & 2));
	outb(0x03, 0x3fa);
	CHECK(!(inb(0x3fd) & 1));
}

static void uart_flow_control(void)
{
	init_uart();
	CHECK(!vmlet_uart_ready(&uart));
	inb(0x3fd);
	CHECK(vmlet_uart_ready(&uart));
	outb(0x09, 0x3fc);
	CHECK(!vmlet_uart_ready(&uart));
	outb(0x0b, 0x3fc);
	CHECK(vmlet_uart_ready(&uart));
	outb(0x1b, 0x3fc);
	CHECK(!vmlet_uart_ready(&uart));
}

static void uart_modem(void)
{
	init_uart();
	CHECK(inb(0x3fe) == 0xb0);
	/* How a driver recognizes the chip: outputs come back as inputs. */
	outb(0x1a, 0x3fc);
	CHECK((inb(0x3fe) & 0xf0) == 0x90);
	outb(0x12, 0x3fc);
	CHECK(inb(0x3fe) == 0x18);
	outb('x', 0x3f8);
	CHECK(sent_count == 0 && inb(0x3f8) == 'x');
	outb(0x00, 0x3fc);
	outb(0x5a, 0x3ff);
	CHECK(inb(0x3ff) == 0x5a);
	outb(0x80, 0x3fb);
	outb(0x34, 0x3f8);
	outb(0x12, 0x3f9);
	CHECK(inb(0x3f8) == 0x34 && inb(0x3f9) == 0x12);
	outb(0x03, 0x3fb);
	CHECK(inb(0x3f9) == 0x00 && sent_count == 0);
}

static void reset_ports(void)
{
	static const struct {
		uint16_t port;
		uint8_t size;
		uint32_t value;
		enum vmlet_power power;
	} rows[] = {
		{ 0x64, 1, 0xfe, VMLET_POWER_RESET }, { 0x64, 1, 0xd1, VMLET_POWER_ON },
		{ 0x92, 1, 0x03, VMLET_POWER_RESET }, { 0x92, 1, 0x02, VMLET_POWER_ON },
		{ 0xcf9, 1, 0x06, VMLET_POWER_RESET }, { 0xcf9, 1, 0x02, VMLET_POWER_ON },
		{ 0xcf8, 4, 0x80000600, VMLET_POWER_ON },
		{ 0x604, 2, 0x3401, VMLET_POWER_OFF }, { 0x604, 2, 0x1401, VMLET_POWER_ON },
		{ 0x604, 2, 0x2001, VMLET_POWER_ON },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		power_on();
		vmlet_reset_init(&reset, &ports);
		out(rows[i].port, rows[i].size, rows[i].value);
		CHECK(reset.power == rows[i].power);
	}
}

static void pm_block(void)
{
	uint32_t before;

	power_on();
	vmlet_reset_init(&reset, &ports);
	CHECK(in(0x604, 2) == 0x0001);
	out(0x602, 2, 0x0120);
	CHECK(in(0x600, 4) == 0x01200000);
	before = in(0x608, 4);
	now += MSEC;
	CHECK(((in(0x608, 4) - before) & 0xffffff) - 3579 <= 1);
	CHECK(inb(0x64) == 0 && inb(0x92) == 0x02);
}

static void port_space(void)
{
	struct vmlet_port_range clash = { .first = 0x3ff, .count = 2, .width = 1 };

	init_uart();
	CHECK(in(0x500, 1) == 0xff && in(0x500, 2) == 0xffff && in(0x500, 4) == 0xffffffff);
	CHECK(ports.absent.reads == 3);
	CHECK(!vmlet_ports_add(&ports, &clash));
	clash.first = 0x400;
	CHECK(vmlet_ports_add(&ports, &clash));
	/* A wide access is split, and stops at the end of the device. */
	outb(0x11, 0x3ff);
	CHECK(in(0x3fe, 4) == 0xffff11b0);
	/* OUTSB of four bytes. */
	memcpy(page.bytes + 4096, "outs", 4);
	CHECK(access_port(KVM_EXIT_IO_OUT, 0x3f8, 1, 4));
	CHECK(sent_count == 4 && !memcmp(sent, "outs", 4));
	CHECK(!access_port(KVM_EXIT_IO_OUT, 0x3f8, 1, 4097));
	CHECK(!access_port(KVM_EXIT_IO_OUT, 0x3f8, 3, 1));
}

static const struct test tests[] = {
	{ "MC146818: every day until 2133", rtc_calendar },
	{ "MC146818: binary, BCD, 12 and 24 hours", rtc_formats },
	{ "MC146818: setting the time", rtc_set },
	{ "MC146818: update and alarm interrupts", rtc_interrupts },
	{ "MC146818: periodic interrupt", rtc_periodic },
	{ "MC146818: memory sizes, memory, update in progress", rtc_cmos },
	{ "16550: sending", uart_sends },
	{ "16550: receiving", uart_receives },
	{ "16550: nothing arrives before RTS", uart_flow_control },
	{ "16550: modem lines, loopback, divisor", uart_modem },
	{ "reset and power off", reset_ports },
	{ "ACPI timer and registers", pm_block },
	{ "port ranges", port_space },
};

int main(void)
{
	run_tests(tests, ARRAY_SIZE(tests));
}
