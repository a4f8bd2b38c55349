#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A fresh machine: makes a minimal Debian 12 in a directory, clones this repository's committed state
# into a copy of it, and works there as a stranger would. Run as root; what happens inside happens as
# root or as an ordinary user with sudo. The mirror is that of tests/lib/debian.sh; the system's own
# certificates and apt's proxy settings go along.
#
# usage: fresh-debian.sh DIRECTORY [options]
#   --commands        the shell blocks of the pages, README first (tests/commands.sh has the
#                     convention). There is nothing but Debian's base, git and sudo: the pages name
#                     the rest. Before that, without sudo's leave, tests/run and bench/run must say
#                     what is missing.
#   --long            with --commands: also the blocks that are marked "run long", some hours
#   --page PAGE       with --commands: of README and this page alone; may be given again
#   --user            as an ordinary user (default: as root)
#   --packages-only   instead of blocks: until tests/run has installed its packages and compiled
#   --bench           bench/run --quick as well; with --packages-only, bench/run --list
#   -- OPTIONS        of tests/run, where neither --commands nor --packages-only is given
#                     (default: --quick)
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tests/lib/debian.sh"
directory=${1:?usage: fresh-debian.sh DIRECTORY [options], see the head of this file}
shift
given=("$@")
bench=0
commands=0
long=0
pages=()
packages_only=0
who=root
options=(--quick)
while (($#)); do
	case $1 in
	--bench) bench=1 ;;
	--commands) commands=1 ;;
	--long) long=1 ;;
	--packages-only) packages_only=1 ;;
	--page)
		pages+=("${2:?--page wants a page}")
		shift
		;;
	--user) who=stranger ;;
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
((EUID == 0)) || { echo "SKIP: debootstrap and chroot need root"; exit 77; }
command -v debootstrap >/dev/null || { echo "SKIP: no debootstrap (apt-get install debootstrap)"; exit 77; }

# The mounts below live in a mount namespace of their own, and the processes in one of theirs. Both go
# with it, however this script ends; and the pools of other processes here are none of a fresh machine's.
if [[ -z ${FILCH_FRESH_NAMESPACE:-} ]]; then
	FILCH_FRESH_NAMESPACE=1 exec unshare --mount --propagation private --pid --fork --kill-child "$0" \
		"$directory" "${given[@]}"
fi

mirror=$(debian_mirror)

# What debootstrap made is kept and copied, so that every run begins with the same machine.
base=$directory/base
if [[ ! -e $base/done ]]; then
	rm -rf "$base"
	mkdir -p "$base"
	debootstrap --variant=minbase --include=ca-certificates,git,sudo bookworm "$base/root" "$mirror"
	rm -rf "$base"/root/var/lib/apt/lists/*
	touch "$base/done"
fi
root=$directory/root
rm -rf --one-file-system "$root" # what is mounted there is not ours to empty
cp -a "$base/root" "$root"

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

# inside COMMAND...: as root or the stranger in the clone, with nothing of this machine's environment
# but its proxies.
home=/root
[[ $who == root ]] || home=/home/$who
tree=$home/filch
inside() {
	# shellcheck disable=SC2016 # the inner shell's
	env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" CI=true LANG=C.UTF-8 http_proxy="${http_proxy:-}" \
		https_proxy="${https_proxy:-}" chroot --userspec="$who" "$root" /bin/bash -c 'cd "$0" && exec "$@"' \
		"$tree" "$@" </dev/null
}

[[ $who == root ]] || chroot "$root" useradd --create-home --shell /bin/bash "$who"
git clone --quiet --no-hardlinks "$here" "$root$tree"
chroot "$root" chown -R "$who:" "$tree"
echo "fresh-debian.sh: $(chroot "$root" cat /etc/debian_version), $(chroot "$root" dpkg-query -W | wc -l) packages;" \
	"$(git -c safe.directory='*' -C "$root$tree" log -1 --format=%h) in $tree, as $who"

# Who may not install anything is told what to ask for, in one line.
if ((commands)) && [[ $who != root ]]; then
	for command in tests/run bench/run; do
		status=0
		said=$(inside "$command" 2>&1) || status=$?
		[[ $status == 1 && $said == *"sudo apt-get update && sudo apt-get install -y "* ]] || {
			echo "fresh-debian.sh: $command without leave: status $status, $said"
			exit 1
		}
		inside "$command" --help >/dev/null
	done
fi
echo "$who ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/stranger"

if ((commands)); then
	blocks=$directory/blocks
	"$here/tests/commands.sh" --extract "$here" "$blocks"
	passed=0
	fates=(always)
	((long == 0)) || fates+=(long)
	for fate in "${fates[@]}"; do
		while read -r file its place; do
			[[ $its == "$fate" ]] || continue
			page=${place%:*}
			((${#pages[@]} == 0)) || [[ " README.md ${pages[*]} " == *" $page "* ]] || continue
			cp "$file" "$root/tmp/block"
			began=$SECONDS
			if ! inside bash -eu -o pipefail /tmp/block >"$directory/log" 2>&1; then
				tail -n 60 "$directory/log"
				echo "fresh-debian.sh: $place fails as $who:"
				cat "$file"
				echo "fresh: $passed passed, 1 failed"
				exit 1
			fi
			passed=$((passed + 1))
			echo "fresh-debian.sh: $place passed in $((SECONDS - began)) s"
		done <"$blocks/index"
	done
	# README's way back leaves nothing of ours.
	inside sudo cmake --build build/release --target uninstall >"$directory/log" 2>&1 || { cat "$directory/log"; exit 1; }
	left=$(find "$root/usr/local" -iname '*filch*')
	[[ -z $left ]] || { echo "fresh-debian.sh: uninstall has left $left"; exit 1; }
	echo "fresh: $((passed + 1)) passed, 0 failed"
	exit
fi
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
