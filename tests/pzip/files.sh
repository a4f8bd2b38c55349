#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# pzip: what it writes gzip -d reads, for files of every awkward size; errors are told, leave no partial output and keep the input;
# what is no regular file is refused; memory is bounded however large the input and however slow whoever reads.
#
# usage: files.sh PZIP DIRECTORY KIB      KIB: the most memory it may have resident
set -euo pipefail

pzip=$1
work=$2
limit=$3
rm -rf "$work"
mkdir -p "$work"
cd "$work"
checks=0

fail() {
	echo "pzip: $*"
	exit 1
}

# expect_failure WORDS COMMAND...: it must fail, and say so in these words
expect_failure() {
	local words=$1 status=0
	shift
	"$@" 2>message || status=$?
	((status == 1)) || fail "status $status, not 1, of: $*"
	grep -qF "$words" message || fail "$(<message) is not \"$words\", of: $*"
	checks=$((checks + 1))
}

round_trip() {
	"$pzip" "${@:2}" -c "$1" >"$1.out" || fail "$1: status $?"
	gzip -dc "$1.out" | cmp - "$1" || fail "$1 ${*:2}: gzip -d gives something else"
	checks=$((checks + 1))
}

# Sizes around a block of 128 KiB and its dictionary of 32 KiB; contents that repeat and that do not.
head -c 3000000 /dev/urandom >random
seq 1 500000 >numbers
for size in 0 1 2 32767 32768 32769 131071 131072 131073 262143 262144 262145 1000003; do
	head -c "$size" numbers >"n$size"
	head -c "$size" random >"r$size"
	round_trip "n$size"
	round_trip "r$size" -p 3
done
for level in 1 2 3 4 5 6 7 8 9; do
	round_trip n1000003 -$level -p 2
done
round_trip numbers
round_trip random
round_trip numbers --serial
head -c 131072 numbers >exact
round_trip exact --serial
round_trip n0 --serial

# A pipe gives pieces of any size.
(head -c 100 numbers; sleep 0.05; tail -c +101 numbers) | "$pzip" | gzip -dc | cmp - numbers || fail "a pipe of uneven pieces"
# The dictionary is worth it: within 2 % of one stream.
"$pzip" -c numbers >a
"$pzip" --serial -c numbers >b
a=$(stat -c %s a) b=$(stat -c %s b)
((a * 100 <= b * 102)) || fail "$a bytes, one stream makes $b"
checks=$((checks + 2))

# As gzip: FILE becomes FILE.gz, with its times, and goes; not over an existing one; -k and -o keep it.
cp n1000003 file
touch -d 2001-02-03 file
"$pzip" file
[[ ! -e file && $(stat -c %Y file.gz) == $(date -d 2001-02-03 +%s) ]] || fail "file, or its time"
gzip -dc file.gz | cmp - n1000003 || fail "file.gz"
cp n1 file
expect_failure "File exists" "$pzip" file
gzip -dc file.gz | cmp - n1000003 || fail "file.gz was touched"
"$pzip" -f -k file
gzip -dc file.gz | cmp - n1 || fail "file.gz, overwritten"
"$pzip" -o other.gz file
[[ -e file && -e other.gz ]] || fail "-o"
checks=$((checks + 3))

# What goes wrong is told, and nothing half done stays.
expect_failure "No such file" "$pzip" missing
expect_failure "Is a directory" "$pzip" .
[[ ! -e missing.gz ]] || fail "missing.gz"
expect_failure "No such file" "$pzip" -o nowhere/out.gz random
cp n1000003 itself
expect_failure "Invalid argument" "$pzip" -f -o itself itself
cmp itself n1000003 || fail "an input that is its own output"
if [[ -c /dev/full ]]; then
	expect_failure "No space left" "$pzip" -c -p 2 random >/dev/full
	expect_failure "No space left" "$pzip" -f -o /dev/full random
	[[ -c /dev/full ]] || fail "/dev/full was removed"
fi
(
	ulimit -f 1000 # KiB: the output is larger
	expect_failure "File too large" "$pzip" -p 2 random
) || exit 1
[[ -e random && ! -e random.gz ]] || fail "partial output, or no input, after an error"
mkfifo pipe
(exec 3<pipe && head -c 1 <&3 >/dev/null) &
expect_failure "Broken pipe" "$pzip" -o pipe -f random
wait $!
[[ -p pipe ]] || fail "the pipe was removed"
# What is no regular file is refused and not touched; without a bound on it the fifo would be waited for.
rm -f pipe
mkfifo pipe
echo in the pipe >pipe & # it waits for a reader, which pzip must not be
writer=$!
mkdir directory
cp n1 plain
ln -s plain link
ln -s directory link_to_directory
ln -s nothing dangling
for options in "" "-f" "-k" "-c" "-o out"; do
	# shellcheck disable=SC2086
	{
		expect_failure "pipe: a fifo, not a regular file" timeout 20 "$pzip" $options pipe
		expect_failure "directory: Is a directory" "$pzip" $options directory
		expect_failure "/dev/null: a device, not a regular file" timeout 20 "$pzip" $options /dev/null
	}
