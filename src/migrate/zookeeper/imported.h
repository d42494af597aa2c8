// What a ZooKeeper data directory holds, as values.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/blob.h"

namespace witan::migrate::zookeeper {

enum class Kind : uint8_t { Ordinary, Ephemeral, Container, Ttl };

struct Acl {
  int32_t permissions = 0;  // bits: read 1, write 2, create 4, delete 8, admin 16
  std::string scheme;
  std::string id;

  friend auto operator<=>(const Acl&, const Acl&) = default;
};
using AclList = std::vector<Acl>;

// ZooKeeper's persisted stat. Times are milliseconds since 1970.
struct Stat {
  int64_t czxid = 0;
  int64_t mzxid = 0;
  int64_t ctime_ms = 0;
  int64_t mtime_ms = 0;
  int32_t version = 0;
  int32_t cversion = 0;  // children ever created; what clients see is 2 * cversion - children
  int32_t aversion = 0;
  int64_t ephemeral_owner = 0;  // as it was stored: a session's id, or the mark of a container or TTL node
  int64_t pzxid = 0;

  friend bool operator==(const Stat&, const Stat&) = default;
};

struct Node {
  std::string path;  // "/" is the root
  Blob data;         // null where ZooKeeper has null
  uint32_t acl = 0;  // index into Imported::acls
  uint32_t children = 0;
  Kind kind = Kind::Ordinary;
  int64_t ttl_ms = 0;  // of Kind::Ttl
  Stat stat;

  // The session that owns it; 0 where it is not ephemeral.
  int64_t session() const { return kind == Kind::Ephemeral ? stat.ephemeral_owner : 0; }
};

struct Session {
  int64_t id = 0;
  int32_t timeout_ms = 0;

  friend bool operator==(const Session&, const Session&) = default;
};

struct LogRead {
  std::string path;
  uint64_t transactions = 0;  // replayed
  uint64_t skipped = 0;       // already in the snapshot
  int64_t last_zxid = 0;      // of the last record in it; 0 when it has none
};

// What was read, and how far it is proven.
struct Report {
  std::string snapshot;  // path
  int64_t snapshot_zxid = 0;
  uint64_t snapshot_nodes = 0;
  uint64_t snapshot_sessions = 0;
  std::vector<LogRead> logs;                     // in the order of their replay
  std::map<std::string, uint64_t> transactions;  // replayed ones by type; those inside a multi as "multi/<type>"
  bool snapshot_digest_compared = false;         // the whole tree against the digest in the snapshot
  uint64_t digests_compared = 0;                 // the whole tree against the digest of a transaction
  int64_t proven_zxid = 0;                       // the last one at which a digest was compared and was right; 0 = none
  uint64_t dead_ephemerals = 0;                  // left out: their sessions had ended
  std::vector<std::string> notes;                // whole sentences: what a person should know
};

// `nodes` are in the order of their paths' bytes, so parents stand before their children; every parent is there, the
// root and /zookeeper included. Every ephemeral node's session is in `sessions`, which are in the order of their ids.
struct Imported {
  std::vector<Node> nodes;
  std::vector<AclList> acls;  // each used by some node
  std::vector<Session> sessions;
  int64_t last_zxid = 0;
  Report report;
};

}  // namespace witan::migrate::zookeeper
