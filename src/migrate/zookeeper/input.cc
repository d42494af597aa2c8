#include "migrate/zookeeper/input.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>

namespace witan::migrate::zookeeper {

template <class T>
T Input::number() {
  const std::string_view from = bytes(sizeof(T));
  std::make_unsigned_t<T> value = 0;
  for (const char c : from) value = static_cast<std::make_unsigned_t<T>>(value << 8 | static_cast<unsigned char>(c));
  return static_cast<T>(value);
}

int32_t Input::int32() { return number<int32_t>(); }
int64_t Input::int64() { return number<int64_t>(); }

bool Input::boolean() {
  const std::string_view from = bytes(1);
  return !from.empty() && from[0] != 0;
}

std::optional<std::string_view> Input::buffer() {
  const uint64_t start = offset();
  const int32_t size = int32();
  if (!ok()) return std::string_view();
  if (size == -1) return {};
  if (size < 0 || static_cast<size_t>(size) > kMaxField) {
    fault_ = Fault::Bad;
    problem_ = {start, fmt::format("a length of {} bytes", size)};
    return std::string_view();
  }
  return bytes(static_cast<size_t>(size));
}

std::string_view Input::bytes(size_t n) {
  if (!need(n)) return {};
  const std::string_view found = window_.substr(at_, n);
  at_ += n;
  return found;
}

std::string_view Input::peek(size_t n) {
  if (ok() && window_.size() - at_ < n) refill(n);
  return ok() ? window_.substr(at_, n) : std::string_view();
}

bool Input::need(size_t n) {
  if (!ok()) return false;
  if (window_.size() - at_ < n) refill(n);
  if (!ok()) return false;
  if (window_.size() - at_ >= n) return true;
  fault_ = Fault::End;
  problem_ = {offset(), "the bytes end in the middle of a value"};
  return false;
}

void Input::refill(size_t n) {
  if (source_ == nullptr) return;
  checksum();
  buffer_.erase(0, at_);
  base_ += at_;
  at_ = summed_ = 0;
  while (buffer_.size() < n) {
    const size_t had = buffer_.size();
    buffer_.resize(had + ahead_);
    const Result<size_t> got = source_->read(std::span(buffer_).subspan(had));
    buffer_.resize(had + got.value_or(0));
    if (!got) {
      fault_ = Fault::Bad;
      problem_ = {base_ + had, got.error().message, got.error().code};
    }
    if (got.value_or(0) == 0) break;
  }
  window_ = buffer_;
}

Problem Input::fault() const { return problem_; }

void Input::refuse(std::string what) {
  if (!ok()) return;
  fault_ = Fault::Bad;
  problem_ = {offset(), std::move(what)};
}

uint32_t Input::checksum() {
  const std::string_view unread = window_.substr(summed_, at_ - summed_);
  sum_ = static_cast<uint32_t>(adler32_z(sum_, reinterpret_cast<const Bytef*>(unread.data()), unread.size()));
  summed_ = at_;
  return sum_;
}

}  // namespace witan::migrate::zookeeper
