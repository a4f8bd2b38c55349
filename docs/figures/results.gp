# SPDX-License-Identifier: Apache-2.0
#
# README's picture, from results.dat; run in the root of the tree, or by docs/figures/refresh.
# Text and lines take the reader's colour: gnuplot's black becomes currentColor, which is dark
# or light as the reader's scheme is. The bars are readable on both.
set terminal svg size 880,340 dynamic enhanced font 'sans-serif,13'
set output "| sed -e 's/^<svg /<svg class=\"figure\" /' \
	-e 's/rgb( *0, *0, *0)/currentColor/g' -e 's/\"black\"/\"currentColor\"/g' \
	-e \"s/'black'/'currentColor'/g\" \
	-e '0,/<title>/s|<title>|<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style><title>|' \
	>docs/figures/results.svg"
set datafile separator '\t'
set datafile missing '?'
set style data histograms
set style histogram clustered gap 1.2
set style fill solid 1 noborder
set boxwidth 0.95
set yrange [0:2.4]
set ytics 0, 0.5
set grid ytics lc rgb '#8b949e' lw 0.5
set key top left horizontal noenhanced
set xtics noenhanced nomirror rotate by -25
set border 3
set title "Two workers: times as fast as the serial program (2 is perfect)" noenhanced
plot 'docs/figures/results.dat' using 2:xtic(1) title columnheader(2) lc rgb '#d97706', \
	'' using 3 title columnheader(3) lc rgb '#8b949e', \
	'' using 4 title columnheader(4) lc rgb '#3b82f6'
