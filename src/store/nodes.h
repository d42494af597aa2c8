// The tree as ZooKeeper's clients see it: keys that are paths, what they imply, and the hidden table, in one place.
#pragma once

#include <string_view>

#include "store/directory.h"
#include "store/hidden_table.h"
#include "store/index.h"
#include "store/node_table.h"
#include "store/path.h"

namespace witan::store {

// One node at one moment.
struct Node {
  bool exists = false;
  const Version* version = nullptr;  // null: nobody made it
  Directory children;
  NodeRow row;

  // As ZooKeeper counts: how often its data was set.
  int64_t data_version() const { return version == nullptr ? 0 : version->version - 1; }
  LeaseId owner() const { return version == nullptr ? LeaseId(0) : version->lease; }
};

class Nodes {
 public:
  Nodes(const Index& index, const Directories& directories, const HiddenTable& hidden, const NodeTable& rows)
      : index_(index), directories_(directories), hidden_(hidden), rows_(rows) {}

  // A path that is none leads to no node.
  bool exists(std::string_view path) const {
    return is_hidden(path) ? hidden_.exists(path) : directories_.node_exists(path);
  }
  Node find(std::string_view path) const;
  NodeStat stat(std::string_view path) const { return stat_of(path, find(path)); }
  static NodeStat stat_of(std::string_view path, const Node& node);
  // Names, in no order that means anything.
  std::vector<std::string> children(std::string_view path) const;
  // Nodes below `path`, at any depth.
  int64_t descendants(std::string_view path) const;

 private:
  const Index& index_;
  const Directories& directories_;
  const HiddenTable& hidden_;
  const NodeTable& rows_;
};

}  // namespace witan::store
