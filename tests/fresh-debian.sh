#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The two commands on a fresh machine: makes a minimal Debian 12 in a directory, clones this repository's committed state into it,
# and runs tests/run and bench/run there, which have to install what they need. Run as root. The mirror is FILCH_DEBIAN_MIRROR or
# the one this machine's apt uses; the system's own certificates and apt's proxy settings go along.
#
# usage: fresh-debian.sh DIRECTORY [--packages-only] [--bench] [-- tests/run's options; default --quick]
#   --packages-only   stop when tests/run has installed its packages and compiled
#   --bench           bench/run --quick as well; with --packages-only, bench/run --list: its packages, compiled, every peer named
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
directory=${1:?usage: fresh-debian.sh DIRECTORY [--packages-only] [--bench] [-- options of tests/run]}
shift
bench=0
packages_only=0
options=(--quick)
while (($#)); do
	case $1 in
	--bench) bench=1 ;;
	--packages-only) packages_only=1 ;;
	--)
		shift
		options=("$@")
		break
		;;
	*)
		echo "fresh-debian.sh: unknown option $1" >&2
		exit 2
		;;
	esac
	shift
done
((EUID == 0)) || { echo "fresh-debian.sh: debootstrap and chroot need root"; exit 1; }
command -v debootstrap >/dev/null || { echo "fresh-debian.sh: please run: apt-get install -y debootstrap"; exit 1; }

# The mounts below live in a mount namespace of their own and go with it, however this script ends.
if [[ -z ${FILCH_FRESH_NAMESPACE:-} ]]; then
	arguments=()
	((bench)) && arguments+=(--bench)
	((packages_only)) && arguments+=(--packages-only)
	FILCH_FRESH_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$directory" "${arguments[@]}" -- "${options[@]}"
fi

# The first archive apt knows that has bookworm itself, not its updates.
mirror_of_apt() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		awk '$1 == "deb" { for (i = 2; i < NF; i++) if ($i ~ /^https?:/ && $(i + 1) == "bookworm") { print $i; exit } }'
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
		awk '/^URIs:/ { uri = $2 } /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == "bookworm") print uri }'
}
mirror=${FILCH_DEBIAN_MIRROR:-$(mirror_of_apt | head -n 1)}
mirror=${mirror:-http://deb.debian.org/debian}

root=$directory/root
if [[ ! -e $root/etc/debian_version ]]; then
	mkdir -p "$root"
	debootstrap --variant=minbase --include=ca-certificates,git bookworm "$root" "$mirror"
fi
for file in /etc/apt/apt.conf.d/*; do
	if grep -qiE 'proxy|Verify|CAInfo' "$file"; then
		cp "$file" "$root/etc/apt/apt.conf.d/"
	fi
done
cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
chroot "$root" update-ca-certificates >/dev/null 2>&1 || true
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"

rm -rf "$root/srv/filch"
git clone --quiet --no-hardlinks "$here" "$root/srv/filch"
echo "fresh-debian.sh: $(chroot "$root" cat /etc/debian_version), $(chroot "$root" dpkg-query -W | wc -l) packages;" \
	"$(git -C "$root/srv/filch" log -1 --format=%h) in /srv/filch"

# inside COMMAND...: runs it in the clone, with nothing of this machine's environment but its proxies.
inside() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=true LANG=C.UTF-8 http_proxy="${http_proxy:-}" \
		https_proxy="${https_proxy:-}" chroot "$root" /bin/bash -c 'cd /srv/filch && exec "$@"' bash "$@" </dev/null
}

if ((packages_only)); then
	inside tests/run --quick -R '^check.sources$'
	if ((bench)); then
		inside bench/run --list
	fi
	exit
fi
inside tests/run "${options[@]}"
if ((bench)); then
	inside bench/run --quick
fi
