// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: files of statistics
 *
 * KVM_GET_STATS_FD. A file that describes itself: header, name, a descriptor for each number, numbers. The names are
 * KVM's where they mean the same. It holds the VM, as other files do, and tells whoever has it, in any address space.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "../api/api.h"
#include "../cpu/vendor.h"

#define NAME_SIZE	48	/* KVM's */

/* The sum of @count u64 of the block, from the @first on, each @stride behind the one before; or @size of them, as they are. */
struct row {
	const char *name;
	u32 flags;
	u16 first, count, stride, size;
};

#define EXIT_SIZE	(sizeof(struct vmlet_exit_stats) / sizeof(u64))
#define WHERE(block, member)	(offsetof(struct block, member) / sizeof(u64))
#define COUNTER		(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE)

#define EXITS(name, reason, n) \
	{ name, COUNTER, WHERE(vmlet_stats, exit[VMLET_EXIT_##reason].count), n, EXIT_SIZE, 1 }
#define TIMES(name, reason, what) \
	{ name, KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_CYCLES, \
	  WHERE(vmlet_stats, exit[VMLET_EXIT_##reason].histogram[VMLET_TIME_##what]), 1, 0, VMLET_TIME_BUCKETS }
#define PHASE(name, reason, what) \
	{ name, KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_CYCLES, \
	  WHERE(vmlet_stats, exit[VMLET_EXIT_##reason].phase[VMLET_PHASE_##what]), 1, 0, 1 }
#define INJECTIONS(name, what)	{ name, COUNTER, WHERE(vmlet_stats, injections[VMLET_INJECT_##what]), 1, 0, 1 }
#define COUNT(block, member)	{ #member, COUNTER, WHERE(block, member), 1, 0, 1 }
#define PAGES(name, level) \
	{ name, KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE, WHERE(vmlet_vm_stats, pages[(level) - 1]), 1, 0, 1 }

static const struct row vcpu_stats[] = {
	EXITS("exits", UNKNOWN, VMLET_EXIT_COUNT),
#define X(sym, name) EXITS("exits_" name, sym, 1),
	VMLET_EXIT_REASONS(X)
#undef X
	EXITS("io_exits", IO, VMLET_EXIT_IO_STRING - VMLET_EXIT_IO + 1),
	EXITS("irq_exits", INTR, 1),
	EXITS("irq_window_exits", INTR_WINDOW, 1),
	EXITS("nmi_window_exits", NMI_WINDOW, 1),
	EXITS("halt_exits", HLT, 1),
	EXITS("hypercalls", HYPERCALL, 1),
	INJECTIONS("irq_injections", IRQ),
	INJECTIONS("nmi_injections", NMI),
	INJECTIONS("exception_injections", EXCEPTION),
	COUNT(vmlet_stats, mmio_exits),
	COUNT(vmlet_stats, signal_exits),
	COUNT(vmlet_stats, request_irq_exits),
	COUNT(vmlet_stats, insn_emulation_fail),
	COUNT(vmlet_stats, tlb_flush),
	COUNT(vmlet_stats, pf_taken),
	COUNT(vmlet_stats, pf_fixed),
	COUNT(vmlet_stats, halt_attempted_poll),
	COUNT(vmlet_stats, halt_successful_poll),
	COUNT(vmlet_stats, halt_wakeup),
#define X(sym, name) TIMES("guest_time_" name, sym, GUEST), TIMES("kernel_time_" name, sym, KERNEL), \
	TIMES("user_time_" name, sym, USER),
	VMLET_EXIT_REASONS(X)
#undef X
#define X(sym, name) \
	{ "left_" name, COUNTER, WHERE(vmlet_stats, exit[VMLET_EXIT_##sym].left), 1, 0, 1 }, \
	PHASE("inner_time_" name, sym, INNER), PHASE("switch_time_" name, sym, SWITCH), \
	PHASE("handler_time_" name, sym, HANDLER), PHASE("halt_time_" name, sym, HALT), PHASE("rest_time_" name, sym, REST),
	VMLET_EXIT_REASONS(X)
#undef X
};

static const struct row vm_stats[] = {
	COUNT(vmlet_vm_stats, remote_tlb_flush),
	COUNT(vmlet_vm_stats, remote_tlb_flush_requests),
	PAGES("pages_4k", 1),
	PAGES("pages_2m", 2),
	PAGES("pages_1g", 3),
};

static_assert(VMLET_EXIT_IO_STRING > VMLET_EXIT_IO);

/* struct kvm_stats_desc, whose @name has a size in some kernels only. */
struct stat_desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[NAME_SIZE];
};

static_assert(offsetof(struct stat_desc, offset) == offsetof(struct kvm_stats_desc, offset));
static_assert(offsetof(struct stat_desc, name) == offsetof(struct kvm_stats_desc, name));

struct stat_head {
	struct kvm_stats_header header;
	char id[NAME_SIZE];
	struct stat_desc desc[];
};

static u64 *copy_values(u64 *to, const struct row *row, const u64 *block)
{
	u64 sum = 0;
	unsigned int i;

	if (row->size > 1) {
		for (i = 0; i < row->size; i++)
			*to++ = READ_ONCE(block[row->first + i]);
		return to;
	}
	for (i = 0; i < row->count; i++)
		sum += READ_ONCE(block[row->first + i * row->stride]);
	*to++ = sum;
	return to;
}

static void fill(struct stat_head *head, const char *id, const struct row *stats, unsigned int n, const u64 *block)
{
	u64 *data = (u64 *)&head->desc[n], *end = data;
	unsigned int i;

	head->header = (struct kvm_stats_header) {
		.name_size	= NAME_SIZE,
		.num_desc	= n,
		.id_offset	= offsetof(struct stat_head, id),
		.desc_offset	= offsetof(struct stat_head, desc),
		.data_offset	= struct_size(head, desc, n),
	};
	strscpy(head->id, id, NAME_SIZE);
	for (i = 0; i < n; i++) {
		head->desc[i].flags = stats[i].flags | KVM_STATS_BASE_POW10;
		head->desc[i].size = stats[i].size;
		head->desc[i].offset = (end - data) * sizeof(u64);
		strscpy(head->desc[i].name, stats[i].name, NAME_SIZE);
		end = copy_values(end, &stats[i], block);
	}
}

static size_t file_size(const struct row *stats, unsigned int n)
{
	size_t size = offsetof(struct stat_head, desc) + n * sizeof(struct stat_desc);
	unsigned int i;

	for (i = 0; i < n; i++)
		size += stats[i].size * sizeof(u64);
	return size;
}

/* The file as it is now, of which a part is read. */
static ssize_t read_stats(const char *id, const struct row *stats, unsigned int n, const u64 *block,
			  char __user *to, size_t len, loff_t *pos)
{
	size_t size = file_size(stats, n);
	struct stat_head *head;
	ssize_t ret;

	head = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!head)
		return -ENOMEM;
	fill(head, id, stats, n, block);
	ret = simple_read_from_buffer(to, len, pos, head, size);
	kvfree(head);
	return ret;
}

static ssize_t vm_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct vmlet_vm *vm = file->private_data;
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d", vm->pid);
	return read_stats(id, vm_stats, ARRAY_SIZE(vm_stats), (u64 *)&vm->stats, to, len, pos);
}

static ssize_t vcpu_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct vmlet_vcpu *vcpu = file->private_data;
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%d", vcpu->vm->pid, vcpu->id);
	return read_stats(id, vcpu_stats, ARRAY_SIZE(vcpu_stats), (u64 *)vcpu->stats, to, len, pos);
}

static int vm_release(struct inode *inode, struct file *file)
{
	vmlet_vm_put(file->private_data);
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vmlet_vcpu *vcpu = file->private_data;

	vmlet_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner		= THIS_MODULE,
	.read		= vm_read,
	.release	= vm_release,
	.llseek		= noop_llseek,
};

static const struct file_operations vcpu_fops = {
	.owner		= THIS_MODULE,
	.read		= vcpu_read,
	.release	= vcpu_release,
	.llseek		= noop_llseek,
};

static long open_stats(struct vmlet_vm *vm, const char *name, const struct file_operations *fops, void *obj)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, obj, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vmlet_vm_get(vm);
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}

long vmlet_api_vm_stats(void *obj, struct vmlet_arg *arg)
{
	return open_stats(obj, "vmlet-vm-stats", &vm_fops, obj);
}

long vmlet_api_vcpu_stats(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;

	return open_stats(vcpu->vm, "vmlet-vcpu-stats", &vcpu_fops, vcpu);
}
