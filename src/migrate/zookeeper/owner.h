// How ZooKeeper puts the kind of a node into the number that names an ephemeral node's session.
#pragma once

#include <cstdint>

#include "migrate/zookeeper/imported.h"

namespace witan::migrate::zookeeper {

inline constexpr int64_t kContainerOwner = INT64_MIN;
inline constexpr int64_t kTtlBits = (int64_t{1} << 40) - 1;  // 34 years of milliseconds

// The top 24 bits of a TTL node's owner since ZooKeeper 3.5.4, and before.
inline constexpr uint64_t kTtlMark = 0xff0000;
inline constexpr uint64_t kOldTtlMark = 0x800000;

inline int64_t ttl_owner(int64_t ttl_ms) { return static_cast<int64_t>(kTtlMark << 40) | ttl_ms; }
inline int64_t old_ttl_owner(int64_t ttl_ms) { return static_cast<int64_t>(kOldTtlMark << 40) | ttl_ms; }

struct Ownership {
  Kind kind = Kind::Ordinary;
  int64_t ttl_ms = 0;
};

// What a stored owner means. A session of server 128 or 255 could look like a TTL in the first hours after its clock
// came round, once in 34 years; whether there is a session of that id settles it.
inline Ownership ownership(int64_t owner, bool is_session) {
  if (owner == 0) return {};
  if (owner == kContainerOwner) return {Kind::Container};
  const uint64_t mark = static_cast<uint64_t>(owner) >> 40;
  if (!is_session && (mark == kTtlMark || mark == kOldTtlMark)) return {Kind::Ttl, owner & kTtlBits};
  return {Kind::Ephemeral};
}

}  // namespace witan::migrate::zookeeper
