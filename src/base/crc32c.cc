#include "base/crc32c.h"

#include <isa-l/crc.h>

#include "base/check.h"

namespace witan {

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
  uint32_t crc = ~seed;
  // ISA-L takes an int length and, by an oversight of its C interface, a pointer to mutable bytes it only reads.
  constexpr size_t kPiece = size_t{1} << 30;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPiece);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
    bytes.remove_prefix(piece.size());
  }
  return ~crc;
}

}  // namespace witan
