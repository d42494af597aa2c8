// What only some nodes of the ZooKeeper view have: an access list, a kind, a time to live. Most have no row.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include <absl/container/btree_set.h>

#include "base/blob.h"
#include "store/command.h"
#include "store/digest.h"
#include "store/directory.h"
#include "store/table.h"

namespace witan::store {

struct NodeRow {
  Blob acl;  // null: open to everybody
  int64_t acl_version = 0;
  NodeKind kind = NodeKind::Ordinary;
  int64_t ttl_ms = 0;

  bool is_plain() const { return acl.is_null() && acl_version == 0 && kind == NodeKind::Ordinary; }
  friend bool operator==(const NodeRow&, const NodeRow&) = default;
};

class NodeTable {
 public:
  using Rows = Table<Blob, NodeRow, BlobLess>;

  explicit NodeTable(DigestSum& digest) : digest_(digest) {}

  bool empty() const { return rows_.size() == 0; }
  // What the node has, by its row or, without one, as every node has it from the beginning.
  NodeRow of(std::string_view path) const;
  // Blob of the access list alone, null when everybody may do everything.
  Blob acl_of(std::string_view path) const;
  // Equal lists share one buffer. A row that says nothing is dropped.
  void set(std::string_view path, NodeRow row);
  void drop(std::string_view path);

  Rows& rows() { return rows_; }
  const Rows& rows() const { return rows_; }
  // Containers and TTL nodes.
  const absl::btree_set<Blob, BlobLess>& mortal() const { return mortal_; }
  int64_t memory_bytes() const { return memory_; }

 private:
  Blob intern(const Blob& acl);
  void release(const Blob& acl);

  DigestSum& digest_;
  Rows rows_;
  absl::btree_set<Blob, BlobLess> mortal_;
  std::map<std::string_view, std::pair<Blob, size_t>> acls_;  // each list once, and how many rows have it
  int64_t memory_ = 0;
};

}  // namespace witan::store
