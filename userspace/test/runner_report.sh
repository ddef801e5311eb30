#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `vmlet report`, with a guest of `vmlet run`. Where gnuplot is missing, a stand-in shows that it was called, and with what.
# Needs the vmlet command in PATH, and root.
set -u
# shellcheck source=userspace/test/runner_lib
. "$(dirname "$0")/runner_lib"

# Of the page; images are decoded, one after the other.
has() { grep -q -e "$1" "$work/page" || problem="$problem; no '$1' in the page"; }
has_not() { ! grep -q -e "$1" "$work/page" || problem="$problem; a '$1' in the page"; }
images()
{
	sed -n 's/^<img .*src="data:image\/svg+xml;base64,\([^"]*\)">$/\1/p' "$work/page" | while read -r image; do
		echo "$image" | base64 -d
	done
}

# There is nothing but what was there before.
is_clean()
{
	left=$(cd "$work/dir" && echo *)
	[ "$left" = "$1" ] || problem="$problem; there is $left instead of $1"
}

start
needs_vmlet_and_root
echo "1..8"
mkdir "$work/dir" "$work/bin" "$work/nothing"
real=$(command -v gnuplot)
if [ -z "$real" ]; then
	cat >"$work/bin/gnuplot" <<-'STANDIN'
		#!/bin/sh
		echo '<svg>'
		cat
		echo '</svg>'
	STANDIN
	chmod +x "$work/bin/gnuplot"
	export PATH="$PATH:$work/bin"
fi

# A process is called as it likes.
hostile="$work/<i>&\"name"
cp "$(command -v vmlet)" "$hostile"

# sti; mov $0x3f8,%dx; mov $'R',%al; 1: out %al,(%dx); mov $20000,%cx; 2: loop 2b; jmp 1b
printf '\373\272\370\003\260R\356\271\040\116\342\376\353\370' >"$work/writes"
"$hostile" run --device "$device" --flat "$work/writes" --mem 3M </dev/null >/dev/null 2>&1 &
guest=$!
until vmlet list | grep -q ' io$\| host_interrupt$'; do
	kill -0 $guest || break
done

problem=
run 0 vmlet report "$work/dir/page" $guest --seconds 3
cp "$work/dir/page" "$work/page"
is_clean page
has '^<!DOCTYPE html>$'
has '^<tr><th>exit</th><th>count</th><th>share</th><th>kernel</th>'
has '^<tr><td>io</td><td>[0-9]*[0-9][0-9]</td><td>[0-9.]* %</td><td>[0-9.]* [num]*s</td>'
has '^</html>$'
verdict "a page"

problem=
has "^<tr><td>$guest</td><td>&#60;i&#62;&#38;&#34;name</td><td>1</td></tr>\$"
has_not '<i>'
# Nothing but what it has itself.
has_not '<script\|http://\|https://\|src="[^d]\|href='
has "default-src 'none'"
verdict "a page has no strange words and no references"

problem=
images >"$work/images"
drawn=$(grep -c '</svg>' "$work/images")
# Three, and one for each reason.
reasons=$(grep -c '^<tr><td>[a-z_]*</td>' "$work/page")
[ "$drawn" = $((3 + reasons)) ] || problem="$drawn images of $reasons reasons"
for what in '<svg' '% of the virtual CPUs' 'exits per second' 'time in s' 'kernel: time'; do
	grep -q "$what" "$work/images" || problem="$problem; no $what in the images"
done
verdict "diagrams"

problem=
echo old >"$work/dir/page"
vmlet report "$work/dir/page" $guest --seconds 1000 >"$work/out" 2>"$work/err" &
reporter=$!
sleep 3
grep -q old "$work/dir/page" || problem="it is changed too early"
kill -INT $reporter
wait $reporter
status=$?
[ $status = 0 ] || problem="$problem; status $status"
grep -q '^</html>$' "$work/dir/page" || problem="$problem; it is not changed"
is_clean page
verdict "SIGINT ends it, with a page of what it has seen"

problem=
vmlet report "$work/dir/page" --seconds 1000 >"$work/out" 2>"$work/err" &
reporter=$!
until [ "$(cd "$work/dir" && echo *)" != page ]; do
	kill -0 $reporter || break
done
sleep 3
kill $guest
wait $reporter
status=$?
[ $status = 0 ] || problem="$problem; status $status"
cp "$work/dir/page" "$work/page"
has '^<tr><td>io</td>'
verdict "it ends with the guest"
wait $guest 2>/dev/null

problem=
run 1 vmlet report "$work/dir/page"
says err 'no virtual machine runs on /dev/vmlet'
vmlet run --device "$device" --flat "$work/writes" --mem 3M </dev/null >/dev/null 2>&1 &
guest=$!
until vmlet list | grep -q ' io$\| host_interrupt$'; do
	kill -0 $guest || break
done
# The page that is there stays.
run 1 env PATH="$work/nothing" "$(command -v vmlet)" report "$work/dir/page" --seconds 1
says err 'apt install gnuplot-nox'
printf '#!/bin/sh\nexit 7\n' >"$work/nothing/gnuplot"
chmod +x "$work/nothing/gnuplot"
run 1 env PATH="$work/nothing:$PATH" vmlet report "$work/dir/page" --seconds 1
says err 'gnuplot failed with status 7'
grep -q '^</html>$' "$work/dir/page" || problem="$problem; the old page is gone"
is_clean page
verdict "no guest, no gnuplot"

problem=
run 1 vmlet report "$work/dir" --seconds 1
says err 'Is a directory'
run 1 vmlet report /dev/null --seconds 1
says err '/dev/null: it is there and no file'
[ -c /dev/null ] || problem="$problem; /dev/null is a file now"
run 1 vmlet report "$work/dir/no/page" --seconds 1
says err 'No such file'
is_clean page
verdict "a page that cannot be written"
kill $guest
wait $guest 2>/dev/null

problem=
for wrong in '' --frobnicate 'page --seconds 0' 'page nobody' 'page 1 2'; do
	# shellcheck disable=SC2086
	run 2 vmlet report $wrong
	says err 'usage: vmlet report'
done
verdict "wrong usage"
exit $failed
