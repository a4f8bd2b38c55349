# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# need_packages NAME...: the Debian packages a command of ours needs. Names those that are missing; installs them where it may
# (as root, or by sudo without a password); otherwise prints the one line to run and ends the script. Sourced by tests/run and
# bench/run. On a system without dpkg it says so and goes on: the build will name what it misses.

# The names of "$@" that are not installed, one a line. A package may be there once for each
# architecture; this machine's own, or "all", is the one that counts.
missing_packages() {
	local package own
	own=$(dpkg --print-architecture)
	for package in "$@"; do
		dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qxE "($own|all) installed" || echo "$package"
	done
}

need_packages() {
	local -a missing as_root=()
	if ! command -v dpkg-query >/dev/null; then
		echo "This is no Debian system; it must provide what these packages hold: $*"
		return 0
	fi
	mapfile -t missing < <(missing_packages "$@")
	((${#missing[@]})) || return 0
	echo "Missing packages: ${missing[*]}"
	if ((EUID != 0)); then
		if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
			echo "Please run: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
			exit 1
		fi
		as_root=(sudo -n)
	fi
	echo "Installing them."
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update </dev/null
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" </dev/null
}
