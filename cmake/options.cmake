# Compilers, warnings and build kinds. Included once by the root, before any target exists.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

set(WITAN_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize= (address,undefined or thread)")
option(WITAN_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(WITAN_HEADER_CHECK "Compile every header alone" ON)
option(WITAN_PLANTED_BUGS "Build with deliberate bugs that can be switched on (base/planted.h): never what ships" OFF)

# NDEBUG is never defined: assertions of ours (CHECK) are always on, and the libraries' are welcome.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
set(CMAKE_C_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

find_program(WITAN_CCACHE ccache)
if(WITAN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${WITAN_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${WITAN_CCACHE}")
endif()

# The strict set that both compilers pass. Signedness changes are left out: sizes and differences mix everywhere in
# codecs, and the casts that silence the warning hide more than it finds.
set(WITAN_WARNINGS
    -Wall -Wextra -Wpedantic -Werror
    -Wshadow -Wconversion -Wno-sign-conversion
    -Wcast-align -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi
    -Wno-missing-field-initializers) # designated initialisers name what differs from the defaults; the rest is meant
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12.2 reports these falsely at -O2 inside std::string, std::variant and std::expected (GCC PR 105651, 105562).
  list(APPEND WITAN_WARNINGS -Wno-restrict -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow
       -Wno-stringop-overread -Wno-free-nonheap-object)
else()
  list(APPEND WITAN_WARNINGS -Wthread-safety)
endif()

if(WITAN_SANITIZE)
  # Line tables are what a report needs; full debug information would double the time of a build.
  add_compile_options(-fsanitize=${WITAN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_compile_options(-O1 -gline-tables-only)
  add_link_options(-fsanitize=${WITAN_SANITIZE} -fuse-ld=lld)
endif()
if(WITAN_PLANTED_BUGS)
  add_compile_definitions(WITAN_PLANTED_BUGS)
endif()
if(WITAN_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "WITAN_FUZZ needs clang: libFuzzer is part of it")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
