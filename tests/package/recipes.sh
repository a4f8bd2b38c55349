#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A release of this tree, made by packaging/release in a repository of its own, and what others make of
# it: Meson by the wrap; the port of vcpkg and the recipe of Conan, both run by stand-ins, since neither
# tool is a package of Debian's. In each case a program is linked and run.
#
# usage: recipes.sh ROOT WORK_DIRECTORY CC
set -euo pipefail

root=$1
work=$2
cc=$3
here=$root/tests/package

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" recipes
# shellcheck source=tests/lib/tree.sh
. "$root/tests/lib/tree.sh"
for tool in git meson ninja python3; do
	command -v $tool >/dev/null || { echo "SKIP: no $tool (apt-get install git meson python3)"; exit 77; }
done
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)
export PYTHONDONTWRITEBYTECODE=1 CC=$cc

copy_tree "$root" "$work/tree"
cd "$work/tree"
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=nobody GIT_AUTHOR_EMAIL=nobody@example.org
export GIT_COMMITTER_NAME=nobody GIT_COMMITTER_EMAIL=nobody@example.org
commit() { git add -A && git commit -qm "$1"; }
git init -q .
# the day of the release, in both logs
sed -i -E '0,/^## /s/^(## [0-9.]+), .*/\1, 2026-01-31/' CHANGELOG.md
sed -i '1s/) [^;]*;/) unstable;/' debian/changelog
commit "a release"

# refused WHAT FILE SED EXPECTED: the release is not made, and says why
refused() {
	sed -i -E "$3" "$2"
	git diff --quiet && fail "$1: nothing was changed in $2"
	commit "$1"
	if said=$(packaging/release --to "$work/none" 2>&1); then
		fail "$1: released: $said"
	fi
	[[ $said == *"$4"* && ! -e $work/none ]] || fail "$1: $said"
	git reset -q --hard HEAD~1
	passed=$((passed + 1))
}
refused "another version in vcpkg.json" packaging/vcpkg/vcpkg.json 's/"version": "[^"]*"/"version": "9.9.9"/' vcpkg.json
refused "another version in the wrap" packaging/meson/meson.build "s/version: '[0-9.]+'/version: '9.9.9'/" meson.build
refused "another version in the recipe" packaging/conan/conanfile.py 's/    version = .*/    version = "9.9.9"/' conanfile.py
refused "a change log without a day" CHANGELOG.md 's/^(## [0-9.]+), 2026.*/\1, unreleased/' CHANGELOG.md
refused "an older Debian change log" debian/changelog '1s/\([0-9.]+-/(0.0.1-/' debian/changelog
refused "a soname without its package" debian/control 's/^Package: libfilch[0-9.]+$/Package: libfilch9/' debian/control
refused "a node that is not there" src/filch.map 's/^FILCH_[0-9.]+ /FILCH_9.9 /' filch.map
touch left-over
if packaging/release --to "$work/none" >"$work/log" 2>&1; then fail "a tree with changes is released"; fi
rm left-over

