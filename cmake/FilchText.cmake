# SPDX-License-Identifier: Apache-2.0
# cmake -D FROM=file -D TO=file.inc -D NAME=name -P FilchText.cmake: the file as an array of characters, with a 0 behind it.
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "static const unsigned char ${NAME}[] = {\n${bytes}0x00 };\n")
