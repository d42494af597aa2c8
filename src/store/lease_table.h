// Leases of all kinds in one table (core L1), and the keys they own.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include "base/blob.h"
#include "store/digest.h"
#include "store/directory.h"
#include "store/store.h"
#include "store/table.h"

namespace witan::store {

struct LeaseRow {
  LeaseKind kind = LeaseKind::Etcd;
  int64_t ttl_ms = 0;
  int64_t remaining_ms = 0;  // 0: no checkpoint
  uint64_t generation = 0;   // of a session: how often it was attached (core L5)
};

class LeaseTable {
 public:
  using Rows = Table<LeaseId, LeaseRow>;
  // etcd: 9,000,000,000 seconds, so that no unit overflows.
  static constexpr int64_t kMaxTtlMs = 9'000'000'000'000;

  explicit LeaseTable(DigestSum& digest) : digest_(digest) {}

  const LeaseRow* find(LeaseId id) const { return rows_.find(id); }
  bool has(LeaseId id, LeaseKind kind) const;
  // An id nobody has, from the counter in the state alone (core L1), positive as etcd's clients expect.
  LeaseId allocate();
  // Likewise for a session that `member_number` opens: the number on top, then 24 bits of salt.
  LeaseId allocate_session(uint32_t member_number, uint32_t salt);
  // Requires an id that is free and not 0.
  void insert(LeaseId id, const LeaseRow& row);
  // Requires that it is there and owns nothing.
  void erase(LeaseId id);
  // Nothing when it is not there.
  void checkpoint(LeaseId id, int64_t remaining_ms);

  // A session's next generation and, unless 0, its new TTL. Requires that it is there.
  uint64_t reattach(LeaseId id, int64_t ttl_ms);

  // Requires that the lease is there.
  void attach(LeaseId id, const Blob& key);
  void detach(LeaseId id, std::string_view key);
  // Sorted.
  std::vector<Blob> keys(LeaseId id) const;

  std::optional<LeaseInfo> info(LeaseId id) const;
  std::vector<LeaseInfo> list(std::optional<LeaseId> after, size_t limit) const;

  Rows& rows() { return rows_; }
  const Rows& rows() const { return rows_; }
  uint64_t allocated() const { return allocated_; }
  void restore_allocated(uint64_t allocated) { allocated_ = allocated; }
  int64_t memory_bytes() const;
  // Of ZooKeeper's kind, and what they own.
  size_t sessions() const { return sessions_; }
  size_t session_keys() const { return session_keys_; }

 private:
  using Keys = absl::btree_set<Blob, BlobLess>;

  LeaseInfo info_of(LeaseId id, const LeaseRow& row) const;

  DigestSum& digest_;
  Rows rows_;
  absl::flat_hash_map<LeaseId, Keys> keys_;  // of leases that own something; never walked
  size_t attached_ = 0;
  size_t sessions_ = 0;
  size_t session_keys_ = 0;
  uint64_t allocated_ = 0;
};

}  // namespace witan::store
