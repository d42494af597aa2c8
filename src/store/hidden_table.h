// The nodes below /zookeeper (core T5): ordinary nodes to ZooKeeper's clients, nothing to anybody else. They are few,
// so each is one row with all that it has, and they have no history.
#pragma once

#include <string_view>
#include <vector>

#include "base/blob.h"
#include "store/digest.h"
#include "store/directory.h"
#include "store/store.h"
#include "store/table.h"

namespace witan::store {

struct HiddenRow {
  VersionRef version;  // null: as ZooKeeper makes it
  Directory children;  // without those that are there from the beginning
};

// /zookeeper, /zookeeper/quota and /zookeeper/config are always there; they have a row only once something changed.
class HiddenTable {
 public:
  using Rows = Table<Blob, HiddenRow, BlobLess>;

  explicit HiddenTable(DigestSum& digest) : digest_(digest) {}

  static bool is_base(std::string_view path);
  // How many children of `path` are there from the beginning; "/" has one of them too.
  static int64_t base_children(std::string_view path);

  bool exists(std::string_view path) const { return is_base(path) || rows_.find(path) != nullptr; }
  const Version* latest(std::string_view path) const;
  Directory directory(std::string_view path) const;
  std::vector<std::string> children(std::string_view path) const;

  // Both require a hidden path whose parent exists; the parent hears of it.
  void set(std::string_view path, VersionRef version);
  // Requires that it is there, has no children and is no base.
  void erase(std::string_view path, Revision at);

  // A row of a snapshot.
  void restore(std::string_view path, HiddenRow row);
  Rows& rows() { return rows_; }
  const Rows& rows() const { return rows_; }
  int64_t memory_bytes() const { return memory_; }

 private:
  HiddenRow take(std::string_view path);
  void put(std::string_view path, HiddenRow row);

  DigestSum& digest_;
  Rows rows_;
  int64_t memory_ = 0;
};

}  // namespace witan::store
