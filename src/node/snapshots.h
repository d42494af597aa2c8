// The state's side of snapshot files (core S4, D3): writing the state's in slices while it goes on, and loading one
// into a store. On the state's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/function.h"
#include "base/log.h"
#include "env/loop.h"
#include "raft/types.h"
#include "store/snapshot.h"
#include "wal/snapshot_files.h"

namespace witan::node {

// Reads the newest snapshot on disk into a store; nullopt when there is none. Blocks. Errors: Corrupt, Io.
struct LoadedSnapshot {
  raft::SnapshotMeta meta;
  uint64_t bytes = 0;  // of the file
  std::unique_ptr<store::Store> store;
};
Result<std::optional<LoadedSnapshot>> load_newest(wal::SnapshotFiles& files);

class Snapshots {
 public:
  // `files` is used on `lane` only, whose answers come back on the state's loop. `newest_bytes`: of the newest file.
  Snapshots(std::shared_ptr<wal::SnapshotFiles> files, env::Lane& lane, uint64_t newest_bytes, Logger logger);
  ~Snapshots();

  // Writes `store` as it is now, and makes the file count only after durable(meta.index) was called: a snapshot must
  // not stand for entries that this member's disk has not got (core S4). `done` with the file's bytes, or why not.
  void write(store::Store& store, raft::SnapshotMeta meta, Function<void(Result<uint64_t>)> done);
  void durable(raft::Index index);
  bool writing() const { return job_ != nullptr; }
  uint64_t newest_bytes() const { return newest_bytes_; }
  // Gives up the snapshot being written: its store is about to go.
  void abandon();

  // Reads the newest snapshot; nullopt when there is none.
  void load(Function<void(Result<std::optional<LoadedSnapshot>>)> done);

 private:
  struct Job;
  struct OnLane;

  void on_written(const std::shared_ptr<OnLane>& lane);
  void write_piece();
  void finish_job(Result<uint64_t> result);

  std::shared_ptr<wal::SnapshotFiles> files_;
  env::Lane& lane_;
  Logger logger_;
  std::unique_ptr<Job> job_;
  uint64_t newest_bytes_ = 0;
};

}  // namespace witan::node
