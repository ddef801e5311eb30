// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet check`
 *
 * Every line is one thing that a virtual machine needs, from the CPU up to the
 * device; what is missing comes with its remedy. The verdict is not the sum of the
 * lines: it is whether a tiny guest has run.
 */
#include "commands.h"
#include "cpu.h"
#include "macros.h"
#include "report.h"

#include <cpuid.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPUINFO_LINE 8192
#define SPACE "\n\t "
#define TEST_MEMORY 0x10000
#define TEST_ENTRY 0x1000
#define HLT 0xf4

static const char usage[] =
	"usage: vmlet check [--device PATH]\n"
	"\n"
	"Say what this host can do and what is missing, with remedies.\n"
	"\n"
	"exit status: 0 if a virtual machine has been run, 1 if not, 2 wrong usage\n"
	"\n"
	"example: vmlet check && vmlet run --kernel /boot/vmlinuz-$(uname -r)\n";

/**
 * struct vendor - a maker of CPUs
 * @id: what CPUID says
 * @technology: name of its virtualization
 * @flag: its name in /proc/cpuinfo
 * @leaf: CPUID leaf that announces it
 * @bit: bit of ECX there
 * @feature_line: line of /proc/cpuinfo that lists the features of @technology
 * @required: those that a virtual machine needs
 * @optional: those that make it faster
 * @module: stock module that may own the CPU
 */
struct vendor {
	const char *id;
	const char *technology;
	const char *flag;
	unsigned int leaf;
	unsigned int bit;
	const char *feature_line;
	const char *required[3];
	const char *optional[5];
	const char *module;
};

static const struct vendor vendors[] = {
	{ .id = "GenuineIntel", .technology = "VT-x", .flag = "vmx", .leaf = 1, .bit = 5,
	  .feature_line = "vmx flags", .required = { "ept", "unrestricted_guest" },
	  .optional = { "vpid", "ept_ad", "preemption_timer" }, .module = "kvm_intel" },
	{ .id = "AuthenticAMD", .technology = "AMD-V", .flag = "svm", .leaf = 0x80000001,
	  .bit = 2, .feature_line = "flags", .required = { "npt" },
	  .optional = { "nrip_save", "decodeassists", "flushbyasid", "vgif" },
	  .module = "kvm_amd" },
	{ .id = "HygonGenuine", .technology = "AMD-V", .flag = "svm", .leaf = 0x80000001,
	  .bit = 2, .feature_line = "flags", .required = { "npt" },
	  .optional = { "nrip_save", "decodeassists", "flushbyasid", "vgif" },
	  .module = "kvm_amd" },
};

enum verdict { GOOD, NOTE, BAD };

/**
 * struct check - what is known while checking
 * @device: path of the device
 * @stock: @device is not vmlet's own
 * @vendor: of the CPU, NULL if unknown
 * @vm: the machine that is tried
 * @vcpu: its vCPU
 * @runs: a guest has run
 */
struct check {
	const char *device;
	bool stock;
	const struct vendor *vendor;
	struct vmlet_vm vm;
	struct vmlet_vcpu vcpu;
	bool runs;
};

static __printf(3, 4)
void say(enum verdict verdict, const char *remedy, const char *format, ...)
{
	static const char *const marks[] = {
		[GOOD] = "[ ok ]", [NOTE] = "[note]", [BAD] = "[FAIL]",
	};
	va_list arguments;

	printf("%s ", marks[verdict]);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (remedy)
		printf("       remedy: %s\n", remedy);
}

/* Whether a line of /proc/cpuinfo, known by its first word or words, lists a feature. */
static bool cpuinfo_has(const char *line_name, const char *feature)
{
	char line[CPUINFO_LINE], *value, *word;
	FILE *file = fopen("/proc/cpuinfo", "re");
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		value = strchr(line, ':');
		if (!value || strncmp(line, line_name, strlen(line_name)))
			continue;
		for (word = strtok(value + 1, SPACE); word && !found; word = strtok(NULL, SPACE))
			found = !strcmp(word, feature);
	}
	fclose(file);
	return found;
}

