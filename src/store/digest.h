// The running digest (core S7): the sum of one 128-bit hash for each row of the logical state. A sum does not depend on
// the order of rows, and a change costs the hash of the old row and of the new one, never a walk.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/coding.h"
#include "store/store.h"

namespace witan::store {

// Hashes one row. Two lanes of folded 64x64 multiplications with different constants: about 16 bytes a nanosecond and,
// between members that do not lie, a chance of 2^-128 to miss a difference. Not for secrets. Changing anything here
// means raising kDigestVersion.
class RowHash {
 public:
  enum class Kind : uint8_t {
    Key = 1,
    Lease = 2,
    Directory = 3,
    Alarm = 4,
    Settings = 5,
    Position = 6,
    Node = 7,
    Hidden = 8
  };

  explicit RowHash(Kind kind) : a_(kA ^ static_cast<uint64_t>(kind)), b_(kB + static_cast<uint64_t>(kind)) {}

  RowHash& number(uint64_t v) {
    a_ = fold(a_ ^ v, kC);
    b_ = fold(b_ + v, kD);
    return *this;
  }
  RowHash& number(int64_t v) { return number(static_cast<uint64_t>(v)); }

  RowHash& bytes(std::string_view v) {
    number(uint64_t{v.size()});
    for (; v.size() >= 16; v.remove_prefix(16)) pair(get_fixed64(v.data()), get_fixed64(v.data() + 8));
    char rest[16] = {};
    if (!v.empty()) {
      std::memcpy(rest, v.data(), v.size());
      pair(get_fixed64(rest), get_fixed64(rest + 8));
    }
    return *this;
  }

  Digest value() const { return {.high = fold(a_ ^ kD, b_ ^ kC), .low = fold(a_ + kB, kA) ^ fold(b_ + kA, kB)}; }

 private:
  static constexpr uint64_t kA = 0x9e3779b97f4a7c15;  // odd numbers with balanced bits; nothing else is asked of them
  static constexpr uint64_t kB = 0xc2b2ae3d27d4eb4f;
  static constexpr uint64_t kC = 0xd6e8feb86659fd93;
  static constexpr uint64_t kD = 0xa0761d6478bd642f;

  static uint64_t fold(uint64_t x, uint64_t y) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * y;
    return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
  }
  void pair(uint64_t x, uint64_t y) {
    a_ = fold(x ^ kC, y ^ a_);
    b_ = fold(x ^ b_, y ^ kD);
  }

  uint64_t a_;
  uint64_t b_;
};

// The sum. Rows may be added and taken away in any order.
class DigestSum {
 public:
  void add(const Digest& row) {
    sum_.low += row.low;
    sum_.high += row.high + (sum_.low < row.low ? 1 : 0);
  }
  void remove(const Digest& row) {
    sum_.high -= row.high + (sum_.low < row.low ? 1 : 0);
    sum_.low -= row.low;
  }
  const Digest& value() const { return sum_; }

 private:
  Digest sum_;
};

inline Digest digest_of(std::string_view key, const Version& v) {
  return RowHash(RowHash::Kind::Key)
      .bytes(key)
      .number(v.create_revision.value)
      .number(v.mod_revision.value)
      .number(v.version)
      .number(v.lease.value)
      .number(v.created.ms())
      .number(v.modified.ms())
      .number(uint64_t{v.value.is_null()})
      .bytes(v.value)
      .value();
}

}  // namespace witan::store
