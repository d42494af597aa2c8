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

struct LeaseGrant {
  LeaseId id;  // 0: allocated at apply
  LeaseKind kind = LeaseKind::Etcd;
  int64_t ttl_ms = 0;
};

// Ends a lease and deletes what it owns, all in one revision (core L4).
struct LeaseRevoke {
  LeaseId id;
  LeaseKind kind = LeaseKind::Etcd;
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
};

// Does nothing; makes the log grow by one entry (barriers, tests).
struct Nothing {};

using Body = std::variant<Nothing, Put, DeleteRange, Range, Txn, Compact, LeaseGrant, LeaseRevoke, LeaseCheckpoint,
                          AlarmChange, SettingsChange>;

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
  std::vector<std::string_view> principals;  // who asks; empty until security exists
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
  int64_t ttl_ms = 0;  // granted, after the minimum
};
struct AlarmResult {
  std::vector<AlarmChange> changed;
};

struct Reply {
  Revision revision;  // of the store after this command
  Failure failure;    // reason None: done
  std::variant<std::monostate, PutResult, DeleteResult, RangeResult, TxnResult, LeaseGrantResult, AlarmResult> result;
};

}  // namespace witan::store