done
kill -0 $writer || fail "the fifo was opened"
[[ $(<pipe) == "in the pipe" ]] || fail "the fifo was read"
wait $writer
for options in "" "-k"; do
	# shellcheck disable=SC2086
	{
		expect_failure "link: a symbolic link" "$pzip" $options link
		expect_failure "dangling: a symbolic link" "$pzip" $options dangling
	}
done
for options in "-f" "-c" "-o out"; do
	# shellcheck disable=SC2086
	{
		expect_failure "link_to_directory: Is a directory" "$pzip" $options link_to_directory
		expect_failure "dangling: No such file" "$pzip" $options dangling
	}
done
expect_failure "standard input or output: Is a directory" "$pzip" <directory
[[ -L link && -L dangling && -d directory && ! -e out ]] || fail "what was refused has changed"
for left in pipe directory link link_to_directory dangling; do
	[[ ! -e $left.gz ]] || fail "$left was refused, and left something"
done
"$pzip" -c link | gzip -dc | cmp - plain || fail "-c of a link"
"$pzip" -o out link
gzip -dc out | cmp - plain || fail "-o of a link"
[[ -L link && -f plain ]] || fail "a link that was read has changed"
"$pzip" -f link
gzip -dc link.gz | cmp - plain || fail "-f of a link"
[[ ! -L link && -f plain && ! -L link.gz ]] || fail "-f of a link: the link goes, the file stays"
cp random target
ln -sf target plain.gz
"$pzip" -f -k plain
gzip -dc plain.gz | cmp - plain || fail "-f over a link"
cmp target random || fail "-f wrote through a link"
[[ ! -L plain.gz ]] || fail "-f left a link in FILE.gz's place"
checks=$((checks + 6))

expect_usage() { # WORDS OPTIONS...
	local words=$1 status=0
	shift
	"$pzip" "$@" </dev/null >/dev/null 2>message || status=$?
	((status == 2)) || fail "status $status of $*"
	grep -qF -- "$words" message || fail "$(<message) is not \"$words\", of: $*"
	checks=$((checks + 1))
}
expect_usage "-p must be a number from 1 to 1024" -p 0
expect_usage "-p must be a number from 1 to 1024" -p 1025
expect_usage "-p must be a number from 1 to 1024" -p 99999999999999999999999
expect_usage "either -c or -o" -c -o a
expect_usage "one FILE at a time" a b
for options in "-p 0" "-p x" "-p 1025" "-c -o a" "--what" "a b"; do
	status=0
	# shellcheck disable=SC2086
	"$pzip" $options </dev/null >/dev/null 2>&1 || status=$?
	((status == 2)) || fail "status $status of $options"
	checks=$((checks + 1))
done

# Memory: 100 MB from a file with holes; and random data to a reader who takes a little and then waits.
truncate -s 100M holes
"$pzip" -1 -v -p 4 -c holes 2>message | gzip -dc | cmp - holes || fail "100 MB of nothing"
read -r kib < <(sed -n 's/.*resident_kib //p' message)
((kib > 0 && kib < limit)) || fail "$kib KiB resident, $limit allowed"
for _ in {1..8}; do cat random; done >large
rm -f pipe
mkfifo pipe
"$pzip" -1 -v -p 2 -f -o pipe large 2>message &
writer=$!
exec 3<pipe
head -c 70000 <&3 >part
asleep() { # every thread of pzip sleeps: it has come as far as it may
	local stat
	for stat in "/proc/$writer"/task/*/stat; do
		[[ $(cut -d ' ' -f 3 "$stat") == S ]] || return 1
	done
}
until asleep; do :; done
for fd in "/proc/$writer"/fd/*; do
	if [[ $(readlink "$fd") == */large ]]; then
		taken=$(awk '$1 == "pos:" { print $2 }' "/proc/$writer/fdinfo/${fd##*/}")
	fi
done
((taken < 8000000)) || fail "$taken bytes were read while nobody took the output"
cat part - <&3 | gzip -dc | cmp - large || fail "a slow reader"
exec 3<&-
wait $writer || fail "status $? with a slow reader"
read -r kib2 < <(sed -n 's/.*resident_kib //p' message)
((kib2 > 0 && kib2 < limit)) || fail "$kib2 KiB resident with a slow reader, $limit allowed"
checks=$((checks + 3))

cd /
rm -rf "$work"
echo "pzip: $checks checks; $kib KiB resident for 100 MB; with a reader who waits $taken bytes of 24 MB were taken, $kib2 KiB resident"
