// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: load and unload
 *
 * Choose the vendor, switch virtualization on in every CPU, offer /dev/vmlet; and the way back. CPUs that come and
 * go, suspend and reboot are followed.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <asm/cpufeature.h>

#include "api/api.h"
#include "cpu/fpu.h"
#include "cpu/vendor.h"
#include "host/host.h"
#include "observe/netlink.h"
#include "observe/times.h"
#include "time/time.h"

const struct vmlet_vendor *vmlet_vendor __ro_after_init;

static enum cpuhp_state hotplug_state;

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "vmlet",
	.mode	= 0660,
	.fops	= &vmlet_device_fops,
};

static int cpu_on(unsigned int cpu)
{
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = vmlet_vendor->cpu_on();
	local_irq_restore(flags);
	if (ret == -EBUSY)
		pr_err("vmlet: CPU %u: another hypervisor owns %s; unload it first: rmmod kvm_intel kvm_amd\n",
		       cpu, vmlet_vendor->name);
	else if (ret)
		pr_err("vmlet: CPU %u: cannot switch %s on: error %d\n", cpu, vmlet_vendor->name, ret);
	return ret;
}

static int cpu_off(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	vmlet_vendor->cpu_off();
	local_irq_restore(flags);
	return 0;
}

static void resume(void)
{
	WARN_ON(vmlet_vendor->cpu_on());
}

static void off_here(void *unused)
{
	vmlet_vendor->cpu_off();
}

/* A CPU in VMX operation does not take INIT: a reboot would hang. */
static void shutdown(void)
{
	on_each_cpu(off_here, NULL, 1);
}

static const struct vmlet_vendor *choose_vendor(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_INTEL:
	case X86_VENDOR_CENTAUR:
	case X86_VENDOR_ZHAOXIN:
		return &vmlet_vmx;
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON:
		return &vmlet_svm;
	}
	pr_err("vmlet: this CPU's vendor is not known; VT-x or AMD-V is needed\n");
	return NULL;
}

static int __init switch_on(void)
{
	int ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/vmlet:online", cpu_on, cpu_off);

	if (ret < 0)
		return ret;
	hotplug_state = ret;
	vmlet_host_power_register(vmlet_vendor->cpu_off, resume, shutdown);
	vmlet_host_crash_register(vmlet_vendor->cpu_off);
	return 0;
}

static void switch_off(void)
{
	vmlet_host_crash_unregister(vmlet_vendor->cpu_off);
	vmlet_host_power_unregister();
	cpuhp_remove_state(hotplug_state);
}

static int __init vmlet_init(void)
{
	int ret;

	/* Eventfds are signalled while the guest's state is loaded: their locks must not sleep. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_err("vmlet: real-time kernels are not supported; boot one without PREEMPT_RT\n");
		return -EOPNOTSUPP;
	}
	vmlet_vendor = choose_vendor();
	if (!vmlet_vendor)
		return -ENODEV;
	ret = vmlet_vendor->supported();
	if (!ret)
		ret = vmlet_fpu_setup();
	if (ret)
		return ret;
	vmlet_cpuid_setup();
	vmlet_stats_setup();
	ret = vmlet_vendor->setup();
	if (ret)
		return ret;
	vmlet_tsc_setup();
	ret = switch_on();
	if (ret)
		goto out_unsetup;
	/* Before there is a VM to tell of. */
	ret = vmlet_netlink_register();
	if (ret)
		goto out_off;
	ret = misc_register(&device);
	if (ret)
		goto out_unregister;
	return 0;

out_unregister:
	vmlet_netlink_unregister();
out_off:
	switch_off();
out_unsetup:
	vmlet_vendor->unsetup();
	return ret;
}

static void __exit vmlet_exit(void)
{
	misc_deregister(&device);
	vmlet_netlink_unregister();
	switch_off();
	vmlet_vendor->unsetup();
}

module_init(vmlet_init);
module_exit(vmlet_exit);

MODULE_DESCRIPTION("Small KVM-like driver for VT-x and AMD-V");
MODULE_LICENSE("GPL");
