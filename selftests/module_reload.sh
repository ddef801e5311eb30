#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Loading and unloading the module: a hundred times, and never while it is in use.
# For vmlet alone; VMLET_MODULE names the file where it is not the lab's.
set -u

module=${VMLET_MODULE:-/vmlet/vmlet.ko}
device=${VMLET_DEVICE:-/dev/vmlet}
rounds=100
number=0
failed=0

verdict()
{
	number=$((number + 1))
	[ "$1" = ok ] || failed=1
	echo "$1 $number $2"
}

loaded() { [ -d /sys/module/vmlet ]; }

# Prints nothing when it went well: the first failure is the one to see.
reload_often()
{
	for round in $(seq $rounds); do
		rmmod vmlet || return 1
		if [ -e "$device" ]; then
			echo "# round $round: $device is still there"
			return 1
		fi
		insmod "$module" || return 1
		[ -c "$device" ] || return 1
	done
}

# A file of the device, open in this shell, holds the module.
refused_while_open()
{
	exec 3<"$device" || return 1
	if rmmod vmlet 2>/dev/null; then
		insmod "$module"
		return 1
	fi
	loaded || return 1
	exec 3<&-
	rmmod vmlet && insmod "$module"
}

# A second copy must be refused and leave the first as it was.
refused_twice()
{
	insmod "$module" 2>/dev/null && return 1
	loaded && [ -c "$device" ]
}

# Stock KVM owns the CPU's virtualization while it is loaded, and keeps it.
refused_beside_kvm()
{
	command -v use-kvm >/dev/null || return 4
	use-kvm || return 1
	refused=0
	insmod "$module" 2>/dev/null || refused=1
	use-vmlet || return 1
	[ $refused = 1 ]
}

run_test()
{
	"$1"
	case $? in
	0) verdict ok "$2" ;;
	4) verdict ok "$2 # SKIP no use-kvm and use-vmlet here" ;;
	*) verdict "not ok" "$2" ;;
	esac
}

echo "KTAP version 1"
case $device in
*vmlet*) ;;
*)
	echo "1..0 # SKIP $device is not vmlet's"
	exit 4
	;;
esac
if [ ! -f "$module" ]; then
	echo "1..0 # SKIP no $module here: name the file in VMLET_MODULE"
	exit 4
fi
echo "1..4"
run_test reload_often "loaded and unloaded $rounds times"
run_test refused_while_open "not unloaded while a file is open"
run_test refused_twice "not loaded twice"
run_test refused_beside_kvm "not loaded beside stock KVM"
exit $failed
