#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/lib/packages.sh on machines made up as dpkg's own database: packages of one and of two
# architectures, removed ones, missing ones. bench/run and tests/run go by that file.
#
# usage: packages.sh ROOT WORK_DIRECTORY
set -euo pipefail

root=$1
work=$2

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/../lib/verdict.sh" packages
command -v dpkg-query >/dev/null || { echo "SKIP: no dpkg"; exit 77; }

own=$(dpkg --print-architecture)
other=arm64
[[ $own != arm64 ]] || other=amd64
rm -rf "$work"
if ((EUID == 0)); then
	# where another user gets to as well: root's home is closed
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	chmod 755 "$work"
fi
mkdir -p "$work/info" "$work/updates"
printf '%s\n%s\n' "$own" "$other" >"$work/arch"
entry() {
	printf 'Package: %s\nStatus: %s\nMaintainer: nobody\nMulti-Arch: %s\nArchitecture: %s\nVersion: 1\nDescription: x\n\n' "$@"
}
{
	entry plain 'install ok installed' no "$own"
	entry common 'install ok installed' foreign all
	entry twice 'install ok installed' same "$own"
	entry twice 'install ok installed' same "$other"
	entry other-only 'install ok installed' same "$other"
	entry removed 'deinstall ok config-files' no "$own"
	entry half 'install ok half-configured' no "$own"
} >"$work/status"
export DPKG_ADMINDIR=$work
[[ $(dpkg-query -W -f '${Package} ' | wc -w) == 7 ]] || fail "dpkg-query does not read what was made up"

. "$root/tests/lib/packages.sh"
found=$(missing_packages plain common twice other-only removed half absent | paste -sd ' ')
[[ $found == "other-only removed half absent" ]] || fail "missing are other-only, removed, half and absent, and not: $found"
passed=$((passed + 1))

# An ordinary user without sudo gets one line that also works where apt's lists are old; with
# everything there, both commands go on in silence.
mkdir "$work/bin"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
chmod +x "$work/bin/sudo"
as_user() {
	if ((EUID == 0)); then
		# dpkg looks into the home directory
		HOME=/ setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}
status=0
# shellcheck disable=SC2016 # the inner shell's
said=$(as_user env PATH="$work/bin:$PATH" bash -c '. "$0" && need_packages plain absent && echo went on' /dev/stdin <"$root/tests/lib/packages.sh" 2>&1) ||
	status=$?
line='sudo apt-get update && sudo apt-get install -y --no-install-recommends absent'
[[ $status == 1 && $said == *"Please run: $line" ]] || fail "status $status: $said"
said=$(need_packages plain common twice)
[[ -z $said ]] || fail "nothing is missing, and it says: $said"
passed=$((passed + 2))

# One place knows how to ask dpkg.
others=$(grep -rlE 'dpkg-query|apt-get .*install' "$root/tests/run" "$root/bench/run" "$root/.ci/run" || true)
[[ -z $others ]] || fail "these ask by themselves: $others"
for command in tests/run bench/run; do
	grep -q '^need_packages ' "$root/$command" || fail "$command does not ask for its packages"
done
passed=$((passed + 1))
passed_all
