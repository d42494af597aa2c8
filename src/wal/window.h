// Sequential reading of a file in large pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/disk.h"

namespace witan::wal {

class Window {
 public:
  // `file` must outlive it and is not looked at beyond `size`. `ahead` is how much is read at once.
  Window(env::File& file, uint64_t size, size_t ahead) : file_(file), size_(size), ahead_(ahead) {}

  // The bytes [offset, offset + n), fewer at the end. Valid until the next call. Memory stays below n + `ahead`,
  // and below the file's size.
  Result<std::string_view> at(uint64_t offset, size_t n);
  uint64_t size() const { return size_; }

 private:
  env::File& file_;
  const uint64_t size_;
  const size_t ahead_;
  std::string buffer_;
  uint64_t start_ = 0;  // of buffer_ in the file
};

}  // namespace witan::wal
