// Quotas of the ZooKeeper view: how many nodes and bytes are below a path, and how many may be. Limits are hidden
// nodes, "/zookeeper/quota<path>/zookeeper_limits"; what is counted here follows from them and the tree, so that
// snapshots need not hold it. Nodes that are only implied (core T2) are not counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "store/types.h"

namespace witan::store {

class Index;
class HiddenTable;

class Quotas {
 public:
  // Negative: none. Soft limits are there for operators to see; hard ones refuse writes where that is asked for.
  struct Limits {
    int64_t count = -1;
    int64_t bytes = -1;
    int64_t hard_count = -1;
    int64_t hard_bytes = -1;
  };
  struct Quota {
    Limits limits;
    int64_t count = 0;  // nodes, the path itself included
    int64_t bytes = 0;  // of data
  };

  bool empty() const { return quotas_.empty(); }
  // Of the deepest path with a quota that `path` is at or below; null when there is none.
  const Quota* covering(std::string_view path, std::string_view* prefix = nullptr) const;

  // A key came, went or got other data.
  void changed(std::string_view path, const Version* before, const Version* after);
  // A hidden node was written, or deleted (null). A new quota walks what is below it.
  void limits_changed(std::string_view path, const Version* version, const Index& index);
  // What somebody reads from the "zookeeper_stats" beside the limits; nullopt when `path` is not that.
  std::optional<std::string> stats(std::string_view path) const;

  // All of them anew, from a state that was read.
  void rebuild(const HiddenTable& hidden, const Index& index);

 private:
  Quota* find_covering(std::string_view path);
  // To the quota that covers what is above `path`, if there is one.
  void count_above(std::string_view path, int64_t nodes, int64_t bytes);
  void count_below(std::string_view root, const Index& index);

  std::map<std::string, Quota, std::less<>> quotas_;
};

// "count=10,bytes=-1" and, in newer ones, "=;byteHardLimit=5;countHardLimit=6". What cannot be read sets no limit.
Quotas::Limits parse_limits(std::string_view text);

}  // namespace witan::store
