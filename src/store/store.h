// The replicated state of a cluster (architecture 4): a tree with history, leases, alarms and settings under one
// revision counter. Pure: no clock, no thread, no I/O, and equal logs give equal states on every member (core C3, S2).
//
// Thread: a Store and everything made from it (readers, pins, encoders) belong to one loop. What it hands out by value
// (Blob, VersionRef, ChangeBatchPtr) may be kept by any thread for any time.
// Lifetime: readers and encoders must not be stepped after their Store is gone; destroying them then is fine.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "base/time.h"
#include "store/command.h"
#include "store/types.h"

namespace witan::store {

struct State;
struct Scan;
class Pin;

// What decides outcomes without standing in a command (core C3). Replicated: changed by SettingsChange only. A new
// cluster starts from these defaults on every member, so they are constants and never a member's flags.
struct Settings {
  int64_t memory_quota_bytes = -1;           // judged by the node, which raises the alarm; < 0: none
  int64_t history_bytes = int64_t{1} << 30;  // the leader compacts when history takes more (core S3)
  int64_t min_lease_ttl_ms = 2000;           // of leases of etcd's kind
  bool enforce_node_quotas = false;          // hard quotas of ZooKeeper's view refuse writes
};

// Results of reads carry a Failure instead of an Error: APIs map its Reason to their own codes.
template <class T>
using Outcome = std::expected<T, Failure>;

struct Applied {
  Reply reply;
  ChangeBatchPtr changes;  // null when the revision did not move
};

struct LeaseInfo {
  LeaseId id;
  LeaseKind kind = LeaseKind::Etcd;
  int64_t ttl_ms = 0;        // granted
  int64_t remaining_ms = 0;  // at the last checkpoint; 0: none, count from the full TTL (core L3)
  size_t keys = 0;           // how many it owns
  uint64_t generation = 0;   // of a session (core L5)
};

// Of a node of the ZooKeeper view that has or had children (core T1).
struct Directory {
  int64_t created = 0;   // children ever created
  int64_t children = 0;  // children now, implied ones included
  Revision changed;      // revision of the last creation or deletion of a child
};

// Batches in revision order, each cut down to the asked ranges; revisions that touch none of them are left out. In the
// batch at the compacted revision `before` is null everywhere, since previous values are compacted.
struct HistorySlice {
  std::vector<ChangeBatchPtr> batches;
  Revision through;  // complete up to and including this revision (core F3); ask again from through + 1
  Revision current;  // the store's revision when the slice was read; through == current: attach to the live stream
};

// Of the logical current state and all tables, not of history or physical layout (core S7).
struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};
inline constexpr uint32_t kDigestVersion = 1;

struct Usage {
  size_t keys = 0;  // live now
  size_t directories = 0;
  size_t leases = 0;
  size_t sessions = 0;        // leases of ZooKeeper's kind ...
  size_t session_keys = 0;    // ... and the keys that they own
  int64_t data_bytes = 0;     // live keys with their versions, hidden nodes, access lists; equal on all members
  int64_t history_bytes = 0;  // what only history holds since the compacted revision; equal on all members
  int64_t memory_bytes = 0;   // both, the tables and what physical compaction has yet to free: this member's estimate
};

// etcd's HashKV: equal on members with equal histories, however far physical removal has come (core S2).
struct HashKv {
  uint32_t hash = 0;
  Revision hashed;     // the revision asked for
  Revision compacted;  // when the reading began
};

// A range read in slices at the revision it began at, while writes go on (core P4). Holds back physical compaction.
class RangeReader {
 public:
  RangeReader(RangeReader&&) noexcept;
  RangeReader& operator=(RangeReader&&) noexcept;
  ~RangeReader();

  // Looks at up to `budget` keys more (at least one). True when the range is complete.
  bool step(size_t budget);
  bool done() const;
  // Keys found and not yet taken, in order; only for ranges in key order may they be taken before the end
  // (RangeStream).
  bool streams() const;
  std::vector<KeyVersion> take_items();
  // All of it, except items already taken. Requires done().
  RangeResult finish();
  Revision read_at() const;

 private:
  friend class Store;
  explicit RangeReader(std::unique_ptr<Scan> scan);
  std::unique_ptr<Scan> scan_;
};

// HashKV in slices; pinned like a RangeReader.
class HashReader {
 public:
  HashReader(HashReader&&) noexcept;
  HashReader& operator=(HashReader&&) noexcept;
  ~HashReader();
  // Hashes up to `budget` keys more (at least one). True when done.
  bool step(size_t budget);
  // Requires that step() has returned true.
  HashKv result() const;

 private:
  friend class Store;
  struct Progress;
  explicit HashReader(std::unique_ptr<Progress> progress);
  std::unique_ptr<Progress> progress_;
};

