/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the page of `vmlet report`
 */
#ifndef VMLET_HTML_H
#define VMLET_HTML_H

#include "history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/**
 * vmlet_html_text() - what is text only, whatever is in it
 * @out: where
 * @text: what; bytes that are not printable ASCII become question marks
 */
void vmlet_html_text(FILE *out, const char *text);

/**
 * vmlet_html_image() - a picture, part of the page itself
 * @out: where
 * @svg: it
 * @size: its size in bytes
 * @title: what it shows
 */
void vmlet_html_image(FILE *out, const char *svg, size_t size, const char *title);

/**
 * vmlet_html_page() - all of it
 * @out: where
 * @history: of what
 * @list: its vCPUs
 *
 * Return: false: a diagram is missing, and why has been said.
 */
bool vmlet_html_page(FILE *out, const struct vmlet_history *history, const struct vmlet_stats_list *list);

#endif
