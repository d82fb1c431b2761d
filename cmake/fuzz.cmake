# Robustness: what tests/fault and tests/fuzz need beyond the rules of tests/CMakeLists.txt, and the libFuzzer programs.

# Tests that run the command line, and helpers of other areas that they use.
if(TARGET nnc-cli)
  foreach(name test_bad_input test_bad_files test_bad_output)
    if(TARGET ${name})
      add_dependencies(${name} nnc-cli)
    endif()
  endforeach()
endif()
foreach(name test_bad_input test_bad_files test_bad_output test_alloc)
  if(TARGET ${name})
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/scratch.c ${CMAKE_SOURCE_DIR}/tests/unit/counting_source.c)
  endif()
endforeach()
