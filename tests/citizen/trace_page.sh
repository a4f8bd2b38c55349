#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A trace of a program as other programs see it. Python reads the JSON: each event that ends has begun, each arrow has two ends.
# filch-trace refuses what is no trace. A browser without a window draws the page, all of it, without an error and without network.
#
# usage: trace_page.sh FILCH_TRACE WORK_DIRECTORY PYTHON PROGRAM...
set -euo pipefail

tool=$1 work=$2 python=$3
shift 3
rm -rf "$work"
mkdir -p "$work"
failed=0 passed=0
check() { # what, command...
	local what=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		passed=$((passed + 1))
	else
		echo "failed: $what"
		cat "$work/said"
		failed=$((failed + 1))
	fi
}
refuses() {
	! "$tool" stat "$1"
}
cd "$work"
for program; do
	name=$(basename "$program")
	FILCH_TRACE=$work/$name.json FILCH_WORKERS=2 "$program" >/dev/null
	check "stat of $name" "$tool" stat "$name.json"
	check "view of $name" "$tool" view "$name.json" -o "$name.html"
	if [ -n "$python" ]; then
		check "the JSON of $name" "$python" - "$name.json" <<'PYTHON'
import collections, json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
depth = collections.Counter()
arrows = collections.defaultdict(lambda: [0, 0])
jobs = declared = 0
for e in events:
    assert e["ph"] in "MBEXsf", e
    track = (e["pid"], e["tid"])
    if e["ph"] == "B":
        depth[track] += 1
        jobs += e["cat"] == "job"
    elif e["ph"] == "E":
        depth[track] -= 1
        assert depth[track] >= 0, e
    elif e["ph"] in "sf":
        arrows[e["id"]][e["ph"] == "f"] += 1
    elif e["name"] == "filch_worker":
        assert e["args"]["lost"] == 0, e
        declared += e["args"]["jobs"]
assert not any(depth.values()), depth
assert jobs == declared and jobs > 0, (jobs, declared)
whole = sum(1 for a, b in arrows.values() if a and b)
assert whole > 0 and all(a for a, b in arrows.values()), "arrows from nowhere"
PYTHON
	fi
done
printf '{"displayTimeUnit":"ns","traceEvents":[\n{"ph":"E","pid":2,"tid":3,"ts":1.000}\n]}\n' >bad.json
check "an end without a beginning is refused" refuses bad.json
head -c 1000 "$(basename "$1").json" >cut.json
check "half a file is refused" refuses cut.json
echo text >text.json
check "what is no trace is refused" refuses text.json

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
	echo "left out: there is no chromium that would draw the pages"
else
	for program; do
		name=$(basename "$program")
		timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --host-resolver-rules='MAP * ~NOTFOUND' \
			--enable-logging=stderr --v=0 --dump-dom "file://$work/$name.html" >"$name.dom" 2>"$name.log" || true
		check "the page of $name is drawn" grep -q 'data-drawn="[1-9]' "$name.dom"
		check "its words are there" grep -q 'What limits it' "$name.dom"
		check "without an error" sh -c "! grep -E 'CONSOLE.*(Error|Uncaught)' '$name.log'"
	done
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
