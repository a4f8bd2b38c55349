# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What a long command is doing, and how long it may still take. Sourced by tests/run and bench/run,
# with pipefail set.
#
#   progress_to FD FILE           where lines go, and the file that keeps the times of the last run
#   progress_time WHAT DEFAULT    the seconds that WHAT took the last time, else DEFAULT
#   progress_took WHAT SECONDS    remembers them
#   progress_say TEXT SECONDS     a line: TEXT, and how long the rest may take
#   progress_build LABEL WHAT DEFAULT AFTER LOG COMMAND...
#                                 runs a build by ninja or make, its output in LOG; shows how much is
#                                 done. AFTER: the seconds of what follows. Returns its status
#
# On a terminal one line of at most 79 columns is written over and over. Elsewhere lines are plain
# and come at the beginning and every 30 seconds.

progress_every=${progress_every:-30}

progress_to() {
	progress_fd=$1
	progress_file=$2
}

progress_time() {
	local seconds
	seconds=$(awk -v what="$1" '$1 == what { print $2 }' "$progress_file" 2>/dev/null | tail -n 1)
	[[ $seconds =~ ^[0-9]+$ ]] || seconds=$2
	echo "$seconds"
}

progress_took() {
	mkdir -p "$(dirname "$progress_file")"
	{
		awk -v what="$1" '$1 != what' "$progress_file" 2>/dev/null || true
		echo "$1 $2"
	} >"$progress_file.new"
	mv "$progress_file.new" "$progress_file"
}

# Rounded up to minutes above one.
progress_left() {
	if (($1 < 10)); then
		echo "a few seconds left"
	elif (($1 < 60)); then
		echo "about $((($1 + 9) / 10 * 10)) s left"
	else
		echo "about $((($1 + 59) / 60)) min left"
	fi
}

progress_over() {
	[[ ! -t $progress_fd ]] || printf '\r%79s\r' '' >&"$progress_fd"
}

progress_say() {
	local text
	text="$1, $(progress_left "$2")"
	progress_last=$SECONDS
	if [[ -t $progress_fd ]]; then
		printf '\r%-79.79s' "$text" >&"$progress_fd"
	else
		echo "$text" >&"$progress_fd"
	fi
}

# Reads a build's output: LABEL EXPECTED AFTER LOG.
progress_watch() {
	local label=$1 expected=$2 after=$3 log=$4 began=$SECONDS line n m left
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log"
		# ninja's steps, or the hundredths that make tells
		[[ $line =~ ^\[\ *([0-9]+)(/([0-9]+)|%)\]\  ]] || continue
		n=${BASH_REMATCH[1]} m=${BASH_REMATCH[3]:-100}
		[[ -t $progress_fd ]] || ((SECONDS - progress_last >= progress_every)) || continue
		# the first steps are a poor measure of the others
		left=$((expected - (SECONDS - began)))
		((n * 10 < m)) || left=$(((SECONDS - began) * (m - n) / n))
		((left > 0)) || left=0
		progress_say "$label: compiling $n/$m" $((left + after))
	done
}

progress_build() {
	local label=$1 what=$2 default=$3 after=$4 log=$5 expected began=$SECONDS status=0
	shift 5
	expected=$(progress_time "$what" "$default")
	progress_say "$label: compiling" $((expected + after))
	NINJA_STATUS='[%f/%t] ' "$@" 2>&1 </dev/null | progress_watch "$label" "$expected" "$after" "$log" || status=$?
	progress_over
	((status)) || progress_took "$what" $((SECONDS - began))
	return "$status"
}
