// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: extended processor state
 *
 * The guest's x87, SSE, AVX and AVX-512 registers live in one buffer per vCPU, in the standard (not compacted)
 * format that the API uses too. They are in the CPU only inside the guest section, between kernel_fpu_begin() and
 * kernel_fpu_end(): primitives that every kernel exports. XCR0 and XSS are the guest's only there.
 *
 * PKRU bears upon the kernel's own accesses to user memory, so it is the guest's in the inner loop only, and is kept in
 * vcpu->pkru apart from the rest.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/special_insns.h>

#include "../api/api.h"
#include "../vmlet.h"
#include "fpu.h"

#define XSTATE_HEADER	512	/* offset of the header in the standard format */
#define XSTATE_LEGACY	576	/* end of the header */

/* Without AMX and supervisor states. */
#define XCR0_WANTED	(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 | XFEATURE_MASK_PKRU)

u64 vmlet_xcr0_host, vmlet_xcr0_guest;
static u64 xss_host;
static unsigned int area_size, pkru_offset;
static u32 mxcsr_mask;

/* Components that end within what the API's smallest area holds; that is all but AMX. */
static u64 fitting(void)
{
	u64 mask = XFEATURE_MASK_FPSSE;
	u32 size, offset, ecx, edx;
	unsigned int i;

	for (i = XFEATURE_YMM; i < 63; i++) {
		cpuid_count(0xd, i, &size, &offset, &ecx, &edx);
		if (offset + size <= sizeof(struct kvm_xsave))
			mask |= BIT_ULL(i);
	}
	cpuid_count(0xd, XFEATURE_PKRU, &size, &pkru_offset, &ecx, &edx);
	return mask;
}

int vmlet_fpu_setup(void)
{
	u32 eax, ebx, ecx, edx;

	if (!boot_cpu_has(X86_FEATURE_XSAVE) || !boot_cpu_has(X86_FEATURE_FXSR)) {
		vmlet_err("this CPU has no XSAVE, which vmlet needs; no remedy");
		return -ENODEV;
	}
	vmlet_xcr0_host = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	vmlet_xcr0_guest = vmlet_xcr0_host & XCR0_WANTED & fitting();
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		vmlet_xcr0_guest &= ~(u64)XFEATURE_MASK_PKRU;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, xss_host);
	cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx);
	area_size = ebx;	/* size for what the host has enabled: a superset */
	return 0;
}

static void xsave_area(void *area, u64 mask)
{
	asm volatile("xsave64 %0" : "+m" (*(u8 (*)[XSTATE_LEGACY])area)
		     : "a" ((u32)mask), "d" ((u32)(mask >> 32)) : "memory");
}

static void xrstor_area(const void *area, u64 mask)
{
	asm volatile("xrstor64 %0" : : "m" (*(const u8 (*)[XSTATE_LEGACY])area),
		     "a" ((u32)mask), "d" ((u32)(mask >> 32)) : "memory");
}

int vmlet_fpu_alloc(struct vmlet_vcpu *vcpu)
{
	/* Page-sized allocations are page-aligned; XSAVE needs 64 bytes. The API reads 4096 bytes. */
	vcpu->xsave = kvzalloc(PAGE_ALIGN(max_t(size_t, area_size, sizeof(struct kvm_xsave))),
			       GFP_KERNEL_ACCOUNT);
	return vcpu->xsave ? 0 : -ENOMEM;
}

void vmlet_fpu_free(struct vmlet_vcpu *vcpu)
{
	kvfree(vcpu->xsave);
}

/* As after a processor reset, except that legacy fields hold values that FXRSTOR accepts. */
void vmlet_fpu_reset(struct vmlet_vcpu *vcpu)
{
	struct fxregs_state *fx = vcpu->xsave;

	memset(vcpu->xsave, 0, area_size);
	fx->cwd = 0x37f;
	fx->mxcsr = MXCSR_DEFAULT;
	vcpu->xcr0 = XFEATURE_MASK_FP;
	vcpu->pkru = 0;
}

/* Some CPUs restore the last x87 instruction's address only with an exception pending: replace the host's before. */
static void hide_pointers(void)
{
	static const u32 zero;

	asm volatile("fnclex\n\temms\n\tfildl %0" : : "m" (zero));
}

/*
 * XCR0 and XSS bear upon instructions that are invalid while CR4.OSXSAVE is clear. The guest changes that by an exit to the
 * outer loop only.
 */
static void switch_controls(struct vmlet_vcpu *vcpu, u64 xcr0, u64 xss)
{
	if (!(vcpu->cr4 & X86_CR4_OSXSAVE))
		return;
	if (vcpu->xcr0 != vmlet_xcr0_host)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
	if (xss_host)
		wrmsrl(MSR_IA32_XSS, xss);
}

