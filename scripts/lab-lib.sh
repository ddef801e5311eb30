# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# What the lab's scripts share. Sourced by bash, after `set -eu`.

# The checkout, and where the lab keeps what is expensive to make.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
lab_cache=${VMLET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmlet}

# The recipe is the cache key: another package list is another root.
lab_recipe=$top/scripts/lab-root-setup
lab_key=$(sha256sum <"$lab_recipe" | cut -c1-12)
lab_root=$lab_cache/root-$lab_key

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Run a command as root: directly, or through sudo.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for '$1': run as root or install sudo"
	fi
}
