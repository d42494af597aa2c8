// The 16 bytes with which ZooKeeper's files begin.
#pragma once

#include <cstdint>

#include <fmt/format.h>

#include "migrate/zookeeper/input.h"

namespace witan::migrate::zookeeper {

inline constexpr int32_t kSnapshotMagic = 0x5a4b534e;  // "ZKSN"
inline constexpr int32_t kLogMagic = 0x5a4b4c47;       // "ZKLG"
inline constexpr int32_t kFileVersion = 2;

inline void read_file_header(Input& in, int32_t magic) {
  const int32_t found = in.int32();
  const int32_t version = in.int32();
  in.int64();  // the database's id, unused by ZooKeeper
  if (in.ok() && found != magic) in.refuse("it does not begin as ZooKeeper's files do");
  if (in.ok() && version != kFileVersion) in.refuse(fmt::format("it is of format version {}, not 2", version));
}

}  // namespace witan::migrate::zookeeper
