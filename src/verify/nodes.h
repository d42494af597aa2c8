// The tree as ZooKeeper's clients see it, at every revision of the truth: Stats by their arithmetic, children, and what
// each revision means to whoever watches. Written the plainest way, because the whole server is held to it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/truth.h"

namespace witan::verify {

// A ZooKeeper Stat without what a clock decides and what nobody here changes (ctime, mtime, aversion).
struct NodeStat {
  int64_t czxid = 0;
  int64_t mzxid = 0;
  int64_t pzxid = 0;
  int64_t version = 0;
  int64_t cversion = 0;
  int64_t owner = 0;
  int64_t data_length = 0;
  int64_t num_children = 0;
  friend bool operator==(const NodeStat&, const NodeStat&) = default;
};

struct Node {
  std::string value;
  NodeStat stat;
  int64_t children_ever = 0;  // created: the number in the name of the next sequential one
};

struct NodeNews {
  enum class Kind : uint8_t { Created, Deleted, Changed } kind = Kind::Created;
  std::string path;
};

// "/" for "/a".
std::string_view parent_of(std::string_view path);

class Nodes {
 public:
  // Takes every key that begins with a slash for a node. Requires (not checked) that each has its parent as long as it
  // lives, or is right below "/", and that no revision changes one twice. `truth` outlives this and stays as it is.
  explicit Nodes(const Truth& truth);

  int64_t revision() const { return truth_.revision(); }
  const Truth& truth() const { return truth_; }
  // Null when it is not there. Requires truth().has(revision).
  const Node* find(std::string_view path, int64_t revision) const;
  // Names, in order.
  std::vector<std::string> children(std::string_view path, int64_t revision) const;
  // In the order of the revision's changes.
  std::vector<NodeNews> news(int64_t revision) const;

 private:
  struct Mark {
    int64_t revision = 0;
    std::optional<Node> node;
  };
  void apply(int64_t revision, const Change& change);
  void count_child(int64_t revision, std::string_view parent, bool created);

  const Truth& truth_;
  std::map<std::string, std::vector<Mark>, std::less<>> nodes_;
};

std::string describe(const NodeStat& stat);

}  // namespace witan::verify
