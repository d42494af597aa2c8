// A member: recovery, consensus, state and peers put together. What APIs get of it is node::Client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "env/address.h"
#include "env/disk.h"
#include "env/loop.h"
#include "env/network.h"
#include "node/client.h"

namespace witan::node {

struct Options {
  std::string name = "n1";
  std::string data_dir;
  env::Address peer_listen;              // without a host: nobody can connect, as suits a member that is alone
  std::string peer_url;                  // how other members reach this one
  std::vector<std::string> client_urls;  // told to clients
  std::string zookeeper;                 // "host:port", told to ZooKeeper's clients; empty: none are served

  // Read only when the data directory is empty.
  struct Initial {
    std::string name;
    std::string peer_url;
    uint32_t number = 0;   // 1-254 and different, of all or of none; none: by the order of the names
    bool learner = false;  // of not all
  };
  std::vector<Initial> initial_cluster;
  bool join_existing = false;
  std::optional<std::string> token;  // none: the default for a new cluster, and any for a directory that has one

  Duration heartbeat = milliseconds(100);
  Duration election = milliseconds(1000);
  uint64_t snapshot_entries = 1'000'000;
  uint64_t snapshot_bytes = 0;  // 0: the larger of 64 MiB and the last snapshot
  uint64_t keep_entries = 5'000;
  uint64_t log_segment_bytes = uint64_t{64} << 20;
  size_t max_request_bytes = 1536 * 1024;
  Duration auto_compaction = seconds(3600);
  int64_t history_bytes = int64_t{1} << 30;
  int64_t memory_quota = 0;                         // 0: none
  bool enforce_node_quotas = false;                 // hard quotas of ZooKeeper's view refuse writes
  Duration session_allowance = milliseconds(1000);  // see StateOptions
  Duration idle_scan = seconds(60);

  // How replication is cut into pieces (raft::Options). No flags: these suit everybody but tests.
  size_t max_append_bytes = size_t{1} << 20;
  size_t max_inflight_messages = 256;
  size_t max_tail_bytes = size_t{32} << 20;
};

class Witness;

// The world a member runs in. Everything outlives the node.
struct World {
  env::Disk& disk;
  env::Network& network;
  env::Loop& loop;        // consensus, and whoever calls Node
  env::Loop& state_loop;  // the state; may be the same
  env::Lane& log_lane;    // the log's writes and syncs; answers to `loop`
  env::Lane& file_lane;   // snapshot files; answers to `loop`
  LogSink* log = nullptr;
  uint64_t seed = 0;  // for everything random: timeouts, identities
  Witness* witness = nullptr;
};

class Node {
 public:
  // Makes an empty data directory a member's: of a new cluster, or of a running one, whose members are asked who this
  // is. Does nothing when the directory is a member's already. On the world's loop, which must run; `done` once. Errors
  // say what is wrong and what to do: a name missing from the initial cluster, nobody answering, not added yet.
  static void prepare(const Options& options, const World& world, Function<void(Result<>)> done);

  // Locks and recovers a prepared data directory. Blocks for as long as reading it takes.
  // Errors: another process on the directory, a damaged log, a directory of another cluster.
  static Result<std::unique_ptr<Node>> open(Options options, World world);
  // Requires: the loops of the world do not run.
  ~Node();

  // One per API loop, before start(). Lives on `loop`; destroy it there or after that loop has stopped.
  std::unique_ptr<Client> make_client(env::Loop& loop);

  // Listens for peers and begins. On the world's `loop`. Errors: the peer address cannot be used.
  Result<> start();
  // Runs once, when this member serves: a leader is known and the state is as new as the leader's.
  void on_ready(Task ready);
  // The member cannot go on; the process must end with this message. Runs at most once.
  void on_fatal(Function<void(Error)> fatal);
  // Hands leadership over, answers what waits, makes the log durable, then calls `done`. On the world's `loop`.
  void stop(Task done);

  // Questions of clients that wait for something. On the world's `state_loop`.
  size_t pending() const;
  uint64_t cluster_id() const;
  MemberId member_id() const;

 private:
  struct Core;
  explicit Node(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace witan::node
