// What an operator can ask about a server and its connections: counters of one loop, to be added up over all of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/codes.h"
#include "base/time.h"
#include "store/types.h"

namespace witan::api::zookeeper {

// Milliseconds from a request's last byte until its answer was written.
struct Latency {
  int64_t count = 0;
  int64_t total_ms = 0;
  int64_t min_ms = 0;  // 0 while count is 0
  int64_t max_ms = 0;

  void add(int64_t ms) {
    min_ms = count == 0 ? ms : std::min(min_ms, ms);
    max_ms = std::max(max_ms, ms);
    total_ms += ms;
    ++count;
  }
  void add(const Latency& other) {
    if (other.count == 0) return;
    min_ms = count == 0 ? other.min_ms : std::min(min_ms, other.min_ms);
    max_ms = std::max(max_ms, other.max_ms);
    total_ms += other.total_ms;
    count += other.count;
  }
  double average_ms() const { return count == 0 ? 0 : static_cast<double>(total_ms) / static_cast<double>(count); }
};

// Of one connection. Counters begin at reset_connection_statistics(), if it was called.
struct ConnectionStatistics {
  uint32_t connection = 0;                 // its number on its loop
  std::string remote;                      // "127.0.0.1:4711"
  store::LeaseId session;                  // 0: none yet
  int64_t timeout_ms = 0;                  // negotiated; 0 without a session
  bool read_only = false;                  // a session of this member only
  bool reading = true;                     // false while it is pushed back
  WallTime established;                    // when the connection was accepted
  uint64_t received = 0;                   // packets, the handshake included
  uint64_t sent = 0;                       // packets, notifications included
  size_t outstanding = 0;                  // requests that wait for their answer
  std::string_view last_operation = "NA";  // four letters, as ZooKeeper has them
  int64_t last_xid = 0;                    // -1: none since the counters began
  int64_t last_zxid = 0;                   // told to the client
  Instant last_response;                   // of the loop's clock; 0: none
  int64_t last_latency_ms = 0;
  Latency latency;
};

// Of all connections of one loop.
struct ServerStatistics {
  size_t connections = 0;
  size_t sessions = 0;  // with a connection here, read-only ones left out
  size_t read_only_sessions = 0;
  size_t outstanding = 0;
  uint64_t received = 0;
  uint64_t sent = 0;
  uint64_t bytes_received = 0;
  Latency latency;
  uint64_t connections_accepted = 0;  // since the start, like everything below
  uint64_t connections_refused = 0;   // too many of one address, or of all
  uint64_t sessionless_closed = 0;    // no session in time
  uint64_t authentications_failed = 0;
  uint64_t stale_closed = 0;   // of clients that have seen newer states than this member
  uint64_t watches_fired = 0;  // notifications
  size_t watches = 0;          // a path of a connection counts once for each kind of watch
  size_t watched_paths = 0;    // different ones
  size_t watching_connections = 0;

  // The sums of both; paths that two loops watch count twice.
  void add(const ServerStatistics& other);
};

// Who watches what for its data, as ZooKeeper lists it; paths as clients know them and sorted.
struct WatchListing {
  struct Item {
    store::LeaseId session;
    std::vector<std::string> paths;
  };
  std::vector<Item> sessions;  // by connection
};

// "GETD" for getData, as `cons` shows them.
std::string_view operation_name(int32_t type);

}  // namespace witan::api::zookeeper
