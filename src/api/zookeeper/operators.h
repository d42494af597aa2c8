// What operators ask of a member, gathered from all its loops: every loop is asked in a post of its own and answers in
// one, so that nobody waits for a lock (architecture rule 7).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/zookeeper/options.h"
#include "api/zookeeper/server.h"
#include "api/zookeeper/statistics.h"
#include "base/function.h"
#include "base/time.h"
#include "env/loop.h"
#include "env/machine.h"
#include "node/client.h"

namespace witan::api::zookeeper {

// What does not change while the process runs. Shared by all loops.
struct Facts {
  std::string version;  // "3.9.5-witan-0.1.0, built on 2026-01-31 12:00 UTC"
  Options options;
  std::vector<std::string> whitelist = {"srvr"};  // of four-letter words; "*": all
  uint16_t client_port = 0;
  std::string data_dir;
  int64_t server_id = 0;  // of the configuration file; 0: there was none
  // Of a file with several servers; 0: none.
  int64_t init_limit = 0;
  int64_t sync_limit = 0;
  uint16_t quorum_port = 0;
  uint16_t election_port = 0;
  std::string initial_configuration;                             // the file's text
  std::vector<std::pair<std::string, std::string>> environment;  // "os.name", "Linux"
  std::vector<std::pair<std::string, std::string>> properties;   // -Dname=value
  Instant started;

  bool allows(std::string_view word) const;
};

// One loop's place. Its server is looked at on that loop only.
struct Desk {
  env::Loop* loop = nullptr;
  Server* server = nullptr;
};
using Desks = std::shared_ptr<const std::vector<std::shared_ptr<Desk>>>;

// What is wanted beyond the sums.
struct Wanted {
  bool connections = false;
  bool watches = false;
  bool sessions = false;
  bool members = false;
  bool machine = false;
  bool reset_server = false;       // after looking
  bool reset_connections = false;  // likewise
};

struct Report {
  ServerStatistics statistics;                    // of all loops
  std::vector<ConnectionStatistics> connections;  // loop by loop, oldest first
  WatchListing watches;                           // by session
  node::Census census;
  std::vector<node::MemberInfo> members;
  env::MachineFacts machine;
  node::View view;
  int64_t zxid = 0;
  std::string mode;  // Server::mode() of the loop that asked
  Instant now;
  WallTime wall;

  bool serving() const { return mode != "null"; }
  bool read_only() const { return mode == "ro"; }
  bool alone() const { return census.members <= 1; }
  // "standalone", "leader", "follower", "observer", "read-only"
  std::string_view server_state() const;
};

// One loop's, on whose thread every call is made. What it is made of outlives it; `machine` may be null.
class Operators {
 public:
  Operators(env::Loop& loop, node::Client& client, Server& server, std::shared_ptr<const Facts> facts, Desks desks,
            env::Machine* machine);
  ~Operators() { *alive_ = false; }
  Operators(const Operators&) = delete;
  Operators& operator=(const Operators&) = delete;

  // Calls `done` later, on this loop; never when this object is gone by then.
  void survey(const Wanted& wanted, Function<void(const Report&)> done);
  // As of this loop, at once.
  std::string_view mode() const { return server_.mode(); }
  const Facts& facts() const { return *facts_; }

 private:
  struct Survey;
  void part_done(const std::shared_ptr<Survey>& survey);
  void ask_desk(const std::shared_ptr<Survey>& survey, const std::shared_ptr<Desk>& desk);

  env::Loop& loop_;
  node::Client& client_;
  Server& server_;
  const std::shared_ptr<const Facts> facts_;
  const Desks desks_;
  env::Machine* machine_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace witan::api::zookeeper
