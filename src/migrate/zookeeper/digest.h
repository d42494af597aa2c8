// ZooKeeper's own checksum of its tree (digest version 2, ZooKeeper 3.6 and later): the sum over all nodes, except
// those below /zookeeper, of the CRC-32 of path, data and stat.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "migrate/zookeeper/imported.h"

namespace witan::migrate::zookeeper {

inline constexpr int32_t kDigestVersion = 2;

// The CRC-32 of path and data, with which every digest of a node begins: only its data can change it.
uint32_t digest_prefix(std::string_view path, std::string_view data);

// What a digest is made of.
struct Digested {
  std::string_view path;
  std::string_view data;
  uint32_t prefix = 0;        // digest_prefix(path, data)
  bool replayed_ttl = false;  // made by a transaction that says the TTL, and not how the server stores it
  int64_t ttl_ms = 0;
  const Stat& stat;
};

// The sum, in each of the ways in which a server may have computed it: a path's characters beyond ASCII enter it in the
// encoding of the server's locale (with "?" for what that lacks), and a TTL is stored with one of two marks
// (zookeeper.emulate353TTLNodes).
class TreeDigest {
 public:
  void add(const Digested& node) { change(node, 1); }
  void remove(const Digested& node) { change(node, -1); }
  bool matches(uint64_t digest) const;

 private:
  void change(const Digested& node, int sign);
  std::array<uint64_t, 6> sums_{};  // three encodings, two marks
};

}  // namespace witan::migrate::zookeeper
