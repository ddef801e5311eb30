# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists the targets. Everything is built in the lab root (see
# scripts/lab-root) against its kernel, unless KDIR names kernel headers of this
# machine: then its own compiler builds, for that kernel.

ifeq ($(origin KDIR),undefined)
lab   := scripts/lab-exec
KDIR  := /lib/modules/lab/build
endif

VENDOR ?= svm
MINUTES ?= 10
MOVES  ?= 1000
HOST   ?= svm
PREFIX ?= /usr/local
OUT    := $(CURDIR)/build
jobs   := -j$(shell nproc)
# A jobserver of ours does not reach into the lab root.
sub     = MAKEFLAGS= $(lab) $(MAKE) --no-print-directory $(jobs)
flags   = $(foreach v,W C KCOV,$(if $($(v)),$(v)=$($(v))))

# The selftests need the kernel's own harness, which the lab root has.
all: module runner $(if $(lab),selftests)

help:
	@sed -n 's/^## //p' Makefile

## make              build the module, the runner and the selftests
## make module       the module: module/vmlet.ko [W=1] [C=2]
module: lab
	$(sub) -C module KDIR=$(KDIR) $(flags)

## make runner       the runner: build/userspace/vmlet
runner: lab
	$(sub) -C userspace OUT=$(OUT)

## make selftests    the selftests: build/selftests/
selftests: lab
	$(sub) -C selftests OUT=$(OUT)

## make debug        the module for the debug lab kernel (scripts/debug-kernel, which is
##                   built first: 20 minutes): build/debug/module/vmlet.ko [KCOV=y]
debug: lab
	mkdir -p $(OUT)/debug
	find module uapi \( -name '*.[chS]' ! -name '*.mod.c' -o -name Kbuild -o -name Makefile -o -name '*.mk' \) \
		-exec cp -pu --parents -t $(OUT)/debug {} +
	$(sub) -C $(OUT)/debug/module KDIR=$$(scripts/debug-kernel) $(flags)

##
## make demo         boot Linux as a guest of vmlet: [VENDOR=svm|vmx|svm-bochs]
demo: all
	scripts/demo $(VENDOR)

## make shell-svm    a shell in a lab host: shell-svm, shell-vmx, shell-svm-bochs
shell-svm shell-vmx shell-svm-bochs: shell-%: all
	scripts/lab-run $* --time 86400 --tty -- 'echo "use-vmlet or use-kvm takes the CPU; exit ends the lab host."; exec sh -i'

##
## make check        build, sparse, checkpatch, selftests and clients everywhere (half an hour)
## make check-svm    build and selftests in one kind of lab host: check-svm (AMD-V
##                   in QEMU), check-vmx (VT-x in Bochs), check-svm-bochs
## make check-debug  selftests and a Linux boot on vmlet in the debug lab kernel: no
##                   lockdep, KASAN, UBSAN report, no leak
check:
	scripts/check
check-svm check-vmx check-svm-bochs check-debug: check-%:
	scripts/check $*

## make check-clients  Debian's QEMU boots Debian on vmlet, in many ways (an hour);
##                   scripts/check-clients runs some of them, or uses stock KVM
check-clients:
	scripts/check-clients

## make check-recreate  a Linux guest goes from one virtual machine to the next, state and all,
##                   while it works: [MOVES=1000] [HOST=svm], with one CPU and with two
check-recreate: all
	scripts/lab-run $(HOST) --time 7200 -- 'use-vmlet && recreate-guest /dev/vmlet 1 $(MOVES) && \
		recreate-guest /dev/vmlet 2 $(MOVES)'

## make fuzz         random calls and random guests: [MINUTES=10] [HOST=svm], or vmx,
##                   svm-bochs, debug (AMD-V in the debug lab kernel, guided by KCOV)
fuzz: all
	scripts/fuzz $(MINUTES) $(HOST)

## make check-kvm-selftests  the kernel's own selftests of KVM, on vmlet and on stock
##                   KVM: a table (an hour); scripts/check-kvm-selftests runs some of them
check-kvm-selftests:
	scripts/check-kvm-selftests

## make bench        what exits cost, vmlet beside stock KVM, into Documentation/benchmarks: in
##                   instructions, in each kind of lab host (an hour); with KDIR, as root, in
##                   ticks of this machine. scripts/bench measures parts of it
bench: all
	scripts/bench $(if $(lab),,hardware)

##
## make install      module, udev rule, runner and manual page for this machine's kernel, or
##                   KDIR's: [KDIR=] [PREFIX=/usr/local] [DESTDIR=]
install:
	KDIR="$(if $(lab),,$(KDIR))" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install

## make clean        remove what was built here (the lab root stays)
clean: clean-module
	rm -rf build
clean-module:
	find module -name '*.o' -delete -o -name '.*.cmd' -delete -o -name '*.mod' -delete \
		-o -name '*.mod.c' -delete -o -name '*.ko' -delete -o -name '*.o.d' -delete
	rm -f module/modules.order module/Module.symvers modules.order Module.symvers

## make lab          make the lab root now (the others do when they need it)
lab:
	@$(if $(lab),scripts/lab-root >/dev/null)

## make deps         what the lab needs of this machine
deps:
	@echo "Debian 12 or 13 on x86-64, root or sudo, 3 GB of disk in \$${VMLET_CACHE:-~/.cache/vmlet},"
	@echo "a Debian mirror that apt knows. debootstrap is installed when it is missing."

.PHONY: all help module runner selftests debug demo check check-recreate check-clients check-kvm-selftests fuzz bench \
	install clean \
	lab deps clean-module \
	shell-svm shell-vmx shell-svm-bochs check-svm check-vmx check-svm-bochs check-debug
