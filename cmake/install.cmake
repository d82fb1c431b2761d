# `cmake --install` gives nnc, libnnc, libnnc-llvm, libnncrt, the headers, pkg-config and CMake package files, and the man page.
include(CMakePackageConfigHelpers)
