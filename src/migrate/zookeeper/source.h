// Files as ZooKeeper writes them, plain or compressed, as streams of what was put into them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/disk.h"
#include "migrate/zookeeper/input.h"

struct z_stream_s;

namespace witan::migrate::zookeeper {

class FileSource final : public Source {
 public:
  explicit FileSource(env::File& file) : file_(file) {}  // which must outlive it
  Result<size_t> read(std::span<char> out) override;

 private:
  env::File& file_;
  uint64_t at_ = 0;
};

// gzip, of one member or several.
class GzipSource final : public Source {
 public:
  explicit GzipSource(Source& compressed);  // which must outlive it
  ~GzipSource() override;
  Result<size_t> read(std::span<char> out) override;

 private:
  Result<bool> fill();  // false at the end of the compressed bytes

  Source& compressed_;
  std::unique_ptr<z_stream_s> stream_;
  std::array<char, 64 << 10> in_;
  bool between_members_ = true;
};

// The framing of the snappy library for Java: a header, then blocks with their compressed length before them.
class SnappySource final : public Source {
 public:
  explicit SnappySource(Source& compressed);  // which must outlive it
  Result<size_t> read(std::span<char> out) override;

 private:
  Result<> next_block();

  Input in_;
  std::string block_;
  size_t at_ = 0;  // in block_
  bool begun_ = false;
};

}  // namespace witan::migrate::zookeeper
