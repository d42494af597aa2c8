// Which watchers a key concerns. Single keys stand in a hash map, ranges in a tree that is asked "who contains this
// key": neither gets slower for a key that nobody watches, however many watchers there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "store/types.h"

namespace witan::api::etcd {

// Items are small numbers of the owner's. The same range may be inserted with many items; a pair at most once.
class RangeIndex {
 public:
  RangeIndex();
  ~RangeIndex();

  void insert(const store::KeyRange& range, uint32_t item);
  // Requires that the pair was inserted.
  void erase(const store::KeyRange& range, uint32_t item);

  // Appends every item whose range contains `key`, each once.
  void find(std::string_view key, std::vector<uint32_t>& out) const;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

 private:
  struct Node;
  using Link = std::unique_ptr<Node>;
  using Items = std::vector<uint32_t>;
  // Lets a std::string_view look for a std::string: Debian's Abseil has a string_view of its own.
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const;
  };

  static bool is_single(const store::KeyRange& range);
  static void remove_item(Items& items, uint32_t item);
  static void refresh(Node& node);
  static void rotate_left(Link& link);
  static void rotate_right(Link& link);
  void insert_into(Link& link, const store::KeyRange& range, uint32_t item);
  void erase_from(Link& link, const store::KeyRange& range, uint32_t item);
  static void drop(Link& link);

  absl::flat_hash_map<std::string, Items, KeyHash, std::equal_to<>> singles_;
  Link root_;
  uint64_t priority_ = 0;
  size_t size_ = 0;
};

}  // namespace witan::api::etcd
