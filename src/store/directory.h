// The directory index (core T1-T4): what ZooKeeper must know about the children of a node.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <absl/container/inlined_vector.h>

#include "base/blob.h"
#include "store/digest.h"
#include "store/index.h"
#include "store/store.h"
#include "store/table.h"

namespace witan::store {

// Blobs in byte order, found by plain bytes.
struct BlobLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a < b; }
};

// One row for each node that has children, or had some and still is there. Told of every key that appears or vanishes;
// overwriting a value costs nothing here, and so does a key that is no path.
class Directories {
 public:
  using Rows = Table<Blob, Directory, BlobLess>;

  // `index` answers whether a node is explicit; `digest` receives the rows. Both must outlive this.
  Directories(const Index& index, DigestSum& digest) : index_(index), digest_(digest) {}

  // How the view sees that a key appeared or vanished.
  struct Effect {
    bool itself = true;  // the node came or went; false: it was, or stays, implied by what is below (core T2)
    // Implied nodes above it that came or went with it, from the nearest up; views into the key.
    absl::InlinedVector<std::string_view, 2> implied;
  };
  // `key` became live, or stopped being so, at `revision`. The index shows it already. nullopt: it is no node.
  std::optional<Effect> appeared(std::string_view key, Revision revision);
  std::optional<Effect> vanished(std::string_view key, Revision revision);

  bool node_exists(std::string_view path) const;
  Directory of(std::string_view path) const;
  Store::Children children(std::string_view path, std::string_view after, size_t limit) const;

  Rows& rows() { return rows_; }
  const Rows& rows() const { return rows_; }
  // Takes a row from a snapshot in place of the one that counting the keys has made. False when it contradicts the
  // keys.
  bool restore(std::string_view path, const Directory& row);
  int64_t memory_bytes() const { return memory_; }
  // Nodes below "/", implied ones included: every one is somebody's child.
  int64_t nodes() const { return nodes_; }

 private:
  // The same for what is known to be a path.
  bool is_there(std::string_view path) const;
  bool has_children(std::string_view path) const;
  bool is_explicit(std::string_view path) const { return index_.latest(path) != nullptr; }
  void gain_child(std::string_view parent, Revision revision);
  void lose_child(std::string_view parent, Revision revision);
  void drop_row(std::string_view path);

  const Index& index_;
  DigestSum& digest_;
  Rows rows_;
  int64_t memory_ = 0;
  int64_t nodes_ = 0;
};

}  // namespace witan::store
