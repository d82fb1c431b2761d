# The warning level that every file is clean at, with gcc and clang.
set(NNC_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla -Wcast-qual
  -Wundef -Wformat=2)
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  list(APPEND NNC_WARNINGS -Wno-gnu-zero-variadic-macro-arguments)
endif()
if(NNC_WERROR)
  list(APPEND NNC_WARNINGS -Werror)
endif()
