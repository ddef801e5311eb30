// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the 16550A serial port
 *
 * Sending takes no time: the transmitter is always empty, and says so by one
 * interrupt after every write, as the real one does when its FIFO has drained. The
 * receive trigger level is ignored: a real port would report the bytes below it a
 * few character times later anyway.
 */
#include "uart.h"

#include <linux/serial_reg.h>

#define UART_PORT 0x3f8
#define UART_PORTS 8
/* What is at the other end: carrier, ready, clear to send. */
#define MODEM_INPUTS (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO_ENABLED 0xc0

static bool loopback(const struct vmlet_uart *uart)
{
	return uart->mcr & UART_MCR_LOOP;
}

static bool fifo_enabled(const struct vmlet_uart *uart)
{
	return uart->fcr & UART_FCR_ENABLE_FIFO;
}

static uint8_t fifo_size(const struct vmlet_uart *uart)
{
	return fifo_enabled(uart) ? VMLET_UART_FIFO : 1;
}

/* The most urgent interrupt that is enabled, as IIR reports it. */
static uint8_t pending(const struct vmlet_uart *uart)
{
	if ((uart->ier & UART_IER_RLSI) && uart->overrun)
		return UART_IIR_RLSI;
	if ((uart->ier & UART_IER_RDI) && uart->count)
		return fifo_enabled(uart) ? IIR_TIMEOUT : UART_IIR_RDI;
	if ((uart->ier & UART_IER_THRI) && uart->thr_empty)
		return UART_IIR_THRI;
	if ((uart->ier & UART_IER_MSI) && uart->modem_delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* On a PC the OUT2 output opens the way to the interrupt controller. */
static void update_line(struct vmlet_uart *uart)
{
	vmlet_line_set(&uart->line, (uart->mcr & UART_MCR_OUT2) && !loopback(uart) &&
				    pending(uart) != UART_IIR_NO_INT);
}

static uint8_t modem_inputs(const struct vmlet_uart *uart)
{
	uint8_t mcr = uart->mcr;

	if (!loopback(uart))
		return MODEM_INPUTS;
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void push(struct vmlet_uart *uart, uint8_t byte)
{
	if (uart->count == fifo_size(uart)) {
		uart->overrun = true;
		return;
	}
	uart->fifo[(uart->head + uart->count++) % VMLET_UART_FIFO] = byte;
}

static uint8_t pop(struct vmlet_uart *uart)
{
	uint8_t byte = uart->fifo[uart->head];

	if (!uart->count)
		return 0;
	uart->head = (uart->head + 1) % VMLET_UART_FIFO;
	uart->count--;
	return byte;
}

bool vmlet_uart_ready(const struct vmlet_uart *uart)
{
	bool may_send = uart->driven ? uart->mcr & UART_MCR_RTS : uart->polled;

	return may_send && !loopback(uart) && uart->count < fifo_size(uart);
}

void vmlet_uart_receive(struct vmlet_uart *uart, uint8_t byte)
{
	push(uart, byte);
	update_line(uart);
}

static uint8_t read_iir(struct vmlet_uart *uart)
{
	uint8_t reason = pending(uart);

	if (reason == UART_IIR_THRI)
		uart->thr_empty = false;
	return reason | (fifo_enabled(uart) ? IIR_FIFO_ENABLED : 0);
}

static uint8_t read_lsr(struct vmlet_uart *uart)
{
	uint8_t value = UART_LSR_THRE | UART_LSR_TEMT;

	if (uart->count)
		value |= UART_LSR_DR;
	if (uart->overrun)
		value |= UART_LSR_OE;
	uart->overrun = false;
	uart->polled = true;
	return value;
}

static uint8_t read_msr(struct vmlet_uart *uart)
{
	uint8_t value = modem_inputs(uart) | uart->modem_delta;

	uart->modem_delta = 0;
	return value;
}

static uint8_t read_register(struct vmlet_uart *uart, uint16_t offset)
{
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return divisor ? uart->divisor & 0xff : pop(uart);
	case UART_IER:
		return divisor ? uart->divisor >> 8 : uart->ier;
	case UART_IIR:
		return read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return read_lsr(uart);
	case UART_MSR:
		return read_msr(uart);
	default:
		return uart->scratch;
	}
}

static uint32_t uart_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_uart *uart = device;
	uint8_t value = read_register(uart, access->offset);

	update_line(uart);
	return value;
}

/* The announcement is an edge: withdraw it, so that the next one is seen again. */
static void send(struct vmlet_uart *uart, uint8_t byte)
{
	uart->thr_empty = false;
	update_line(uart);
	uart->thr_empty = true;
	if (loopback(uart))
		push(uart, byte);
	else
		uart->transmit(uart->transmit_to, byte);
}

static void write_ier(struct vmlet_uart *uart, uint8_t value)
{
	if ((value & UART_IER_THRI) && !(uart->ier & UART_IER_THRI))
		uart->thr_empty = true;
	uart->ier = value & 0x0f;
}

/* Switching the FIFOs on or off empties them. */
static void write_fcr(struct vmlet_uart *uart, uint8_t value)
{
	bool toggled = (value ^ uart->fcr) & UART_FCR_ENABLE_FIFO;

	if (toggled || (value & UART_FCR_CLEAR_RCVR))
		uart->count = 0;
	uart->fcr = value;
}

static void write_mcr(struct vmlet_uart *uart, uint8_t value)
{
	uint8_t before = modem_inputs(uart), changed;

	uart->mcr = value & 0x1f;
	uart->driven = true;
	changed = before ^ modem_inputs(uart);
	/* Each delta bit is four below its input; RI counts only when it falls. */
	changed &= ~(UART_MSR_RI & modem_inputs(uart));
	uart->modem_delta |= changed >> 4;
}

static void write_register(struct vmlet_uart *uart, const struct vmlet_access *access)
{
	bool divisor = uart->lcr & UART_LCR_DLAB;
	uint8_t value = access->value;

	switch (access->offset) {
	case UART_TX:
		if (divisor)
			uart->divisor = (uart->divisor & 0xff00) | value;
		else
			send(uart, value);
		break;
	case UART_IER:
		if (divisor)
			uart->divisor = (uart->divisor & 0x00ff) | value << 8;
		else
			write_ier(uart, value);
		break;
	case UART_FCR:
		write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		write_mcr(uart, value);
		break;
	case UART_SCR:
		uart->scratch = value;
		break;
	}
}

static void uart_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_uart *uart = device;

	write_register(uart, access);
	update_line(uart);
}

bool vmlet_uart_init(struct vmlet_uart *uart, struct vmlet_ports *ports)
{
	const struct vmlet_port_range range = {
		.name = "uart", .first = UART_PORT, .count = UART_PORTS, .width = 1,
		.device = uart, .in = uart_in, .out = uart_out,
	};

	return vmlet_ports_add(ports, &range);
}
