// The snapshot files of a member: atomic, listed by index, temp files cleaned up (core D3, S4).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"
#include "wal/snapshot_reader.h"
#include "wal/snapshot_writer.h"

namespace witan::wal {

struct SnapshotInfo {
  raft::SnapshotMeta meta;
  uint64_t bytes = 0;  // of the file
};

// Calls block; one thread at a time. What it makes (writers, readers) may be used on another thread, but needs `disk`.
class SnapshotFiles {
 public:
  // Makes the directory if need be and removes what an interrupted write or transfer left. `disk` must outlive it.
  static Result<std::unique_ptr<SnapshotFiles>> open(env::Disk& disk, const std::string& directory, Logger logger);

  // The one of the highest index, its beginning and end checked; nothing when there is none. A damaged one is an error
  // (Corrupt), never passed over: the log before it may be gone.
  Result<std::optional<SnapshotInfo>> newest();
  // The state's bytes. Errors: NotFound (no snapshot of that index), Corrupt, Invalid, Io.
  Result<std::unique_ptr<SnapshotReader>> read(raft::Index index);
  // The file's bytes, to send them.
  Result<std::unique_ptr<SnapshotChunks>> chunks(raft::Index index);

  Result<std::unique_ptr<SnapshotWriter>> write(const raft::SnapshotMeta& meta);
  // `size` as announced by the sender.
  Result<std::unique_ptr<SnapshotReceiver>> receive(const raft::SnapshotMeta& meta, uint64_t size);

  // Files of lower indices go. They can still be read through chunks() made before.
  Result<> remove_before(raft::Index index);

 private:
  struct Name {
    raft::Index index;
    raft::Term term;
    std::string text;
  };

  SnapshotFiles(env::Disk& disk, std::string directory, Logger logger)
      : disk_(disk), directory_(std::move(directory)), logger_(std::move(logger)) {}
  Result<> clean();
  Result<std::vector<Name>> list();  // by index, then term
  Result<std::unique_ptr<UnfinishedFile>> unfinished();

  env::Disk& disk_;
  const std::string directory_;
  Logger logger_;
  uint64_t last_temporary_ = 0;
};

}  // namespace witan::wal
