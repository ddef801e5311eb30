/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the user's terminal: raw mode, escape keys
 */
#ifndef VMLET_TERMINAL_H
#define VMLET_TERMINAL_H

#include <stdint.h>

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

#endif
