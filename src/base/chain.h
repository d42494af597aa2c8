// Bytes on their way out: small pieces are copied together, large ones are shared (core S6: no copy from store to
// socket).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/blob.h"

namespace witan {

// A sequence of bytes made of owned runs and slices of Blobs. Append at the end, consume at the front.
class Chain {
 public:
  // Slices of a Blob below this size are copied: an iovec and a reference cost more.
  static constexpr size_t kShareFrom = 512;

  Chain() = default;
  Chain(Chain&&) = default;
  Chain& operator=(Chain&&) = default;

  void append(std::string_view bytes);
  // `slice` must lie within `owner`.
  void append(const Blob& owner, std::string_view slice);
  void append(const Blob& whole) { append(whole, whole.view()); }
  // Moves all of `other` to the end of this one, sharing what it shares.
  void append(Chain&& other);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The first pieces, at most `limit`, without consuming them. Valid until the chain changes.
  void peek(std::vector<std::string_view>& out, size_t limit) const;
  // Drops `n` bytes from the front. Requires n <= size().
  void consume(size_t n);
  // Moves the first `n` bytes to the end of `to`, sharing what is shared. Requires n <= size().
  void move_front(size_t n, Chain& to);
  void clear();
  std::string flatten() const;

 private:
  struct Node {
    std::string own;  // the bytes, when owner is null
    Blob owner;
    std::string_view slice;
    std::string_view bytes() const { return owner.is_null() ? std::string_view(own) : slice; }
  };
  void drop_first();  // the first live node, and now and then the dead ones before it

  // A ring would save moving nodes; in practice a chain has one to a few dozen of them and is drained whole.
  std::vector<Node> nodes_;
  size_t first_ = 0;   // index of the first live node
  size_t offset_ = 0;  // consumed bytes of it
  size_t size_ = 0;
};

}  // namespace witan
