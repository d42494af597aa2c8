// From what a ZooKeeper directory held to the state that a cluster of ours begins with.
#pragma once

#include <memory>

#include "base/result.h"
#include "migrate/zookeeper/imported.h"
#include "store/store.h"

namespace witan::migrate::zookeeper {

// Its revision is the one after the last zxid. Left out: /zookeeper/config, which follows from the members here, and
// what the statistics of quotas said, which are counted anew. `imported.report.notes` gets a line for whatever else is
// not as it was. Errors: Invalid, naming what cannot be taken over.
Result<std::unique_ptr<store::Store>> make_store(Imported& imported);

// Reads every node, list of ACLs and session from `store` as a client would, and compares. Errors: Corrupt, naming the
// first difference: it is a fault of this program.
Result<> compare(const store::Store& store, const Imported& imported);

}  // namespace witan::migrate::zookeeper