static bool module_loaded(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

static void check_vendor(struct check *check)
{
	unsigned int eax, id[4] = { 0 };

	__cpuid(0, eax, id[0], id[2], id[1]);
	for (size_t i = 0; i < ARRAY_SIZE(vendors); i++) {
		if (!memcmp(vendors[i].id, id, 12))
			check->vendor = &vendors[i];
	}
	if (check->vendor)
		say(GOOD, NULL, "CPU of %s", check->vendor->id);
	else
		say(BAD, "use a CPU of Intel or AMD; `make demo` emulates one",
		    "CPU of %.12s: neither VT-x nor AMD-V", (const char *)id);
}

/* The kernel takes back what CPUID promises where the firmware has locked it off. */
static void check_technology(struct check *check)
{
	const struct vendor *vendor = check->vendor;
	unsigned int regs[4] = { 0 };

	if (!vendor)
		return;
	__get_cpuid(vendor->leaf, &regs[0], &regs[1], &regs[2], &regs[3]);
	if (cpuinfo_has("flags", vendor->flag))
		say(GOOD, NULL, "%s (%s)", vendor->technology, vendor->flag);
	else if (regs[2] >> vendor->bit & 1)
		say(BAD, "switch virtualization on in the firmware's setup (VT-x, VMX, SVM mode), then\n"
			 "       switch the machine off and on: a reboot does not always unlock it",
		    "%s is there, but locked off by the firmware", vendor->technology);
	else
		say(BAD, "inside a virtual machine, enable nested virtualization in its host\n"
			 "       (modprobe kvm_intel or kvm_amd with nested=1, CPU model `host`); without it, `make demo` emulates",
		    "this CPU has no %s (%s)", vendor->technology, vendor->flag);
}

static void check_features(struct check *check)
{
	const struct vendor *vendor = check->vendor;

	if (!vendor || !cpuinfo_has("flags", vendor->flag))
		return;
	for (const char *const *feature = vendor->required; *feature; feature++) {
		bool has = cpuinfo_has(vendor->feature_line, *feature);

		say(has ? GOOD : BAD, has ? NULL : "none: vmlet has no shadow paging; use a newer CPU",
		    "%s, which vmlet needs", *feature);
	}
	for (const char *const *feature = vendor->optional; *feature; feature++) {
		bool has = cpuinfo_has(vendor->feature_line, *feature);

		say(has ? GOOD : NOTE, NULL, "%s%s", *feature, has ? "" : " is absent: slower, but works");
	}
}

static void check_rivals(struct check *check)
{
	static const char *const rivals[] = { "kvm_intel", "kvm_amd", "vboxdrv", "vmmon" };
	char remedy[80];
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(rivals) && !check->stock; i++) {
		if (!module_loaded(rivals[i]))
			continue;
		snprintf(remedy, sizeof(remedy), "end its virtual machines, then `rmmod %s`", rivals[i]);
		say(BAD, remedy, "%s is loaded and may own the CPU", rivals[i]);
		found = true;
	}
	if (!found && !check->stock)
		say(GOOD, NULL, "no other hypervisor is loaded");
}

/* A locked-down kernel (Secure Boot) loads signed modules only. */
static void check_lockdown(struct check *check)
{
	char line[80] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");

	if (!file)
		return;
	if (fgets(line, sizeof(line), file) && !strstr(line, "[none]") && !check->stock)
		say(NOTE, "sign the module with a key that the machine trusts, or switch Secure Boot off",
		    "the kernel is locked down: it loads signed modules only");
	fclose(file);
}

static void check_module(struct check *check)
{
	struct utsname host = { .release = "?" };

	if (check->stock)
		return;
	uname(&host);
	if (module_loaded("vmlet"))
		say(GOOD, NULL, "the module vmlet is loaded, kernel %s", host.release);
	else
		say(BAD, "`make KDIR=/lib/modules/$(uname -r)/build` and `insmod module/vmlet.ko`, or, after\n"
			 "       `make install`, `modprobe vmlet`;\n"
			 "       if that fails, the last line of `dmesg` says why",
		    "the module vmlet is not loaded, kernel %s", host.release);
}

/* What the module says that it does about each of the CPU's bugs. */
static void check_mitigations(struct check *check)
{
	FILE *file = fopen("/sys/module/vmlet/parameters/mitigations", "re");
	char line[256];

	if (!file)
		return;
	while (!check->stock && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (!strstr(line, ": not affected"))
			say(strstr(line, ": nothing") ? NOTE : GOOD, NULL, "bug of the CPU: %s", line);
	}
	fclose(file);
}

static void check_node(struct check *check)
{
	struct stat stat_node;

	if (stat(check->device, &stat_node) < 0)
		say(BAD, "it appears when the module is loaded", "%s: %s", check->device,
		    strerror(errno));
	else if (!S_ISCHR(stat_node.st_mode))
		say(BAD, "remove it, and load the module again", "%s is not a device", check->device);
	else if (access(check->device, R_OK | W_OK) < 0)
		say(BAD, "join group kvm: `usermod -aG kvm $USER`, then log in again; `make install` brings\n"
			 "       the udev rule that gives the device to that group",
		    "%s: %s", check->device, strerror(errno));
	else
		say(GOOD, NULL, "%s may be opened", check->device);
}