class Store {
 public:
  explicit Store(const Settings& settings = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // ---- Writing ----------------------------------------------------------------------------------
  // Total: any decoded command has a defined result. `want_reply` false leaves out what only a client would look at
  // (reads, previous values), which can never influence the outcome (etcd #18667).
  // Requires index > applied_index().
  Applied apply(uint64_t index, const Command& command, bool want_reply);
  // For entries that are no commands (a term's first entry, configurations). Requires index > applied_index().
  void advance(uint64_t index);

  // ---- Where it stands --------------------------------------------------------------------------
  uint64_t applied_index() const;
  Revision revision() const;  // 1 when empty
  Revision compacted()
      const;  // logical, the only one that can be seen (core S2); -1 before the first compaction, as etcd
  WallTime largest_stamp() const;  // what comparisons of times use (core C4)
  const Settings& settings() const;
  std::vector<AlarmChange> alarms() const;  // the active ones, by member, then kind
  Usage usage() const;
  Digest digest() const;

  // ---- Reading ----------------------------------------------------------------------------------
  VersionRef get(std::string_view key) const;
  // All at once; for ranges known to be small. Counting never walks keys (core S5).
  // Failures: RevisionCompacted, RevisionInFuture.
  Outcome<RangeResult> range(const Range& range) const;
  // Copies what `range` points to. Failures as range().
  Outcome<RangeReader> start_range(const Range& range) const;
  // Keys that a range() would have to look at, at most: tells whether one go is fine. Cheap.
  size_t work_of(const Range& range) const;
  // A transaction of ranges only (nested ones too), judged and read at the present, outside the log.
  // Requires: no put or delete in it. The reply's failure as of apply().
  Reply read(const Txn& txn) const;
  // 0 = the present revision. Failures: RevisionCompacted, RevisionInFuture.
  Outcome<HashReader> start_hash(Revision revision) const;

  // ---- History for watches (core S1, F3) --------------------------------------------------------
  // Changes of revisions >= `from` whose key lies in one of `ranges`, oldest first. Looks at about `max_changes`
  // changes and stops at about `max_bytes` of found ones, always making at least one revision of progress. from >
  // revision(): an empty slice through revision(). Failure: RevisionCompacted when from < compacted().
  Outcome<HistorySlice> history(Revision from, std::span<const KeyRange> ranges, size_t max_changes,
                                size_t max_bytes) const;
  // The newest revision made not after `stamp`; at least compacted(). What the leader compacts to, to keep a time span.
  Revision revision_as_of(WallTime stamp) const;
  // The lowest revision to compact to so that history_bytes falls to `bytes`; compacted() when it is below already.
  Revision revision_to_fit(int64_t bytes) const;

  // ---- Leases -----------------------------------------------------------------------------------
  std::optional<LeaseInfo> lease(LeaseId id) const;
  // In id order, from the first above `after` (nullopt: the lowest), at most `limit`.
  std::vector<LeaseInfo> leases(std::optional<LeaseId> after, size_t limit) const;
  std::vector<Blob> lease_keys(LeaseId id) const;  // sorted; empty when there is no such lease

  // ---- The tree as ZooKeeper sees it (core T1-T4) -----------------------------------------------
  // Whether the node is there, explicit or implied. "/" always is.
  bool node_exists(std::string_view path) const;
  // Zeros when the path never had children since it exists.
  Directory directory(std::string_view path) const;
  // Nodes that clients can see, "/" and the fixed ones below /zookeeper included. Cheap.
  int64_t node_count() const;
  // Names of children, skipping subtrees (core T3), at most `limit`; `after`: the position a former call returned.
  // Sorted, except that an implied child stands where its first descendant does.
  struct Children {
    std::vector<std::string> names;
    std::string next;  // pass as `after`; empty when complete
  };
  Children children(std::string_view path, std::string_view after, size_t limit) const;
  // Everything ZooKeeper's clients ask of this state, by `session` with the rights of `principals`.
  NodeReadsResult read_nodes(const NodeReads& reads, LeaseId session,
                             std::span<const std::string_view> principals) const;
  // Containers and TTL nodes whose time has come at `now`, from the first path above `after` on, at most `limit`,
  // having looked at no more than `look_at` nodes; `after` becomes where to go on, empty at the end.
  std::vector<std::string> idle_nodes(WallTime now, std::string& after, size_t limit, size_t look_at) const;

  // ---- Physical compaction ----------------------------------------------------------------------
  // Frees up to about `budget` changes' worth of what logical compaction has hidden and no reader pins. False when
  // there is nothing (more) to do now. Never changes anything a read can see.
  bool compact_step(size_t budget);

 private:
  friend class SnapshotEncoder;
  friend class SnapshotDecoder;
  friend class StoreBuilder;
  friend struct StoreTestPeer;
  std::unique_ptr<State> state_;
};

}  // namespace witan::store
