// A ZooKeeper data directory, read into memory: what ZooKeeper would serve if it started on it.
#pragma once

#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "migrate/zookeeper/imported.h"

namespace witan::migrate::zookeeper {

struct Options {
  std::string data_dir;      // zoo.cfg's dataDir, or its version-2
  std::string data_log_dir;  // zoo.cfg's dataLogDir, or its version-2; empty where it has none
  bool check_digests = true;
};

// Reads the newest valid snapshot and replays the logs from there, of directories that ZooKeeper 3.4 to 3.9 wrote. Both
// must be closed: no server may be running on them. Changes nothing. Memory: the tree, and one record.
//
// All or nothing. Errors are NotFound where there is nothing of ZooKeeper's, Io, and Corrupt for everything that cannot
// be read or does not fit together; they name file and byte, and say what to do. Wherever ZooKeeper left a digest of
// its tree, the one that was read must have the same.
Result<Imported> read_directory(env::Disk& disk, const Options& options);

}  // namespace witan::migrate::zookeeper
