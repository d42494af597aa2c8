#include "store/lease_table.h"

#include <algorithm>

#include "base/check.h"

namespace witan::store {
namespace {

Digest digest_of_row(LeaseId id, const LeaseRow& row) {
  RowHash hash(RowHash::Kind::Lease);
  hash.number(id.value).number(static_cast<uint64_t>(row.kind)).number(row.ttl_ms).number(row.remaining_ms);
  if (row.generation != 0) hash.number(row.generation);  // only sessions have one
  return hash.value();
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

LeaseId LeaseTable::allocate_session(uint32_t member_number, uint32_t salt) {
  const uint64_t top = uint64_t{member_number & 0xff} << 56 | uint64_t{salt & 0xffffff} << 32;
  for (;;) {
    const LeaseId id(static_cast<int64_t>(top | (++allocated_ & UINT32_MAX)));
    if (id != LeaseId(0) && rows_.find(id) == nullptr) return id;
  }
}

void LeaseTable::insert(LeaseId id, const LeaseRow& row) {
  rows_.insert(id, row);
  if (row.kind == LeaseKind::ZooKeeper) ++sessions_;
  digest_.add(digest_of_row(id, row));
}

void LeaseTable::erase(LeaseId id) {
  CHECK(!keys_.contains(id), "lease {} still owns keys", id.value);
  const LeaseRow& row = *rows_.find(id);
  if (row.kind == LeaseKind::ZooKeeper) --sessions_;
  digest_.remove(digest_of_row(id, row));
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

uint64_t LeaseTable::reattach(LeaseId id, int64_t ttl_ms) {
  LeaseRow* const row = rows_.edit(id);
  digest_.remove(digest_of_row(id, *row));
  if (ttl_ms > 0) row->ttl_ms = std::min(ttl_ms, kMaxTtlMs);
  row->remaining_ms = 0;
  const uint64_t generation = ++row->generation;
  digest_.add(digest_of_row(id, *row));
  return generation;
}

void LeaseTable::attach(LeaseId id, const Blob& key) {
  const LeaseRow* const row = rows_.find(id);
  CHECK(row != nullptr, "lease {} is not there", id.value);
  if (!keys_[id].insert(key).second) return;
  ++attached_;
  if (row->kind == LeaseKind::ZooKeeper) ++session_keys_;
}

void LeaseTable::detach(LeaseId id, std::string_view key) {
  const auto it = keys_.find(id);
  CHECK(it != keys_.end(), "lease {} owns nothing", id.value);
  const auto owned = it->second.find(key);
  CHECK(owned != it->second.end(), "lease {} does not own the key", id.value);
  it->second.erase(owned);
  --attached_;
  if (has(id, LeaseKind::ZooKeeper)) --session_keys_;
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
          .keys = it == keys_.end() ? 0 : it->second.size(),
          .generation = row.generation};
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
