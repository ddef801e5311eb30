/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the 16550A serial port, COM1 of a PC
 */
#ifndef VMLET_UART_H
#define VMLET_UART_H

#include "ports.h"

#define VMLET_UART_FIFO 16

/**
 * struct vmlet_uart - one serial port
 * @ier: interrupt enable register
 * @fcr: FIFO control register
 * @lcr: line control register
 * @mcr: modem control register
 * @scratch: scratch register
 * @divisor: baud rate divisor, which changes nothing
 * @fifo: bytes received, a ring
 * @head: index of the oldest byte in @fifo
 * @count: bytes in @fifo
 * @overrun: a byte was lost
 * @modem_delta: modem inputs changed since they were last read, low bits of MSR
 * @thr_empty: the transmitter has announced that it is empty
 * @driven: the guest has set up the modem control register
 * @polled: the guest has looked for input
 * @line: interrupt line
 * @transmit: takes a byte that the guest has sent
 * @transmit_to: first argument of @transmit
 */
struct vmlet_uart {
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scratch;
	uint16_t divisor;
	uint8_t fifo[VMLET_UART_FIFO];
	uint8_t head;
	uint8_t count;
	bool overrun;
	uint8_t modem_delta;
	bool thr_empty;
	bool driven;
	bool polled;
	struct vmlet_line line;
	void (*transmit)(void *to, uint8_t byte);
	void *transmit_to;
};

/**
 * vmlet_uart_init() - power on and connect
 * @uart: the port; must outlive @ports; @line, @transmit, @transmit_to are set
 * @ports: the address space
 *
 * Return: false if a port is taken.
 */
bool vmlet_uart_init(struct vmlet_uart *uart, struct vmlet_ports *ports);

/**
 * vmlet_uart_ready() - whether the guest wants another byte
 * @uart: the port
 *
 * The other end of the cable minds the RTS signal: what is typed while the guest still
 * boots is kept until its driver is ready, and is not lost. A guest that never touches
 * the modem control register is ready as soon as it has read the line status.
 *
 * Return: true if vmlet_uart_receive() will not lose a byte.
 */
bool vmlet_uart_ready(const struct vmlet_uart *uart);

/**
 * vmlet_uart_receive() - a byte arrives
 * @uart: the port
 * @byte: what the guest will read
 */
void vmlet_uart_receive(struct vmlet_uart *uart, uint8_t byte);

#endif
