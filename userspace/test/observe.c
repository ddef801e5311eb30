// SPDX-License-Identifier: GPL-2.0
/* What `vmlet trace --summary` and `vmlet report` make of what they see; no virtual machine is needed. */
#include "check.h"
#include "exit_times.h"
#include "html.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vmlet_exit_times times;

static void feed(const char *const *lines, size_t count)
{
	memset(&times, 0, sizeof(times));
	while (count--)
		vmlet_exit_times_line(&times, *lines++);
}

#define FEED(...) feed((const char *const []){ __VA_ARGS__ }, sizeof((const char *const []){ __VA_ARGS__ }) / sizeof(char *))

static void exit_and_entry(void)
{
	FEED("           vmlet-140     [000]   1000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "           vmlet-140     [000]   1010: kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x52",
	     "           vmlet-140     [001]   1500: kvm_entry: vcpu 0, rip 0x2",
	     "           vmlet-140     [001]   2000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "           vmlet-140     [001]   2100: kvm_entry: vcpu 0, rip 0x2",
	     "           vmlet-140     [001]   3000: kvm_exit: vcpu 0 reason hlt rip 0x1 hardware 0x78");
	CHECK(times.reasons == 2);
	CHECK(!strcmp(times.reason[0].name, "io") && !strcmp(times.reason[1].name, "hlt"));
	CHECK(times.reason[0].count == 2 && times.reason[0].timed == 2);
	CHECK(times.reason[0].sum == 600 && times.reason[0].least == 100 && times.reason[0].most == 500);
	CHECK(times.reason[1].count == 1 && !times.reason[1].timed);
}

static void many_cpus(void)
{
	FEED("       CPU 0/KVM-140     [000]   1000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "       CPU 1/KVM-141     [001]   1100: kvm_exit: vcpu 1 reason hlt rip 0x1 hardware 0x78",
	     "       CPU 1/KVM-141     [001]   1200: kvm_entry: vcpu 1, rip 0x2",
	     "       CPU 0/KVM-140     [000]   1300: kvm_entry: vcpu 0, rip 0x2",
	     "       CPU 0/KVM-150     [000]   1400: kvm_entry: vcpu 0, rip 0x2");
	CHECK(times.reasons == 2);
	CHECK(times.reason[0].sum == 300 && times.reason[1].sum == 100);
	CHECK(times.reason[0].timed == 1 && times.reason[1].timed == 1);
}

/* What is between has no exits of its own that could be paired wrongly. */
static void losses(void)
{
	FEED("           vmlet-140     [000]   1000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "CPU:0 [LOST 12 EVENTS]",
	     "           vmlet-140     [000]   9000: kvm_entry: vcpu 0, rip 0x2",
	     "CPU:0 [LOST EVENTS]");
	CHECK(times.lost == 13);
	CHECK(times.reasons == 1 && times.reason[0].count == 1 && !times.reason[0].timed);
}

static void clocks_that_differ(void)
{
	FEED("           vmlet-140     [000]   1000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "           vmlet-140     [001]    900: kvm_entry: vcpu 0, rip 0x2",
	     "           vmlet-140     [001]   1200: kvm_entry: vcpu 0, rip 0x2");
	CHECK(times.reasons == 1 && times.reason[0].count == 1 && !times.reason[0].timed);
}

