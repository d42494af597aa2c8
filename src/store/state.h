// Everything a store is made of. Only the store's own files see it.
#pragma once

#include <cstdint>
#include <vector>

#include "store/alarm_table.h"
#include "store/digest.h"
#include "store/directory.h"
#include "store/hidden_table.h"
#include "store/history.h"
#include "store/index.h"
#include "store/lease_table.h"
#include "store/node_table.h"
#include "store/nodes.h"
#include "store/pins.h"
#include "store/quota.h"
#include "store/store.h"

namespace witan::store {

struct State {
  explicit State(const Settings& s) : settings(s) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Replicated, and rows of the digest.
  Settings settings;
  uint64_t applied_index = 0;
  Revision revision{1};
  Revision compacted{-1};  // logical; not in the digest (core S7)
  WallTime largest_stamp;
  DigestSum digest;  // of the tables below; Store::digest() adds the fields above
  Index index;
  History history;
  Directories directories{index, digest};
  HiddenTable hidden{digest};
  NodeTable node_rows{digest};
  Quotas quotas;  // follows from the tables
  LeaseTable leases{digest};
  AlarmTable alarms{digest};
  int64_t data_bytes = 0;  // bytes_of_row of live keys

  // This member's own.
  struct Trimming {
    Revision target;    // versions no read at it can see are going; 0: idle
    Revision at;        // the revision of the log whose keys are being looked at
    size_t change = 0;  // the next one of its changes
  };
  Revision trimmed{-1};  // physical compaction is complete up to here
  Trimming trimming;
  Pins pins;

  Nodes nodes() const { return Nodes(index, directories, hidden, node_rows); }

  // None when `revision` may be read at the present; 0 and below is the present itself.
  Failure readable(Revision at) const {
    if (at > revision) return {.reason = Reason::RevisionInFuture};
    if (at > Revision(0) && at < compacted) return {.reason = Reason::RevisionCompacted, .compacted = compacted};
    return {};
  }
};

}  // namespace witan::store
