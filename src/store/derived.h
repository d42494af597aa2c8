// What follows from the rows of a state and is made again when they were read from somewhere.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/blob.h"
#include "store/directory.h"
#include "store/node_table.h"
#include "store/state.h"

namespace witan::store {

// Rows that say more than the keys do. They are put in once the keys are.
struct ReadRows {
  std::vector<std::pair<Blob, Directory>> directories;
  std::vector<std::pair<Blob, NodeRow>> nodes;
};

// Makes owners, directories and their present children, quotas, sizes and the digest from a state whose keys, leases
// and hidden table were read. A clause when they contradict each other; the state is of no use then.
std::optional<std::string_view> derive(State& state, ReadRows rows);

}  // namespace witan::store
