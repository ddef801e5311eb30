// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: suspend, reboot and crash, in the ways that kernels offer them
 */
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <asm/reboot.h>

#include "host.h"

static void (*on_suspend)(void), (*on_resume)(void), (*on_shutdown)(void);

#ifdef VMLET_HAVE_SYSCORE_DATA
static int suspend(void *data)
{
	on_suspend();
	return 0;
}

static void resume(void *data)
{
	on_resume();
}

static void shutdown(void *data)
{
	on_shutdown();
}

static const struct syscore_ops ops = {
	.suspend = suspend,
	.resume = resume,
	.shutdown = shutdown,
};

static struct syscore syscore = { .ops = &ops };

#define register_ops()		register_syscore(&syscore)
#define unregister_ops()	unregister_syscore(&syscore)
#else
static int suspend(void)
{
	on_suspend();
	return 0;
}

static void resume(void)
{
	on_resume();
}

static void shutdown(void)
{
	on_shutdown();
}

static struct syscore_ops ops = {
	.suspend = suspend,
	.resume = resume,
	.shutdown = shutdown,
};

#define register_ops()		register_syscore_ops(&ops)
#define unregister_ops()	unregister_syscore_ops(&ops)
#endif

void vmlet_host_power_register(void (*suspend_fn)(void), void (*resume_fn)(void), void (*shutdown_fn)(void))
{
	on_suspend = suspend_fn;
	on_resume = resume_fn;
	on_shutdown = shutdown_fn;
	register_ops();
}

void vmlet_host_power_unregister(void)
{
	unregister_ops();
}

void vmlet_host_crash_register(void (*off)(void))
{
#ifdef VMLET_HAVE_EMERGENCY_CALLBACK
	cpu_emergency_register_virt_callback(off);
#endif
}

void vmlet_host_crash_unregister(void (*off)(void))
{
#ifdef VMLET_HAVE_EMERGENCY_CALLBACK
	cpu_emergency_unregister_virt_callback(off);
#endif
}
