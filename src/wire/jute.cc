#include "wire/jute.h"

#include <cstring>

#include "base/check.h"

namespace witan::wire {
namespace {

template <class Number>
Number load(const char* p) {
  Number v = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) v = static_cast<Number>(v << 8 | static_cast<unsigned char>(p[i]));
  return v;
}

template <class Number>
void save(char* p, Number v) {
  for (size_t i = 0; i < sizeof(Number); ++i) p[i] = static_cast<char>(v >> (8 * (sizeof(Number) - 1 - i)));
}

}  // namespace

void JuteReader::refuse() {
  ok_ = false;
  rest_ = {};
}

bool JuteReader::need(size_t n) {
  if (rest_.size() >= n) return true;
  refuse();
  return false;
}

int32_t JuteReader::i32() {
  if (!need(4)) return 0;
  const auto v = load<uint32_t>(rest_.data());
  rest_.remove_prefix(4);
  return static_cast<int32_t>(v);
}

int64_t JuteReader::i64() {
  if (!need(8)) return 0;
  const auto v = load<uint64_t>(rest_.data());
  rest_.remove_prefix(8);
  return static_cast<int64_t>(v);
}

bool JuteReader::boolean() {
  if (!need(1)) return false;
  const bool v = rest_[0] != 0;
  rest_.remove_prefix(1);
  return v;
}

JuteText JuteReader::text() {
  const int32_t length = i32();
  if (length == -1) return std::nullopt;
  if (length < 0) {
    refuse();
    return std::nullopt;
  }
  const auto size = static_cast<size_t>(length);
  if (!need(size)) return std::nullopt;
  const std::string_view v = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return v;
}

std::string_view JuteReader::required_text() {
  const JuteText v = text();
  if (!v.has_value()) refuse();
  return v.value_or(std::string_view());
}

std::optional<uint32_t> JuteReader::count(size_t item_size) {
  CHECK(item_size > 0);
  const int32_t n = i32();
  if (n == -1) return std::nullopt;
  if (n < 0) return 0;
  if (static_cast<size_t>(n) > rest_.size() / item_size) {
    refuse();
    return 0;
  }
  return static_cast<uint32_t>(n);
}

char* JuteWriter::room(size_t n) {
  if (n > kStaging - used_) flush();
  char* const p = staging_.data() + used_;
  used_ += n;
  return p;
}

void JuteWriter::i32(int32_t v) { save(room(4), static_cast<uint32_t>(v)); }
void JuteWriter::i64(int64_t v) { save(room(8), static_cast<uint64_t>(v)); }
void JuteWriter::boolean(bool v) { *room(1) = v ? 1 : 0; }

void JuteWriter::bytes(std::string_view v) {
  if (v.empty()) return;
  if (v.size() <= kStaging) {
    std::memcpy(room(v.size()), v.data(), v.size());
    return;
  }
  flush();
  out_.append(v);
  flushed_ += v.size();
}

void JuteWriter::text(JuteText v) {
  if (!v.has_value()) return i32(-1);
  i32(static_cast<int32_t>(v->size()));
  bytes(*v);
}

void JuteWriter::blob(const Blob& v) {
  if (v.is_null()) return i32(-1);
  if (v.size() < Chain::kShareFrom) return text(v.view());
  i32(static_cast<int32_t>(v.size()));
  flush();
  out_.append(v);
  flushed_ += v.size();
}

void JuteWriter::flush() {
  out_.append(std::string_view(staging_.data(), used_));
  flushed_ += used_;
  used_ = 0;
}

}  // namespace witan::wire
