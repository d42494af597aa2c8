// The ordered map of the store (core S5): keys to version chains, counting live keys of a range without walking it.
//
// A B+tree whose inner nodes know how many live keys each child holds. Nodes keep, beside each key, the eight bytes
// that follow the prefix all their keys share: a search touches the bytes of a key only on a tie, once a node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/blob.h"
#include "store/version_chain.h"

namespace witan::store {

class Index {
 private:
  static constexpr uint32_t kFanout = 64;
  static constexpr uint32_t kMaxHeight = 16;

  // Up to kFanout sorted keys. Invariant: all of them share their first `skip` bytes; heads[i] are the next eight of
  // keys[i] as a big-endian number, zeros past its end.
  struct KeyBlock {
    uint32_t count = 0;
    uint32_t skip = 0;
    std::array<uint64_t, kFanout> heads;
    std::array<Blob, kFanout> keys;

    struct Found {
      uint32_t at = 0;  // of the first key >= the one asked for
      bool equal = false;
    };
    Found lower_bound(std::string_view key) const;
    void insert(uint32_t at, Blob key);
    void erase(uint32_t at);
    // Makes `from`, which is moved out of, the keys of this block.
    void assign(std::span<Blob> from);
    // Finds the shared prefix again and the heads after it.
    void refresh();
  };
  // Only a root may be an empty leaf.
  struct Leaf : KeyBlock {
    std::array<VersionChain, kFanout> chains;
    Leaf* next = nullptr;
    uint64_t count_live(uint32_t end) const;  // among the first `end`
  };
  // Child i holds keys in [keys[i-1], keys[i]); there is one child more than keys.
  struct Inner : KeyBlock {
    std::array<KeyBlock*, kFanout + 1> children;
    std::array<uint64_t, kFanout + 1> live;  // live keys below each child
    uint64_t count_live() const;
  };

 public:
  Index();
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // A place at a key, or where it would stand. Valid until the next insert() or erase().
  class Place {
   public:
    bool found() const { return found_; }
    const Blob& key() const { return leaf_->keys[at_]; }
    VersionChain& chain() const { return leaf_->chains[at_]; }

   private:
    friend class Index;
    struct Step {
      Inner* node;
      uint32_t child;
    };
    std::array<Step, kMaxHeight> steps_;
    uint32_t depth_ = 0;
    Leaf* leaf_ = nullptr;
    uint32_t at_ = 0;
    bool found_ = false;
  };

  // For reading forward. Valid until the next insert() or erase().
  class Cursor {
   public:
    bool done() const { return leaf_ == nullptr; }
    const Blob& key() const { return leaf_->keys[at_]; }
    const VersionChain& chain() const { return leaf_->chains[at_]; }
    void next() {
      if (++at_ == leaf_->count) settle();
    }

   private:
    friend class Index;
    // Off the end of a leaf: on to the next key there is.
    void settle() {
      while (leaf_ != nullptr && at_ >= leaf_->count) {
        leaf_ = leaf_->next;
        at_ = 0;
      }
    }
    const Leaf* leaf_ = nullptr;
    uint32_t at_ = 0;
  };

  size_t size() const { return size_; }    // keys, deleted ones that history keeps included
  uint64_t live() const { return live_; }  // keys that are there now

  Place find(std::string_view key) const;
  // The chain of `key`, null when the index does not have it.
  const VersionChain* chain_of(std::string_view key) const;
  // The present version of `key`, null when there is none.
  const Version* latest(std::string_view key) const;
  Cursor lower_bound(std::string_view key) const;
  // The first key >= `key`; found() is false when there is none.
  Place seek(std::string_view key) const;
  // On to the next key; found() is false past the last. Requires found().
  void advance(Place& place) const;

  // Adds `key` with an empty chain, where find() did not find it. `place` is then at it.
  void insert(Place& place, Blob key);
  // Whenever a chain becomes live (+1) or stops being so (-1).
  void add_live(const Place& place, int delta);
  // Requires found(), and a chain that is not live.
  void erase(Place& place);

  // Live keys in [begin, end) now; `end` null: no upper bound.
  uint64_t count_live(std::string_view begin, const std::string_view* end) const;
  // Nodes' own memory, keys and chains aside.
  size_t node_bytes() const { return leaves_ * sizeof(Leaf) + inners_ * sizeof(Inner); }

  // Walks everything and dies if an invariant is broken. For tests.
  void check() const;

 private:
  const Leaf& leaf_of(std::string_view key) const;  // where `key` stands or would stand
  uint64_t rank(std::string_view key) const;
  void climb(Place& place) const;
  Leaf* new_leaf();
  Inner* new_inner();
  void destroy(KeyBlock* node, uint32_t height);
  void split_leaf(const Place& place, const Blob& key);
  void add_child(const Place& place, uint32_t depth, Blob separator, KeyBlock* right, uint64_t right_live);
  Inner* split_inner(Inner& node, bool appending, Blob& separator);
  void rebalance_leaf(const Place& place);
  void drop_child(const Place& place, uint32_t depth, uint32_t key);
  void rebalance_inner(const Place& place, uint32_t depth);
  struct Seen;
  uint64_t check_node(const KeyBlock* node, uint32_t height, Seen& seen) const;

  size_t size_ = 0;
  uint64_t live_ = 0;
  size_t leaves_ = 0;
  size_t inners_ = 0;
  uint32_t height_ = 0;  // inner levels above the leaves
  KeyBlock* root_;
};

}  // namespace witan::store