/* A thread's name has 15 bytes at most, of any kind. */
static void names_that_lie(void)
{
	FEED("", "kvm_exit", "CPU:0 [LOST 9-7 [000]   1000: kvm_entry: vcpu 0, rip 0x2", "-1 [0] 1: kvm_exit: vcpu 0 reason a ",
	     "  -1 [000] 5: kv-140     [000]   1000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "  kvm_exit: vcpu-140     [000]   1200: kvm_entry: vcpu 0, rip 0x2");
	CHECK(!times.lost);
	CHECK(times.reasons == 1 && !strcmp(times.reason[0].name, "io") && times.reason[0].sum == 200);
}

static void more_than_fits(void)
{
	char line[256];

	memset(&times, 0, sizeof(times));
	for (int i = 0; i < 2 * VMLET_EXIT_TIMES_REASONS; i++) {
		snprintf(line, sizeof(line), "           vmlet-140     [000]   %d: kvm_exit: vcpu 0 reason %064d rip", i, i);
		vmlet_exit_times_line(&times, line);
	}
	CHECK(times.reasons == 1);
	for (int i = 0; i < 2 * VMLET_EXIT_TIMES_REASONS; i++) {
		snprintf(line, sizeof(line), "           vmlet-140     [000]   %d: kvm_exit: vcpu 0 reason r%d rip", i, i);
		vmlet_exit_times_line(&times, line);
		vmlet_exit_times_line(&times, "           vmlet-140     [000]   9999: kvm_entry: vcpu 0");
	}
	CHECK(times.reasons == VMLET_EXIT_TIMES_REASONS);
	CHECK(times.reason[VMLET_EXIT_TIMES_REASONS - 1].timed == 1);
}

/* What @write has written, to be freed. */
static char *text_of(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	write(out);
	fclose(out);
	return text;
}

static void write_table(FILE *out)
{
	FEED("           vmlet-140     [000]   1000000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "           vmlet-140     [000]   4000000: kvm_entry: vcpu 0, rip 0x2",
	     "           vmlet-140     [000]   5000000: kvm_exit: vcpu 0 reason cpuid rip 0x1 hardware 0x72",
	     "           vmlet-140     [000]   6000000: kvm_entry: vcpu 0, rip 0x2",
	     "           vmlet-140     [000]   7000000: kvm_exit: vcpu 0 reason io rip 0x1 hardware 0x7b",
	     "           vmlet-140     [000]  12000000: kvm_entry: vcpu 0, rip 0x2");
	vmlet_exit_times_table(out, &times, 1000000);
}

static void table(void)
{
	char *text = text_of(write_table);

	CHECK(strstr(text, "\nio                          2   66.7 %   88.9 %   8.00 ms   3.00 ms   4.00 ms   5.00 ms\n"));
	CHECK(strstr(text, "\ncpuid                       1   33.3 %   11.1 %   1.00 ms   1.00 ms   1.00 ms   1.00 ms\n"));
	CHECK(strstr(text, "\nall                         3  100.0 %  100.0 %   9.00 ms   1.00 ms   3.00 ms   5.00 ms\n"));
	CHECK(strstr(text, "\nio ") < strstr(text, "\ncpuid "));
	free(text);
}

static void write_hostile(FILE *out)
{
	vmlet_html_text(out, "<b a=\"&\" c='d'>\033[2J\303\244\x7f\n");
}

static void escapes(void)
{
	char *text = text_of(write_hostile);

	CHECK(!strcmp(text, "&#60;b a=&#34;&#38;&#34; c=&#39;d&#39;&#62;?[2J????"));
	free(text);
}

static void write_images(FILE *out)
{
	vmlet_html_image(out, "<svg/>", 6, "a\"b");
	vmlet_html_image(out, "<svg>\377\376", 7, "");
	vmlet_html_image(out, "<svg>\377\376>", 8, "");
}

static void images(void)
{
	char *text = text_of(write_images);

	CHECK(strstr(text, "<img alt=\"a&#34;b\" src=\"data:image/svg+xml;base64,PHN2Zy8+\">\n"));
	CHECK(strstr(text, "base64,PHN2Zz7//g==\""));
	CHECK(strstr(text, "base64,PHN2Zz7//j4=\""));
	free(text);
}

static void look(struct vmlet_history *history, uint64_t count, uint64_t time, double seconds)
{
	struct vmlet_stats_sample sample = { .exits = 2, .tsc_khz = 1000 };

	sample.exit[1].count = count;
	sample.exit[1].time[VMLET_TIME_KERNEL] = time;
	sample.exit[1].histogram[VMLET_TIME_KERNEL][3] = count;
	if (seconds)
		vmlet_history_add(history, &sample, seconds);
	else
		vmlet_history_begin(history, &sample);
}

static void history_adds_up(void)
{
	static struct vmlet_history history;

	look(&history, 10, 1000, 0);
	look(&history, 13, 1500, 1);
	look(&history, 20, 1600, 2.5);
	CHECK(history.moments == 2);
	CHECK(history.moment[0].begin == 0 && history.moment[0].end == 1);
	CHECK(history.moment[1].begin == 1 && history.moment[1].end == 2.5);
	CHECK(history.moment[0].count[1] == 3 && history.moment[1].count[1] == 7);
	CHECK(history.moment[0].time[VMLET_TIME_KERNEL] == 500 && history.moment[1].time[VMLET_TIME_KERNEL] == 100);
	CHECK(history.sum.exit[1].count == 10 && history.sum.exit[1].histogram[VMLET_TIME_KERNEL][3] == 10);
	CHECK(vmlet_history_time(&history, VMLET_TIME_KERNEL) == 600 && !vmlet_history_time(&history, VMLET_TIME_USER));
	CHECK(vmlet_history_seconds(&history) == 2.5);
}

static const struct test tests[] = {
	{ "an exit is paired with the next entry", exit_and_entry },
	{ "of the same virtual CPU", many_cpus },
	{ "but not across what was lost", losses },
	{ "nor if clocks differ", clocks_that_differ },
	{ "names of threads tell nothing", names_that_lie },
	{ "more reasons than there are", more_than_fits },
	{ "the table", table },
	{ "names in HTML are text", escapes },
	{ "images are in base64", images },
	{ "a history adds up", history_adds_up },
};

int main(void)
{
	run_tests(tests, ARRAY_SIZE(tests));
}