void vmlet_fpu_load(struct vmlet_vcpu *vcpu)
{
	kernel_fpu_begin_mask(0);
	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		hide_pointers();
	xrstor_area(vcpu->xsave, vmlet_xcr0_guest & ~(u64)XFEATURE_MASK_PKRU);
	switch_controls(vcpu, vcpu->xcr0, 0);
}

void vmlet_fpu_put(struct vmlet_vcpu *vcpu)
{
	switch_controls(vcpu, vmlet_xcr0_host, xss_host);
	xsave_area(vcpu->xsave, vmlet_xcr0_guest & ~(u64)XFEATURE_MASK_PKRU);
	kernel_fpu_end();
}

void vmlet_pkru_load(struct vmlet_vcpu *vcpu)
{
	if (!(vmlet_xcr0_guest & XFEATURE_MASK_PKRU))
		return;
	/* A guest without either sees nothing of it. */
	if (!(vcpu->xcr0 & XFEATURE_MASK_PKRU) && !(vcpu->cr4 & X86_CR4_PKE))
		return;
	vcpu->host_pkru = rdpkru();
	vcpu->pkru_loaded = true;
	vmlet_pkru_guest(vcpu);
}

void vmlet_pkru_put(struct vmlet_vcpu *vcpu)
{
	if (!vcpu->pkru_loaded)
		return;
	vmlet_pkru_host(vcpu);
	vcpu->pkru_loaded = false;
}

void vmlet_pkru_guest(struct vmlet_vcpu *vcpu)
{
	if (vcpu->pkru != vcpu->host_pkru)
		wrpkru(vcpu->pkru);
}

void vmlet_pkru_host(struct vmlet_vcpu *vcpu)
{
	vcpu->pkru = rdpkru();
	if (vcpu->pkru != vcpu->host_pkru)
		wrpkru(vcpu->host_pkru);
}

int vmlet_xcr0_set(struct vmlet_vcpu *vcpu, u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~vmlet_xcr0_guest))
		return -EINVAL;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return -EINVAL;
	if (avx512 && (avx512 != XFEATURE_MASK_AVX512 || !(xcr0 & XFEATURE_MASK_YMM)))
		return -EINVAL;
	vcpu->xcr0 = xcr0;
	return 0;
}

/* MXCSR bits this CPU knows, as FXSAVE tells. */
static u32 mxcsr_known(void)
{
	struct fxregs_state *fx;

	if (mxcsr_mask)
		return mxcsr_mask;
	fx = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (!fx)
		return 0xffbf;
	kernel_fpu_begin();
	asm volatile("fxsave64 %0" : "=m" (*fx));
	kernel_fpu_end();
	mxcsr_mask = fx->mxcsr_mask ?: 0xffbf;
	kfree(fx);
	return mxcsr_mask;
}

static u64 *xstate_bv(void *area)
{
	return area + XSTATE_HEADER;
}

/*
 * XSAVE leaves components in their initial state out of memory; readers of the API expect the initial values.
 * Everything starts as zero except the control words.
 */
static void legacy_view(struct vmlet_vcpu *vcpu, struct fxregs_state *fx)
{
	u64 bv = *xstate_bv(vcpu->xsave);

	memcpy(fx, vcpu->xsave, sizeof(*fx));
	if (!(bv & XFEATURE_MASK_FP)) {
		memset(fx, 0, offsetof(struct fxregs_state, mxcsr));
		memset(fx->st_space, 0, sizeof(fx->st_space));
		fx->cwd = 0x37f;
	}
	if (!(bv & XFEATURE_MASK_SSE))
		memset(fx->xmm_space, 0, sizeof(fx->xmm_space));
	/* MXCSR is written with SSE or AVX; with neither it is at its default. */
	if (!(bv & (XFEATURE_MASK_SSE | XFEATURE_MASK_YMM)))
		fx->mxcsr = MXCSR_DEFAULT;
	fx->mxcsr_mask = mxcsr_known();
}

/* Behind the header are the upper halves of YMM registers. */
static void *register_half(struct vmlet_vcpu *vcpu, u64 feature, u8 nr)
{
	struct fxregs_state *fx = vcpu->xsave;
	void *first = feature == XFEATURE_MASK_SSE ? fx->xmm_space : vcpu->xsave + XSTATE_LEGACY;
	u64 *bv = xstate_bv(vcpu->xsave);

	if (!(*bv & feature))
		memset(first, 0, 16 * 16);
	*bv |= feature;
	return first + 16 * nr;
}

