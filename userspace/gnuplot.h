/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the program that draws
 */
#ifndef VMLET_GNUPLOT_H
#define VMLET_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/**
 * vmlet_gnuplot_script() - begin a script
 *
 * Return: where to write it, or NULL: why not has been said.
 */
FILE *vmlet_gnuplot_script(void);

/**
 * vmlet_gnuplot_run() - have a script drawn
 * @script: of vmlet_gnuplot_script(), is closed
 * @size: of what it has drawn, in bytes
 *
 * Return: what it has drawn, to be given to free(); NULL: why there is nothing has been said.
 */
char *vmlet_gnuplot_run(FILE *script, size_t *size);

/**
 * vmlet_gnuplot_works() - is there a gnuplot?
 *
 * Return: false: what to do about it has been said.
 */
bool vmlet_gnuplot_works(void);

#endif
