// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the page of `vmlet report`
 *
 * It refers to nothing outside, has no scripts, and says so, so that a browser would hold it to that. A diagram is an
 * image with its data: its identifiers and styles are its own.
 */
#include "html.h"
#include "figures.h"
#include "gnuplot.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE 64

static const char head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>vmlet report</title>\n"
	"<style>\n"
	"body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: black; background: white }\n"
	"table { border-collapse: collapse }\n"
	"th, td { padding: .2em .6em; text-align: right; border-bottom: 1px solid #ccc }\n"
	"th:first-child, td:first-child { text-align: left }\n"
	"img { max-width: 100%; display: block; margin: 1em 0 }\n"
	"</style>\n"
	"</head>\n"
	"<body>\n"
	"<h1>What exits cost</h1>\n";

static const char explanation[] =
	"<p><b>guest</b>: from entry to exit, the guest's own work and the hardware's. <b>kernel</b>: from exit to next entry,\n"
	"without what userspace takes; what a halted virtual CPU sleeps is part of hlt. <b>user</b>: from a return to userspace\n"
	"to the next call. The kernel's time of an exit is told when the guest is entered again.</p>\n";

static const char columns[] =
	"<p>count: exits. share: of the time in kernel and userspace. kernel: all of it; mean, median, 99 %: of an exit in the\n"
	"kernel; quantiles are rounded to a power of two. user: mean time of a return to userspace. guest: mean time from\n"
	"entry to exit.</p>\n";

static const char no_times[] = "<p>There are no times: the module was loaded with exit_times=0.</p>\n";

void vmlet_html_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (!isprint((unsigned char)*text))
			fputc('?', out);
		else if (strchr("&<>\"'", *text))
			fprintf(out, "&#%d;", *text);
		else
			fputc(*text, out);
	}
}

static void print_base64(FILE *out, const unsigned char *data, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		unsigned int bits = data[i] << 16 | (i + 1 < size ? data[i + 1] << 8 : 0) | (i + 2 < size ? data[i + 2] : 0);

		fputc(digits[bits >> 18], out);
		fputc(digits[bits >> 12 & 63], out);
		fputc(i + 1 < size ? digits[bits >> 6 & 63] : '=', out);
		fputc(i + 2 < size ? digits[bits & 63] : '=', out);
	}
}

void vmlet_html_image(FILE *out, const char *svg, size_t size, const char *title)
{
	fputs("<img alt=\"", out);
	vmlet_html_text(out, title);
	fputs("\" src=\"data:image/svg+xml;base64,", out);
	print_base64(out, (const unsigned char *)svg, size);
	fputs("\">\n", out);
}

static bool print_drawing(FILE *out, FILE *script, const char *title)
{
	size_t size;
	char *svg = vmlet_gnuplot_run(script, &size);

	if (svg)
		vmlet_html_image(out, svg, size, title);
	free(svg);
	return svg;
}

static bool print_figure(FILE *out, const struct vmlet_history *history, const char *title,
			 void (*figure)(FILE *script, const struct vmlet_history *history))
{
	FILE *script = vmlet_gnuplot_script();

	if (!script)
		return false;
	figure(script, history);
	return print_drawing(out, script, title);
}

static bool print_histograms(FILE *out, const struct vmlet_history *history)
{
	struct vmlet_stats_sorted sorted;
	FILE *script;

	vmlet_stats_sort(&sorted, &history->sum);
	for (uint32_t i = 0; i < sorted.exits; i++) {
		const uint64_t *time = (const uint64_t *)sorted.exit[i]->time;

		if (!time[VMLET_TIME_GUEST] && !time[VMLET_TIME_KERNEL] && !time[VMLET_TIME_USER])
			continue;
		script = vmlet_gnuplot_script();
		if (!script)
			return false;
		vmlet_figure_histograms(script, history, sorted.exit[i]);
		if (!print_drawing(out, script, sorted.exit[i]->name))
			return false;
	}
	return true;
}

