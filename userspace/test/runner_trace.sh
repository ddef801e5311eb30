#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `vmlet trace`, with guests of `vmlet run`.
# Needs the vmlet command in PATH, tracefs, and root.
set -u
# shellcheck source=userspace/test/runner_lib
. "$(dirname "$0")/runner_lib"

tracing=/sys/kernel/tracing

# Nothing is left of it.
is_clean()
{
	left=$(find $tracing/instances -mindepth 1 -maxdepth 1 -name 'vmlet-*')
	[ -z "$left" ] || problem="$problem; $left is left"
}

# threads PID: a pattern of their numbers.
threads() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | sed 's/.*\///; 1!s/^/\\|/' | tr -d '\n'; }

# as_nobody COMMAND...: Busybox has su only, and that needs a file which a lab host lacks.
as_nobody()
{
	if setpriv --reuid 65534 true 2>/dev/null; then
		setpriv --reuid 65534 "$@"
	else
		unshare -m sh -c "mount -t tmpfs none /etc && echo nobody:x:65534:65534::/:/bin/sh >/etc/passwd &&
			su -s /bin/sh nobody -c '$*'"
	fi
}

start
needs_vmlet_and_root
[ -d $tracing/instances ] || skip "there is no tracefs"
echo "1..10"

# start_summary: in the background. It is ready when the last of its events is on.
start_summary()
{
	vmlet trace --summary >"$work/out" 2>"$work/err" &
	tracer=$!
	until grep -qs 1 $tracing/instances/vmlet-$tracer/events/vmlet/kvm_exit/enable; do
		kill -0 $tracer || break
	done
}

stop_summary()
{
	kill -INT $tracer
	wait $tracer
	status=$?
	[ $status = 0 ] || problem="$problem; status $status"
}

# mov $0x3f8,%dx; mov $100,%cx; mov $'R',%al; 1: out %al,(%dx); loop 1b; cli; hlt
problem=
printf '\272\370\003\271\144\000\260R\356\342\375\372\364' >"$work/hundred"
start_summary
vmlet run --device "$device" --flat "$work/hundred" --mem 3M </dev/null >/dev/null 2>&1 || problem="no guest"
stop_summary
says out '^io  *100 '
verdict "a summary counts all there is"

# sti; mov $0x3f8,%dx; mov $'R',%al; 1: out %al,(%dx); mov $20000,%cx; 2: loop 2b; jmp 1b
printf '\373\272\370\003\260R\356\271\040\116\342\376\353\370' >"$work/writes"
vmlet run --device "$device" --flat "$work/writes" --mem 3M </dev/null >/dev/null 2>&1 &
guest=$!
# sti; 1: jmp 1b
printf '\373\353\376' >"$work/turns"
vmlet run --device "$device" --flat "$work/turns" --mem 3M </dev/null >/dev/null 2>&1 &
other=$!
until [ "$(vmlet list | grep -c ' host_interrupt$\| io$')" = 2 ]; do
	kill -0 $guest $other || break
done

guest_name="vmlet-\\($(threads $guest)\\)"
other_name="vmlet-\\($(threads $other)\\)"

problem=
run 0 vmlet trace $guest --seconds 2
says out "^ *$guest_name  *\[[0-9]*\]  *[0-9]*\.[0-9]*: kvm_exit: vcpu 0 reason io rip 0x"
says out ': kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x52$'
says out ': kvm_entry: vcpu 0, rip 0x'
says_not out "$other_name "
is_clean
verdict "events of a process"

problem=
run 0 vmlet trace --seconds 2
says out "$guest_name .*: kvm_exit: "
says out "$other_name .*: kvm_exit: "
is_clean
verdict "events of all"

problem=
run 0 vmlet trace --seconds 2 --events pio,kvm_entry
says out ': kvm_pio: '
says out ': kvm_entry: '
says_not out ': kvm_exit: '
verdict "events that were chosen"

# Each output is an exit to userspace, of which there are hundreds in a second.
time='[0-9.]* [num]*s'
problem=
run 0 vmlet trace $guest --seconds 2 --summary
says out '^[2-9]\.[0-9] s'
says out '^exit  *samples  *share  *time  *total  *min  *mean  *max$'
says out "^io  *[0-9]*[0-9][0-9]  *[0-9.]* %  *[0-9.]* %  *$time  *$time  *$time  *$time\$"
says out '^all  *[0-9]*[0-9][0-9]  *100.0 %  *100.0 % '
is_clean
verdict "a summary"

# The statistics tell when there has been something to see.
count() { vmlet stat $guest | awk '$1 == "io" { print $2 }'; }
problem=
start_summary
enough=$(($(count) + 100))
until [ "$(count)" -ge $enough ]; do
	kill -0 $guest || break
done
stop_summary
says out '^io '
is_clean
verdict "SIGINT ends it, with its summary"

# Whoever reads no more.
problem=
vmlet trace 2>"$work/err" | head -n 1 >"$work/out"
says out ': kvm_'
for _ in 1 2 3 4 5 6 7 8 9 10; do
	find $tracing/instances -name "vmlet-*" -maxdepth 1 | grep -q . || break
	sleep 1
done
is_clean
verdict "a closed pipe ends it"

problem=
: >"$work/out"
vmlet trace $other >"$work/out" 2>"$work/err" &
tracer=$!
until [ -s "$work/out" ]; do
	kill -0 $tracer || break
done
kill $other $guest
wait $tracer
status=$?
[ $status = 0 ] || problem="status $status"
is_clean
verdict "it ends with its process"
wait $other $guest 2>/dev/null

problem=
run 1 vmlet trace 1
says err 'process 1 has no virtual machine on /dev/vmlet'
run 1 unshare -m sh -c "mount -t tmpfs none $tracing && vmlet trace"
says err 'mount -t tracefs'
run 1 unshare -m sh -c "mkdir '$work/has' '$work/has/instances' '$work/has/events' &&
	mount -o bind '$work/has' $tracing && vmlet trace"
says err 'modprobe vmlet'
run 1 as_nobody "$(command -v vmlet)" trace
says err 'Run this as root'
is_clean
verdict "nothing to trace comes with its remedy"

problem=
run 2 vmlet trace --events kvm_exit,nonsense
says err 'there is no event nonsense'
for wrong in --frobnicate '--seconds 0' nobody '1 2' '--summary --events kvm_exit' '--events ,'; do
	# shellcheck disable=SC2086
	run 2 vmlet trace $wrong
	says err 'usage: vmlet trace'
done
verdict "wrong usage"
exit $failed