packaging/release --to "$work/dist" --tag >"$work/log" 2>&1 || { cat "$work/log"; fail "no release"; }
version=$(sed -nE 's/^project\(filch VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
archive=$work/dist/filch-$version.tar.gz
[[ $(git cat-file -t "v$version") == tag ]] || fail "no annotated tag"
(cd "$work/dist" && sha256sum -c --quiet SHA256SUMS && sha512sum -c --quiet SHA512SUMS) || fail "the checksums are wrong"
head -n 1 "$work/dist/NOTES.md" | grep -q "^## $version" || fail "the notes are not of $version"
if packaging/release --to "$work/none" >"$work/log" 2>&1; then fail "the same version is released twice"; fi
sleep 1
packaging/release --draft --to "$work/again" >"$work/log" 2>&1
cmp -s "$archive" "$work/again/filch-$version.tar.gz" || fail "the same commit makes another tarball"
passed=$((passed + 6))
cd "$work"

works() {
	local said
	said=$("${@:2}" 2>&1) || fail "$1: status $?: $said"
	[[ $said == *works* ]] || fail "$1: $said"
	passed=$((passed + 1))
}

# Meson, in a project that has the wrap and, in place of the network, the tarball
for kind in shared static; do
	mkdir -p "$work/meson-$kind/subprojects/packagecache"
	cp "$archive" "$work/meson-$kind/subprojects/packagecache"
	cp -r "$work/dist/meson/." "$work/meson-$kind/subprojects"
	cp "$here/consumer"/program.[ch] "$work/meson-$kind"
	cat >"$work/meson-$kind/meson.build" <<-'TEXT'
		project('consumer', 'c', default_options: ['warning_level=2', 'werror=true'])
		executable('program', 'program.c', dependencies: dependency('filch', version: '>=0.1'))
	TEXT
	(cd "$work/meson-$kind" && meson setup build --buildtype=debug -Dfilch:buildtype=debug -Dfilch:werror=false \
		-Dfilch:warning_level=0 -Dfilch:default_library=$kind) >"$work/log" 2>&1 || { cat "$work/log"; fail "meson setup, $kind"; }
	ninja -C "$work/meson-$kind/build" >"$work/log" 2>&1 || { tail -n 30 "$work/log"; fail "meson, $kind"; }
	works "meson, $kind" "$work/meson-$kind/build/program"
done
DESTDIR=$work/staged meson install -C "$work/meson-shared/build" --quiet >"$work/log" 2>&1 || { cat "$work/log"; fail "meson install"; }
for file in filch/filch.h filch/version.h filch/detail/words.h; do
	[[ -n $(find "$work/staged" -path "*/include/$file") ]] || fail "meson does not install $file"
done
library=$(find "$work/staged" -name "libfilch.so.$version")
diff <(nm -D --defined-only --with-symbol-versions "$library" | awk '$2 != "A" { sub(/.*@/, "", $3); print $3 }' | sort -u) \
	<(sed -nE 's/^(FILCH_[0-9.]+) \{/\1/p' "$root/src/filch.map") || fail "meson's library exports other versions"
passed=$((passed + 4))

for linkage in dynamic static; do
	cmake -D PORT_DIR="$work/dist/vcpkg" -D ARCHIVE="$archive" -D VERSION="$version" -D LINKAGE=$linkage \
		-D WORK="$work/vcpkg" -P "$here/recipes/vcpkg.cmake" >"$work/log" 2>&1 ||
		{ tail -n 30 "$work/log"; fail "vcpkg, $linkage"; }
	packages=$work/vcpkg/$linkage
	libs=(-lfilch -lhwloc -pthread)
	[[ $linkage == static ]] || libs=(-lfilch "-Wl,-rpath,$packages/lib")
	"$cc" "$here/consumer/program.c" -I"$packages/include" -L"$packages/lib" "${libs[@]}" -o "$work/program" ||
		fail "vcpkg, $linkage: a program does not link"
	works "vcpkg, $linkage" "$work/program"
	[[ -s $packages/share/filch/copyright && -s $packages/share/filch/usage && -x $packages/tools/filch/filch-top &&
		-s $packages/share/filch/filch-config.cmake ]] || fail "vcpkg, $linkage: $(find "$packages")"
done

for shared in True False; do
	flags=$(python3 "$here/recipes/conan.py" "$work/dist/conan" "$archive" "$work/conan" $shared 2>"$work/log") ||
		{ tail -n 30 "$work/log"; fail "conan, shared=$shared"; }
	read -ra flags <<<"$flags"
	"$cc" "$work/dist/conan/test_package/program.c" "${flags[@]}" -lhwloc "-Wl,-rpath,$work/conan/shared-$shared/lib" \
		-o "$work/program" || fail "conan, shared=$shared: a program does not link"
	works "conan, shared=$shared" "$work/program"
	[[ -s $work/conan/shared-$shared/licenses/LICENSE ]] || fail "conan, shared=$shared: no licence"
done
passed_all
