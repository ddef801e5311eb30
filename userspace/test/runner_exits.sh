#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# How guests end and what the runner makes of it: exit statuses, console, messages.
# Needs the vmlet command in PATH; the Linux guest's ways need the lab's kernel.
set -u
# shellcheck source=userspace/test/runner_lib
. "$(dirname "$0")/runner_lib"

guest=${VMLET_GUEST:-/vmlet/guest}
plan=18

# run STATUS OPTION...: standard input is "$input".
run()
{
	want=$1
	shift
	problem=
	printf '%b' "$input" |
		timeout 120 vmlet run --device "$device" "$@" >"$work/out" 2>"$work/err"
	status=$?
	[ $status = "$want" ] || problem="status $status instead of $want"
}

# flat BYTES: a raw image from octal bytes.
flat() { printf "$1" >"$work/image"; }

start
echo "1..$plan"
input=

# mov $0x3f8,%dx; mov $'R',%al; out %al,(%dx); cli; hlt
flat '\272\370\003\260R\356\372\364'
run 0 --flat "$work/image"
says out '^R$'
verdict "real mode, halts"

# The same; mov $0x604,%dx; mov $0x3400,%ax; out %ax,(%dx)
flat '\146\272\370\003\260P\356\146\272\004\006\146\270\000\064\146\357'
run 0 --flat "$work/image" --mode protected
says out '^P$'
verdict "protected mode, powers off"

# The same; mov $0xcf9,%dx; mov $6,%al; out %al,(%dx)
flat '\146\272\370\003\260L\356\146\272\371\014\260\006\356'
run 3 --flat "$work/image" --mode long
says out '^L$'
says err 'reboot'
verdict "long mode, asks for a reset"

# ud2
flat '\017\013'
run 5 --flat "$work/image" --mode long
says err 'triple fault'
verdict "triple fault"

# mov $0x80000000,%eax; jmp *%eax: nothing is there to be executed
flat '\270\000\000\000\200\377\340'
run 7 --flat "$work/image" --mode protected
says err 'KVM_EXIT_INTERNAL_ERROR'
says err 'rip 0000000080000000'
verdict "an unexpected exit is told by name, with registers"

# 1: in 0x3fd; test $1; jz 1b; in 0x3f8; out 0x3f8; cmp $'q'; jne 1b; cli; hlt
flat '\272\375\003\354\250\001\164\370\272\370\003\354\356\074q\165\360\372\364'
input='some text, q'
run 0 --flat "$work/image"
says out '^some text, q$'
verdict "input from a pipe reaches a guest that polls"
input=

# sti; 1: incl 0x8000; jmp 1b. Interrupts are on, although there are none, because
# VT-x in Bochs loses the host's while a guest has them off.
flat '\373\146\377\006\000\200\353\371'
vmlet run --device "$device" --flat "$work/image" </dev/null >"$work/out" 2>"$work/err" &
runner=$!
sleep 1
kill $runner
wait $runner
status=$?
problem=
[ $status = 143 ] || problem="status $status instead of 143"
verdict "SIGTERM ends a guest that never exits"

flat '\372\364'
run 0 --flat "$work/image" --mem 5G
verdict "memory on both sides of the hole"

run 1 --flat "$work/nothing"
says err 'nothing: No such file'
verdict "a missing file"

run 1 --device "$work/nothing" --flat "$work/image"
says err 'insmod vmlet.ko'
verdict "a missing device comes with its remedy"

run 2 --flat "$work/image" --cpus 2
says err 'go with --kernel only'
verdict "more than a raw image can have"

# refused MESSAGE OPTION...: adds to $problem, unlike run.
refused()
{
	before=$problem
	message=$1
	shift
	run "$@"
	says err "$message"
	problem=$before$problem
}

problem=
head -c 1000 /dev/zero >"$work/disk"
refused 'truncate -s %512' 1 --kernel "$work/image" --disk "$work/disk"
: >"$work/disk"
refused 'it is empty' 1 --kernel "$work/image" --disk "$work/disk"
printf 'QFI\373' >"$work/disk"
refused 'qemu-img convert -O raw' 1 --kernel "$work/image" --disk "$work/disk"
refused 'neither a file nor' 1 --kernel "$work/image" --disk "$work"
mkfifo "$work/pipe"
refused 'neither a file nor' 1 --kernel "$work/image" --disk "$work/pipe,ro"
verdict "disks that are none"

problem=
refused 'there is no such interface\|modprobe tun' 1 --kernel "$work/image" --net tap=none
verdict "a network that is none"

problem=
refused 'not the name of an interface' 2 --kernel "$work/image" --net tap=
refused 'give tap=NAME or user' 2 --kernel "$work/image" --net foo
refused 'not a size' 2 --kernel "$work/image" --balloon x
refused 'less than --mem' 2 --kernel "$work/image" --balloon 256M
verdict "devices that cannot be"

run 2 --flat "$work/image" --mem 0
says err 'see .vmlet run --help'
verdict "wrong usage"

linux()
{
	input="$1\\n"
	run "$2" --kernel "$guest/vmlinuz" --initrd "$guest/initrd" \
		--append "quiet guest=shell guest_mib=1"
}

# The ways of Linux are the same whatever runs it, and each takes a minute in Bochs.
skip=
[ -f "$guest/vmlinuz" ] || skip="no $guest/vmlinuz"
! grep -qs Bochs /sys/class/dmi/id/bios_vendor || skip="too slow in Bochs, which boots Linux elsewhere"

if [ -z "$skip" ]; then
	linux 'poweroff -f' 0
	says out 'Power down'
	verdict "Linux powers off"
	linux 'reboot -f' 3
	says out 'Restarting system'
	verdict "Linux reboots"
	linux 'echo c >/proc/sysrq-trigger' 4
	says out 'Kernel panic'
	verdict "Linux panics"
else
	problem=
	for way in "powers off" reboots panics; do
		verdict "Linux $way # SKIP $skip"
	done
fi
exit $failed
