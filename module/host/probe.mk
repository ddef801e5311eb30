# SPDX-License-Identifier: GPL-2.0
# What the kernel that is built against offers, asked of its headers. $(call have,NAME,FILE,TEXT)

have = $(shell grep -qsF '$(3)' $(srctree)/$(2) && echo -DVMLET_HAVE_$(1))

ccflags-y += $(call have,SYSCORE_DATA,include/linux/syscore_ops.h,struct syscore {)
ccflags-y += $(call have,EMERGENCY_CALLBACK,arch/x86/include/asm/reboot.h,cpu_emergency_register_virt_callback)
ccflags-y += $(call have,IBPB_EXIT_TO_USER,arch/x86/include/asm/nospec-branch.h,x86_ibpb_exit_to_user)
ccflags-y += $(call have,IMMEDIATE_EXIT_UNSAFE,include/uapi/linux/kvm.h,HINT_UNSAFE_IN_KVM)
