/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: numbers of bytes on the command line
 */
#ifndef VMLET_SIZE_H
#define VMLET_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * vmlet_parse_size() - a number with an optional K, M or G
 * @text: as typed
 * @size: filled in
 *
 * Return: false if @text is no such number, or too large.
 */
bool vmlet_parse_size(const char *text, uint64_t *size);

#endif
