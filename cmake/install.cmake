# `cmake --install` gives nnc, libnnc, libnnc-llvm, libnncrt, the headers, pkg-config and CMake package files, the man page and the
# shell completion. Everything is found relative to where it lies: the tree may be moved.
include(CMakePackageConfigHelpers)
set(NNC_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nnc)

if(TARGET nnc-cli)
  install(TARGETS nnc-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS libnnc EXPORT nncTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS nnc-llvm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
install(FILES $<TARGET_FILE:nncrt> DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/nnc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

file(RELATIVE_PATH NNC_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_SOURCE_DIR}/cmake/nnc.pc.in ${CMAKE_BINARY_DIR}/generated/nnc.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/nnc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(EXPORT nncTargets NAMESPACE nnc:: DESTINATION ${NNC_PACKAGE_DIR})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/nncConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/nncConfig.cmake
                              INSTALL_DESTINATION ${NNC_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/nncConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/nncConfig.cmake ${CMAKE_BINARY_DIR}/generated/nncConfigVersion.cmake DESTINATION ${NNC_PACKAGE_DIR})

install(FILES ${CMAKE_SOURCE_DIR}/docs/nnc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_SOURCE_DIR}/tools/completion/nnc.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME nnc)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