void vmlet_fpu_vector(struct vmlet_vcpu *vcpu, u8 nr, u64 *value, bool vex)
{
	memcpy(value, register_half(vcpu, XFEATURE_MASK_SSE, nr), 16);
	if (vex)
		memcpy(value + 2, register_half(vcpu, XFEATURE_MASK_YMM, nr), 16);
}

void vmlet_fpu_vector_set(struct vmlet_vcpu *vcpu, u8 nr, const u64 *value, bool vex)
{
	u32 size, offset, ecx, edx;

	memcpy(register_half(vcpu, XFEATURE_MASK_SSE, nr), value, 16);
	if (!vex)
		return;
	memcpy(register_half(vcpu, XFEATURE_MASK_YMM, nr), value + 2, 16);
	if (*xstate_bv(vcpu->xsave) & XFEATURE_MASK_ZMM_Hi256) {
		cpuid_count(0xd, XFEATURE_ZMM_Hi256, &size, &offset, &ecx, &edx);
		memset(vcpu->xsave + offset + 32 * nr, 0, 32);
	}
}

long vmlet_api_get_fpu(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_fpu *fpu = arg->data;
	struct fxregs_state fx;

	legacy_view(vcpu, &fx);
	memcpy(fpu->fpr, fx.st_space, sizeof(fpu->fpr));
	memcpy(fpu->xmm, fx.xmm_space, sizeof(fpu->xmm));
	fpu->fcw = fx.cwd;
	fpu->fsw = fx.swd;
	fpu->ftwx = fx.twd;
	fpu->last_opcode = fx.fop;
	fpu->last_ip = fx.rip;
	fpu->last_dp = fx.rdp;
	fpu->mxcsr = fx.mxcsr;
	return 0;
}

long vmlet_api_set_fpu(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_fpu *fpu = arg->data;
	struct fxregs_state *fx = vcpu->xsave;

	if (fpu->mxcsr & ~mxcsr_known())
		return -EINVAL;
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	fx->mxcsr = fpu->mxcsr;
	*xstate_bv(vcpu->xsave) |= XFEATURE_MASK_FPSSE;
	return 0;
}

/* Components above the legacy area that are in their initial state read as zero. */
static void clear_initial(void *area, u64 bv)
{
	u32 size, offset, ecx, edx;
	unsigned int i;

	for (i = XFEATURE_YMM; i < 63; i++) {
		if (!(vmlet_xcr0_guest & BIT_ULL(i)) || (bv & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &size, &offset, &ecx, &edx);
		memset(area + offset, 0, size);
	}
}

long vmlet_api_get_xsave(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	void *area = arg->data;

	memcpy(area, vcpu->xsave, sizeof(struct kvm_xsave));
	legacy_view(vcpu, area);
	clear_initial(area, *xstate_bv(vcpu->xsave));
	if (vmlet_xcr0_guest & XFEATURE_MASK_PKRU) {
		*(u32 *)(area + pkru_offset) = vcpu->pkru;
		if (vcpu->pkru)
			*xstate_bv(area) |= XFEATURE_MASK_PKRU;
	}
	return 0;
}

long vmlet_api_set_xsave(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct fxregs_state *fx = arg->data;
	u64 *header = arg->data + XSTATE_HEADER;
	unsigned int i;

	if (header[0] & ~vmlet_xcr0_guest)
		return -EINVAL;
	for (i = 1; i < 8; i++)		/* XCOMP_BV and reserved: XRSTOR would fault */
		if (header[i])
			return -EINVAL;
	if (fx->mxcsr & ~mxcsr_known())
		return -EINVAL;
	memcpy(vcpu->xsave, arg->data, min_t(size_t, area_size, sizeof(struct kvm_xsave)));
	if (vmlet_xcr0_guest & XFEATURE_MASK_PKRU)
		vcpu->pkru = header[0] & XFEATURE_MASK_PKRU ? *(u32 *)(arg->data + pkru_offset) : 0;
	return 0;
}

long vmlet_api_get_xcrs(void *obj, struct vmlet_arg *arg)
{
	struct kvm_xcrs *xcrs = arg->data;

	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].value = ((struct vmlet_vcpu *)obj)->xcr0;
	return 0;
}

long vmlet_api_set_xcrs(void *obj, struct vmlet_arg *arg)
{
	struct kvm_xcrs *xcrs = arg->data;
	unsigned int i;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++)
		if (xcrs->xcrs[i].xcr == XCR_XFEATURE_ENABLED_MASK)
			return vmlet_xcr0_set(obj, xcrs->xcrs[i].value);
	return 0;
}
