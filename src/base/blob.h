// Immutable bytes that many can hold and nobody copies (core S6).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace witan {

// A counted reference to one exact-size, immutable buffer: 8 bytes to hold, one allocation to make,
// an atomic increment to share. A null Blob and an empty one differ (ZooKeeper tells them apart).
// Thread-safe as an int is: different Blob objects may share one buffer on different threads.
class Blob {
 public:
  Blob() = default;
  // Copies `bytes` once.
  explicit Blob(std::string_view bytes);
  Blob(const Blob& other) noexcept : rep_(other.rep_) { retain(); }
  Blob(Blob&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Blob& operator=(Blob other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Blob() { release(); }

  // A buffer of `size` bytes that the caller fills through mutable_data() before sharing it.
  static Blob uninitialized(size_t size);

  bool is_null() const { return rep_ == nullptr; }
  size_t size() const { return rep_ == nullptr ? 0 : rep_->size; }
  bool empty() const { return size() == 0; }
  const char* data() const { return rep_ == nullptr ? "" : bytes_of(rep_); }
  std::string_view view() const { return {data(), size()}; }
  operator std::string_view() const { return view(); }  // NOLINT: a Blob is used wherever bytes are read

  // Requires: this is the only reference (checked).
  char* mutable_data();

  // Bytes of memory the buffer takes, header included; 0 when null. For budgets (core F4, S3).
  size_t memory() const { return rep_ == nullptr ? 0 : sizeof(Rep) + rep_->size; }

  // Equal bytes and equal nullness.
  friend bool operator==(const Blob& a, const Blob& b) { return a.is_null() == b.is_null() && a.view() == b.view(); }

 private:
  struct Rep {
    std::atomic<uint32_t> references;
    uint32_t size;
  };
  static char* bytes_of(Rep* rep) { return reinterpret_cast<char*>(rep + 1); }

  explicit Blob(Rep* rep) : rep_(rep) {}
  static Rep* allocate(size_t size);
  void retain() const {
    if (rep_ != nullptr) rep_->references.fetch_add(1, std::memory_order_relaxed);
  }
  void release() {
    if (rep_ != nullptr && rep_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(rep_);
  }
  static void destroy(Rep* rep);

  Rep* rep_ = nullptr;
};

}  // namespace witan
