#include "store/node_table.h"

#include <utility>

#include "store/accounting.h"
#include "store/acl.h"
#include "store/path.h"

namespace witan::store {
namespace {

Digest digest_of_row(std::string_view path, const NodeRow& row) {
  return RowHash(RowHash::Kind::Node)
      .bytes(path)
      .bytes(row.acl)
      .number(row.acl_version)
      .number(static_cast<uint64_t>(row.kind))
      .number(row.ttl_ms)
      .value();
}

// A share of a B-tree node, and the path's buffer.
int64_t row_bytes(std::string_view path) {
  return static_cast<int64_t>(sizeof(NodeRow) + 16 + path.size()) + kBlobBytes;
}

// As ZooKeeper makes it: everybody reads the configuration, nobody but the superuser writes it.
const Blob& config_acl() {
  static const Blob acl = [] {
    const AclEntry entry{.permissions = perm::kRead, .scheme = "world", .id = "anyone"};
    return Blob(encode_acl({&entry, 1}));
  }();
  return acl;
}

NodeRow row_without(std::string_view path) {
  if (path == kConfigNode) return {.acl = config_acl(), .acl_version = -1};
  return {};
}

}  // namespace

NodeRow NodeTable::of(std::string_view path) const {
  const NodeRow* const row = empty() ? nullptr : rows_.find(path);
  return row == nullptr ? row_without(path) : *row;
}

Blob NodeTable::acl_of(std::string_view path) const {
  if (empty() && path != kConfigNode) return {};
  return of(path).acl;
}

void NodeTable::set(std::string_view path, NodeRow row) {
  drop(path);
  if (row == row_without(path)) return;
  row.acl = intern(row.acl);
  digest_.add(digest_of_row(path, row));
  memory_ += row_bytes(path);
  const Blob key(path);
  if (row.kind != NodeKind::Ordinary) mortal_.insert(key);
  rows_.insert(key, std::move(row));
}

void NodeTable::drop(std::string_view path) {
  const NodeRow* const row = empty() ? nullptr : rows_.find(path);
  if (row == nullptr) return;
  digest_.remove(digest_of_row(path, *row));
  memory_ -= row_bytes(path);
  if (row->kind != NodeKind::Ordinary) mortal_.erase(mortal_.find(path));
  const Blob acl = row->acl;
  rows_.erase(path);
  release(acl);
}

Blob NodeTable::intern(const Blob& acl) {
  if (acl.is_null()) return {};
  auto it = acls_.find(acl.view());
  if (it == acls_.end()) {
    it = acls_.emplace(acl.view(), std::pair(acl, size_t{0})).first;
    memory_ += kBlobBytes + static_cast<int64_t>(acl.size() + sizeof(*it));
  }
  ++it->second.second;
  return it->second.first;
}

void NodeTable::release(const Blob& acl) {
  if (acl.is_null()) return;
  const auto it = acls_.find(acl.view());
  if (--it->second.second > 0) return;
  memory_ -= kBlobBytes + static_cast<int64_t>(acl.size() + sizeof(*it));
  acls_.erase(it);
}

}  // namespace witan::store
