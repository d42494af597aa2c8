// What the log carries (core C): one Command an entry, neutral to protocols, written in protobuf's wire format
// (command.proto is its description; a test reads what is written here with the generated classes).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "base/time.h"
#include "store/types.h"

namespace witan::store {

// ---- Operations -----------------------------------------------------------------------------------
// Views point into the bytes they were decoded from, or into the request being lowered.

struct Put {
  std::string_view key;
  std::string_view value;
  LeaseId lease;
  bool ignore_value = false;  // keep the present value; the key must exist
  bool ignore_lease = false;  // keep the present lease; the key must exist
  bool want_previous = false;
};

struct DeleteRange {
  KeyRangeView range;
  bool want_previous = false;
};

enum class SortTarget : uint8_t { Key = 0, Version = 1, CreateRevision = 2, ModRevision = 3, Value = 4 };
enum class SortOrder : uint8_t { None = 0, Ascend = 1, Descend = 2 };

struct Range {
  KeyRangeView range;
  int64_t limit = 0;  // 0 = none
  Revision revision;  // <= 0: the present
  SortOrder order = SortOrder::None;
  SortTarget target = SortTarget::Key;
  bool keys_only = false;
  bool count_only = false;
  Revision min_mod, max_mod, min_create, max_create;  // 0 = no filter
};

enum class CompareTarget : uint8_t { Version = 0, CreateRevision = 1, ModRevision = 2, Value = 3, Lease = 4 };
enum class Relation : uint8_t { Equal = 0, Greater = 1, Less = 2, NotEqual = 3 };

// Holds when every key in the range satisfies it; of a missing key numbers are 0 and no comparison of values holds.
struct Compare {
  KeyRangeView range;
  CompareTarget target = CompareTarget::Version;
  Relation relation = Relation::Equal;
  int64_t number = 0;
  std::string_view value;
};

struct Operation;

// All compares are judged on the state before the transaction; the operations of the branch taken see each other.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Operation> success;
  std::vector<Operation> failure;
};

struct Operation {
  std::variant<Put, DeleteRange, Range, Txn> what;
};

// Keeps the newest version <= revision of every key; reads below it are refused afterwards.
struct Compact {
  Revision revision;
};

// ---- Nodes of the ZooKeeper view (core T). Paths are as the store names them. `acl` is as in store/acl.h, empty: open
// to everybody. `expected` is a ZooKeeper version, -1: whatever it is.

enum class NodeKind : uint8_t { Ordinary = 0, Container = 1, Ttl = 2 };

struct CreateNode {
  std::string_view path;  // sequential: what the number is appended to
  std::string_view value;
  bool null_value = false;
  std::string_view acl;
  NodeKind kind = NodeKind::Ordinary;
  bool ephemeral = false;  // owned by the session in the header
  bool sequential = false;
  int64_t ttl_ms = 0;  // of kind Ttl: without children and unchanged for longer, it goes
};
struct DeleteNode {
  std::string_view path;
  int64_t expected = -1;
  bool only_if_idle = false;  // a container or TTL node whose time has come (nobody's rights are asked for)
};
struct SetNode {
  std::string_view path;
  std::string_view value;
  bool null_value = false;
  int64_t expected = -1;
};
struct SetNodeAcl {
  std::string_view path;
  std::string_view acl;
  int64_t expected = -1;  // of the ACL's own version
};
struct CheckNode {
  std::string_view path;
  int64_t expected = -1;
};
enum class Reason : uint8_t;
// Fails, for a reason that its API knew before: keeps its place among operations that may fail first.
struct RefuseNode {
  Reason reason{};
};
struct NodeOperation {
  std::variant<CreateNode, DeleteNode, SetNode, SetNodeAcl, CheckNode, RefuseNode> what;
};
// Each operation sees the ones before it; the first that fails undoes all, sequence counters too (core C2).
struct NodeTxn {
  std::vector<NodeOperation> operations;
};

// Reads, never in the log. Each is answered on its own.
enum class NodeQuery : uint8_t {
  Exists,       // stat
  Data,         // stat, value
  Acl,          // stat, acl
  Children,     // stat, names
  Descendants,  // count: of all nodes below
  Ephemerals,   // names: paths with this prefix that the session in the header owns
};
struct NodeRead {
  NodeQuery query = NodeQuery::Exists;
  std::string_view path;
};
struct NodeReads {
  std::vector<NodeRead> reads;
};

// ---- Sessions (core L): leases of ZooKeeper's kind.

struct SessionOpen {
  uint32_t member_number = 0;  // 1 to 254: the top byte of the id
  uint32_t salt = 0;           // 24 bits, so that a cluster made anew does not give out the ids of the one before
  int64_t ttl_ms = 0;
};
// Moves a session to another connection: commands with the generation before it fail from then on.
struct SessionAttach {
  LeaseId id;
  int64_t ttl_ms = 0;  // as negotiated anew; 0: as it is
};

struct LeaseGrant {
  LeaseId id;  // 0: allocated at apply
  LeaseKind kind = LeaseKind::Etcd;
  int64_t ttl_ms = 0;
};

// Ends a lease and deletes what it owns, all in one revision (core L4).
struct LeaseRevoke {
  LeaseId id;
  LeaseKind kind = LeaseKind::Etcd;
  uint64_t generation = 0;  // not 0: only if the session has not been attached since
};

// Remaining time of leases as the leader knows it (core L3); 0 resets a lease to its full TTL.
struct LeaseCheckpoint {
  struct Item {
    LeaseId id;
    int64_t remaining_ms = 0;
  };
  std::vector<Item> items;
};

enum class AlarmKind : uint8_t { None = 0, NoSpace = 1, Corrupt = 2 };

