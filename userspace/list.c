// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet list`
 *
 * Which virtual machines there are, of all programs that use the module.
 */
#include "commands.h"
#include "macros.h"
#include "netlink.h"
#include "report.h"

#include <getopt.h>
#include <netlink/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 32
#define TRIES 100

static const char usage[] =
	"usage: vmlet list [--json]\n"
	"\n"
	"List the virtual machines on this host, and their virtual CPUs: those of your own user, or all if you are root.\n"
	"\n"
	"MEMORY is what the guest has been given, MAPPED what of it is mapped for it now. STATE of a virtual CPU:\n"
	"  guest     runs the guest, on the host's CPU that is given\n"
	"  kernel    is being served by the kernel\n"
	"  user      is being served by the program that runs it, or nobody runs it\n"
	"  halted    waits for an interrupt\n"
	"  stopped   waits to be started by another one\n"
	"EXITS counts all since it was made; LAST EXIT is the reason of the last one.\n"
	"\n"
	"  --json   one JSON object: {\"vms\": [{..., \"vcpus\": [...]}]}; sizes are in bytes\n"
	"\n"
	"exit status: 0, 1 if it cannot be told, 2 wrong usage\n"
	"\n"
	"example: vmlet list --json | jq '.vms[] | select(.owner_comm == \"qemu-system-x86\") | .id'\n";

static const char *const irqchip_names[] = {
	[VMLET_VM_IRQCHIP_NONE] = "none",
	[VMLET_VM_IRQCHIP_SPLIT] = "split",
	[VMLET_VM_IRQCHIP_KERNEL] = "kernel",
};

static const char *const state_names[] = {
	[VMLET_VCPU_STATE_USER] = "user",
	[VMLET_VCPU_STATE_KERNEL] = "kernel",
	[VMLET_VCPU_STATE_GUEST] = "guest",
	[VMLET_VCPU_STATE_HALTED] = "halted",
	[VMLET_VCPU_STATE_STOPPED] = "stopped",
};

/**
 * struct vm - a virtual machine; numbers are those of enum vmlet_attr_vm
 */
struct vm {
	uint64_t id, slot_bytes, pages[3];
	uint32_t pid, uid, vcpus, slots, irqchip;
	char comm[NAME_SIZE];
};

/**
 * struct vcpu - a virtual CPU; numbers are those of enum vmlet_attr_vcpu
 * @cpu: -1: in no guest now
 */
struct vcpu {
	uint64_t vm, exits;
	uint32_t id, thread, state;
	int cpu;
	char last_exit[NAME_SIZE];
};

/**
 * struct list - all that is there
 * @vms: by ID
 * @vcpus: by their VM's
 */
struct list {
	struct vm *vms;
	size_t vm_count;
	struct vcpu *vcpus;
	size_t vcpu_count;
};

static const char *name_of(const char *const *names, size_t count, uint32_t number)
{
	return number < count ? names[number] : "unknown";
}

#define NAME_OF(names, number) name_of(names, ARRAY_SIZE(names), number)

/* Room for one more, and the array where it is then; NULL: no memory. */
static void *grow(void *array, size_t count, size_t size)
{
	void *grown = count & (count - 1) ? array : realloc(array, (count ? 2 * count : 1) * size);

	if (!grown)
		vmlet_error("there is not enough memory");
	return grown;
}

static bool take_vm(const struct vmlet_message *message, void *data)
{
	struct list *list = data;
	struct vm *vms = grow(list->vms, list->vm_count, sizeof(*vms)), *vm;

	if (!vms)
		return false;
	list->vms = vms;
	vm = &vms[list->vm_count++];
	*vm = (struct vm){
		.id = vmlet_message_number(message, VMLET_A_VM_ID),
		.pid = vmlet_message_number(message, VMLET_A_VM_OWNER_PID),
		.uid = vmlet_message_number(message, VMLET_A_VM_OWNER_UID),
		.vcpus = vmlet_message_number(message, VMLET_A_VM_VCPUS),
		.slots = vmlet_message_number(message, VMLET_A_VM_SLOTS),
		.slot_bytes = vmlet_message_number(message, VMLET_A_VM_SLOT_BYTES),
		.irqchip = vmlet_message_number(message, VMLET_A_VM_IRQCHIP),
	};
	for (size_t i = 0; i < ARRAY_SIZE(vm->pages); i++)
		vm->pages[i] = vmlet_message_number(message, VMLET_A_VM_PAGES_4K + i);
	vmlet_message_string(message, VMLET_A_VM_OWNER_COMM, vm->comm, sizeof(vm->comm));
	return true;
}

static bool take_vcpu(const struct vmlet_message *message, void *data)
{
	struct list *list = data;
	struct vcpu *vcpus = grow(list->vcpus, list->vcpu_count, sizeof(*vcpus)), *vcpu;

	if (!vcpus)
		return false;
	list->vcpus = vcpus;
	vcpu = &vcpus[list->vcpu_count++];
	*vcpu = (struct vcpu){
		.vm = vmlet_message_number(message, VMLET_A_VCPU_VM_ID),
		.id = vmlet_message_number(message, VMLET_A_VCPU_ID),
		.thread = vmlet_message_number(message, VMLET_A_VCPU_THREAD),
		.state = vmlet_message_number(message, VMLET_A_VCPU_STATE),
		.cpu = message->attributes[VMLET_A_VCPU_CPU] ? (int)vmlet_message_number(message, VMLET_A_VCPU_CPU) : -1,
		.exits = vmlet_message_number(message, VMLET_A_VCPU_EXITS),
	};
	vmlet_message_string(message, VMLET_A_VCPU_LAST_EXIT, vcpu->last_exit, sizeof(vcpu->last_exit));
	return true;
}

