#include "store/history.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "store/accounting.h"

namespace witan::store {
namespace {

bool in_any(std::span<const KeyRange> ranges, std::string_view key) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const KeyRange& range) { return range.contains(key); });
}

// Those of `batch` that are `wanted`, for a part of it. What it changed says neither who may hear of it nor what became
// of implied nodes.
template <class Wanted>
void copy_node_events(const ChangeBatch& batch, Wanted&& wanted, ChangeBatch& part) {
  if (batch.node_events == nullptr) return;
  part.node_events = std::make_unique<std::vector<NodeEvent>>();
  for (const NodeEvent& event : *batch.node_events) {
    if (wanted(event)) part.node_events->push_back(event);
  }
}

// The part of `batch` that `ranges` select: itself when that is all of it, null when nothing is.
ChangeBatchPtr select(const ChangeBatchPtr& batch, std::span<const KeyRange> ranges, bool hide_before) {
  const auto wanted = [&](const Change& change) { return in_any(ranges, change.key); };
  const auto count = std::count_if(batch->changes.begin(), batch->changes.end(), wanted);
  if (count == 0) return nullptr;
  if (static_cast<size_t>(count) == batch->changes.size() && !hide_before) return batch;
  auto part = std::make_shared<ChangeBatch>();
  part->revision = batch->revision;
  part->changes.reserve(static_cast<size_t>(count));
  for (const Change& change : batch->changes) {
    if (!wanted(change)) continue;
    part->changes.push_back({change.key, hide_before ? VersionRef() : change.before, change.after});
  }
  copy_node_events(*batch, [&](const NodeEvent& event) { return in_any(ranges, event.path); }, *part);
  return part;
}

}  // namespace

size_t batch_bytes_of(const ChangeBatch& batch) {
  int64_t bytes = kBatchBytes;
  for (const Change& change : batch.changes) {
    bytes += kChangeBytes + bytes_of(change.key);
    if (change.before) bytes += bytes_of(*change.before);
    if (change.after) bytes += bytes_of(*change.after);
  }
  if (batch.node_events != nullptr) {
    for (const NodeEvent& event : *batch.node_events) bytes += kNodeEventBytes + bytes_of(event.path);
  }
  return static_cast<size_t>(bytes);
}

int64_t history_bytes_of(const ChangeBatch& batch) {
  int64_t bytes = kBatchBytes;
  for (const Change& change : batch.changes) {
    bytes += kChangeBytes;
    if (change.before) bytes += kStepBytes + bytes_of(*change.before);
    // A deleted key stays in the index until the deletion is compacted.
    if (!change.after) bytes += kStepBytes + kKeyBytes + bytes_of(change.key);
  }
  return bytes;
}

void History::append(ChangeBatchPtr batch, WallTime stamp) {
  CHECK(batch->revision == last() + 1, "revision {} after {}", batch->revision.value, last().value);
  const int64_t before = slots_.empty() ? dropped_bytes_ : slots_.back().bytes_so_far;
  const int64_t bytes = history_bytes_of(*batch);
  slots_.push_back({std::move(batch), stamp, before + bytes});
}

void History::drop_first() {
  dropped_bytes_ = slots_.front().bytes_so_far;
  slots_.pop_front();
  ++first_;
}

void History::forget_before() {
  const ChangeBatch& batch = *slots_.front().batch;
  const auto has_before = [](const Change& change) { return static_cast<bool>(change.before); };
  if (std::none_of(batch.changes.begin(), batch.changes.end(), has_before)) return;
  auto part = std::make_shared<ChangeBatch>();
  part->revision = batch.revision;
  part->changes.reserve(batch.changes.size());
  for (const Change& change : batch.changes) part->changes.push_back({change.key, VersionRef(), change.after});
  copy_node_events(batch, [](const NodeEvent&) { return true; }, *part);
  slots_.front().batch = std::move(part);
}

int64_t History::bytes_after(Revision revision) const {
  if (slots_.empty() || revision >= last()) return 0;
  return slots_.back().bytes_so_far - (revision < first_ ? dropped_bytes_ : at(revision).bytes_so_far);
}

Revision History::as_of(WallTime stamp, Revision low) const {
  const auto begin = slots_.begin() + std::clamp<ptrdiff_t>(low - first_, 0, static_cast<ptrdiff_t>(slots_.size()));
  const auto after =
      std::upper_bound(begin, slots_.end(), stamp, [](WallTime t, const Slot& slot) { return t < slot.stamp; });
  return std::max(low, first_ + (after - slots_.begin()) - 1);
}

Revision History::to_fit(int64_t bytes, Revision low) const {
  if (bytes_after(low) <= bytes) return low;
  const int64_t spare = slots_.back().bytes_so_far - bytes;  // that much must go
  const auto begin = slots_.begin() + std::clamp<ptrdiff_t>(low - first_, 0, static_cast<ptrdiff_t>(slots_.size()));
  const auto found =
      std::lower_bound(begin, slots_.end(), spare, [](const Slot& slot, int64_t b) { return slot.bytes_so_far < b; });
  return std::min(last(), first_ + (found - slots_.begin()));
}

HistorySlice History::slice(Revision from, Revision compacted, std::span<const KeyRange> ranges, size_t max_changes,
                            size_t max_bytes) const {
  HistorySlice out;
  out.current = last();
  out.through = last();
  size_t changes = 0;
  size_t bytes = 0;
  Revision begin = std::max(from, first_);
  if (planted(Bug::WatchEventDroppedAtCompaction)) begin = std::max(begin, compacted + 1);
  for (Revision r = begin; r <= last(); ++r) {
    const ChangeBatchPtr& batch = at(r).batch;
    if (r > from && (changes >= max_changes || bytes >= max_bytes)) {
      out.through = r - 1;
      break;
    }
    changes += batch->changes.size() + 1;
    ChangeBatchPtr part = select(batch, ranges, r == compacted);
    if (part == nullptr) continue;
    bytes += batch_bytes_of(*part);
    out.batches.push_back(std::move(part));
  }
  return out;
}

}  // namespace witan::store
