// etcd's KV service as data: operations, answers, and the rules that lead from one to the other. What this says is what
// the whole server is held to, so it is written the plainest way. The committed history itself is in truth.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace witan::verify {

// What a key held. `version` counts the puts of this life of the key, from 1 at its creation.
struct Version {
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  int64_t lease = 0;  // 0: none
  friend bool operator==(const Version&, const Version&) = default;
};

struct KeyVersion {
  std::string key;
  Version version;
  friend bool operator==(const KeyVersion&, const KeyVersion&) = default;
};

// One key's part of a revision. No `before`: created. No `after`: deleted.
struct Change {
  std::string key;
  std::optional<Version> before;
  std::optional<Version> after;
  friend bool operator==(const Change&, const Change&) = default;
};

// Keys are given as etcd does: `begin` alone when `end` is empty, every key from `begin` on when `end` is one zero
// byte, otherwise [begin, end) in byte order.
bool in_range(std::string_view key, std::string_view begin, std::string_view end);

// ---- What can be asked --------------------------------------------------------------------------

struct Put {
  std::string key;
  std::string value;  // written by no other call of the history: that is how effects find their cause
  int64_t lease = 0;
  bool prev_kv = false;
};

struct Delete {
  std::string begin;
  std::string end;
  bool prev_kv = false;
};

struct Range {
  std::string begin;
  std::string end;
  int64_t revision = 0;  // <= 0: the present
  int64_t limit = 0;     // 0: none
  bool count_only = false;
  bool keys_only = false;
};

// A missing key has version, revisions and lease 0, and no value that any comparison of values could hold for.
struct Compare {
  enum class Target : uint8_t { Version, Create, Mod, Value, Lease };
  enum class Relation : uint8_t { Equal, NotEqual, Greater, Less };
  std::string key;
  Target target = Target::Version;
  Relation relation = Relation::Equal;
  int64_t number = 0;  // of every target but Value
  std::string text;    // of Value
};

using Simple = std::variant<Put, Delete, Range>;

// No key is put twice, or put and deleted, by one branch: etcd refuses that, so a history does not contain it.
struct Txn {
  std::vector<Compare> when;  // all must hold, on the state before the transaction
  std::vector<Simple> then;
  std::vector<Simple> otherwise;
};

using Operation = std::variant<Put, Delete, Range, Txn>;

// ---- What can be answered -----------------------------------------------------------------------

enum class Failure : uint8_t { None, Compacted, FutureRevision, LeaseNotFound };

struct PutReply {
  std::optional<Version> previous;  // only when asked for
  friend bool operator==(const PutReply&, const PutReply&) = default;
};

struct DeleteReply {
  int64_t deleted = 0;
  std::vector<KeyVersion> previous;  // in key order; only when asked for
  friend bool operator==(const DeleteReply&, const DeleteReply&) = default;
};

struct RangeReply {
  std::vector<KeyVersion> kvs;
  int64_t count = 0;  // of the whole range, whatever the limit
  bool more = false;  // the limit cut something off
  friend bool operator==(const RangeReply&, const RangeReply&) = default;
};

using SimpleReply = std::variant<PutReply, DeleteReply, RangeReply>;

struct TxnReply {
  bool succeeded = false;
  std::vector<SimpleReply> replies;
  friend bool operator==(const TxnReply&, const TxnReply&) = default;
};

struct Reply {
  Failure failure = Failure::None;
  int64_t revision = 0;                                                              // the header's
  std::variant<std::monostate, PutReply, DeleteReply, RangeReply, TxnReply> answer;  // nothing when it failed
  friend bool operator==(const Reply&, const Reply&) = default;
};

// Whether the answer says that something changed. A put always does, a delete when it found a key.
bool says_changed(const Operation& operation, const Reply& reply);
// Whether the operation could change something at all.
bool may_change(const Operation& operation);

// ---- From one to the other ----------------------------------------------------------------------

class Truth;

struct Effect {
  Reply reply;
  std::vector<Change> changes;  // in the order of the operations, those of one delete in key order
};

// What the operation does on the state of revision `at`, by etcd's rules. All changes share the revision at + 1, which
// is then the reply's; an operation that changes nothing answers `at`. Operations of a transaction see the earlier
// ones. Compaction is ignored, and leases are taken to exist: neither may influence what an acknowledged call did.
// Requires 1 <= at <= truth.revision().
Effect evaluate(const Truth& truth, const Operation& operation, int64_t at);

// ---- For people ---------------------------------------------------------------------------------

std::string describe(const Version& version);
std::string describe(const Change& change);
std::string describe(const Operation& operation);
std::string describe(const Reply& reply);

}  // namespace witan::verify
