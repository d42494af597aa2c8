# The words every CMakeLists.txt of the tree is written in. A room is a folder of src/; its library is witan_<room> with
# slashes turned into underscores (api/etcd -> witan_api_etcd), and its test binary <room>_test likewise.

function(witan_target_name ROOM RESULT)
  string(REPLACE "/" "_" name "${ROOM}")
  set(${RESULT} "witan_${name}" PARENT_SCOPE)
endfunction()

# Sets RESULT to the library targets of the rooms listed after it. A room that this configuration does not have
# makes RESULT "MISSING-<room>", which the callers turn into leaving their own target out.
function(witan_room_targets RESULT)
  set(targets "")
  foreach(room IN LISTS ARGN)
    witan_target_name(${room} target)
    if(NOT TARGET ${target})
      set(${RESULT} "MISSING-${room}" PARENT_SCOPE)
      return()
    endif()
    list(APPEND targets ${target})
  endforeach()
  set(${RESULT} "${targets}" PARENT_SCOPE)
endfunction()

# WHAT cannot be built for want of ROOM: expected when WITAN_ROOMS restricts the configuration, otherwise a mistake.
function(witan_left_out WHAT ROOM)
  if(WITAN_ROOMS)
    message(WARNING "${WHAT} is left out: it needs room ${ROOM}, which WITAN_ROOMS does not name")
  else()
    message(FATAL_ERROR "${WHAT} needs room ${ROOM}, which does not exist or stands above it in the table of rooms")
  endif()
endfunction()

# What all of our own code is compiled with.
function(witan_own_code TARGET)
  target_compile_options(${TARGET} PRIVATE ${WITAN_WARNINGS})
  target_include_directories(${TARGET} PRIVATE "${CMAKE_SOURCE_DIR}/src")
endfunction()

