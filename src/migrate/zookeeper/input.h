// Reading ZooKeeper's serialization (jute: big-endian numbers, lengths before bytes) from memory or from a stream.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace witan::migrate::zookeeper {

// One string, buffer or record is never longer. ZooKeeper's own bound, jute.maxbuffer, is 1 MiB unless it was raised.
inline constexpr size_t kMaxField = size_t{128} << 20;

// What is wrong and where: `offset` counts the bytes of the (uncompressed) file, `what` is a clause.
struct Problem {
  uint64_t offset = 0;
  std::string what;
  Code code = Code::Corrupt;
};
template <class T = void>
using Decoded = std::expected<T, Problem>;

inline std::unexpected<Problem> problem(uint64_t offset, std::string what, Code code = Code::Corrupt) {
  return std::unexpected<Problem>(Problem{offset, std::move(what), code});
}

// Bytes from somewhere, once and in order. Errors are Io, or Corrupt for what cannot be decompressed; the message is a
// clause without the file's name.
class Source {
 public:
  virtual ~Source() = default;
  // Fills a part of `out`, at least one byte; 0 only at the end. Requires: `out` is not empty.
  virtual Result<size_t> read(std::span<char> out) = 0;
};

// Past the end, or after a length that cannot be, every read gives zero or nothing and ok() is false: a decoder may
// read a whole record and check once. What a read returns as a view is valid until the next read.
class Input {
 public:
  // `offset` is where the bytes stand in their file, for messages.
  explicit Input(std::string_view bytes, uint64_t offset = 0) : window_(bytes), base_(offset) {}
  // `source` must outlive it. Memory stays below what one read asks for plus `ahead`, whatever a length pretends.
  Input(Source& source, size_t ahead) : source_(&source), ahead_(ahead) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  bool boolean();
  int32_t int32();
  int64_t int64();
  std::optional<std::string_view> buffer();  // nothing: null (a length of -1)
  std::string_view string() { return buffer().value_or(std::string_view()); }
  std::string_view bytes(size_t n);  // n <= kMaxField
  // Up to n of the next bytes, without reading them.
  std::string_view peek(size_t n);
  bool at_end() { return ok() && peek(1).empty() && ok(); }

  bool ok() const { return fault_ == Fault::None; }
  bool cut_short() const { return fault_ == Fault::End; }  // nothing worse than the end of the bytes
  Problem fault() const;                                   // requires !ok()
  void refuse(std::string what);                           // marks what was just read as impossible
  uint64_t offset() const { return base_ + at_; }
  // Adler-32 of everything read so far.
  uint32_t checksum();

 private:
  enum class Fault : uint8_t { None, End, Bad };
  bool need(size_t n);
  void refill(size_t n);
  template <class T>
  T number();

  Source* source_ = nullptr;
  size_t ahead_ = 0;
  std::string buffer_;  // what window_ shows, when there is a source
  std::string_view window_;
  size_t at_ = 0;      // in window_; what stands before it was read
  size_t summed_ = 0;  // in window_, <= at_: how far sum_ goes
  uint64_t base_ = 0;  // of window_ in the file
  uint32_t sum_ = 1;
  Fault fault_ = Fault::None;
  Problem problem_;
};

}  // namespace witan::migrate::zookeeper
