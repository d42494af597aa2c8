#include "base/chain.h"

#include <utility>

#include "base/check.h"

namespace witan {
namespace {

// An owned run of at least this size changes its chain instead of being copied.
constexpr size_t kMoveFrom = 2048;

}  // namespace

void Chain::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (first_ == nodes_.size() || !nodes_.back().owner.is_null()) nodes_.emplace_back();
  nodes_.back().own.append(bytes);
  size_ += bytes.size();
}

void Chain::append(const Blob& owner, std::string_view slice) {
  if (slice.size() < kShareFrom) return append(slice);
  nodes_.push_back(Node{.own = {}, .owner = owner, .slice = slice});
  size_ += slice.size();
}

void Chain::append(Chain&& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = std::exchange(other, Chain());
    return;
  }
  for (size_t i = other.first_; i < other.nodes_.size(); ++i) {
    Node& node = other.nodes_[i];
    const size_t skip = i == other.first_ ? other.offset_ : 0;
    if (!node.owner.is_null()) {
      append(node.owner, node.slice.substr(skip));
    } else if (skip == 0 && node.own.size() >= kMoveFrom) {
      size_ += node.own.size();
      nodes_.push_back(std::move(node));
    } else {
      append(std::string_view(node.own).substr(skip));
    }
  }
  other.clear();
}

void Chain::peek(std::vector<std::string_view>& out, size_t limit) const {
  out.clear();
  for (size_t i = first_; i < nodes_.size() && out.size() < limit; ++i) {
    out.push_back(nodes_[i].bytes().substr(i == first_ ? offset_ : 0));
  }
}

void Chain::consume(size_t n) {
  CHECK(n <= size_, "consuming {} of {} bytes", n, size_);
  size_ -= n;
  if (size_ == 0) return clear();
  while (n > 0) {
    const size_t left = nodes_[first_].bytes().size() - offset_;
    if (n < left) {
      offset_ += n;
      return;
    }
    n -= left;
    drop_first();
  }
}

void Chain::drop_first() {
  nodes_[first_] = Node{};
  ++first_;
  offset_ = 0;
  // A chain that is fed as fast as it drains never becomes empty: it must not keep what it has passed.
  constexpr size_t kDead = 64;
  if (first_ >= kDead && first_ * 2 >= nodes_.size()) {
    nodes_.erase(nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void Chain::move_front(size_t n, Chain& to) {
  CHECK(n <= size_, "moving {} of {} bytes", n, size_);
  while (n > 0) {
    const Node& node = nodes_[first_];
    const std::string_view piece = node.bytes().substr(offset_, n);
    if (node.owner.is_null()) {
      to.append(piece);
    } else {
      to.append(node.owner, piece);
    }
    n -= piece.size();
    consume(piece.size());
  }
}

void Chain::clear() {
  // A buffer of ordinary size is kept for the next turn: in steady state nothing is allocated.
  constexpr size_t kKeep = size_t{64} << 10;
  if (nodes_.size() == 1 && nodes_[0].owner.is_null() && nodes_[0].own.capacity() <= kKeep) {
    nodes_[0].own.clear();
  } else {
    nodes_.clear();
  }
  first_ = 0;
  offset_ = 0;
  size_ = 0;
}

std::string Chain::flatten() const {
  std::string out;
  out.reserve(size_);
  for (size_t i = first_; i < nodes_.size(); ++i) out.append(nodes_[i].bytes().substr(i == first_ ? offset_ : 0));
  return out;
}

}  // namespace witan
