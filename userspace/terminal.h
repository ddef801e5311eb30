/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the user's terminal: raw mode, escape keys, output
 */
#ifndef VMLET_TERMINAL_H
#define VMLET_TERMINAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMLET_OUTPUT_SIZE 4096

/**
 * enum vmlet_key - what became of a byte that was typed
 * @VMLET_KEY_PASS: it is for the guest
 * @VMLET_KEY_TAKEN: it was part of an escape
 * @VMLET_KEY_QUIT: the user wants to leave
 */
enum vmlet_key {
	VMLET_KEY_PASS,
	VMLET_KEY_TAKEN,
	VMLET_KEY_QUIT,
};

/**
 * vmlet_terminal_raw() - hand the keyboard to the guest
 *
 * Does nothing if standard input is no terminal. The old mode comes back at exit, by
 * vmlet_terminal_restore(), and when a fatal signal kills the program.
 */
void vmlet_terminal_raw(void);

/**
 * vmlet_terminal_restore() - take the keyboard back
 */
void vmlet_terminal_restore(void);

/**
 * vmlet_terminal_key() - sort out the escape keys
 * @byte: what was typed
 *
 * Ctrl-A x quits, Ctrl-A h helps, Ctrl-A Ctrl-A is one Ctrl-A for the guest. Input
 * that does not come from a terminal has no escapes.
 *
 * Return: what to do with @byte.
 */
enum vmlet_key vmlet_terminal_key(uint8_t byte);

/**
 * struct vmlet_output - bytes on their way to standard output
 * @bytes: what has been collected
 * @count: how many
 * @deadline: time by which they must have been written
 * @error: errno that writing has met, 0 for none
 * @stop: becomes nonzero when waiting for a slow reader must end
 */
struct vmlet_output {
	uint8_t bytes[VMLET_OUTPUT_SIZE];
	size_t count;
	uint64_t deadline;
	int error;
	const atomic_int *stop;
};

/**
 * vmlet_output_init() - start empty
 * @output: the collection
 * @stop: see struct vmlet_output
 */
void vmlet_output_init(struct vmlet_output *output, const atomic_int *stop);

/**
 * vmlet_output_put() - add a byte; writes when there are many
 * @output: a struct vmlet_output
 * @byte: the byte
 * @now: current time
 */
void vmlet_output_put(void *output, uint8_t byte, uint64_t now);

/**
 * vmlet_output_flush() - write what has been collected
 * @output: the collection
 */
void vmlet_output_flush(struct vmlet_output *output);

#endif
