# SPDX-License-Identifier: Apache-2.0
#
# The picture of docs/scaling.md, from scaling.dat; run in the root of the tree, or by docs/figures/scaling.
# Text and lines take the reader's colour, as in results.gp.
set terminal svg size 880,380 dynamic enhanced font 'sans-serif,13'
set output "| sed -e 's/^<svg /<svg class=\"figure\" /' \
	-e 's/rgb( *0, *0, *0)/currentColor/g' -e 's/\"black\"/\"currentColor\"/g' \
	-e \"s/'black'/'currentColor'/g\" \
	-e '0,/<title>/s|<title>|<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style><title>|' \
	>docs/figures/scaling.svg"
set datafile separator '\t'
set logscale x 2
set xrange [8:256]
set yrange [0:1]
set xtics 8, 2, 256 nomirror
set ytics 0, 0.2 nomirror
set grid ytics lc rgb '#8b949e' lw 0.5
set border 3
set key bottom left noenhanced
set xlabel 'workers' noenhanced
set title 'Simulated: efficiency of fib(27), leaves of 1 us' noenhanced
plot for [i=2:6] 'docs/figures/scaling.dat' using 1:i with linespoints lw 2 pt 7 ps 0.6 \
	lc rgb word('#d97706 #3b82f6 #10b981 #8b5cf6 #ef4444', i - 1) title columnheader(i)
