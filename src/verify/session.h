// What ZooKeeper's clients did and were told, and what the log says of it.
//
// A session's client has one connection at a time. What it heard on one is recorded in the order in which it came, for
// that order is most of what is promised.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "verify/nodes.h"
#include "verify/violation.h"

namespace witan::verify {

// ZooKeeper's numbers. Others are kept as they came.
enum class NodeError : int32_t {
  Ok = 0,
  RuntimeInconsistency = -2,
  NoNode = -101,
  BadVersion = -103,
  NoChildrenForEphemerals = -108,
  NodeExists = -110,
  NotEmpty = -111,
};

struct NodeOp {
  enum class Kind : uint8_t { Create, Delete, Set, Check } kind = Kind::Create;
  std::string path;   // of a sequential create what the number is appended to
  std::string value;  // of creates and sets; written by no other request of the history
  int64_t expected = -1;
  bool ephemeral = false;
  bool sequential = false;
  friend bool operator==(const NodeOp&, const NodeOp&) = default;
};

// Watches that are set again on a new connection.
struct Rewatch {
  int64_t relative = 0;  // the zxid the client has seen
  std::vector<std::string> data, exist, child, persistent, recursive;
};

struct NodeRequest {
  enum class Kind : uint8_t { Write, Multi, Exists, Data, Children, Sync, Ping, SetWatches, AddWatch, Close };
  Kind kind = Kind::Ping;
  std::vector<NodeOp> ops;    // of a Write one, of a Multi any
  std::string path;           // of reads, Sync and AddWatch
  bool watch = false;         // a read that leaves a one-shot watch
  bool recursive = false;     // AddWatch
  bool answers_stat = false;  // a create that wants one
  Rewatch rewatch;
  Instant sent;
};

// To the requests of a connection in their order.
struct NodeReply {
  struct Item {  // of a Write or a Multi, one for each operation
    NodeError error = NodeError::Ok;
    std::string path;
    std::optional<NodeStat> stat;
  };
  Instant at;
  NodeError error = NodeError::Ok;
  int64_t zxid = 0;  // the header's
  std::vector<Item> items;
  std::optional<NodeStat> stat;    // of reads
  std::string value;               // Data
  std::vector<std::string> names;  // Children, in order
};

struct NodeEvent {
  enum class Type : uint8_t { Created = 1, Deleted = 2, DataChanged = 3, ChildrenChanged = 4 } type = Type::Created;
  std::string path;
  int64_t zxid = 0;  // -1: made up from watches set again
  Instant at;
};

struct SessionConnection {
  int member = 0;
  Instant asked;                        // when the handshake was sent; never: it was not
  int64_t last_zxid = 0;                // shown in it
  Instant answered = Instant::never();  // when it was
  bool refused = false;                 // answered: there is no such session any more
  std::vector<NodeRequest> requests;    // as sent
  std::vector<std::variant<NodeReply, NodeEvent>> heard;
};

struct SessionHistory {
  std::string name;
  int64_t id = 0;  // 0: no handshake was ever answered
  Duration timeout{0};
  std::vector<SessionConnection> connections;  // one after the other
  std::optional<Instant> close_sent;           // the client asked for its end
  std::optional<Instant> close_answered;
  Instant abandoned = Instant::never();  // since then the client says nothing
};

// ---- The log -------------------------------------------------------------------------------------

// An entry that concerns a session, in the order of the log.
struct SessionEntry {
  enum class What : uint8_t { Open, Attach, Write, End } what = What::Write;
  int64_t session = 0;
  uint64_t generation = 0;  // Open, Attach: as it is from now on; Write: the one it was sent under
  std::vector<NodeOp> ops;  // Write
  int64_t after = 0;        // the revision of the state behind it
  bool changed = false;     // it made that revision
  bool ended = false;       // of an End: the session is gone
  Instant when;             // first applied anywhere
};

// What the operations do on the state of a revision, by ZooKeeper's rules. The owner of ephemerals is not judged.
struct NodeEffect {
  NodeError error = NodeError::Ok;  // of the operation that fails
  size_t failed = 0;                // its position
  std::vector<std::string> paths;   // as created; of others as named
};
NodeEffect evaluate(const Nodes& nodes, const std::vector<NodeOp>& ops, int64_t at);

struct SessionRules {
  int64_t max_drift_per_mille = 0;
  Duration grace{0};
  Instant end_of_faults;
  Instant end_of_world;
};

// All entries of a world, held against the truth:
//
//   node-effect   a write changed exactly what its operations do on the state before it, or was right to fail
//   moved         nothing is changed under a generation that a later attach has replaced
//   session-end   nothing is changed for a session that has ended; its end takes all that it owns, and nothing else, in
//                 one revision
std::vector<Violation> check_session_log(const Nodes& nodes, const std::vector<SessionEntry>& log);

// One session, held against its part of that log (and against the truth):
//
//   zxid            what it is told never goes back, over all its connections, and is never ahead of the cluster
//   session-order   its writes are in the log in the order sent; of those of a connection none is left out before
//                   another; what was acknowledged is there, what was refused did nothing, and nothing else is there
//   write-answer    an acknowledged write says what the log says: the Stat, the path of a sequential node, the reason
//   read-answer     a read shows one state, not older than the newest zxid that was known when it was sent and not
//   newer
//                   than the one of its answer, with all of its own earlier writes and none of the later
//   session-early, session-lie, session-phantom, session-late
//                   as the rules of verify/lease.h, where answered pings and handshakes are the renewals
std::vector<Violation> check_session(const Nodes& nodes, const std::vector<SessionEntry>& log,
                                     const SessionHistory& session, const SessionRules& rules);

std::string describe(const NodeOp& op);
std::string describe(const NodeRequest& request);
std::string describe(const NodeReply& reply);
std::string describe(const NodeEvent& event);
std::string describe(const SessionEntry& entry);

}  // namespace witan::verify
