# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# How the checks run lab hosts: several side by side, each with its own results
# and logs. Sourced by bash after lab-lib.sh; $logs is where the results go.

# The jobs: NAME HOST SECONDS OPTIONS COMMAND, the longest first. OPTIONS are
# lab-run's, in one word.
jobs=()
job() { jobs+=("$1" "$2" "$3" "$4" "$5"); }

# run_job NAME HOST SECONDS OPTIONS COMMAND: one lab host, its results, its logs.
run_job()
{
	local name=$1 status=0 since=$SECONDS options

	read -ra options <<<"$4"
	scripts/lab-run "$2" --time "$3" "${options[@]}" --log "$logs/$name.kernel.log" -- "$5" \
		>"$logs/$name.ktap" 2>"$logs/$name.err" </dev/null || status=$?
	# A lab host that went wrong is a failure even where all results are good.
	if [ $status != 0 ] && { [ $status -ge 120 ] || ! grep -q '^ *not ok' "$logs/$name.ktap"; }; then
		printf '\nKTAP version 1\n1..1\nnot ok 1 - lab host (status %d)\n' $status >>"$logs/$name.ktap"
	fi
	printf '%-46s %5d s  %s\n' "$name" $((SECONDS - since)) \
		"$([ $status = 0 ] && echo ok || echo "status $status")" >>"$logs/times"
	say "${0##*/}: $name: status $status after $((SECONDS - since)) s"
	[ ! -s "$logs/$name.err" ] || sed "s/^/$name: /" "$logs/$name.err" >&2
}

# run_jobs N: run them, that many at a time.
run_jobs()
{
	local max=$1 running=0

	while [ ${#jobs[@]} -gt 0 ]; do
		if [ $running -ge "$max" ]; then
			wait -n || :
			running=$((running - 1))
		fi
		run_job "${jobs[@]:0:5}" &
		jobs=("${jobs[@]:5}")
		running=$((running + 1))
	done
	wait
}
