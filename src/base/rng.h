// Randomness as an object: equal seeds draw equal numbers on every compiler (no <random>).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace witan {

// xoshiro256** seeded by splitmix64 (Blackman, Vigna 2018). Not for secrets.
class Rng {
 public:
  explicit Rng(uint64_t seed);

  uint64_t next();
  // Uniform in [0, bound). Requires bound > 0. Unbiased (Lemire 2019).
  uint64_t below(uint64_t bound);
  // Uniform in [low, high], both ends included. Requires low <= high.
  int64_t between(int64_t low, int64_t high);
  // True with probability numerator/denominator.
  bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }
  // A generator of its own for a named component: drawing from one never disturbs another.
  Rng fork(std::string_view name);

  template <class T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_[4];
};

}  // namespace witan
