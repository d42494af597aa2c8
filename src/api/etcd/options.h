// What the etcd API of one member can be told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/time.h"

namespace witan::api::etcd {

// What Status and Snapshot say: clients decide by it which features they may use.
inline constexpr const char* kVersion = "3.7.1";
inline constexpr const char* kStorageVersion = "3.7.0";
// A message may be larger than the request limit by this much before gRPC itself refuses it, as in etcd.
inline constexpr size_t kMessageOverhead = size_t{512} << 10;

struct Options {
  size_t max_request_bytes = size_t{3} << 19;  // 1.5 MiB
  size_t max_txn_operations = 128;
  uint32_t max_streams = 10'000;    // open calls of one connection
  size_t max_connections = 20'000;  // of this loop; further ones are closed at once
  Duration election_timeout = seconds(1);
  // Between progress notifications of a quiet watch; a tenth of it is added at random, so that they spread.
  Duration progress_interval = seconds(600);
  // Unsent bytes of one watch stream above which its watchers fall back to reading history.
  size_t watch_buffer_bytes = size_t{2} << 20;
  size_t max_watches_per_stream = 1'000'000;
  // How long calls may take to finish when the server stops.
  Duration stop_grace = seconds(2);
  uint64_t seed = 1;  // of the jitter
};

}  // namespace witan::api::etcd
