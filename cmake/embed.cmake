# Turns a text file into a C header:  cmake -DIN=file -DOUT=file.h -DNAME=symbol -P embed.cmake
# The header defines `static const char NAME[]`: the file's bytes, and a NUL. One string literal a line of the file keeps it
# readable and each literal short, but the standard bounds their sum: the bytes are therefore written as numbers.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x0a,)" "\\1\n" bytes "${bytes}")
get_filename_component(name ${IN} NAME)
file(WRITE ${OUT} "// Made from ${name}; do not edit.\nstatic const char ${NAME}[] = {\n${bytes}0x00};\n")
