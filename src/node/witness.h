// Somebody who is told what happens inside a member, to prove it right: the simulator. Nobody in production.
#pragma once

#include "node/client.h"
#include "raft/raft.h"
#include "store/store.h"

namespace witan::node {

class Witness {
 public:
  virtual ~Witness() = default;
  // On the state's loop: `entry` was applied and made `changes` (null when the revision did not move).
  virtual void applied(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes) = 0;
  // The state is now that of a snapshot at `index`: at a start (0 without one), when one came from the leader, or when
  // the state was rebuilt.
  virtual void replaced(raft::Index index, const store::Store& store) = 0;
  // On consensus' loop.
  virtual void standing(const raft::Standing& standing) = 0;
  virtual void configuration(const raft::Configuration& configuration) = 0;
};

}  // namespace witan::node
