# SPDX-License-Identifier: Apache-2.0
#
# usage: awk -f totals.awk CTEST_OUTPUT LastTest.log       prints "passed failed skipped"
#        awk -v list=1 -f totals.awk ...                   prints "entry fate", one a line; fate: passed, failed, skipped
#        awk -v reasons=1 -f totals.awk ...                prints "entry: reason" for each skipped entry
#
# The fate of an entry is ctest's own word, from its output. Cases are counted inside each entry where its log counts them
# (Criterion's synthesis, the closing line of a plain driver); else the entry counts as one. An entry that ctest calls failed is
# at least one failure, whatever its log counts: a sanitizer's complaint comes after Criterion has called everything passed.

function number_after(text, word) {
	if (!match(text, word "[^0-9]*[0-9]+"))
		return 0
	text = substr(text, RSTART, RLENGTH)
	sub(/^.*[^0-9]/, "", text)
	return text + 0
}

# " 9/10 Test  #9: unit.deque .......   Passed    0.12 sec", "***Failed", "***Timeout", "***Skipped", "***Not Run", "***Exception"
FNR == NR {
	if (/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /) {
		name = $0
		sub(/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /, "", name)
		rest = name
		sub(/ .*/, "", name)
		rest = substr(rest, length(name) + 1)
		if (rest ~ /\*\*\*Not Run \(Disabled\)/)
			reason[name] = "switched off by its CMakeLists.txt, which says why"
		fate[name] = rest ~ /\*\*\*Skipped/ || name in reason ? "skipped" : rest ~ /^ \.* +Passed +[0-9.]+ sec/ ? "passed" : "failed"
		order[++n] = name
	}
	next
}

/^[0-9]+\/[0-9]+ Testing: / { name = $3 }
/^Output:$/ { inside = 1; next }
/^<end of output>$/ { inside = 0; next }
inside {
	gsub(/\033\[[0-9;]*m/, "")
	if (/Synthesis: Tested: /) {
		good[name] += number_after($0, "Passing:")
		bad[name] += number_after($0, "Failing:") + number_after($0, "Crashing:")
		counted[name] = 1
	} else if (/^[^ ]*: [0-9]+ passed, [0-9]+ failed$/) {
		good[name] += number_after($0, ": ")
		bad[name] += number_after($0, "passed, ")
		counted[name] = 1
	} else if (/^SKIP: /) {
		reason[name] = substr($0, 7)
	}
}

END {
	for (i = 1; i <= n; i++) {
		name = order[i]
		if (list)
			print name, fate[name]
		if (fate[name] == "skipped") {
			skipped++
			if (reasons)
				print name ": " (name in reason ? reason[name] : "no reason given")
		} else if (fate[name] == "failed") {
			passed += good[name]
			failed += bad[name] ? bad[name] : 1
		} else {
			passed += counted[name] ? good[name] : 1
		}
	}
	if (!list && !reasons)
		print passed + 0, failed + 0, skipped + 0
}
