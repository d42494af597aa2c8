#include "api/etcd/watch_hub.h"

#include <algorithm>
#include <utility>

#include "api/etcd/service.h"
#include "base/check.h"

namespace witan::api::etcd {

WatchHub::Ticket WatchHub::attach(const store::KeyRange& range, store::Revision first, ChangeSink& sink,
                                  uint64_t token) {
  uint32_t slot = 0;
  // While a turn is handed out, a freed slot may still have a place in its list.
  if (free_.empty() || dispatching_) {
    slot = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[slot];
  entry.range = range;
  entry.first = first;
  entry.sink = &sink;
  entry.token = token;
  index_.insert(range, slot);
  return slot;
}

void WatchHub::detach(Ticket ticket) {
  if (ticket != 0) release(ticket);
}

void WatchHub::release(uint32_t slot) {
  Entry& entry = entries_[slot];
  CHECK(entry.sink != nullptr, "watch ticket {} was given back twice", slot);
  index_.erase(entry.range, slot);
  entry.sink = nullptr;
  entry.events.clear();
  free_.push_back(slot);
}

void WatchHub::on_changes(std::span<const store::ChangeBatchPtr> batches) {
  if (batches.empty()) return;
  seen_ = std::max(seen_, batches.back()->revision);
  if (index_.empty()) return;
  std::vector<BatchEvents> events;
  events.reserve(batches.size());  // references into it must stay
  for (const store::ChangeBatchPtr& batch : batches) {
    BatchEvents& encoded = events.emplace_back(batch);
    for (uint32_t i = 0; i < batch->changes.size(); ++i) {
      found_.clear();
      index_.find(batch->changes[i].key, found_);
      for (const uint32_t slot : found_) {
        Entry& entry = entries_[slot];
        if (batch->revision < entry.first) continue;
        if (entry.events.empty()) touched_.push_back(slot);
        entry.events.push_back({&encoded, i});
      }
    }
  }
  dispatch();
}

void WatchHub::dispatch() {
  dispatching_ = true;
  std::vector<EventRef> events;
  for (const uint32_t slot : touched_) {
    Entry& entry = entries_[slot];
    if (entry.sink == nullptr) continue;  // a sink before it detached it
    // The sink may attach, which moves the entries: nothing of this one is touched during the call.
    events.clear();
    std::swap(events, entry.events);
    entry.sink->on_events(entry.token, events);
    if (entries_[slot].events.empty()) std::swap(entries_[slot].events, events);  // its capacity is worth keeping
    entries_[slot].events.clear();
  }
  touched_.clear();
  dispatching_ = false;
}

void WatchHub::on_gap(store::Revision from, store::Revision to) {
  seen_ = std::max(seen_, to);
  dispatching_ = true;
  // Sinks that attach again during the loop stand behind `last`, or read first.
  const auto last = static_cast<uint32_t>(entries_.size());
  for (uint32_t slot = 1; slot < last; ++slot) {
    if (entries_[slot].sink == nullptr || entries_[slot].first > to) continue;
    ChangeSink* sink = entries_[slot].sink;
    const uint64_t token = entries_[slot].token;
    const store::Revision next = std::max(from, entries_[slot].first);
    release(slot);
    sink->on_detached(token, next);
  }
  dispatching_ = false;
}

store::Revision WatchHub::revision() const { return std::max(seen_, service_.client().revision()); }

}  // namespace witan::api::etcd
