// What is under way of one setWatches: the paths it named, as the store has them, and how far it has come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_set.h>

#include "store/types.h"

namespace witan::api::zookeeper {

struct SetWatches {
  enum class Kind : uint8_t { Data, Exist, Child };
  struct Item {
    Kind kind = Kind::Data;
    std::string path;
  };

  uint64_t request = 0;      // its place among the answers
  store::Revision relative;  // the client has seen everything up to it
  std::vector<Item> items;   // one-shot
  size_t judged = 0;         // of items
  std::set<std::string, std::less<>> persistent, recursive;
  store::Revision next;  // of the history to be read
  bool paused = false;   // until the client has read what it was told
  // Event type and path of what was told from history: a one-shot watch of the same does not tell it twice.
  absl::flat_hash_set<std::pair<int32_t, std::string>> told;
};

}  // namespace witan::api::zookeeper
