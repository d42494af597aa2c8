#include "wal/window.h"

#include <algorithm>

namespace witan::wal {

Result<std::string_view> Window::at(uint64_t offset, size_t n) {
  if (offset >= size_) return std::string_view();
  n = std::min<uint64_t>(n, size_ - offset);
  if (offset >= start_ && offset + n <= start_ + buffer_.size()) {
    return std::string_view(buffer_).substr(offset - start_, n);
  }
  start_ = offset;
  buffer_.resize(std::min<uint64_t>(std::max(n, ahead_), size_ - offset));
  const auto got = file_.read_at(offset, buffer_);
  if (!got) {
    buffer_.clear();
    return std::unexpected(got.error());
  }
  buffer_.resize(*got);
  return std::string_view(buffer_).substr(0, n);
}

}  // namespace witan::wal
