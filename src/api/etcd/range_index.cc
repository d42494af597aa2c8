#include "api/etcd/range_index.h"

#include <algorithm>
#include <compare>
#include <utility>

#include <absl/hash/hash.h>
#include <absl/strings/string_view.h>

#include "base/check.h"

namespace witan::api::etcd {
namespace {

// Where ranges end: an empty end lies behind every key.
bool ends_before(const std::string& a, const std::string& b) { return !a.empty() && (b.empty() || a < b); }
bool contains_before_end(std::string_view key, const std::string& end) { return end.empty() || key < end; }

std::strong_ordering order(const store::KeyRange& a, const store::KeyRange& b) {
  if (const auto by_begin = a.begin <=> b.begin; by_begin != 0) return by_begin;
  return a.end <=> b.end;
}

// splitmix64's finisher: the shape of the tree is random to whoever chooses the ranges, and the same in every run.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

// A treap ordered by range, a heap by priority; every node knows the furthest end below it.
struct RangeIndex::Node {
  store::KeyRange range;
  std::string furthest;  // the largest end in this subtree; empty: unbounded
  Items items;           // never empty
  uint64_t priority = 0;
  Link left, right;
};

size_t RangeIndex::KeyHash::operator()(std::string_view key) const {
  return absl::Hash<absl::string_view>()(absl::string_view(key.data(), key.size()));
}

RangeIndex::RangeIndex() = default;
RangeIndex::~RangeIndex() = default;

bool RangeIndex::is_single(const store::KeyRange& range) {
  return range.end.size() == range.begin.size() + 1 && range.end.back() == '\0' && range.end.starts_with(range.begin);
}

void RangeIndex::insert(const store::KeyRange& range, uint32_t item) {
  ++size_;
  if (is_single(range)) {
    singles_[range.begin].push_back(item);
  } else {
    insert_into(root_, range, item);
  }
}

void RangeIndex::erase(const store::KeyRange& range, uint32_t item) {
  --size_;
  if (!is_single(range)) return erase_from(root_, range, item);
  const auto it = singles_.find(range.begin);
  CHECK(it != singles_.end(), "erasing a key that is not watched");
  remove_item(it->second, item);
  if (it->second.empty()) singles_.erase(it);
}

void RangeIndex::remove_item(Items& items, uint32_t item) {
  const auto it = std::ranges::find(items, item);
  CHECK(it != items.end(), "erasing watcher {}, which is not there", item);
  *it = items.back();
  items.pop_back();
}

void RangeIndex::refresh(Node& node) {
  const std::string* furthest = &node.range.end;
  for (const Link* child : {&node.left, &node.right}) {
    if (*child && ends_before(*furthest, (*child)->furthest)) furthest = &(*child)->furthest;
  }
  node.furthest = *furthest;
}

void RangeIndex::rotate_left(Link& link) {
  Link right = std::move(link->right);
  link->right = std::move(right->left);
  refresh(*link);
  right->left = std::move(link);
  link = std::move(right);
  refresh(*link);
}

void RangeIndex::rotate_right(Link& link) {
  Link left = std::move(link->left);
  link->left = std::move(left->right);
  refresh(*link);
  left->right = std::move(link);
  link = std::move(left);
  refresh(*link);
}

void RangeIndex::insert_into(Link& link, const store::KeyRange& range, uint32_t item) {
  if (!link) {
    link = std::make_unique<Node>();
    link->range = range;
    link->furthest = range.end;
    link->items.push_back(item);
    link->priority = mix(++priority_ * 0x9e3779b97f4a7c15u);
    return;
  }
  const auto side = order(range, link->range);
  if (side == 0) {
    link->items.push_back(item);
    return;
  }
  if (side < 0) {
    insert_into(link->left, range, item);
    if (link->left->priority > link->priority) return rotate_right(link);
  } else {
    insert_into(link->right, range, item);
    if (link->right->priority > link->priority) return rotate_left(link);
  }
  refresh(*link);
}

void RangeIndex::erase_from(Link& link, const store::KeyRange& range, uint32_t item) {
  CHECK(link != nullptr, "erasing a range that is not watched");
  const auto side = order(range, link->range);
  if (side == 0) {
    remove_item(link->items, item);
    if (link->items.empty()) drop(link);
    return;
  }
  erase_from(side < 0 ? link->left : link->right, range, item);
  refresh(*link);
}

// Takes the root of a subtree out by letting it sink.
void RangeIndex::drop(Link& link) {
  if (!link->left || !link->right) {
    Link child = std::move(link->left ? link->left : link->right);
    link = std::move(child);
    return;
  }
  if (link->left->priority > link->right->priority) {
    rotate_right(link);
    drop(link->right);
  } else {
    rotate_left(link);
    drop(link->left);
  }
  refresh(*link);
}

void RangeIndex::find(std::string_view key, std::vector<uint32_t>& out) const {
  if (!singles_.empty()) {
    const auto it = singles_.find(key);
    if (it != singles_.end()) out.insert(out.end(), it->second.begin(), it->second.end());
  }
  // In-order over the subtrees that reach beyond the key and begin at or before it.
  std::vector<const Node*> stack;
  const Node* node = root_.get();
  while (node != nullptr || !stack.empty()) {
    if (node != nullptr && contains_before_end(key, node->furthest)) {
      stack.push_back(node);
      node = node->left.get();
      continue;
    }
    if (stack.empty()) return;
    node = stack.back();
    stack.pop_back();
    if (key < node->range.begin) return;  // and everything after begins later still
    if (contains_before_end(key, node->range.end)) out.insert(out.end(), node->items.begin(), node->items.end());
    node = node->right.get();
  }
}

}  // namespace witan::api::etcd
