# SPDX-License-Identifier: Apache-2.0
# cmake -D FROM=file -D TO=file.c -D NAME=name -P FilchText.cmake: the file in ASCII as an array of characters, with a 0 behind it.
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0x00 };\n")
