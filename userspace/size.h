/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: numbers on the command line
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

/**
 * vmlet_parse_count() - a number of something, perhaps with a fraction
 * @text: as typed
 * @unit: what it is to be counted in: 1000 for seconds that shall become milliseconds
 *
 * Return: the number times @unit; 0: @text is no number, less than one @unit's part, or 1e9 or more.
 */
long vmlet_parse_count(const char *text, double unit);

#endif
