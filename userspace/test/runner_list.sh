#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `vmlet list` and `vmlet events`, with guests of `vmlet run`.
# Needs the vmlet command in PATH, and root.
set -u
# shellcheck source=userspace/test/runner_lib
. "$(dirname "$0")/runner_lib"

# end PID: of a command that runs in the background.
end()
{
	kill "$1"
	wait "$1"
}

start
needs_vmlet_and_root
echo "1..12"

run 0 vmlet list
says out 'There are no virtual machines'
verdict "no machines"

run 0 vmlet list --json
says out '^{"vms": \[\]}$'
verdict "no machines, in JSON"

# sti; 1: jmp 1b
printf '\373\353\376' >"$work/turns"
vmlet run --device "$device" --flat "$work/turns" --mem 3M </dev/null >/dev/null 2>&1 &
guest=$!
until vmlet list | grep -q 'host_interrupt$'; do
	kill -0 $guest || break
done
run 0 vmlet list
says out '^ *VM  *PID  *UID OWNER  *VCPUS SLOTS  *MEMORY  *MAPPED IRQCHIP$'
says out "^ *[0-9][0-9]*  *$guest  *0 vmlet  *1  *[0-9]  *3.0 MiB  *[0-9.]* MiB none\$"
says out "^ *[0-9][0-9]*  *0  *[0-9][0-9]* \(guest\|kernel\)  *[-0-9][0-9]*  *[0-9][0-9]* [a-z_]*\$"
verdict "a machine and its CPU"

run 0 vmlet list --json
says out "^  {\"id\": [0-9]*, \"owner_pid\": $guest, \"owner_uid\": 0, \"owner_comm\": \"vmlet\", "
says out '"slot_bytes": 3145728, .*"irqchip": "none", "vcpus": \[{"id": 0, .*"exits": [0-9]*, "last_exit": "[a-z_]*"}\]}$'
verdict "the same in JSON"

run 0 vmlet stat --phases
says out '^no phases have been measured'
run 0 vmlet tune exit_phases=1
until vmlet stat --phases | grep -q '^host_interrupt'; do
	kill -0 $guest || break
done
run 0 vmlet stat --phases
says out '^exit  *left  *inner  *switch  *handler  *halt  *rest$'
says out '^host_interrupt  *[1-9][0-9]*  *[0-9.]* [num]*s  *[0-9.]* [num]*s  *[0-9.]* [num]*s  *-  *[0-9.]* [num]*s$'
run 0 vmlet stat --json $guest
says out '"left": [1-9][0-9]*, "phases": {"inner": [1-9][0-9]*, "switch": [1-9][0-9]*, "handler": [1-9][0-9]*, "halt": 0, "rest": [1-9]'
run 0 vmlet tune exit_phases=0
verdict "phases"

run 0 vmlet stat --sums
says out '^all since the module was loaded$'
says out '^virtual machine [1-9][0-9]*, 1 vCPU$'
says out '^exit  *count  *kernel  *user  *guest$'
says out '^host_interrupt  *[1-9][0-9]*  *[0-9.]* [num]*s  *-  *[0-9.]* [num]*s$'
verdict "sums"
end $guest 2>/dev/null

run 0 vmlet stat --sums --json
says out '^\[{"vm": 0, "vcpus": 0, "tsc_khz": [1-9][0-9]*, "exits": {$'
says out '^	"host_interrupt": {"count": [1-9][0-9]*, "guest": [1-9][0-9]*, "kernel": [1-9][0-9]*, "user": [0-9]*}'
says_not out '"vm": [1-9]'
verdict "sums of what has gone, in JSON"

# mov $0x80000000,%eax; jmp *%eax: nothing is there to be executed. Until the listener is up.
printf '\270\000\000\000\200\377\340' >"$work/nowhere"
vmlet events >"$work/out" 2>"$work/err" &
listener=$!
until grep -q 'destroyed' "$work/out"; do
	kill -0 $listener || break
	vmlet run --device "$device" --flat "$work/nowhere" --mode protected >/dev/null 2>&1
done
problem=
says out '^[-0-9]* [:0-9.]* VM [0-9]* of vmlet (pid [0-9]*, uid 0): created$'
says out ' vCPU 0: internal error 1 (instruction that cannot be emulated), last exit nested_fault$'
says out '^[-0-9]* [:0-9.]* VM [0-9]* of vmlet (pid [0-9]*, uid 0): destroyed$'
verdict "events"
end $listener 2>/dev/null

run 0 vmlet tune
says out '^exit_records  *0  *0  *1  0: off, 1: on$'
verdict "tunables"

run 0 vmlet tune exit_records=1
[ "$(cat /sys/module/vmlet/parameters/exit_records)" = 1 ] || problem="$problem; the parameter says otherwise"
run 0 vmlet tune exit_records=0
run 1 vmlet tune exit_records=2
says err 'out of range'
run 1 vmlet tune records=1
says err 'lists them'
verdict "a tunable is set"

# Where the family is not to be seen.
run 1 unshare -n vmlet list
says err 'modprobe vmlet'
run 1 unshare -n vmlet events
says err 'modprobe vmlet'
verdict "no module comes with its remedy"

run 2 vmlet list --frobnicate
says err 'usage: vmlet list'
run 2 vmlet events everything
says err 'usage: vmlet events'
run 2 vmlet stat --sums --vcpus
says err 'vmlet stat --sums'
run 2 vmlet stat --phases --json
says err 'vmlet stat .PID. .*--json | --phases'
run 2 vmlet tune exit_records
says err 'usage: vmlet tune'
verdict "wrong usage"
exit $failed
