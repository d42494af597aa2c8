// The revision-ordered log of changes (core S1): what watches from the past read, and what compaction cuts.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

#include "store/store.h"

namespace witan::store {

// Memory a batch holds on to, in bounded queues (core F4).
size_t batch_bytes_of(const ChangeBatch& batch);
// Memory that only exists because history is kept, of one batch: its own and the previous versions in it. Computed from
// sizes alone, so it is equal on all members.
int64_t history_bytes_of(const ChangeBatch& batch);

// One batch for each revision from first() on. Revision 1, the empty store, has none.
class History {
 public:
  struct Slot {
    ChangeBatchPtr batch;
    WallTime stamp;        // the largest one seen up to this revision: never descends
    int64_t bytes_so_far;  // history_bytes_of all batches up to and including this one, since the first there ever was
  };

  // The oldest revision still held; one past the newest when none is.
  Revision first() const { return first_; }
  Revision last() const { return first_ + static_cast<int64_t>(slots_.size()) - 1; }
  // Requires first() <= revision <= last().
  const Slot& at(Revision revision) const { return slots_[static_cast<size_t>(revision - first_)]; }

  // Requires batch->revision == last() + 1.
  void append(ChangeBatchPtr batch, WallTime stamp);
  // An empty history whose next revision is `next`; for a store made from a snapshot.
  void start_at(Revision next) { first_ = next; }

  void drop_first();
  // Lets the first batch forget previous values: they are compacted.
  void forget_before();

  // Bytes of revisions above `revision`.
  int64_t bytes_after(Revision revision) const;
  int64_t bytes() const { return slots_.empty() ? 0 : slots_.back().bytes_so_far - dropped_bytes_; }
  // The newest revision in [low, last()] whose stamp is not after `stamp`; low when none is.
  Revision as_of(WallTime stamp, Revision low) const;
  // The lowest revision in [low, last()] with bytes_after() <= bytes.
  Revision to_fit(int64_t bytes, Revision low) const;

  // See Store::history. Requires compacted <= from, from >= first() unless from is above last().
  HistorySlice slice(Revision from, Revision compacted, std::span<const KeyRange> ranges, size_t max_changes,
                     size_t max_bytes) const;

 private:
  std::deque<Slot> slots_;
  Revision first_{2};
  int64_t dropped_bytes_ = 0;
};

}  // namespace witan::store
