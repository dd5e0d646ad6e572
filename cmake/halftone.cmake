# halftone_library(NAME SOURCES ... USES ... PRECOMPILED ...): one static library per folder; USES is the layering rule,
#   PRECOMPILED the headers of others that most of its files read: they are parsed once.
# halftone_binary(NAME SOURCES ... USES ...): an executable in bin/.
# halftone_test(NAME SOURCES ... USES ...): one GoogleTest binary, one ctest entry.
# halftone_fuzz(NAME SOURCES ... USES ...): a fuzz target in fuzz/; ctest replays its corpus, tests/fuzz/corpus/NAME.

# Every target of ours: warnings are errors, floats are computed as written (docs/NUMERICS.md).
add_library(halftone_options INTERFACE)
target_compile_features(halftone_options INTERFACE cxx_std_20)
target_include_directories(halftone_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_options(halftone_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-ffp-contract=off;-fno-math-errno>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)  # ccache asks for it

add_library(halftone_version INTERFACE)
target_compile_definitions(halftone_version INTERFACE HALFTONE_VERSION="${PROJECT_VERSION}")

# Files named for an instruction set get its flags, and only they.
function(halftone_instruction_sets)
  foreach(source IN LISTS ARGN)
    if(source MATCHES "_avx(2|512vnni)\\.cc$")
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
    if(source MATCHES "_avx2\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
    elseif(source MATCHES "_avx512vnni\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni")
      if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # g++ 12 warns of its own header
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -Wno-maybe-uninitialized -Wno-uninitialized)
      endif()
    endif()
  endforeach()
endfunction()

function(halftone_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES;PRECOMPILED")
  if(arg_SOURCES)
    halftone_instruction_sets(${arg_SOURCES})
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC halftone_options ${arg_USES})
    if(arg_PRECOMPILED)
      target_precompile_headers(${name} PRIVATE ${arg_PRECOMPILED})
    endif()
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE halftone_options ${arg_USES})
  endif()
endfunction()

function(halftone_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE halftone_options ${arg_USES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# What every test is compiled with, and the headers that nearly all of them read, parsed once for all.
function(halftone_prepare_tests)
  add_library(halftone_test_options INTERFACE)
  target_link_libraries(halftone_test_options INTERFACE halftone_options GTest::gmock GTest::gtest Threads::Threads)
  # Optimizing what checks the product would take a third of the build. Some libraries ask for -pthread: a precompiled
  # header wants it everywhere.
  target_compile_options(halftone_test_options INTERFACE -O0 -pthread)
  target_compile_definitions(halftone_test_options INTERFACE
    HALFTONE_SHARED_DATA="${HALFTONE_SHARED_DATA}" HALFTONE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests"
    HALFTONE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  set(empty ${PROJECT_BINARY_DIR}/generated/test_headers.cc)
  file(CONFIGURE OUTPUT ${empty} CONTENT "// Its precompiled header is what matters.\n")
  add_library(halftone_test_headers STATIC ${empty})
  target_link_libraries(halftone_test_headers PRIVATE halftone_test_options absl::statusor absl::strings)
  target_precompile_headers(halftone_test_headers PRIVATE
    <gmock/gmock.h> <gtest/gtest.h> <algorithm> <filesystem> <fstream> <functional> <map> <memory> <optional> <string>
    <thread> <unordered_map> <vector> <absl/status/statusor.h> <absl/strings/str_cat.h>)
endfunction()

function(halftone_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;USES;LABELS")
  halftone_instruction_sets(${arg_SOURCES})
  if(NOT TARGET halftone_test_headers)
    halftone_prepare_tests()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE halftone_test_options ${arg_USES} GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM halftone_test_headers)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(HALFTONE_SANITIZE)
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 5")
  endif()
  # One ctest entry a binary: a process for each case would cost more than the cases do. The long ones, which ask for
  # more time, begin first, so that none is waited for alone at the end.
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} COST ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

# With HALFTONE_FUZZ libFuzzer drives the target, and the libraries it names are built to be steered by; otherwise a
# small main replays the corpus, so that every compiler builds every target and no crash that was found comes back.
function(halftone_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES")
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE halftone_options ${arg_USES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  if(HALFTONE_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    foreach(target IN LISTS name arg_USES)
      target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endforeach()
    add_test(NAME ${name} COMMAND ${name} -runs=0 ${corpus})
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.cc)
    add_test(NAME ${name} COMMAND ${name} ${corpus})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS fuzz)
endfunction()
