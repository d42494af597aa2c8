#include "store/index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"

namespace witan::store {
namespace {

// Eight bytes from `skip` on as a number that sorts as they do. Ties must be settled by the bytes themselves.
uint64_t head_of(std::string_view key, size_t skip) {
  uint64_t bytes = 0;  // in memory order
  if (key.size() >= skip + 8) {
    std::memcpy(&bytes, key.data() + skip, 8);
  } else if (key.size() > skip) {
    std::memcpy(&bytes, key.data() + skip, key.size() - skip);
  }
  return std::endian::native == std::endian::little ? std::byteswap(bytes) : bytes;
}

uint32_t common_prefix(std::string_view a, std::string_view b) {
  const size_t limit = std::min(a.size(), b.size());
  return static_cast<uint32_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(limit), b.begin()).first -
                               a.begin());
}

}  // namespace

// ---- Nodes --------------------------------------------------------------------------------------

Index::KeyBlock::Found Index::KeyBlock::lower_bound(std::string_view key) const {
  if (count == 0) return {};
  if (skip > 0) {
    const int order = key.substr(0, skip).compare(keys[0].view().substr(0, std::min<size_t>(skip, key.size())));
    if (order < 0 || (order == 0 && key.size() < skip)) return {};
    if (order > 0) return {.at = count};
  }
  const uint64_t head = head_of(key, skip);
  const auto begin = heads.begin();
  const auto first = std::lower_bound(begin, begin + count, head);
  auto at = static_cast<uint32_t>(first - begin);
  if (at == count || heads[at] != head) return {.at = at};
  const auto last = std::upper_bound(first, begin + count, head);
  const std::string_view tail = key.substr(skip);
  const auto* const found =
      std::lower_bound(keys.begin() + at, keys.begin() + (last - begin), tail,
                       [this](const Blob& k, std::string_view t) { return k.view().substr(skip) < t; });
  at = static_cast<uint32_t>(found - keys.begin());
  return {.at = at, .equal = at < count && keys[at].view() == key};
}

void Index::KeyBlock::insert(uint32_t at, Blob key) {
  const bool fits = count == 0 || (key.size() >= skip && std::memcmp(key.data(), keys[0].data(), skip) == 0);
  if (count == 0) skip = 0;
  std::move_backward(keys.begin() + at, keys.begin() + count, keys.begin() + count + 1);
  std::move_backward(heads.begin() + at, heads.begin() + count, heads.begin() + count + 1);
  heads[at] = head_of(key, skip);
  keys[at] = std::move(key);
  ++count;
  if (!fits) refresh();
}

void Index::KeyBlock::erase(uint32_t at) {
  std::move(keys.begin() + at + 1, keys.begin() + count, keys.begin() + at);
  std::move(heads.begin() + at + 1, heads.begin() + count, heads.begin() + at);
  --count;
  keys[count] = Blob();
}

void Index::KeyBlock::assign(std::span<Blob> from) {
  for (size_t i = 0; i < from.size(); ++i) keys[i] = std::move(from[i]);
  for (size_t i = from.size(); i < count; ++i) keys[i] = Blob();
  count = static_cast<uint32_t>(from.size());
  refresh();
}

void Index::KeyBlock::refresh() {
  // One key alone says nothing about its future neighbours.
  skip = count < 2 ? 0 : common_prefix(keys[0], keys[count - 1]);
  for (uint32_t i = 0; i < count; ++i) heads[i] = head_of(keys[i], skip);
}

uint64_t Index::Leaf::count_live(uint32_t end) const {
  return static_cast<uint64_t>(
      std::count_if(chains.begin(), chains.begin() + end, [](const VersionChain& c) { return c.is_live(); }));
}

uint64_t Index::Inner::count_live() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i <= count; ++i) sum += live[i];
  return sum;
}

// ---- Finding ------------------------------------------------------------------------------------

Index::Index() : root_(new_leaf()) {}

Index::~Index() { destroy(root_, height_); }

Index::Leaf* Index::new_leaf() {
  ++leaves_;
  return new Leaf;
}

Index::Inner* Index::new_inner() {
  ++inners_;
  return new Inner;
}

void Index::destroy(KeyBlock* node, uint32_t height) {
  if (height == 0) {
    delete static_cast<Leaf*>(node);
    return;
  }
  auto* const inner = static_cast<Inner*>(node);
  for (uint32_t i = 0; i <= inner->count; ++i) destroy(inner->children[i], height - 1);
  delete inner;
}

