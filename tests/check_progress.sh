#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What tests/run and bench/run show while they compile: on a terminal a line that is written over,
# elsewhere few plain lines; at most 79 columns; the build's status and output are kept.
#
# usage: check_progress.sh WORK_DIRECTORY
set -euo pipefail

work=$1
here=$(cd "$(dirname "$0")" && pwd)

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/lib/verdict.sh" check_progress

rm -rf "$work"
mkdir -p "$work"
cat >"$work/build" <<'TEXT'
#!/bin/bash
for ((i = 1; i <= 300; i++)); do
	echo "[$i/300] Building C object with/a/rather/long/path/that/would/not/fit/into/one/line/of/a/terminal/file$i.c.o"
done
echo "the end"
exit "$1"
TEXT
cat >"$work/command" <<'TEXT'
#!/bin/bash
set -o pipefail
. "$1/lib/progress.sh"
progress_to 1 "$2/times"
status=0
progress_build "[3/8] tsan-clang" tsan-clang.build 60 300 "$2/log" "$2/build" "$3" || status=$?
echo "status $status"
TEXT
chmod +x "$work/build" "$work/command"

# No terminal: one line at the beginning, no carriage return, and no more within 30 seconds.
"$work/command" "$here" "$work" 0 >"$work/plain"
[[ $(<"$work/plain") == "[3/8] tsan-clang: compiling, about 6 min left"$'\n'"status 0" ]] || fail "$(<"$work/plain")"
grep -qx "the end" "$work/log" || fail "the log lacks the build's output"
grep -qxE "tsan-clang\.build [0-9]" "$work/times" || fail "the time is not kept"
passed=$((passed + 3))
rm "$work/times"
[[ $("$work/command" "$here" "$work" 7 | tail -n 1) == "status 7" ]] || fail "a failed build is not told"
[[ ! -e $work/times ]] || fail "the time of a failed build is kept"
passed=$((passed + 2))

# What the last run took is where the estimate begins.
echo "tsan-clang.build 1500" >"$work/times"
"$work/command" "$here" "$work" 0 | grep "compiling, about 30 min left" >/dev/null || fail "the last run's time is not used"
passed=$((passed + 1))

# make tells hundredths.
# shellcheck disable=SC2016 # the inner shell's
sed 's|\[$i/300\]|[$(printf %3d $((i / 3)))%]|' "$work/build" >"$work/make"
chmod +x "$work/make"
# shellcheck disable=SC2016
sed 's|"$2/build"|"$2/make"|; s|^progress_build|progress_every=0 &|' "$work/command" >"$work/by_make"
chmod +x "$work/by_make"
"$work/by_make" "$here" "$work" 0 >"$work/plain"
grep -q 'compiling 40/100, ' "$work/plain" || fail "a build by make is not shown how far it is: $(head -n 3 "$work/plain")"
passed=$((passed + 1))

# A terminal, as script(1) makes one.
if command -v script >/dev/null; then
	script -qec "'$work/command' '$here' '$work' 0" /dev/null </dev/null | tr '\r' '\n' >"$work/tty"
	grep -qE '^\[3/8\] tsan-clang: compiling 120/300, ' "$work/tty" || fail "a terminal is not shown how far it is"
	wide=$(awk 'length($0) > 79' "$work/tty")
	[[ -z $wide ]] || fail "wider than 79 columns: $wide"
	[[ $(grep -c . "$work/tty") -gt 100 ]] || fail "a terminal is told too rarely"
	passed=$((passed + 3))
fi
passed_all