/**
 * struct capability - what the runner asks of the device
 * @number: KVM_CAP_ number
 * @required: whether Linux cannot be run without it
 * @name: what it is
 */
struct capability {
	int number;
	bool required;
	const char *name;
};

static const struct capability capabilities[] = {
	{ KVM_CAP_USER_MEMORY, true, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, true, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_EXT_CPUID, true, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_IMMEDIATE_EXIT, true, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_IRQCHIP, true, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_PIT2, true, "KVM_CAP_PIT2" },
	{ KVM_CAP_MP_STATE, true, "KVM_CAP_MP_STATE" },
	{ KVM_CAP_IRQFD, true, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, true, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, false, "KVM_CAP_TSC_DEADLINE_TIMER" },
	{ KVM_CAP_GET_TSC_KHZ, false, "KVM_CAP_GET_TSC_KHZ" },
};

static void check_vm(struct check *check)
{
	int ret = vmlet_vm_create(&check->vm, check->device);

	if (ret < 0) {
		say(BAD, "see the lines above", "a virtual machine cannot be made: %s",
		    strerror(-ret));
		return;
	}
	say(GOOD, NULL, "KVM API version %d", KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		const struct capability *capability = &capabilities[i];

		if (vmlet_vm_has(&check->vm, capability->number))
			say(GOOD, NULL, "%s", capability->name);
		else if (capability->required)
			say(BAD, "use a newer device driver", "%s is absent", capability->name);
		else
			say(NOTE, NULL, "%s is absent: `vmlet run` does without", capability->name);
	}
}

/* One instruction, HLT, in real mode. */
static int run_guest(struct check *check)
{
	const struct vmlet_cpu_start start = { .mode = VMLET_CPU_REAL, .entry = TEST_ENTRY };
	const struct vmlet_cpu_topology topology = { .count = 1 };
	int ret = vmlet_vm_add_memory(&check->vm, TEST_MEMORY);

	if (ret < 0)
		return ret;
	*(uint8_t *)vmlet_vm_memory(&check->vm, TEST_ENTRY, 1) = HLT;
	ret = vmlet_vcpu_create(&check->vcpu, &check->vm, 0);
	if (ret < 0)
		return ret;
	if (!vmlet_cpu_setup(&check->vm, &check->vcpu, &topology) ||
	    !vmlet_cpu_start(&check->vm, &check->vcpu, &start))
		return -EIO;
	do {
		ret = vmlet_vcpu_run(&check->vcpu);
	} while (ret == -EINTR || ret == -EAGAIN);
	return ret;
}

static void check_guest(struct check *check)
{
	int ret;

	if (check->vm.fd < 0)
		return;
	fflush(stdout);
	ret = run_guest(check);
	if (ret < 0) {
		say(BAD, "look for a reason in `dmesg`", "a guest cannot be run: %s", strerror(-ret));
		return;
	}
	check->runs = check->vcpu.run->exit_reason == KVM_EXIT_HLT;
	if (check->runs)
		say(GOOD, NULL, "a guest has run");
	else
		say(BAD, "report this, with what follows", "a guest ended in the wrong way");
	fflush(stdout);
	if (!check->runs)
		vmlet_report_exit(&check->vcpu);
}

static void (*const checks[])(struct check *check) = {
	check_vendor, check_technology, check_features, check_rivals, check_lockdown,
	check_module, check_mitigations, check_node, check_vm, check_guest,
};

static int check_host(const char *device)
{
	struct check check = {
		.device = device,
		.stock = strcmp(device, VMLET_DEVICE) != 0,
		.vm = { .device_fd = -1, .fd = -1 },
		.vcpu = { .fd = -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i](&check);
	vmlet_vcpu_destroy(&check.vcpu);
	vmlet_vm_destroy(&check.vm);
	puts(check.runs ? "A virtual machine can be run here." :
	     "No virtual machine can be run here; the first [FAIL] says what to do.");
	return check.runs ? VMLET_EXIT_OFF : VMLET_EXIT_HOST;
}

int vmlet_check(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *device = VMLET_DEVICE;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VMLET_EXIT_OFF;
		}
		if (option != 'd') {
			fputs(usage, stderr);
			return VMLET_EXIT_USAGE;
		}
		device = optarg;
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	return check_host(device);
}
