#include "base/coding.h"

namespace witan {
namespace {

// Takes a varint off the front; false when it is cut short or longer than 64 bits.
bool take_long_varint(std::string_view& rest, uint64_t& v) {
  v = 0;
  for (size_t i = 0; i < rest.size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>(rest[i]);
    if (i == 9 && byte > 1) return false;
    v |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Most tags, lengths and small numbers are a single byte.
inline bool take_varint(std::string_view& rest, uint64_t& v) {
  if (rest.empty() || static_cast<unsigned char>(rest[0]) >= 0x80) return take_long_varint(rest, v);
  v = static_cast<unsigned char>(rest[0]);
  rest.remove_prefix(1);
  return true;
}

}  // namespace

bool FieldReader::damaged() {
  ok_ = false;
  rest_ = {};
  return false;
}

bool FieldReader::next() {
  if (!ok_ || rest_.empty()) return false;
  uint64_t tag = 0;
  if (!take_varint(rest_, tag) || (tag >> 3) == 0 || (tag >> 3) > 0x1fffffff) return damaged();
  field_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<WireType>(tag & 7);
  switch (type_) {
    case WireType::Varint: return take_varint(rest_, number_) || damaged();
    case WireType::Fixed64:
      if (rest_.size() < 8) return damaged();
      number_ = get_fixed64(rest_.data());
      rest_.remove_prefix(8);
      return true;
    case WireType::Fixed32:
      if (rest_.size() < 4) return damaged();
      number_ = get_fixed32(rest_.data());
      rest_.remove_prefix(4);
      return true;
    case WireType::Bytes: {
      uint64_t length = 0;
      if (!take_varint(rest_, length) || length > rest_.size()) return damaged();
      bytes_ = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return true;
    }
  }
  return damaged();
}

uint64_t FieldReader::uint() { return type_ == WireType::Varint || damaged() ? number_ : 0; }

uint64_t FieldReader::fixed64() { return type_ == WireType::Fixed64 || damaged() ? number_ : 0; }

std::string_view FieldReader::bytes() { return type_ == WireType::Bytes || damaged() ? bytes_ : std::string_view(); }

bool ByteReader::need(size_t n) {
  if (ok_ && rest_.size() >= n) return true;
  ok_ = false;
  rest_ = {};
  return false;
}

uint8_t ByteReader::u8() {
  if (!need(1)) return 0;
  const auto v = static_cast<uint8_t>(rest_[0]);
  rest_.remove_prefix(1);
  return v;
}

uint32_t ByteReader::fixed32() {
  if (!need(4)) return 0;
  const uint32_t v = get_fixed32(rest_.data());
  rest_.remove_prefix(4);
  return v;
}

uint64_t ByteReader::fixed64() {
  if (!need(8)) return 0;
  const uint64_t v = get_fixed64(rest_.data());
  rest_.remove_prefix(8);
  return v;
}

uint64_t ByteReader::varint() {
  uint64_t v = 0;
  if (ok_ && take_varint(rest_, v)) return v;
  ok_ = false;
  rest_ = {};
  return 0;
}

std::string_view ByteReader::bytes(size_t n) {
  if (!need(n)) return {};
  const std::string_view v = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return v;
}

}  // namespace witan
