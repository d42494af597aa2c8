// The two small languages of our own formats: fixed little-endian numbers for frames and records,
// and protobuf's wire format (tags, varints, lengths) for everything that must evolve.
// A message written here can be read by a generated protobuf class; tests keep it that way.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace witan {

inline void put_fixed32(std::string& out, uint32_t v) {
  const char bytes[4] = {static_cast<char>(v), static_cast<char>(v >> 8), static_cast<char>(v >> 16),
                         static_cast<char>(v >> 24)};
  out.append(bytes, 4);
}
inline void put_fixed64(std::string& out, uint64_t v) {
  put_fixed32(out, static_cast<uint32_t>(v));
  put_fixed32(out, static_cast<uint32_t>(v >> 32));
}
inline uint32_t get_fixed32(const char* p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  return static_cast<uint32_t>(u[0]) | static_cast<uint32_t>(u[1]) << 8 | static_cast<uint32_t>(u[2]) << 16 |
         static_cast<uint32_t>(u[3]) << 24;
}
inline uint64_t get_fixed64(const char* p) {
  return static_cast<uint64_t>(get_fixed32(p)) | static_cast<uint64_t>(get_fixed32(p + 4)) << 32;
}
inline void set_fixed32(char* p, uint32_t v) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<char>(v >> (8 * i));
}
inline void set_fixed64(char* p, uint64_t v) {
  for (int i = 0; i < 8; ++i) p[i] = static_cast<char>(v >> (8 * i));
}

inline constexpr size_t varint_size(uint64_t v) {
  size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}
// Writes 1 to 10 bytes at p and returns the end.
inline char* write_varint(char* p, uint64_t v) {
  for (; v >= 0x80; v >>= 7) *p++ = static_cast<char>(v | 0x80);
  *p++ = static_cast<char>(v);
  return p;
}
inline void put_varint(std::string& out, uint64_t v) {
  if (v < 0x80) return out.push_back(static_cast<char>(v));
  char buffer[10];
  out.append(buffer, static_cast<size_t>(write_varint(buffer, v) - buffer));
}

enum class WireType : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

// Appends protobuf fields to a string. As in proto3, zero numbers and empty bytes are left out,
// except through the *_always forms (which repeated fields and optional ones need).
class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  void uint(uint32_t field, uint64_t v) {
    if (v != 0) uint_always(field, v);
  }
  void uint_always(uint32_t field, uint64_t v) {
    tag(field, WireType::Varint);
    put_varint(out_, v);
  }
  // int64, int32, enum and bool of protobuf: negative numbers take ten bytes.
  void sint(uint32_t field, int64_t v) { uint(field, static_cast<uint64_t>(v)); }
  void fixed64(uint32_t field, uint64_t v) {
    tag(field, WireType::Fixed64);
    put_fixed64(out_, v);
  }
  void bytes(uint32_t field, std::string_view v) {
    if (!v.empty()) bytes_always(field, v);
  }
  void bytes_always(uint32_t field, std::string_view v) {
    tag(field, WireType::Bytes);
    put_varint(out_, v.size());
    out_.append(v);
  }
  // A nested message: `body` is called with this writer, and the length is put before what it wrote.
  template <class Body>
  void message(uint32_t field, Body&& body) {
    tag(field, WireType::Bytes);
    const size_t at = out_.size();
    out_.push_back(0);  // room for the length of a message below 128 bytes
    body(*this);
    const size_t size = out_.size() - at - 1;
    char length[10];
    const auto n = static_cast<size_t>(write_varint(length, size) - length);
    if (n > 1) out_.insert(at, n - 1, 0);
    std::memcpy(out_.data() + at, length, n);
  }

 private:
  void tag(uint32_t field, WireType type) { put_varint(out_, field << 3 | static_cast<uint32_t>(type)); }
  std::string& out_;
};

// Walks the fields of one protobuf message without copying. Unknown fields are the caller's to skip
// (just call next() again). After next() has returned false, ok() tells the end from damage.
//   FieldReader r(bytes);
//   while (r.next()) switch (r.field()) { case 1: key = r.bytes(); break; ... }
//   if (!r.ok()) return fail(...)
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  bool next();
  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  WireType type() const { return type_; }
  // The value; a type that differs from what the field holds marks the reader as not ok and gives zero.
  uint64_t uint();
  int64_t sint() { return static_cast<int64_t>(uint()); }
  bool boolean() { return uint() != 0; }
  uint64_t fixed64();
  std::string_view bytes();

 private:
  bool damaged();

  std::string_view rest_;
  std::string_view bytes_;
  uint64_t number_ = 0;
  uint32_t field_ = 0;
  WireType type_ = WireType::Varint;
  bool ok_ = true;
};

// Reads fixed numbers, varints and runs of bytes one after the other. Past the end every read gives
// zero or nothing and ok() is false, so a decoder may read a whole record and check once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  uint8_t u8();
  uint32_t fixed32();
  uint64_t fixed64();
  uint64_t varint();
  std::string_view bytes(size_t n);
  // A varint length and that many bytes.
  std::string_view sized_bytes() { return bytes(varint()); }
  std::string_view rest() const { return rest_; }
  size_t remaining() const { return rest_.size(); }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  bool need(size_t n);
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace witan
