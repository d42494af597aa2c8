# External libraries, all of them packages of Debian 12 (cmake/packages.txt). A room names the targets it uses in
# LIBS or PUBLIC_LIBS of witan_room():
#
#   fmt::fmt  absl::<name>  protobuf::libprotobuf  witan::nghttp2  witan::isal  witan::zstd  witan::zlib
#   witan::snappy  witan::jemalloc
#   OpenSSL::SSL
#   Boost::headers (Asio, Beast; header only)  spdlog::spdlog  CLI11::CLI11  tomlplusplus::tomlplusplus
#   GTest::gmock (tests have it already)  benchmark::benchmark

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(PkgConfig REQUIRED)

foreach(pair nghttp2=libnghttp2 isal=libisal zstd=libzstd zlib=zlib snappy=snappy jemalloc=jemalloc)
  string(REPLACE "=" ";" pair "${pair}")
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(witan::${name} ALIAS PkgConfig::${name})
endforeach()
