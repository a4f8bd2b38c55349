# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# debian_mirror: the archive to take Debian 12 from: FILCH_DEBIAN_MIRROR, else the first one that this
# machine's apt knows to have bookworm itself, not its updates. Sourced by tests/fresh-debian.sh and
# tests/arm/emulated.sh.
debian_mirror() {
	local mirror
	mirror=${FILCH_DEBIAN_MIRROR:-$({
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
			awk '$1 == "deb" { for (i = 2; i < NF; i++) if ($i ~ /^https?:/ && $(i + 1) == "bookworm") { print $i; exit } }'
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
			awk '/^URIs:/ { uri = $2 } /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == "bookworm") print uri }'
	} | head -n 1)} || true
	echo "${mirror:-http://deb.debian.org/debian}"
}