/* Machines that come and go meanwhile make it worth another look, but not for ever. */
static bool take_all(struct list *list)
{
	struct vmlet_netlink netlink;
	int ret, tries = TRIES;

	if (!vmlet_netlink_open(&netlink))
		return false;
	do {
		list->vm_count = 0;
		list->vcpu_count = 0;
		ret = vmlet_netlink_dump(&netlink, VMLET_CMD_VM_GET, take_vm, list);
		if (ret >= 0)
			ret = vmlet_netlink_dump(&netlink, VMLET_CMD_VCPU_GET, take_vcpu, list);
	} while (ret == -NLE_DUMP_INTR && --tries);
	vmlet_netlink_close(&netlink);
	if (ret < 0)
		vmlet_error("the list: %s", nl_geterror(ret));
	return ret >= 0;
}

static uint64_t mapped_bytes(const struct vm *vm)
{
	return vm->pages[0] << 12 | vm->pages[1] << 21 | vm->pages[2] << 30;
}

static double mebibytes(uint64_t bytes)
{
	return bytes / 1048576.0;
}

/* 0 is no process that can be seen. */
static void print_number(int width, uint64_t number, bool known)
{
	if (known)
		printf("%*llu", width, (unsigned long long)number);
	else
		printf("%*s", width, "-");
}

static void print_tables(const struct list *list)
{
	if (!list->vm_count) {
		puts("There are no virtual machines, or none of yours.");
		return;
	}
	printf("%6s %8s %8s %-16s %5s %5s %14s %14s %s\n", "VM", "PID", "UID", "OWNER", "VCPUS", "SLOTS", "MEMORY",
	       "MAPPED", "IRQCHIP");
	for (const struct vm *vm = list->vms; vm < list->vms + list->vm_count; vm++) {
		printf("%6llu ", (unsigned long long)vm->id);
		print_number(8, vm->pid, vm->pid);
		printf(" %8u %-16s %5u %5u %10.1f MiB %10.1f MiB %s\n", vm->uid, vm->comm, vm->vcpus, vm->slots,
		       mebibytes(vm->slot_bytes), mebibytes(mapped_bytes(vm)), NAME_OF(irqchip_names, vm->irqchip));
	}
	if (!list->vcpu_count)
		return;
	printf("\n%6s %5s %8s %-8s %4s %16s %s\n", "VM", "VCPU", "THREAD", "STATE", "CPU", "EXITS", "LAST EXIT");
	for (const struct vcpu *vcpu = list->vcpus; vcpu < list->vcpus + list->vcpu_count; vcpu++) {
		printf("%6llu %5u ", (unsigned long long)vcpu->vm, vcpu->id);
		print_number(8, vcpu->thread, vcpu->thread);
		printf(" %-8s ", NAME_OF(state_names, vcpu->state));
		print_number(4, vcpu->cpu, vcpu->cpu >= 0);
		printf(" %16llu %s\n", (unsigned long long)vcpu->exits, *vcpu->last_exit ? vcpu->last_exit : "-");
	}
}

/* Printable it is already. */
static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json_vcpu(const struct vcpu *vcpu)
{
	printf("{\"id\": %u, \"thread\": %u, \"state\": \"%s\"", vcpu->id, vcpu->thread,
	       NAME_OF(state_names, vcpu->state));
	if (vcpu->cpu >= 0)
		printf(", \"cpu\": %d", vcpu->cpu);
	printf(", \"exits\": %llu", (unsigned long long)vcpu->exits);
	if (*vcpu->last_exit) {
		printf(", \"last_exit\": ");
		print_quoted(vcpu->last_exit);
	}
	putchar('}');
}

static void print_json_vm(const struct list *list, const struct vm *vm)
{
	const char *separator = "";

	printf("{\"id\": %llu, \"owner_pid\": %u, \"owner_uid\": %u, \"owner_comm\": ", (unsigned long long)vm->id, vm->pid,
	       vm->uid);
	print_quoted(vm->comm);
	printf(", \"slots\": %u, \"slot_bytes\": %llu, \"mapped_bytes\": %llu", vm->slots,
	       (unsigned long long)vm->slot_bytes, (unsigned long long)mapped_bytes(vm));
	printf(", \"pages_4k\": %llu, \"pages_2m\": %llu, \"pages_1g\": %llu", (unsigned long long)vm->pages[0],
	       (unsigned long long)vm->pages[1], (unsigned long long)vm->pages[2]);
	printf(", \"irqchip\": \"%s\", \"vcpus\": [", NAME_OF(irqchip_names, vm->irqchip));
	for (const struct vcpu *vcpu = list->vcpus; vcpu < list->vcpus + list->vcpu_count; vcpu++) {
		if (vcpu->vm != vm->id)
			continue;
		fputs(separator, stdout);
		print_json_vcpu(vcpu);
		separator = ", ";
	}
	printf("]}");
}

static void print_json(const struct list *list)
{
	printf("{\"vms\": [");
	for (size_t i = 0; i < list->vm_count; i++) {
		printf("%s\n  ", i ? "," : "");
		print_json_vm(list, &list->vms[i]);
	}
	puts(list->vm_count ? "\n]}" : "]}");
}

static int list_all(bool json)
{
	struct list list = { 0 };
	bool taken = take_all(&list);

	if (taken && json)
		print_json(&list);
	else if (taken)
		print_tables(&list);
	free(list.vms);
	free(list.vcpus);
	return taken ? VMLET_EXIT_OFF : VMLET_EXIT_HOST;
}

int vmlet_list(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VMLET_EXIT_OFF;
		}
		if (option != 'j') {
			fputs(usage, stderr);
			return VMLET_EXIT_USAGE;
		}
		json = true;
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	return list_all(json);
}
