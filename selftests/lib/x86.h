/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What guests written in C need of the processor, and the registers of the
 * interrupt controllers. All of it is for code that runs inside the guest.
 */
#ifndef SELFTESTS_X86_H
#define SELFTESTS_X86_H

#include "vm.h"

/* Guest code keeps off the vector registers, so that interrupt handlers may call it. */
#define GENERAL_REGS __attribute__((target("general-regs-only")))
#define GUEST_INLINE static inline __attribute__((always_inline)) GENERAL_REGS

#define MSR_APICBASE		0x1b
#define MSR_TSC			0x10
#define MSR_TSC_ADJUST		0x3b
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC		0x800

#define APICBASE_BSP		(1ul << 8)
#define APICBASE_X2APIC		(1ul << 10)
#define APICBASE_ENABLE		(1ul << 11)

#define APIC_GPA	0xfee00000ul
#define IOAPIC_GPA	0xfec00000ul

enum apic_reg {
	APIC_ID = 0x20, APIC_LVR = 0x30, APIC_TPR = 0x80, APIC_APR = 0x90, APIC_PPR = 0xa0,
	APIC_EOI = 0xb0, APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_SVR = 0xf0, APIC_ISR = 0x100,
	APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280, APIC_CMCI = 0x2f0,
	APIC_ICR = 0x300, APIC_ICR2 = 0x310, APIC_LVTT = 0x320, APIC_LVTTHMR = 0x330,
	APIC_LVTPC = 0x340, APIC_LVT0 = 0x350, APIC_LVT1 = 0x360, APIC_LVTERR = 0x370,
	APIC_TMICT = 0x380, APIC_TMCCT = 0x390, APIC_TDCR = 0x3e0, APIC_SELF_IPI = 0x3f0,
};

#define APIC_SVR_ENABLE		0x100
#define LVT_MASKED		0x10000
#define LVT_LEVEL		0x8000
#define LVT_PERIODIC		0x20000
#define LVT_DEADLINE		0x40000
#define TDCR_BY_1		0xb

/* Delivery modes, in the ICR, the LVTs, redirection entries and MSI data alike. */
#define DM_FIXED	0x000
#define DM_LOWEST	0x100
#define DM_NMI		0x400
#define DM_INIT		0x500
#define DM_STARTUP	0x600
#define DM_EXTINT	0x700
#define DEST_LOGICAL	0x800
#define ICR_ASSERT	0x4000
#define ICR_LEVEL	0x8000
#define ICR_SELF	0x40000
#define ICR_ALL		0x80000
#define ICR_OTHERS	0xc0000

#define IOAPIC_LEVEL	0x8000ull
#define IOAPIC_MASKED	0x10000ull
#define IOAPIC_RIRR	0x4000ull

GUEST_INLINE void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

GUEST_INLINE void outw(u16 port, u16 value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE void wrmsr(u32 index, u64 value)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

GUEST_INLINE u64 rdmsr(u32 index)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return (u64)high << 32 | low;
}

GUEST_INLINE u64 rdtsc(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

GUEST_INLINE u64 hypercall(bool amd, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u64 ret;

	if (amd)
		asm volatile("vmmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	else
		asm volatile("vmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	return ret;
}

GUEST_INLINE void set_cr8(u64 value)
{
	asm volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

GUEST_INLINE u64 get_cr8(void)
{
	u64 value;

	asm volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
	return value;
}

GUEST_INLINE void sti(void)
{
	asm volatile("sti" : : : "memory");
}

GUEST_INLINE void cli(void)
{
	asm volatile("cli" : : : "memory");
}

/* Nothing is lost between the two: STI holds interrupts off for one instruction. */
GUEST_INLINE void sti_hlt(void)
{
	asm volatile("sti; hlt" : : : "memory");
}

GUEST_INLINE void relax(void)
{
	asm volatile("pause" : : : "memory");
}

/* Lets interrupts in at a known place, and is off for them again after it. */
GUEST_INLINE void take_interrupts(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

GUEST_INLINE u32 xapic_read(u32 reg)
{
	u32 value;

	asm volatile("movl (%1), %0" : "=a"(value) : "r"(APIC_GPA + reg) : "memory");
	return value;
}

GUEST_INLINE void xapic_write(u32 reg, u32 value)
{
	asm volatile("movl %0, (%1)" : : "a"(value), "r"(APIC_GPA + reg) : "memory");
}

GUEST_INLINE u64 x2apic_read(u32 reg)
{
	return rdmsr(MSR_X2APIC + (reg >> 4));
}

GUEST_INLINE void x2apic_write(u32 reg, u64 value)
{
	wrmsr(MSR_X2APIC + (reg >> 4), value);
}

/* The interface that APIC_BASE says is the one in use. */
GUEST_INLINE bool in_x2apic_mode(void)
{
	return rdmsr(MSR_APICBASE) & APICBASE_X2APIC;
}

GUEST_INLINE u32 apic_read(u32 reg)
{
	return in_x2apic_mode() ? x2apic_read(reg) : xapic_read(reg);
}

GUEST_INLINE void apic_write(u32 reg, u32 value)
{
	if (in_x2apic_mode())
		x2apic_write(reg, value);
	else
		xapic_write(reg, value);
}

GUEST_INLINE void apic_icr(u32 dest, u32 command)
{
	if (in_x2apic_mode()) {
		x2apic_write(APIC_ICR, (u64)dest << 32 | command);
		return;
	}
	xapic_write(APIC_ICR2, dest << 24);
	xapic_write(APIC_ICR, command);
}

GUEST_INLINE void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/* Is the vector's bit set in ISR, TMR or IRR? */
GUEST_INLINE bool apic_bit(u32 bank, u8 vector)
{
	return apic_read(bank + vector / 32 * 0x10) >> vector % 32 & 1;
}

GUEST_INLINE void xapic_enable(void)
{
	xapic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

GUEST_INLINE void x2apic_enable(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | APICBASE_X2APIC | APICBASE_ENABLE);
	x2apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

GUEST_INLINE u32 ioapic_read(u32 reg)
{
	*(volatile u32 *)IOAPIC_GPA = reg;
	return *(volatile u32 *)(IOAPIC_GPA + 0x10);
}

GUEST_INLINE void ioapic_write(u32 reg, u32 value)
{
	*(volatile u32 *)IOAPIC_GPA = reg;
	*(volatile u32 *)(IOAPIC_GPA + 0x10) = value;
}

GUEST_INLINE void ioapic_set(int pin, u64 entry)
{
	ioapic_write(0x11 + 2 * pin, entry >> 32);
	ioapic_write(0x10 + 2 * pin, entry);
}

GUEST_INLINE u64 ioapic_get(int pin)
{
	return (u64)ioapic_read(0x11 + 2 * pin) << 32 | ioapic_read(0x10 + 2 * pin);
}

/* Both PICs: vectors from base, these lines unmasked, and LINT0 lets them in. */
GUEST_INLINE void pic_init(u8 base, u16 unmasked)
{
	outb(0x20, 0x11);
	outb(0x21, base);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, base + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, ~unmasked);
	outb(0xa1, ~unmasked >> 8);
}

#endif
