// Where the log's entries are: a sparse map from index to place. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/types.h"

namespace witan::wal {

class LogIndex {
 public:
  // Where the part of a record stands that an entry was written with.
  struct Place {
    uint64_t segment = 0;
    uint64_t offset = 0;  // of the record
    uint32_t part = 0;    // parts before it in the same record; one of them may hold the same index, cut since
  };
  // Entries [first, last] are found by reading from `place` on.
  struct Span {
    raft::Index first;
    raft::Index last;
    Place place;
  };

  // first() == last() + 1 when there is nothing.
  raft::Index first() const { return first_; }
  raft::Index last() const { return last_; }

  // Nothing is left; the log goes on after `after`.
  void restart(raft::Index after);
  // Drops entries at and after `from`. Requires: from <= last() + 1.
  void cut(raft::Index from);
  // Forgets entries up to and including `index`. Requires: index <= last().
  void compact(raft::Index index);
  // Entries [last() + 1, last() + count] stand at `place`.
  void add(uint32_t count, const Place& place);

  // Requires: first() <= index <= last().
  const Span& find(raft::Index index) const;
  // The oldest segment that still holds an entry; `none` when there are no entries.
  uint64_t oldest_segment(uint64_t none) const { return spans_.empty() ? none : spans_.front().place.segment; }
  size_t memory() const { return spans_.capacity() * sizeof(Span); }

 private:
  raft::Index first_{1};
  raft::Index last_;
  // By index, contiguous; thereby also by segment and offset, because an entry is written after the one before it.
  std::vector<Span> spans_;
  bool extend_ = false;  // the last span may grow: nothing was cut since
};

}  // namespace witan::wal
