#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The shell lines of the pages, run. The convention:
#   - Shell lines stand in blocks that open with ```sh. Each block is run by a shell of its own with
#     set -e, in the root of the tree; README first, then the other pages by name.
#   - <!-- not run: reason --> above a block: it is never run.
#   - <!-- run long: reason --> above a block: it is run in a fresh Debian alone, by
#     tests/fresh-debian.sh, which tests/run does only with --long.
#   - A block opens with ```sh, ```c, ```cpp, ```cmake or ``` alone, at the margin and with nothing
#     behind. Any other is refused. So is a shell line in a plain block, and an indented line that
#     begins with a command of ours or with sudo: none of them would be run.
#
# Every run works on a copy of the tree and installs into a directory of its own: sudo runs its
# command as it is, apt-get and ldconfig do nothing. So what is tested here is the lines, and not
# the list of packages; that is what the fresh Debian is for.
#
# usage: commands.sh ROOT WORK_DIRECTORY          runs the blocks that are not marked
#        commands.sh --extract ROOT DIRECTORY     a file for each block, and the file "index" with
#                                                 lines of: file, always|long|never, page:line
set -euo pipefail

# One file for each block, and complaints on stderr.
extract() {
	local root=$1 to=$2 page
	local -a pages
	mkdir -p "$to"
	: >"$to/index"
	mapfile -t pages < <(cd "$root" && find . -name '*.md' -not -path './build*' -not -path './.*/*' -printf '%P\n' |
		sort | awk '$0 == "README.md" { print 1, $0; next } { print 2, $0 }' | sort -s -k 1,1 | cut -d ' ' -f 2)
	for page in "${pages[@]}"; do
		awk -v page="$page" -v to="$to" '
			BEGIN { fate = "always" }
			function wrong(what) { print "commands: " page ":" NR ": " what >"/dev/stderr"; failed = 1 }
			/^```/ && inside {
				if (file != "")
					close(file)
				inside = 0; file = ""; fate = "always"
				next
			}
			/^```/ {
				inside = 1
				plain = $0 == "```"
				if ($0 !~ /^```(sh|c|cpp|cmake)?$/)
					wrong("a block opens with ```sh, ```c, ```cpp, ```cmake or ``` alone")
				if ($0 != "```sh" && fate != "always")
					wrong("a mark above a block that does not open with ```sh")
				if ($0 == "```sh") {
					file = sprintf("%s/%s.%03d", to, page, NR)
					gsub(/\//, "_", file)
					file = to "/" substr(file, length(to) + 2)
					print file, fate, page ":" NR >>(to "/index")
					printf "" >file
				}
				next
			}
			!inside && /^[ \t]*(~~~|[ \t]+```)/ { wrong("a block opens with ``` at the margin") }
			inside && plain && /^(\$ |sudo |cmake |ctest |(tests|bench)\/run|apt-get )/ { wrong("a shell line in a block that does not open with ```sh") }
			inside { if (file != "") print >file; next }
			/^<!-- (not run|run long):/ {
				fate = /^<!-- not run:/ ? "never" : "long"
				if ($0 !~ /^<!-- (not run|run long): [^ ].*[^ ] -->$/)
					wrong("the mark has no reason, or does not end on its line")
				next
			}
			/^(\t|    )(sudo|cmake|ctest|make|ninja|cc|gcc|clang|curl|tests\/|bench\/|build\/|apt-get)/ {
				wrong("an indented shell line: a block that opens with ```sh is run")
			}
			NF { if (fate != "always") wrong("a mark without a block"); fate = "always" }
			END {
				if (inside) wrong("a block without an end")
				exit failed
			}' "$root/$page" || failed=1
	done
}

failed=0
if [[ $1 == --extract ]]; then
	rm -rf "$3"
	extract "$2" "$3"
	exit "$failed"
fi

root=$1
work=$2
rm -rf "$work"
mkdir -p "$work/tree" "$work/bin"
extract "$root" "$work/blocks"
((failed == 0)) || { echo "commands: 0 passed, 1 failed"; exit 1; }

cp -r "$root"/{*.md,LICENSE,CMakeLists.txt,CMakePresets.json,cmake,include,src,docs,bench,tests} "$work/tree"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
printf '#!/bin/sh\n' >"$work/bin/ldconfig"
printf '#!/bin/sh\n' >"$work/bin/apt-get"
chmod +x "$work/bin"/*
stage=$work/stage
usr=$stage/usr/local
export DESTDIR=$stage PATH=$work/bin:$usr/bin:$PATH PKG_CONFIG_PATH=$usr/lib/pkgconfig LD_LIBRARY_PATH=$usr/lib
export CMAKE_PREFIX_PATH=$usr CMAKE_BUILD_PARALLEL_LEVEL
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc)

passed=0
while read -r block fate place; do
	[[ $fate == always ]] || continue
	if ! (cd "$work/tree" && timeout 200 bash -eu -o pipefail "$block") >"$work/log" 2>&1 </dev/null; then
		tail -n 30 "$work/log"
		echo "commands: $place: the block failed:"
		cat "$block"
		echo "commands: $passed passed, 1 failed"
		exit 1
	fi
	passed=$((passed + 1))
done <"$work/blocks/index"
[[ -e $usr/lib/libfilch.so ]] || { echo "commands: README does not install the library"; exit 1; }

# Who has followed README has a build by CMake's own choice of a generator: tests/run goes on in it.
printf '#!/bin/sh\ncase " $* " in *" --build "*) exit 0 ;; esac\nexec %s "$@"\n' "$(command -v cmake)" >"$work/bin/cmake"
chmod +x "$work/bin/cmake"
for generator in Ninja 'Unix Makefiles'; do
	rm -rf "$work/tree/build/release"
	(cd "$work/tree" && cmake --preset release -G "$generator") >"$work/log" 2>&1
	(cd "$work/tree" && tests/run --quick -R '^check\.fences$') >"$work/log" 2>&1 </dev/null || true
	if ! grep -qx '1 passed, 0 failed' "$work/log"; then
		cat "$work/log"
		echo "commands: tests/run does not go on in a build by $generator"
		echo "commands: $passed passed, 1 failed"
		exit 1
	fi
	passed=$((passed + 1))
done

# The same lines with what they may lack: a page with mistakes is refused.
mkdir -p "$work/wrong"
cp "$root/README.md" "$work/wrong"
refused() {
	printf '%b' "$1" >"$work/wrong/page.md"
	if "$0" --extract "$work/wrong" "$work/wrong.blocks" 2>/dev/null; then
		echo "commands: this page is not refused: $1"
		echo "commands: $passed passed, 1 failed"
		exit 1
	fi
	passed=$((passed + 1))
}
# shellcheck disable=SC2016 # the fences are meant as they stand
{
	refused 'text\n\n\tcmake --preset release\n'
	refused '```bash\ntrue\n```\n'
	refused '```\n$ true\n```\n'
	refused '<!-- not run: -->\n```sh\ntrue\n```\n'
	refused '<!-- not run: a reason -->\n\ntext\n'
	refused '```sh\ntrue\n'
}

((passed > 10)) || { echo "commands: only $passed checks"; exit 1; }
echo "commands: $passed passed, 0 failed; $(grep -c ' long ' "$work/blocks/index") blocks wait for a fresh Debian," \
	"$(grep -c ' never ' "$work/blocks/index") are not run"
