#include "store/lease_table.h"

#include "base/check.h"

namespace witan::store {
namespace {

Digest digest_of_row(LeaseId id, const LeaseRow& row) {
  return RowHash(RowHash::Kind::Lease)
      .number(id.value)
      .number(static_cast<uint64_t>(row.kind))
      .number(row.ttl_ms)
      .number(row.remaining_ms)
      .value();
}

}  // namespace

bool LeaseTable::has(LeaseId id, LeaseKind kind) const {
  const LeaseRow* const row = rows_.find(id);
  return row != nullptr && row->kind == kind;
}

LeaseId LeaseTable::allocate() {
  // Rising, as etcd's are: keys named after leases then stand in the order in which their leases were granted. Far from
  // the small numbers that people choose themselves.
  constexpr int64_t kBase = int64_t{0x6d00} << 48;
  for (;;) {
    const LeaseId id(kBase + static_cast<int64_t>(++allocated_));
    if (rows_.find(id) == nullptr) return id;
  }
}

void LeaseTable::insert(LeaseId id, const LeaseRow& row) {
  rows_.insert(id, row);
  digest_.add(digest_of_row(id, row));
}

void LeaseTable::erase(LeaseId id) {
  CHECK(!keys_.contains(id), "lease {} still owns keys", id.value);
  digest_.remove(digest_of_row(id, *rows_.find(id)));
  rows_.erase(id);
}

void LeaseTable::checkpoint(LeaseId id, int64_t remaining_ms) {
  LeaseRow* const row = rows_.edit(id);
  if (row == nullptr) return;
  digest_.remove(digest_of_row(id, *row));
  // A lease never has more left than it was granted, whatever a leader claims.
  row->remaining_ms = remaining_ms <= 0 || remaining_ms >= row->ttl_ms ? 0 : remaining_ms;
  digest_.add(digest_of_row(id, *row));
}

void LeaseTable::attach(LeaseId id, const Blob& key) {
  CHECK(rows_.find(id) != nullptr, "lease {} is not there", id.value);
  if (keys_[id].insert(key).second) ++attached_;
}

void LeaseTable::detach(LeaseId id, std::string_view key) {
  const auto it = keys_.find(id);
  CHECK(it != keys_.end(), "lease {} owns nothing", id.value);
  const auto owned = it->second.find(key);
  CHECK(owned != it->second.end(), "lease {} does not own the key", id.value);
  it->second.erase(owned);
  --attached_;
  if (it->second.empty()) keys_.erase(it);
}

std::vector<Blob> LeaseTable::keys(LeaseId id) const {
  const auto it = keys_.find(id);
  if (it == keys_.end()) return {};
  return {it->second.begin(), it->second.end()};
}

LeaseInfo LeaseTable::info_of(LeaseId id, const LeaseRow& row) const {
  const auto it = keys_.find(id);
  return {.id = id,
          .kind = row.kind,
          .ttl_ms = row.ttl_ms,
          .remaining_ms = row.remaining_ms,
          .keys = it == keys_.end() ? 0 : it->second.size()};
}

std::optional<LeaseInfo> LeaseTable::info(LeaseId id) const {
  const LeaseRow* const row = rows_.find(id);
  if (row == nullptr) return std::nullopt;
  return info_of(id, *row);
}

std::vector<LeaseInfo> LeaseTable::list(std::optional<LeaseId> after, size_t limit) const {
  std::vector<LeaseInfo> out;
  for (auto it = after ? rows_.upper_bound(*after) : rows_.begin(); it != rows_.end() && out.size() < limit; ++it) {
    out.push_back(info_of(it->first, it->second));
  }
  return out;
}

int64_t LeaseTable::memory_bytes() const {
  // Shares of B-tree nodes and hash slots, measured.
  return static_cast<int64_t>(rows_.size() * 48 + keys_.size() * 64 + attached_ * 16);
}

}  // namespace witan::store
