# SPDX-License-Identifier: Apache-2.0
#
# Reads the JSON of filch-bench, which has one result per line. Writes three files into the
# directory `work`: all (the table of docs/benchmarks.md), five (that of README.md) and data (the
# picture's). See refresh.

function field(name,    at, text) {
	at = index($0, "\"" name "\":")
	if (!at)
		return ""
	text = substr($0, at + length(name) + 3)
	if (substr(text, 1, 1) == "\"") {
		text = substr(text, 2)
		return substr(text, 1, index(text, "\"") - 1)
	}
	match(text, /^[^,}]*/)
	return substr(text, 1, RLENGTH)
}

# three digits and a unit
function duration(s,    unit) {
	if (s == "")
		return "-"
	unit = "s"
	if (s < 1e-3) {
		s *= 1e6
		unit = "us"
	} else if (s < 1) {
		s *= 1e3
		unit = "ms"
	}
	return sprintf(s >= 100 ? "%.0f %s" : s >= 10 ? "%.1f %s" : "%.2f %s", s, unit)
}

function ratio(key,    digits) {
	if (!(key in median_ratio))
		return "-"
	digits = median_ratio[key] < 0.1 ? 3 : 2
	return sprintf("%.*f [%.*f..%.*f]", digits, median_ratio[key], digits, least_ratio[key],
		digits, most_ratio[key])
}

function peer(row, workers) {
	if (!((row, workers) in best))
		return "-"
	return duration(best[row, workers]) " " best_name[row, workers]
}

function speedup(serial, t) {
	return serial > 0 && t > 0 ? sprintf("%.3f", serial / t) : "?"
}

function cell(row, contestant, workers) {
	return duration(time[row, contestant, workers])
}

/^\{"machine":/ {
	about = field("cpu") ", " field("online") " CPUs, Linux " field("kernel") ", " field("compiler") " " field("flags")
	sub(/Linux Linux/, "Linux", about)
	stamp = "commit " field("commit") ", " field("date")
	next
}

/"contestant":/ {
	row = field("bench") " " field("size")
	contestant = field("contestant")
	workers = field("workers")
	if (contestant == "caller") {
		row = row ", caller"
		contestant = "filch"
	}
	if (!(row in known)) {
		known[row] = 1
		order[++rows] = row
	}
	value = field("median")
	if (value == "null" || field("verified") != "true")
		next
	value *= field("unit") == "ns" ? 1e-9 : 1
	if (contestant ~ /^(serial|baseline|filch)$/)
		time[row, contestant, workers] = value
	else if (!((row, workers) in best) || value < best[row, workers]) {
		best[row, workers] = value
		best_name[row, workers] = contestant
	}
	if (contestant == "filch" && field("ratio_to_baseline") != "null") {
		median_ratio[row, workers] = field("ratio_to_baseline")
		least_ratio[row, workers] = field("ratio_to_baseline_min")
		most_ratio[row, workers] = field("ratio_to_baseline_max")
	}
}

END {
	n = split("fib 35;queens 14;sort_int64 10^7;heat 512;jobs 2 producers", five, ";")
	for (i = 1; i <= n; i++)
		if (!(five[i] in known)) {
			print "refresh: no row " five[i] ": not the report of a whole run" > "/dev/stderr"
			exit 1
		}
	head = about ",\n" stamp "."

	print "" > (work "/five")
	print head > (work "/five")
	print "" > (work "/five")
	print "| program | serial | baseline, 2 workers | best peer, 2 workers | filch, 1 | filch, 2 |" \
		> (work "/five")
	print "|---|---|---|---|---|---|" > (work "/five")
	for (i = 1; i <= n; i++)
		printf "| %s | %s | %s | %s | %s | %s |\n", five[i], cell(five[i], "serial", 1),
			cell(five[i], "baseline", 2), peer(five[i], 2), cell(five[i], "filch", 1),
			cell(five[i], "filch", 2) > (work "/five")
	print "" > (work "/five")

	print "" > (work "/all")
	print head > (work "/all")
	print "" > (work "/all")
	print "| benchmark | serial | baseline, 1 | filch, 1 | best peer, 1 | baseline, 2 | filch, 2 |" \
		" best peer, 2 | filch/baseline, 1 | filch/baseline, 2 |" > (work "/all")
	print "|---|---|---|---|---|---|---|---|---|---|" > (work "/all")
	for (i = 1; i <= rows; i++) {
		row = order[i]
		printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row,
			cell(row, "serial", 1), cell(row, "baseline", 1), cell(row, "filch", 1),
			peer(row, 1), cell(row, "baseline", 2), cell(row, "filch", 2), peer(row, 2),
			ratio(row SUBSEP 1), ratio(row SUBSEP 2) > (work "/all")
	}
	print "" > (work "/all")

	n = split("fib 35;queens 14;uts T1;cheap_uts 2000x8;skynet 10^7;sort_int64 10^7;" \
		"knapsack 64 long;matmul 768;heat 512;grains 10^6", picture, ";")
	print "# SPDX-License-Identifier: Apache-2.0" > (work "/data")
	print "# " about ", " stamp > (work "/data")
	print "# times as fast as serial, two workers; ? where there is no such contestant" \
		> (work "/data")
	printf "program\tbaseline\t\"best peer\"\tfilch\n" > (work "/data")
	for (i = 1; i <= n; i++) {
		row = picture[i]
		serial = time[row, "serial", 1]
		split(row, word, " ")
		printf "%s", word[1] > (work "/data")
		printf "\t%s", speedup(serial, time[row, "baseline", 2]) > (work "/data")
		printf "\t%s", speedup(serial, best[row, 2]) > (work "/data")
		printf "\t%s\n", speedup(serial, time[row, "filch", 2]) > (work "/data")
	}
}