# witan_room(NAME <room> SOURCES <a.cc>... HEADERS <a.h>... TESTS <a_test.cc>... DEPS <rooms>...
#            LIBS <targets>... PUBLIC_LIBS <targets>... TEST_DEPS <rooms>... TEST_LIBS <targets>... SHARDS <n>)
#
# One static library, one test binary (run by ctest as <room>, or as <room>/1 .. <room>/n when SHARDS is given), and a
# check that every header compiles alone. DEPS are rooms, LIBS are external targets whose headers stay in the .cc files,
# PUBLIC_LIBS are those that the room's headers show. A room of headers only leaves SOURCES out.
function(witan_room)
  cmake_parse_arguments(ARG "" "NAME;SHARDS" "SOURCES;HEADERS;TESTS;DEPS;LIBS;PUBLIC_LIBS;TEST_DEPS;TEST_LIBS" ${ARGN})
  witan_refuse_leftovers("witan_room(${ARG_NAME})" "${ARG_UNPARSED_ARGUMENTS}")
  witan_target_name(${ARG_NAME} target)
  witan_room_targets(deps ${ARG_DEPS})
  if(deps MATCHES "^MISSING-(.*)")
    witan_left_out("room ${ARG_NAME}" ${CMAKE_MATCH_1})
    return()
  endif()

  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    witan_own_code(${target})
    target_link_libraries(${target} PUBLIC ${deps} ${ARG_PUBLIC_LIBS} PRIVATE ${ARG_LIBS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ${deps} ${ARG_PUBLIC_LIBS} ${ARG_LIBS})
  endif()
  witan_link_proto(${target})
  witan_check_headers(${target} "${ARG_NAME}" "${ARG_HEADERS}")
  if(ARG_TESTS)
    set(libs ${ARG_LIBS} ${ARG_TEST_LIBS})
    witan_unit_tests("${ARG_NAME}" ${target} "${ARG_TESTS}" "${ARG_TEST_DEPS}" "${libs}" "${ARG_SHARDS}")
  endif()
endfunction()

function(witan_refuse_leftovers WHAT LEFTOVERS)
  if(LEFTOVERS)
    message(FATAL_ERROR "${WHAT}: not understood: ${LEFTOVERS}")
  endif()
endfunction()

# One generated .cc a header, including it twice and nothing else: it must compile alone, and be guarded.
function(witan_check_headers TARGET ROOM HEADERS)
  if(NOT WITAN_HEADER_CHECK OR NOT HEADERS)
    return()
  endif()
  set(checks "")
  foreach(header IN LISTS HEADERS)
    set(check "${CMAKE_CURRENT_BINARY_DIR}/header_check/${header}.cc")
    file(CONFIGURE OUTPUT "${check}" CONTENT "#include \"@ROOM@/@header@\"\n#include \"@ROOM@/@header@\"\n" @ONLY)
    list(APPEND checks "${check}")
  endforeach()
  add_library(${TARGET}_headers OBJECT ${checks})
  witan_own_code(${TARGET}_headers)
  target_compile_options(${TARGET}_headers PRIVATE -O0 -g0)
  target_link_libraries(${TARGET}_headers PRIVATE ${TARGET})
endfunction()

function(witan_unit_tests ROOM TARGET SOURCES DEPS LIBS SHARDS)
  witan_room_targets(deps ${DEPS})
  if(deps MATCHES "^MISSING-(.*)")
    witan_left_out("the test of ${ROOM}" ${CMAKE_MATCH_1})
    return()
  endif()
  string(REPLACE "/" "_" name "${ROOM}")
  set(binary ${name}_test)
  add_executable(${binary} ${SOURCES})
  witan_own_code(${binary})
  target_link_libraries(${binary} PRIVATE ${TARGET} ${deps} ${LIBS} GTest::gmock GTest::gtest_main Threads::Threads)

  # The case counts of ./dev test come from these files; ctest itself only knows binaries.
  set(results "${CMAKE_BINARY_DIR}/test-results")
  if(NOT SHARDS)
    add_test(NAME ${ROOM} COMMAND ${binary} --gtest_brief=1)
    set_tests_properties(${ROOM} PROPERTIES TIMEOUT 600 ENVIRONMENT "GTEST_OUTPUT=xml:${results}/${name}.xml")
    return()
  endif()
  math(EXPR last "${SHARDS} - 1")
  foreach(shard RANGE ${last})
    add_test(NAME ${ROOM}/${shard} COMMAND ${binary} --gtest_brief=1)
    set(environment "GTEST_OUTPUT=xml:${results}/${name}-${shard}.xml"
        GTEST_TOTAL_SHARDS=${SHARDS} GTEST_SHARD_INDEX=${shard})
    set_tests_properties(${ROOM}/${shard} PROPERTIES TIMEOUT 600 ENVIRONMENT "${environment}")
  endforeach()
endfunction()

# witan_proto(ROOM <room> PROTOS <a.proto>... [ROOT <folder>])
#
# C++ of .proto files that stand in the room's folder and import each other from src/ (`import "wire/frame.proto"`), or,
# with ROOT, in that folder of the room, importing each other by plain names. Includes are written from src/ in either
# case: `#include "api/etcd/proto/kv.pb.h"`. The generated code is a library of its own, witan_<room>_proto, free of our
# warnings; the room is linked to it, whichever of the two calls stands first.
function(witan_proto)
  cmake_parse_arguments(ARG "" "ROOM;ROOT" "PROTOS" ${ARGN})
  witan_refuse_leftovers("witan_proto(${ARG_ROOM})" "${ARG_UNPARSED_ARGUMENTS}")
  set(from "${CMAKE_SOURCE_DIR}/src")
  set(to "${CMAKE_BINARY_DIR}/generated")
  set(inputs ${ARG_PROTOS})
  if(ARG_ROOT)
    string(APPEND from "/${ARG_ROOM}/${ARG_ROOT}")
    string(APPEND to "/${ARG_ROOM}/${ARG_ROOT}")
  else()
    list(TRANSFORM inputs PREPEND "${ARG_ROOM}/")
  endif()
  set(paths ${inputs})
  list(TRANSFORM paths PREPEND "${from}/")

  set(generated "")
  foreach(proto IN LISTS inputs)
    string(REGEX REPLACE "\\.proto$" "" stem "${to}/${proto}")
    add_custom_command(
      OUTPUT "${stem}.pb.cc" "${stem}.pb.h"
      COMMAND protobuf::protoc "--proto_path=${from}" "--cpp_out=${to}" "${from}/${proto}"
      DEPENDS ${paths}
      COMMENT "protoc ${proto}"
      VERBATIM)
    list(APPEND generated "${stem}.pb.cc")
  endforeach()
  file(MAKE_DIRECTORY "${to}")

  witan_target_name(${ARG_ROOM} room)
  add_library(${room}_proto STATIC ${generated})
  target_compile_options(${room}_proto PRIVATE -w)
  target_include_directories(${room}_proto SYSTEM PUBLIC "${CMAKE_BINARY_DIR}/generated" "${to}")
  target_link_libraries(${room}_proto PUBLIC protobuf::libprotobuf)
  if(TARGET ${room})
    witan_link_proto(${room})
  endif()
endfunction()

function(witan_link_proto TARGET)
  if(NOT TARGET ${TARGET}_proto)
    return()
  endif()
  get_target_property(kind ${TARGET} TYPE)
  if(kind STREQUAL "INTERFACE_LIBRARY")
    target_link_libraries(${TARGET} INTERFACE ${TARGET}_proto)
  else()
    target_link_libraries(${TARGET} PUBLIC ${TARGET}_proto)
  endif()
endfunction()

# witan_program(NAME <binary> SOURCES <main.cc>... DEPS <rooms>... LIBS <targets>...): lands at <build>/<binary>.
function(witan_program)
  witan_executable(program "${CMAKE_BINARY_DIR}" ${ARGN})
endfunction()

# witan_bench(NAME <binary> SOURCES ... DEPS ... LIBS ...): a Google Benchmark program, at <build>/bench/<binary>,
# left out under sanitizers, where its numbers would mean nothing.
function(witan_bench)
  if(NOT WITAN_SANITIZE)
    witan_executable(benchmark "${CMAKE_BINARY_DIR}/bench" ${ARGN} LIBS benchmark::benchmark_main)
  endif()
endfunction()

# witan_fuzzer(NAME <name> SOURCES ... DEPS <rooms>... LIBS <targets>...): a libFuzzer target at <build>/fuzz/<name>,
# built only where WITAN_FUZZ is on. Its corpus is fuzz/corpus/<name>/, checked in.
function(witan_fuzzer)
  if(WITAN_FUZZ)
    witan_executable(fuzzer "${CMAKE_BINARY_DIR}/fuzz" ${ARGN})
  endif()
endfunction()

function(witan_executable KIND FOLDER)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS;LIBS" ${ARGN})
  witan_refuse_leftovers("${KIND} ${ARG_NAME}" "${ARG_UNPARSED_ARGUMENTS}")
  witan_room_targets(deps ${ARG_DEPS})
  if(deps MATCHES "^MISSING-(.*)")
    witan_left_out("${KIND} ${ARG_NAME}" ${CMAKE_MATCH_1})
    return()
  endif()
  set(target ${ARG_NAME})
  if(KIND STREQUAL "fuzzer")
    set(target fuzz_${ARG_NAME}) # a fuzzer may bear the name of what it fuzzes
  endif()
  add_executable(${target} ${ARG_SOURCES})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${ARG_NAME} RUNTIME_OUTPUT_DIRECTORY "${FOLDER}")
  witan_own_code(${target})
  target_link_libraries(${target} PRIVATE ${deps} ${ARG_LIBS} Threads::Threads)
  if(KIND STREQUAL "fuzzer")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    set_property(GLOBAL APPEND PROPERTY WITAN_FUZZERS ${ARG_NAME})
  endif()
endfunction()
