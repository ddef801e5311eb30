/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: whole files in memory
 */
#ifndef VMLET_FILE_H
#define VMLET_FILE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct vmlet_file - a file's contents
 * @path: its name
 * @data: its bytes
 * @size: how many
 */
struct vmlet_file {
	const char *path;
	const void *data;
	size_t size;
};

/**
 * vmlet_file_map() - map a file, read-only
 * @file: filled in
 * @path: a regular file with something in it
 *
 * Return: false after an error message.
 */
bool vmlet_file_map(struct vmlet_file *file, const char *path);

/**
 * vmlet_file_unmap() - let go of it
 * @file: mapped or zero
 */
void vmlet_file_unmap(struct vmlet_file *file);

#endif