Index::Place Index::find(std::string_view key) const {
  Place place;
  KeyBlock* node = root_;
  for (; place.depth_ < height_; ++place.depth_) {
    auto* const inner = static_cast<Inner*>(node);
    const KeyBlock::Found found = inner->lower_bound(key);
    const uint32_t child = found.at + (found.equal ? 1 : 0);
    place.steps_[place.depth_] = {inner, child};
    node = inner->children[child];
  }
  place.leaf_ = static_cast<Leaf*>(node);
  const KeyBlock::Found found = node->lower_bound(key);
  place.at_ = found.at;
  place.found_ = found.equal;
  return place;
}

const Index::Leaf& Index::leaf_of(std::string_view key) const {
  const KeyBlock* node = root_;
  for (uint32_t height = height_; height > 0; --height) {
    const KeyBlock::Found found = node->lower_bound(key);
    node = static_cast<const Inner*>(node)->children[found.at + (found.equal ? 1 : 0)];
  }
  return *static_cast<const Leaf*>(node);
}

Index::Cursor Index::lower_bound(std::string_view key) const {
  const Leaf& leaf = leaf_of(key);
  Cursor cursor;
  cursor.leaf_ = &leaf;
  cursor.at_ = leaf.lower_bound(key).at;
  cursor.settle();
  return cursor;
}

const VersionChain* Index::chain_of(std::string_view key) const {
  const Leaf& leaf = leaf_of(key);
  const KeyBlock::Found found = leaf.lower_bound(key);
  return found.equal ? &leaf.chains[found.at] : nullptr;
}

const Version* Index::latest(std::string_view key) const {
  const VersionChain* const chain = chain_of(key);
  return chain == nullptr ? nullptr : chain->latest();
}

Index::Place Index::seek(std::string_view key) const {
  Place place = find(key);
  if (!place.found_) {
    // Not at the key: on to the next one there is.
    place.found_ = place.at_ < place.leaf_->count;
    if (!place.found_) climb(place);
  }
  return place;
}

void Index::advance(Place& place) const {
  if (++place.at_ == place.leaf_->count) climb(place);
}

void Index::climb(Place& place) const {
  place.found_ = false;
  uint32_t depth = place.depth_;
  while (depth > 0 && place.steps_[depth - 1].child == place.steps_[depth - 1].node->count) --depth;
  if (depth == 0) return;
  Place::Step& turn = place.steps_[depth - 1];
  KeyBlock* node = turn.node->children[++turn.child];
  for (; depth < place.depth_; ++depth) {
    auto* const inner = static_cast<Inner*>(node);
    place.steps_[depth] = {inner, 0};
    node = inner->children[0];
  }
  place.leaf_ = static_cast<Leaf*>(node);
  place.at_ = 0;
  place.found_ = true;  // only the root may be an empty leaf
}

// ---- Counting -----------------------------------------------------------------------------------

void Index::add_live(const Place& place, int delta) {
  const auto change = static_cast<uint64_t>(static_cast<int64_t>(delta));
  live_ += change;
  for (uint32_t depth = 0; depth < place.depth_; ++depth) {
    const Place::Step& step = place.steps_[depth];
    step.node->live[step.child] += change;
  }
}

uint64_t Index::rank(std::string_view key) const {
  uint64_t before = 0;
  const KeyBlock* node = root_;
  for (uint32_t height = height_; height > 0; --height) {
    const auto* const inner = static_cast<const Inner*>(node);
    const KeyBlock::Found found = inner->lower_bound(key);
    const uint32_t child = found.at + (found.equal ? 1 : 0);
    for (uint32_t i = 0; i < child; ++i) before += inner->live[i];
    node = inner->children[child];
  }
  return before + static_cast<const Leaf*>(node)->count_live(node->lower_bound(key).at);
}

uint64_t Index::count_live(std::string_view begin, const std::string_view* end) const {
  if (end != nullptr && *end <= begin) return 0;
  return (end == nullptr ? live_ : rank(*end)) - rank(begin);
}

// ---- Growing ------------------------------------------------------------------------------------

void Index::insert(Place& place, Blob key) {
  CHECK(!place.found_, "the key is there already");
  if (place.leaf_->count == kFanout) {
    split_leaf(place, key);
    place = find(key);
  }
  Leaf& leaf = *place.leaf_;
  std::move_backward(leaf.chains.begin() + place.at_, leaf.chains.begin() + leaf.count,
                     leaf.chains.begin() + leaf.count + 1);
  leaf.KeyBlock::insert(place.at_, std::move(key));
  place.found_ = true;
  ++size_;
}

void Index::split_leaf(const Place& place, const Blob& key) {
  Leaf& left = *place.leaf_;
  Leaf* const right = new_leaf();
  right->next = left.next;
  // Ascending keys, as loads and counters write them, leave full leaves behind.
  uint32_t from = kFanout / 2;
  if (place.at_ == kFanout) from = left.next == nullptr ? kFanout : kFanout * 9 / 10;
  left.next = right;
  std::move(left.chains.begin() + from, left.chains.begin() + kFanout, right->chains.begin());
  right->assign({left.keys.data() + from, kFanout - from});
  left.count = from;
  left.refresh();
  const Blob separator = right->count == 0 ? key : right->keys[0];
  add_child(place, place.depth_, separator, right, right->count_live(right->count));
}

