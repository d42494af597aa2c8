// What every connection of one loop works with.
#pragma once

#include <cstdint>
#include <string>

#include "api/zookeeper/config_node.h"
#include "api/zookeeper/four_letter.h"
#include "api/zookeeper/liveness.h"
#include "api/zookeeper/options.h"
#include "api/zookeeper/root.h"
#include "api/zookeeper/statistics.h"
#include "api/zookeeper/watches.h"
#include "base/log.h"
#include "env/loop.h"
#include "node/client.h"

namespace witan::api::zookeeper {

class Connection;

// Who keeps the connections.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // Null when it is gone.
  virtual Connection* find(uint32_t connection) = 0;
  // Calls flush() of this connection before the turn ends.
  virtual void flush_later(uint32_t connection) = 0;
  // It is over: destroy it, but not within this call.
  virtual void closed(uint32_t connection) = 0;
  // News of the session go to this connection from now on.
  virtual void session_opened(uint32_t connection, store::LeaseId session) = 0;
};

// Lives as long as its loop's server, and longer than every callback of the client, which is why callbacks may hold it.
struct Service {
  Service(env::Loop& on, node::Client& member, const Options& told, Logger logger, ConnectionOwner& keeper,
          WatchSink& watch_sink, LivenessSink& liveness_sink)
      : loop(on), client(member), options(told), log(std::move(logger)), owner(keeper), root(told.root),
        watches(watch_sink), liveness(on, member, liveness_sink,
                                      {.interval = told.report_interval(), .patience = told.shortest_session() / 2}) {}
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  int64_t zxid() const { return client.revision().value; }
  // A text that was never given before, and that nobody could have foretold.
  std::string nonce();
  // These are the members now, and `acl` is that of /zookeeper/config: whoever watches it hears of a change.
  void learn_members(std::span<const node::MemberInfo> members, uint64_t version, WallTime changed, const Blob& acl);

  env::Loop& loop;
  node::Client& client;
  const Options options;
  const Logger log;
  ConnectionOwner& owner;
  const Root root;
  Watches watches;
  ConfigNode config;
  Liveness liveness;
  ServerStatistics counters;  // the sums; the server fills in the rest
  FourLetterWords* words = nullptr;
  bool read_only = false;       // no leader for so long that only reads are served
  uint64_t local_sessions = 0;  // read-only sessions ever made here
  uint64_t nonces = 0;          // ever made here
};

}  // namespace witan::api::zookeeper