struct AlarmChange {
  uint64_t member = 0;  // deactivating with 0: of all members
  AlarmKind kind = AlarmKind::None;
  bool active = false;
};

// Replicated limits: what decides an outcome is state, never a member's flag (core C3). 0 = leave as it is.
struct SettingsChange {
  int64_t memory_quota_bytes = 0;  // < 0: none
  int64_t history_bytes = 0;
  int64_t min_lease_ttl_ms = 0;
  int64_t enforce_node_quotas = 0;  // > 0: writes beyond a hard quota fail; < 0: quotas only count
};

// Does nothing; makes the log grow by one entry (barriers, tests).
struct Nothing {};

using Body = std::variant<Nothing, Put, DeleteRange, Range, Txn, Compact, LeaseGrant, LeaseRevoke, LeaseCheckpoint,
                          AlarmChange, SettingsChange, NodeTxn, NodeReads, SessionOpen, SessionAttach>;

// ---- The header (core C1) -----------------------------------------------------------------------

struct Origin {
  uint64_t member = 0;       // who answers the client; 0 = nobody waits
  uint64_t incarnation = 0;  // of that member's process
  uint64_t request = 0;      // unique within the incarnation
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct Header {
  uint32_t format = 1;
  uint32_t feature_level = 1;  // a member that does not know it stops (core C5)
  WallTime stamp;              // the leader's, put on at append (core C4)
  Origin origin;
  LeaseId session;  // ZooKeeper: session and the generation of its attach; 0 otherwise
  uint64_t attach_generation = 0;
  std::vector<std::string_view> principals;  // who asks: "scheme:id" (store/acl.h); of ZooKeeper's clients only so far
  uint64_t auth_revision = 0;
};

struct Command {
  Header header;
  Body body;
};

// One exact-size buffer; stamp and origin stand at fixed offsets so that they can be put on without encoding again.
Blob encode(const Command& command);
// Patches a freshly encoded or received command. Requires: `command` is not shared yet and begins with a valid header.
void set_stamp(Blob& command, WallTime stamp);
void set_origin(Blob& command, const Origin& origin);
// The origin without decoding the rest; Corrupt when the header is damaged.
Result<Origin> origin_of(std::string_view command);
// Views into `bytes`. Errors: Corrupt (not a command), Refused (a newer format or feature level, saying which).
// Depth of nested transactions and numbers of operations are bounded.
Result<Command> decode(std::string_view bytes);

// ---- What came of it ----------------------------------------------------------------------------

// Reasons a command can fail at apply. APIs map them to their own codes and texts, row by row.
enum class Reason : uint8_t {
  None = 0,
  LeaseNotFound,
  LeaseExists,
  LeaseTtlTooLarge,
  KeyNotFound,  // ignore_value / ignore_lease on a missing key
  RevisionCompacted,
  RevisionInFuture,
  NoSpace,
  CorruptCluster,
  PermissionDenied,
  NodeNotFound,
  NodeExists,
  NodeHasChildren,
  NodeIsEphemeral,  // and so has no children
  VersionMismatch,
  BadArguments,  // a path that is none, a node that cannot be deleted, flags that make no sense
  InvalidAcl,
  SessionExpired,
  SessionMoved,  // attached again since, elsewhere
  QuotaExceeded,
};

struct Failure {
  Reason reason = Reason::None;
  uint32_t operation = 0;  // which operation of the transaction, depth first
  Revision compacted;      // with RevisionCompacted
};

struct PutResult {
  VersionRef previous;  // with want_previous
};
struct DeleteResult {
  int64_t deleted = 0;
  std::vector<KeyVersion> previous;  // with want_previous
};
struct RangeResult {
  std::vector<KeyVersion> items;  // values present also with keys_only: whoever encodes leaves them out
  int64_t count = 0;              // all keys in the range at that revision, limit and filters aside
  bool more = false;
  Revision revision;  // current when it was read, whatever revision was read at
};
struct OperationResult;
struct TxnResult {
  bool succeeded = false;
  std::vector<OperationResult> results;  // of the branch taken
};
struct OperationResult {
  std::variant<PutResult, DeleteResult, RangeResult, TxnResult> what;
  Revision revision;  // of the state right after this operation, as etcd shows in nested headers
};
struct LeaseGrantResult {
  LeaseId id;
  int64_t ttl_ms = 0;       // granted, after the minimum
  uint64_t generation = 0;  // of a session: what its commands carry from now on
};

// All that ZooKeeper's Stat is made from.
struct NodeStat {
  Revision created;           // 0: nobody made it, it is implied by what is below
  Revision modified;          // likewise
  Revision children_changed;  // the node's creation when children never changed
  WallTime created_at;
  WallTime modified_at;
  int64_t version = 0;  // how often it was set
  int64_t acl_version = 0;
  int64_t children_ever = 0;  // created, in all
  int64_t children = 0;
  LeaseId owner;
  int64_t data_bytes = 0;
};
struct NodeTxnResult {
  struct Item {
    std::string path;  // of a created node
    NodeStat stat;     // of what was created or set
  };
  std::vector<Item> items;  // one for each operation
};
struct NodeReadsResult {
  struct Item {
    Reason reason = Reason::None;
    NodeStat stat;
    Blob value;
    Blob acl;  // null: open to everybody
    std::vector<std::string> names;
    int64_t count = 0;
    bool is_admin = false;  // with Acl: may see whole digests
  };
  std::vector<Item> items;  // one for each read
};
struct AlarmResult {
  std::vector<AlarmChange> changed;
};

struct Reply {
  Revision revision;  // of the store after this command
  Failure failure;    // reason None: done
  std::variant<std::monostate, PutResult, DeleteResult, RangeResult, TxnResult, LeaseGrantResult, AlarmResult,
               NodeTxnResult, NodeReadsResult>
      result;
};

}  // namespace witan::store
