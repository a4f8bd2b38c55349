#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The gdb script on a core file, and on the process that it was made of: the pool, its worker, the job that runs and those that
# are queued.
#
# usage: gdb.sh GDB SCRIPT PROGRAM WORK_DIRECTORY
set -euo pipefail

gdb=$1 script=$2 program=$3 work=$4
rm -rf "$work"
mkdir -p "$work"
if ! "$gdb" -nx --batch -ex 'python print("has", "python")' 2>/dev/null | grep -q 'has python'; then
	echo "skipped: this gdb has no python"
	exit 77
fi
export DEBUGINFOD_URLS=
"$gdb" -nx --batch -x "$script" -ex run -ex 'echo LIVE\n' -ex filch -ex "generate-core-file $work/core" "$program" >"$work/live" 2>&1 ||
	true
if [ ! -s "$work/core" ]; then
	cat "$work/live"
	echo "skipped: gdb may not run programs here, or wrote no core file"
	exit 77
fi
"$gdb" -nx --batch -x "$script" -ex 'echo CORE\n' -ex filch "$program" "$work/core" >"$work/dead" 2>&1
failed=0
for of in live dead; do
	for line in 'pool 1 "dying", 1 workers' 'worker 0, thread [0-9]*: awake' '^    job [0-9a-f]* "for ever", runs' \
		'running: job [0-9a-f]* "for ever", runs'; do
		if ! grep -q -- "$line" "$work/$of"; then
			echo "not said of the $of process: $line"
			failed=1
		fi
	done
	if [ "$(grep -c 'queued: job [0-9a-f]* is_queued' "$work/$of")" != 3 ]; then
		echo "not three queued jobs of the $of process"
		failed=1
	fi
done
[ "$failed" = 0 ] || { cat "$work/dead"; echo "0 passed, 1 failed"; exit 1; }
echo "1 passed, 0 failed"
