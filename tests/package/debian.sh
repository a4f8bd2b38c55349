#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages: built from a source package of this tree, without a complaint of lintian, then
# installed by dpkg under a directory, used from there by a program, and removed without a trace.
#
# usage: debian.sh ROOT WORK_DIRECTORY CC
set -euo pipefail

root=$1
work=$2
cc=$3

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" debian
# shellcheck source=tests/lib/tree.sh
. "$root/tests/lib/tree.sh"
for tool in dpkg-buildpackage:dpkg-dev lintian:lintian dh:debhelper mandoc:mandoc cmark-gfm:cmark-gfm fakeroot:fakeroot; do
	command -v "${tool%:*}" >/dev/null || { echo "SKIP: no ${tool%:*} (apt-get install ${tool#*:})"; exit 77; }
done

version=$(sed -nE 's/^project\(filch VERSION ([0-9.]+).*/\1/p' "$root/CMakeLists.txt")
rm -rf "$work"
copy_tree "$root" "$work/filch-$version"
tar -C "$work" --sort=name --owner=0 --group=0 --exclude="filch-$version/debian" -czf \
	"$work/filch_$version.orig.tar.gz" "filch-$version"
# As a distribution does it: the flags are dpkg's, and nothing of this build's. How the library is
# optimised is not in question here.
unset CFLAGS CXXFLAGS CPPFLAGS LDFLAGS DESTDIR CMAKE_PREFIX_PATH PKG_CONFIG_PATH
(cd "$work/filch-$version" && DEB_BUILD_OPTIONS="noopt parallel=$(nproc)" dpkg-buildpackage -us -uc) >"$work/log" 2>&1 ||
	{ tail -n 40 "$work/log"; fail "the packages do not build"; }
passed=$((passed + 1))

own=$(dpkg --print-architecture)
soname=libfilch0.1
for package in "$soname" libfilch-dev filch-tools libfilch-doc; do
	found=$(find "$work" -maxdepth 1 -name "${package}_$version-*.deb")
	[[ -n $found ]] || fail "no package $package"
	passed=$((passed + 1))
done
[[ -n $(find "$work" -maxdepth 1 -name "filch_$version-*.dsc") ]] || fail "no source package"
# There is no bug of Debian's that asks for this package, since nobody has uploaded it.
said=$(lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$work"/filch_*_"$own".changes 2>&1) || fail "lintian: $said"
passed=$((passed + 1))

# dpkg asks for superuser rights; a directory of our own needs none.
as_root=()
((EUID == 0)) || as_root=(fakeroot)
mkdir -p "$work/root/var/lib/dpkg"/{info,updates} "$work/root/var/log"
touch "$work/root/var/lib/dpkg/status"
debs=$(find "$work" -maxdepth 1 -name '*.deb' -not -name '*-dbgsym_*')
# what the packages depend on is not under that directory
on() { "${as_root[@]}" dpkg --root="$work/root" --force-depends --force-not-root --force-script-chrootless "$@"; }
# shellcheck disable=SC2086 # several files
on -i $debs >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg -i"; }
usr=$work/root/usr
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
export PKG_CONFIG_LIBDIR=$usr/lib/$triplet/pkgconfig
read -ra flags < <(pkg-config --cflags --libs filch)
read -ra static < <(pkg-config --static --cflags --libs filch | sed 's/-lfilch\b/-l:libfilch.a/')
"$cc" -O2 "$root/tests/package/consumer/program.c" "${flags[@]}" -o "$work/program" || fail "a program does not link"
said=$(LD_LIBRARY_PATH=$usr/lib/$triplet "$work/program" 2>&1) || fail "the program: $said"
[[ $said == *works* ]] || fail "the program: $said"
"$cc" -O2 "$root/tests/package/consumer/program.c" "${static[@]}" -o "$work/static" ||
	fail "a program does not link with the static library"
[[ $("$work/static") == *works* ]] || fail "the program with the static library"
readelf -d "$work/program" | grep -qF '[libfilch.so.0.1]' || fail "the program does not ask for libfilch.so.0.1"
"$usr/bin/filch-info" >"$work/log" 2>&1 || { cat "$work/log"; fail "filch-info"; }
passed=$((passed + 4))
for file in share/man/man3/filch_submit.3.gz share/man/man3/FILCH_TASK.3.gz share/man/man3/filch_pool_resume.3.gz \
	share/man/man1/filch-top.1.gz share/man/man7/filch.7.gz share/bash-completion/completions/filch-top \
	share/doc/libfilch-dev/html/index.html share/doc/libfilch-dev/examples/first.c; do
	[[ -s $usr/$file ]] || fail "$file is not installed"
	passed=$((passed + 1))
done
needs=$(dpkg-deb -f "$(find "$work" -maxdepth 1 -name "${soname}_*.deb")" Depends)
[[ $needs == *libc6*libhwloc15* ]] || fail "$soname depends on: $needs"
needs=$(dpkg-deb -f "$(find "$work" -maxdepth 1 -name 'libfilch-dev_*.deb')" Depends)
[[ $needs == *"$soname (= $version-"* ]] || fail "libfilch-dev depends on: $needs"
passed=$((passed + 2))

on -r filch-tools libfilch-dev libfilch-doc "$soname" >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg -r"; }
left=$(find "$work/root" -not -type d -not -path '*/var/*')
[[ -z $left ]] || fail "this is left: $left"
passed=$((passed + 1))
passed_all
