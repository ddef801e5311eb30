# SPDX-License-Identifier: GPL-2.0
# What the kernel that is built against offers: VMLET_HAVE_*, for C and for assembly.

# $(call have,NAME,FILE,PATTERN): a header has a line like this
have = $(shell grep -qs '$(3)' $(srctree)/$(2) && echo -DVMLET_HAVE_$(1))
# $(call exported,SYMBOL): to every module, not only to some that it names
exported = $(shell awk -F'\t' '$$2 == "$(1)" && $$5 == "" { print "y" }' $(objtree)/Module.symvers)
have_export = $(if $(call exported,$(2)),-DVMLET_HAVE_$(1))

host-has := $(call have,SYSCORE_DATA,include/linux/syscore_ops.h,struct syscore {)
host-has += $(call have,EMERGENCY_CALLBACK,arch/x86/include/asm/reboot.h,cpu_emergency_register_virt_callback)
host-has += $(call have,IBPB_EXIT_TO_USER,arch/x86/include/asm/nospec-branch.h,x86_ibpb_exit_to_user)
host-has += $(call have,IMMEDIATE_EXIT_UNSAFE,include/uapi/linux/kvm.h,HINT_UNSAFE_IN_KVM)
host-has += $(call have,RDMSRQ,arch/x86/include/asm/msr.h,rdmsrq_safe)
host-has += $(call have,CPUID_API,arch/x86/include/asm/cpuid/api.h,cpuid)
host-has += $(call have,MSR_SAFE_U64,arch/x86/include/asm/msr.h,native_write_msr_safe.u32 msr. u64 val)
host-has += $(call have,RCU_NOTE_CPU,include/linux/rcutree.h,rcu_virt_note_context_switch(int cpu))
host-has += $(call have,FOLL_INTERRUPTIBLE,include/linux/mm_types.h,FOLL_INTERRUPTIBLE)
host-has += $(call have,FOLL_HONOR_NUMA_FAULT,include/linux/mm_types.h,FOLL_HONOR_NUMA_FAULT)
host-has += $(call have,HRTIMER_SETUP,include/linux/hrtimer.h,void hrtimer_setup)
host-has += $(call have,VM_FLAGS_CLEAR,include/linux/mm.h,void vm_flags_clear)
host-has += $(call have,YOUNG_BOOL,include/linux/mmu_notifier.h,bool (.test_young))
host-has += $(call have,SVM_MISC_CTL,arch/x86/include/asm/svm.h,u64 misc_ctl;)
host-has += $(call have,VMCS_MEM_TYPE,arch/x86/include/asm/vmx.h,vmx_basic_vmcs_mem_type)
host-has += $(call have,EVENTFD_SIGNAL_N,include/linux/eventfd.h,eventfd_signal(struct eventfd_ctx .ctx. __u64 n))
host-has += $(call have,GENL_INFO_DUMP,include/net/genetlink.h,genl_info_dump)
host-has += $(call have_export,CR4_SHADOW,cr4_read_shadow)
host-has += $(call have_export,BREAKPOINT_RESTORE,hw_breakpoint_restore)
host-has += $(call have_export,SPLIT_LOCK,handle_guest_split_lock)
host-has += $(call have_export,VERW_SEL,x86_verw_sel)
host-has += $(call have_export,VIRT_SPEC_CTRL,x86_virt_spec_ctrl)
host-has += $(call have,CALLED_IBPB,arch/x86/include/asm/nospec-branch.h,call write_ibpb)
host-has += $(call have_export,WRITE_IBPB,write_ibpb)

ccflags-y += $(host-has)
asflags-y += $(host-has)

# CR4.VMXE must be set behind the kernel's copy of CR4, and only the kernel can: without this no VT-x.
host-vtx := $(call exported,cr4_update_irqsoff)
