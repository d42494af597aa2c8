#include "migrate/zookeeper/digest.h"

#include <algorithm>
#include <string>

#include <zlib.h>

#include "migrate/zookeeper/owner.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr std::string_view kUntracked = "/zookeeper/";

uint32_t crc(uint32_t before, std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// To the digest the root is called "".
std::string_view digested_path(std::string_view path) { return path == "/" ? std::string_view() : path; }

enum class Encoding : uint8_t { Utf8, Ascii, Latin1 };

bool ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Paths have no characters beyond U+FFFF.
std::string encode(std::string_view utf8, Encoding encoding) {
  std::string text;
  for (size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 1) {
      text.push_back(utf8[i]);
    } else if (encoding == Encoding::Latin1 && lead <= 0xc3 && i + 1 < utf8.size()) {
      text.push_back(static_cast<char>((lead & 3) << 6 | (static_cast<unsigned char>(utf8[i + 1]) & 0x3f)));
    } else {
      text.push_back('?');
    }
    i += length;
  }
  return text;
}

uint64_t node_digest(uint32_t prefix, const Stat& stat, int64_t owner) {
  std::string bytes;
  bytes.reserve(60);
  const auto put = [&bytes](int64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  };
  for (const int64_t value : {stat.czxid, stat.mzxid, stat.pzxid, stat.ctime_ms, stat.mtime_ms}) put(value, 8);
  for (const int32_t value : {stat.version, stat.cversion, stat.aversion}) put(value, 4);
  put(owner, 8);
  return crc(prefix, bytes);
}

}  // namespace

uint32_t digest_prefix(std::string_view path, std::string_view data) { return crc(crc(0, digested_path(path)), data); }

void TreeDigest::change(const Digested& node, int sign) {
  if (node.path.starts_with(kUntracked)) return;
  const auto factor = static_cast<uint64_t>(static_cast<int64_t>(sign));
  // Most nodes have one digest, whatever the server's settings are.
  if (!node.replayed_ttl && ascii(node.path)) {
    const uint64_t one = factor * node_digest(node.prefix, node.stat, node.stat.ephemeral_owner);
    for (uint64_t& sum : sums_) sum += one;
    return;
  }
  const int64_t other = node.replayed_ttl ? old_ttl_owner(node.ttl_ms) : node.stat.ephemeral_owner;
  size_t at = 0;
  for (const Encoding encoding : {Encoding::Utf8, Encoding::Ascii, Encoding::Latin1}) {
    const bool utf8 = encoding == Encoding::Utf8;
    const uint32_t prefix = utf8 ? node.prefix : digest_prefix(encode(node.path, encoding), node.data);
    for (const int64_t owner : {node.stat.ephemeral_owner, other}) {
      sums_[at++] += factor * node_digest(prefix, node.stat, owner);
    }
  }
}

bool TreeDigest::matches(uint64_t digest) const { return std::ranges::find(sums_, digest) != sums_.end(); }

}  // namespace witan::migrate::zookeeper
