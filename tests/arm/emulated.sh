#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# 64-bit ARM without one: the tests are compiled here by Debian's cross compiler, and run under
# qemu-user. What they link and load are arm64's packages, unpacked in a directory; nothing is
# installed. For an emulator only orders that the compiler can break are at stake, not the
# processor's: what it shows is that the library works there at all.
#
# Programs start others, and Criterion starts itself for each case, so the kernel must know qemu. It
# is told in a user namespace of our own, which kernels of 6.7 and later allow. Elsewhere the
# machine's own entry serves, if there is one.
#
# usage: emulated.sh DIRECTORY [REGEX]
#   DIRECTORY   for packages and the build; what is there is used again
#   REGEX       which tests (default: the unit tests and the drivers for model checkers)
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR/../..
. "$root/tests/lib/debian.sh"
mkdir -p "$1"
work=$(cd "$1" && pwd)
regex=${2:-'^(unit|c11)\.'}
sysroot=$work/sysroot
binfmt=/proc/sys/fs/binfmt_misc
# the rule: an ELF header of a 64-bit ARM program, and its mask. Flags: qemu opened here, argv[0] kept
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

# In the namespace: the rule, then the tests.
if [[ ${FILCH_ARM_NAMESPACE:-} ]]; then
	if [[ $FILCH_ARM_NAMESPACE == own ]]; then
		mount -t binfmt_misc binfmt_misc "$binfmt"
		printf '%s' ":filch-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):PF" >"$binfmt/register"
	fi
	cd "$work/build"
	# Emulation is slow. Before 8.0 qemu's children may hang in GLib's allocator (qemu's issue 285).
	FILCH_TEST_SCALE=$(awk -v scale="${FILCH_TEST_SCALE:-1}" 'BEGIN { print scale / 100 }')
	export FILCH_TEST_SCALE FILCH_TEST_EMULATED=1 G_SLICE=always-malloc QEMU_LD_PREFIX=$sysroot
	exec ctest --output-on-failure -LE '^long$' -R "$regex" --no-tests=error
fi

for tool in aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu \
	qemu-aarch64-static:qemu-user-static; do
	command -v "${tool%:*}" >/dev/null || { echo "SKIP: no ${tool%:*} (apt-get install ${tool#*:})"; exit 77; }
done
if unshare --user --map-root-user --mount mount -t binfmt_misc binfmt_misc "$binfmt" 2>/dev/null; then
	namespace=(env FILCH_ARM_NAMESPACE=own unshare --user --map-root-user --mount)
elif [[ $(cat "$binfmt/qemu-aarch64" 2>/dev/null) == enabled* ]]; then
	namespace=(env FILCH_ARM_NAMESPACE=none)
else
	echo "SKIP: the kernel does not know qemu-aarch64 (apt-get install binfmt-support), and lets no user namespace tell it"
	exit 77
fi

packages=(libc6-dev libck-dev libhwloc-dev libcriterion-dev libmicrohttpd-dev zlib1g-dev libuv1-dev liburing-dev
	libstdc++6)
if [[ $(cat "$work/packages" 2>/dev/null) != "${packages[*]}" ]]; then
	rm -rf "$sysroot" "$work/apt"
	mkdir -p "$sysroot" "$work"/apt/{state/lists/partial,cache/archives/partial}
	: >"$work/apt/status"
	echo "deb $(debian_mirror) bookworm main" >"$work/apt/sources.list"
	apt=(apt-get -q -o Dir::State="$work/apt/state" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache"
		-o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- -o APT::Architecture=arm64
		-o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Acquire::Languages=none)
	"${apt[@]}" update
	"${apt[@]}" install -y --no-install-recommends --download-only "${packages[@]}" | tail -n 1
	for package in "$work"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$sysroot"
	done
	# what points to the root of a machine points to this one's
	find "$sysroot" -type l -lname '/*' | while read -r link; do
		ln -sfnr "$sysroot$(readlink "$link")" "$link"
	done
	echo "${packages[*]}" >"$work/packages"
fi

log=$work/build.log
export PKG_CONFIG_SYSROOT_DIR=$sysroot
export PKG_CONFIG_LIBDIR=$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig:$sysroot/usr/share/pkgconfig
if ! {
	cmake -G Ninja -S "$root" -B "$work/build" --toolchain "$root/tests/arm/toolchain.cmake" -DCMAKE_SYSROOT="$sysroot" \
		-DCMAKE_BUILD_TYPE=Release -DFILCH_BUILD_TESTS=ON -DFILCH_WERROR=ON &&
		cmake --build "$work/build"
} >"$log" 2>&1; then
	tail -n 60 "$log"
	echo "arm: 0 passed, 1 failed: it does not build; the whole log is $log"
	exit 1
fi

rm -f "$work/build/Testing/Temporary/LastTest.log"
"${namespace[@]}" "$root/tests/arm/emulated.sh" "$@" 2>&1 | tee "$work/ctest.log" || true
totals=(-f "$root/tests/lib/totals.awk" "$work/ctest.log" "$work/build/Testing/Temporary/LastTest.log")
awk -v reasons=1 "${totals[@]}" | sed 's/^/skipped: /'
read -r passed failed skipped < <(awk "${totals[@]}")
echo "$skipped programs were skipped"
echo "arm: $passed passed, $failed failed"
((failed == 0 && passed > 0))