void Index::add_child(const Place& place, uint32_t depth, Blob separator, KeyBlock* right, uint64_t right_live) {
  if (depth == 0) {
    CHECK(height_ < kMaxHeight, "an index of {} levels", height_);
    Inner* const root = new_inner();
    root->children[0] = root_;
    root->children[1] = right;
    root->live[0] = live_ - right_live;
    root->live[1] = right_live;
    root->insert(0, std::move(separator));
    root_ = root;
    ++height_;
    return;
  }
  Inner* node = place.steps_[depth - 1].node;
  uint32_t child = place.steps_[depth - 1].child;
  Inner* sibling = nullptr;
  Blob sibling_separator;
  if (node->count == kFanout) {
    sibling = split_inner(*node, child == node->count, sibling_separator);
    if (child > node->count) {
      child -= node->count + 1;
      std::swap(node, sibling);
    }
  }
  std::move_backward(node->children.begin() + child + 1, node->children.begin() + node->count + 1,
                     node->children.begin() + node->count + 2);
  std::move_backward(node->live.begin() + child + 1, node->live.begin() + node->count + 1,
                     node->live.begin() + node->count + 2);
  node->children[child + 1] = right;
  node->live[child + 1] = right_live;
  node->live[child] -= right_live;
  node->insert(child, std::move(separator));
  if (sibling == nullptr) return;
  Inner* const upper = node == place.steps_[depth - 1].node ? sibling : node;
  add_child(place, depth - 1, std::move(sibling_separator), upper, upper->count_live());
}

Index::Inner* Index::split_inner(Inner& node, bool appending, Blob& separator) {
  Inner* const right = new_inner();
  const uint32_t children = node.count + 1;
  const uint32_t from = appending ? children * 3 / 4 : children / 2;
  std::copy(node.children.begin() + from, node.children.begin() + children, right->children.begin());
  std::copy(node.live.begin() + from, node.live.begin() + children, right->live.begin());
  right->assign({node.keys.data() + from, node.count - from});
  separator = std::move(node.keys[from - 1]);
  node.count = from - 1;
  node.refresh();
  return right;
}

// ---- Shrinking ----------------------------------------------------------------------------------

void Index::erase(Place& place) {
  CHECK(place.found_ && !place.chain().is_live(), "only a key without a present version is erased");
  Leaf& leaf = *place.leaf_;
  std::move(leaf.chains.begin() + place.at_ + 1, leaf.chains.begin() + leaf.count, leaf.chains.begin() + place.at_);
  leaf.chains[leaf.count - 1] = VersionChain();
  leaf.KeyBlock::erase(place.at_);
  --size_;
  place.found_ = false;
  if (leaf.count < kFanout / 4 && place.depth_ > 0) rebalance_leaf(place);
}

void Index::rebalance_leaf(const Place& place) {
  const Place::Step& step = place.steps_[place.depth_ - 1];
  Inner& parent = *step.node;
  const uint32_t i = step.child > 0 ? step.child - 1 : 0;
  auto& left = *static_cast<Leaf*>(parent.children[i]);
  auto& right = *static_cast<Leaf*>(parent.children[i + 1]);
  std::vector<Blob> keys;
  std::vector<VersionChain> chains;
  for (Leaf* leaf : {&left, &right}) {
    std::move(leaf->keys.begin(), leaf->keys.begin() + leaf->count, std::back_inserter(keys));
    std::move(leaf->chains.begin(), leaf->chains.begin() + leaf->count, std::back_inserter(chains));
  }
  const size_t total = keys.size();
  const size_t keep = total <= kFanout * 3 / 4 ? total : total / 2;
  std::move(chains.begin(), chains.begin() + static_cast<ptrdiff_t>(keep), left.chains.begin());
  left.assign({keys.data(), keep});
  parent.live[i] = left.count_live(left.count);
  if (keep == total) {
    left.next = right.next;
    delete &right;
    --leaves_;
    drop_child(place, place.depth_ - 1, i);
    return;
  }
  std::move(chains.begin() + static_cast<ptrdiff_t>(keep), chains.end(), right.chains.begin());
  right.assign({keys.data() + keep, total - keep});
  parent.live[i + 1] = right.count_live(right.count);
  parent.keys[i] = right.keys[0];
  parent.refresh();
}

