#include "api/zookeeper/password.h"

#include <algorithm>

namespace witan::api::zookeeper {

// java.util.Random, whose numbers its documentation fixes: x -> 0x5deece66d * x + 11 in 48 bits, of which the upper 32
// are the number; nextBytes() lays numbers out with the least significant byte first.
std::array<char, kPasswordBytes> session_password(int64_t session_id) {
  constexpr uint64_t kSecret = 0xb3415c00;
  constexpr uint64_t kMultiplier = 0x5deece66d;
  constexpr uint64_t kMask = (uint64_t{1} << 48) - 1;
  uint64_t x = ((static_cast<uint64_t>(session_id) ^ kSecret) ^ kMultiplier) & kMask;
  std::array<char, kPasswordBytes> out{};
  for (size_t i = 0; i < out.size(); i += 4) {
    x = (x * kMultiplier + 11) & kMask;
    const uint64_t number = x >> 16;
    for (size_t j = 0; j < 4; ++j) out[i + j] = static_cast<char>(number >> (8 * j));
  }
  return out;
}

bool is_session_password(int64_t session_id, JuteText shown) {
  const std::array<char, kPasswordBytes> right = session_password(session_id);
  return shown.has_value() && std::equal(right.begin(), right.end(), shown->begin(), shown->end());
}

}  // namespace witan::api::zookeeper
