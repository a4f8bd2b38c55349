#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Python example runs, and its structures are those of the headers: each field where C has it.
#
# usage: python.sh ROOT BUILD_DIRECTORY LIBRARY WORK_DIRECTORY CC
set -euo pipefail

root=$1
build=$2
export FILCH_LIBRARY=$3 PYTHONDONTWRITEBYTECODE=1
work=$4
cc=$5

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" python
if ! command -v python3 >/dev/null || ! python3 -c 'import ctypes, asyncio' 2>/dev/null; then
	echo "SKIP: no python3 with ctypes (apt-get install python3)"
	exit 77
fi
rm -rf "$work"
mkdir -p "$work"
cd "$root/docs/examples/python"

python3 - >"$work/fields.c" <<'EOP'
import filch

print("#include <filch/filch.h>\n#include <stdio.h>\nint main(void)\n{")
for name, struct in (("config", filch.Config), ("submit", filch.Submit), ("completion", filch.Completion)):
    for field in struct._fields_:
        print(f'\tprintf("{name}.{field[0]} %zu %zu\\n", offsetof(struct filch_{name}, {field[0]}), '
            f"sizeof(((struct filch_{name} *)0)->{field[0]}));")
print("}")
EOP
"$cc" -I"$root/include" -I"$build/include" "$work/fields.c" -o "$work/fields" || fail "a field that C does not have"
"$work/fields" >"$work/c"
python3 - >"$work/python" <<'EOP'
import filch

for name, struct in (("config", filch.Config), ("submit", filch.Submit), ("completion", filch.Completion)):
    for field in struct._fields_:
        there = getattr(struct, field[0])
        print(f"{name}.{field[0]} {there.offset} {there.size}")
EOP
diff "$work/c" "$work/python" || fail "fields are elsewhere"
passed=$(wc -l <"$work/c")
((passed > 30)) || fail "$passed fields"
for workers in 1 2; do
	said=$(FILCH_WORKERS=$workers python3 -X dev -W error example.py 2>&1) || fail "$workers workers: status $?: $said"
	[[ $said == *"works from Python"* ]] || fail "$workers workers: $said"
	passed=$((passed + 1))
done
passed_all
