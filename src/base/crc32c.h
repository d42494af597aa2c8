// CRC32C (Castagnoli), the checksum of every format of ours.
#pragma once

#include <cstdint>
#include <string_view>

namespace witan {

// The standard value: crc32c("123456789") == 0xE3069283. To checksum pieces, pass the previous result
// as `seed`: crc32c(b, crc32c(a)) == crc32c(a + b).
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace witan