static void print_cell(FILE *out, const char *tag, const char *text)
{
	fprintf(out, "<%s>", tag);
	vmlet_html_text(out, text);
	fprintf(out, "</%s>", tag);
}

static void print_table(FILE *out, const struct vmlet_history *history)
{
	struct vmlet_stats_sorted sorted;
	struct vmlet_stats_cells cells;

	vmlet_stats_sort(&sorted, &history->sum);
	fputs("<table>\n<tr>", out);
	for (size_t i = 0; i < VMLET_STATS_COLUMNS; i++)
		print_cell(out, "th", vmlet_stats_columns[i]);
	fputs("</tr>\n", out);
	for (uint32_t n = 0; n < sorted.exits; n++) {
		vmlet_stats_cells(&cells, sorted.exit[n], sorted.cost, history->sum.tsc_khz);
		fputs("<tr>", out);
		for (size_t i = 0; i < VMLET_STATS_COLUMNS; i++)
			print_cell(out, "td", cells.text[i]);
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
}

static void print_processes(FILE *out, const struct vmlet_stats_list *list)
{
	size_t n;

	fputs("<table>\n<tr><th>process</th><th>name</th><th>virtual CPUs</th></tr>\n", out);
	for (size_t i = 0; i < list->count; i += n) {
		for (n = 1; i + n < list->count && list->source[i + n].pid == list->source[i].pid; n++)
			;
		fprintf(out, "<tr><td>%d</td>", (int)list->source[i].pid);
		print_cell(out, "td", list->source[i].name);
		fprintf(out, "<td>%zu</td></tr>\n", n);
	}
	fputs("</table>\n", out);
}

static void print_circumstances(FILE *out, const struct vmlet_history *history)
{
	time_t now = time(NULL);
	char host[NAME_SIZE] = "", text[NAME_SIZE];
	struct tm parts;

	gethostname(host, sizeof(host) - 1);
	localtime_r(&now, &parts);
	strftime(text, sizeof(text), "%F %T %Z", &parts);
	fputs("<p>On host ", out);
	vmlet_html_text(out, host);
	fprintf(out, ", %.1f s until %s", vmlet_history_seconds(history), text);
	if (history->sum.tsc_khz)
		fprintf(out, ", TSC at %.3f GHz", history->sum.tsc_khz / 1e6);
	fputs(".</p>\n", out);
}

static bool is_timed(const struct vmlet_history *history)
{
	return vmlet_history_time(history, VMLET_TIME_GUEST) || vmlet_history_time(history, VMLET_TIME_KERNEL);
}

static bool print_exits(FILE *out, const struct vmlet_history *history)
{
	bool ok, timed = is_timed(history);

	fputs("<h2>Share of time</h2>\n", out);
	fputs(timed ? explanation : no_times, out);
	ok = !timed || print_figure(out, history, "share of time, by reason", vmlet_figure_shares);
	print_table(out, history);
	fputs(columns, out);
	fputs("<h2>Over time</h2>\n", out);
	ok = ok && print_figure(out, history, "exits per second, by reason", vmlet_figure_rates) &&
	     (!timed || print_figure(out, history, "share of time over time", vmlet_figure_shares_over_time));
	if (!ok || !timed)
		return ok;
	fputs("<h2>Histograms</h2>\n<p>How many exits took how long. All have the same scales, which are logarithmic.</p>\n", out);
	return print_histograms(out, history);
}

bool vmlet_html_page(FILE *out, const struct vmlet_history *history, const struct vmlet_stats_list *list)
{
	struct vmlet_stats_sorted sorted;
	bool ok = true;

	fputs(head, out);
	print_circumstances(out, history);
	print_processes(out, list);
	vmlet_stats_sort(&sorted, &history->sum);
	if (sorted.exits)
		ok = print_exits(out, history);
	else
		fputs("<p>There were no exits.</p>\n", out);
	fputs("</body>\n</html>\n", out);
	return ok;
}
