// The names of ZooKeeper's files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/disk.h"

namespace witan::migrate::zookeeper {

enum class Packing : uint8_t { None, Gzip, Snappy };

struct DataFile {
  std::string path;
  int64_t zxid = 0;  // a snapshot holds everything up to it; a log begins with it
  Packing packing = Packing::None;
};

struct Listing {
  std::string directory;               // where the files are: the given one, or its version-2
  std::vector<DataFile> snapshots;     // the newest first
  std::vector<DataFile> logs;          // the oldest first
  std::vector<std::string> strangers;  // paths that begin like a snapshot or a log and are none
};

// NotFound when there is no such directory.
Result<Listing> list_files(env::Disk& disk, const std::string& directory);

}  // namespace witan::migrate::zookeeper
