// Live changes of one loop on their way to whoever waits for them. A write costs what its own watchers cost and nothing
// for the others (design 2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "api/etcd/event.h"
#include "api/etcd/range_index.h"
#include "store/types.h"

namespace witan::api::etcd {

class Service;

// Told about live changes. Its methods may attach and detach anything, itself included.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  // What one turn brought, oldest first, never empty, revisions whole. The references are valid during the call.
  virtual void on_events(uint64_t token, std::span<const EventRef> events) = 0;
  // Changes from `from` on will not come: the sink was detached and must read history or state (core F4).
  virtual void on_detached(uint64_t token, store::Revision from) = 0;
};

class WatchHub {
 public:
  using Ticket = uint32_t;  // 0 = none; used again after detach()

  explicit WatchHub(Service& service) : service_(service) {}

  // From now on every change in `range` of revision >= first goes to the sink, until detach() or on_detached().
  // Requires that the caller has seen everything before the loop's present revision, or does not care.
  Ticket attach(const store::KeyRange& range, store::Revision first, ChangeSink& sink, uint64_t token);
  // 0 is ignored.
  void detach(Ticket ticket);

  void on_changes(std::span<const store::ChangeBatchPtr> batches);
  void on_gap(store::Revision from, store::Revision to);

  // Everything up to it was handed out.
  store::Revision revision() const;
  size_t size() const { return index_.size(); }

 private:
  struct Entry {
    store::KeyRange range;
    store::Revision first;
    ChangeSink* sink = nullptr;  // null: free
    uint64_t token = 0;
    std::vector<EventRef> events;  // of this turn
  };

  void dispatch();
  void release(uint32_t slot);

  Service& service_;
  RangeIndex index_;
  std::vector<Entry> entries_{1};  // slot 0 stays unused
  std::vector<uint32_t> free_;
  std::vector<uint32_t> touched_;  // slots with events
  std::vector<uint32_t> found_;
  bool dispatching_ = false;
  store::Revision seen_;
};

}  // namespace witan::api::etcd
