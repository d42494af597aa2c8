// ZooKeeper's snapshot files.
#pragma once

#include <cstdint>
#include <optional>

#include "migrate/zookeeper/input.h"
#include "migrate/zookeeper/transaction.h"
#include "migrate/zookeeper/tree.h"

namespace witan::migrate::zookeeper {

// The digest of the tree after the transaction `zxid`: the last one that the snapshot may hold anything of.
struct SnapshotDigest {
  int64_t zxid = 0;
  TreeDigestClaim claim;
};

// What stands behind the tree; each part was added by a later ZooKeeper.
struct SnapshotTrailer {
  std::optional<SnapshotDigest> digest;  // 3.6
  std::optional<int64_t> last_zxid;      // 3.9
};

// Reads a whole snapshot into `tree`, which is empty, and checks its checksums. After a problem `tree` is of no use.
Decoded<SnapshotTrailer> read_snapshot(Input& in, Tree& tree);

}  // namespace witan::migrate::zookeeper