// Takes the separator at `key` and the child after it out of the inner node at `depth`; the child is gone already.
void Index::drop_child(const Place& place, uint32_t depth, uint32_t key) {
  Inner& node = *place.steps_[depth].node;
  std::copy(node.children.begin() + key + 2, node.children.begin() + node.count + 1, node.children.begin() + key + 1);
  std::copy(node.live.begin() + key + 2, node.live.begin() + node.count + 1, node.live.begin() + key + 1);
  node.KeyBlock::erase(key);
  if (depth > 0) {
    if (node.count < kFanout / 4) rebalance_inner(place, depth);
  } else if (node.count == 0) {
    root_ = node.children[0];
    --height_;
    delete &node;
    --inners_;
  }
}

void Index::rebalance_inner(const Place& place, uint32_t depth) {
  const Place::Step& step = place.steps_[depth - 1];
  Inner& parent = *step.node;
  const uint32_t i = step.child > 0 ? step.child - 1 : 0;
  auto& left = *static_cast<Inner*>(parent.children[i]);
  auto& right = *static_cast<Inner*>(parent.children[i + 1]);
  std::vector<Blob> keys;
  std::vector<std::pair<KeyBlock*, uint64_t>> children;
  for (Inner* inner : {&left, &right}) {
    if (inner == &right) keys.push_back(parent.keys[i]);
    std::move(inner->keys.begin(), inner->keys.begin() + inner->count, std::back_inserter(keys));
    for (uint32_t c = 0; c <= inner->count; ++c) children.emplace_back(inner->children[c], inner->live[c]);
  }
  const auto fill = [](Inner& inner, std::span<Blob> its_keys,
                       std::span<const std::pair<KeyBlock*, uint64_t>> its_children) {
    for (size_t c = 0; c < its_children.size(); ++c) std::tie(inner.children[c], inner.live[c]) = its_children[c];
    inner.assign(its_keys);
  };
  if (children.size() <= kFanout * 3 / 4) {
    fill(left, keys, children);
    parent.live[i] = left.count_live();
    delete &right;
    --inners_;
    drop_child(place, depth - 1, i);
    return;
  }
  const size_t keep = children.size() / 2;
  parent.keys[i] = keys[keep - 1];
  parent.refresh();
  fill(left, {keys.data(), keep - 1}, {children.data(), keep});
  fill(right, {keys.data() + keep, keys.size() - keep}, {children.data() + keep, children.size() - keep});
  parent.live[i] = left.count_live();
  parent.live[i + 1] = right.count_live();
}

// ---- Checking -----------------------------------------------------------------------------------

struct Index::Seen {
  size_t keys = 0;
  size_t leaves = 0;
  const Leaf* last_leaf = nullptr;
  std::optional<std::string> last_key;
};

void Index::check() const {
  Seen seen;
  const uint64_t live = check_node(root_, height_, seen);
  CHECK(live == live_ && seen.keys == size_ && seen.leaves == leaves_, "counts are off: {} live of {}, {} keys of {}",
        live, live_, seen.keys, size_);
  CHECK(seen.last_leaf->next == nullptr, "leaves go on after the last");
}

uint64_t Index::check_node(const KeyBlock* node, uint32_t height, Seen& seen) const {
  for (uint32_t i = 0; i < node->count; ++i) {
    CHECK(node->heads[i] == head_of(node->keys[i], node->skip), "a stale head");
    CHECK(common_prefix(node->keys[0], node->keys[i]) >= node->skip, "a prefix that is not shared");
  }
  if (height > 0) {
    const auto* const inner = static_cast<const Inner*>(node);
    CHECK(node == root_ ? inner->count >= 1 : inner->count + 1 >= kFanout / 4, "a thin inner node: {}", inner->count);
    uint64_t live = 0;
    for (uint32_t i = 0; i <= inner->count; ++i) {
      if (i > 0) CHECK(seen.last_key < inner->keys[i - 1].view(), "a separator below its left side");
      const size_t before = seen.keys;
      const uint64_t child_live = check_node(inner->children[i], height - 1, seen);
      CHECK(child_live == inner->live[i] && seen.keys > before, "a child's count is off");
      live += child_live;
    }
    return live;
  }
  const auto* const leaf = static_cast<const Leaf*>(node);
  CHECK(seen.last_leaf == nullptr || seen.last_leaf->next == leaf, "leaves are not linked in order");
  for (uint32_t i = 0; i < leaf->count; ++i) {
    CHECK(!seen.last_key || *seen.last_key < leaf->keys[i].view(), "keys out of order");
    seen.last_key = std::string(leaf->keys[i].view());
  }
  seen.last_leaf = leaf;
  seen.keys += leaf->count;
  ++seen.leaves;
  return leaf->count_live(leaf->count);
}

}  // namespace witan::store
