// Jute, the language ZooKeeper's records are written in: numbers of fixed width, most significant byte first; strings
// and buffers as an int32 length and the bytes, where the length -1 is null; vectors as an int32 count and the items.
// There are no tags: a record is its fields, one after the other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/blob.h"
#include "base/chain.h"

namespace witan::wire {

// What jute calls a ustring or a buffer. Nullopt is null, which is not the same as empty.
using JuteText = std::optional<std::string_view>;

// Reads fields off the front of a packet; views point into it. Past the end, and after a length that cannot be, every
// read gives zero or nothing and ok() is false, so a decoder may read a whole record and check once.
class JuteReader {
 public:
  explicit JuteReader(std::string_view bytes) : rest_(bytes) {}

  int32_t i32();
  int64_t i64();
  // Any byte but 0 is true, as in Java.
  bool boolean();
  // A string or a buffer.
  JuteText text();
  // A string or a buffer where null means the same as empty.
  std::string_view text_or_empty() { return text().value_or(std::string_view()); }
  // A string or a buffer that must not be null.
  std::string_view required_text();
  // The number of items of a vector, each of at least `item_size` bytes: never more than the rest of the packet could
  // hold, so that a count alone reserves nothing. Nullopt: null. A negative count other than null's is empty, as in
  // Java.
  std::optional<uint32_t> count(size_t item_size);

  // Makes ok() false: the caller read something that no record has.
  void refuse();
  std::string_view rest() const { return rest_; }
  bool ok() const { return ok_; }

 private:
  bool need(size_t n);

  std::string_view rest_;
  bool ok_ = true;
};

// Appends fields to a chain. Small fields are collected on the stack; large blobs are shared, not copied. What was
// written is in the chain only after flush().
class JuteWriter {
 public:
  explicit JuteWriter(Chain& out) : out_(out) {}
  JuteWriter(const JuteWriter&) = delete;
  JuteWriter& operator=(const JuteWriter&) = delete;

  void i32(int32_t v);
  void i64(int64_t v);
  void boolean(bool v);
  void text(JuteText v);
  // A buffer out of a blob, null when the blob is.
  void blob(const Blob& v);
  void flush();

  // Bytes written so far, flushed or not.
  size_t written() const { return flushed_ + used_; }

  // Bytes that text() and blob() take.
  static size_t size_of(const JuteText& v) { return 4 + (v.has_value() ? v->size() : 0); }
  static size_t size_of(const Blob& v) { return 4 + v.size(); }

 private:
  // Room for `n` bytes, n <= kStaging.
  char* room(size_t n);
  void bytes(std::string_view v);

  static constexpr size_t kStaging = 256;  // more than a reply's header, a small value and a Stat
  Chain& out_;
  std::array<char, kStaging> staging_;  // its first used_ bytes count
  size_t used_ = 0;
  size_t flushed_ = 0;
};

}  // namespace witan::wire
