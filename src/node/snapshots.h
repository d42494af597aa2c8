// Snapshot files of a member (core S4, D3): writing the state's in slices while it goes on, streaming the newest to
// members that are behind, taking in one that the leader sends, and loading one into a store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/function.h"
#include "base/log.h"
#include "env/disk.h"
#include "env/loop.h"
#include "node/client.h"
#include "node/consensus.h"
#include "peer/peer.h"
#include "store/snapshot.h"
#include "wal/snapshot_files.h"

namespace witan::node {

// Reads the newest snapshot on disk into a store; nullopt when there is none. Blocks. Errors: Corrupt, Io.
struct LoadedSnapshot {
  raft::SnapshotMeta meta;
  std::unique_ptr<store::Store> store;
};
Result<std::optional<LoadedSnapshot>> load_newest(wal::SnapshotFiles& files);

class Snapshots final : public SnapshotPort {
 public:
  // `files` is used on `lane` only, from now on.
  Snapshots(std::unique_ptr<wal::SnapshotFiles> files, env::Loop& loop, env::Lane& lane, Logger logger);
  ~Snapshots() override;
  void connect(Consensus& consensus, peer::Peers& peers) {
    consensus_ = &consensus;
    peers_ = &peers;
  }

  // Writes `store` as it is now. Its applied entry must be durable here. `done` with the file's bytes, or why not.
  void write(store::Store& store, raft::SnapshotMeta meta, Function<void(Result<uint64_t>)> done);
  bool writing() const { return job_ != nullptr; }
  // Reads the newest snapshot, which must be of `index`.
  void load(raft::Index index, Function<void(Result<std::unique_ptr<store::Store>>)> done);

  // The lowest index that members being sent a snapshot will go on from; entries above it should stay in the log.
  std::optional<raft::Index> needed_after() const;
  uint64_t newest_bytes() const { return newest_bytes_; }
  // Gives up the snapshot being written: its store is about to go.
  void abandon();
  // No new work; what is under way is abandoned.
  void stop();

  // SnapshotPort
  void send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) override;
  std::unique_ptr<peer::SnapshotSink> receive(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                              uint64_t size) override;

 private:
  class Source;
  class Sink;
  struct Job;
  struct OnLane;

  void on_written(const std::shared_ptr<OnLane>& lane);
  void finish_job(Result<uint64_t> result);
  void send(raft::NodeId to, raft::Term term, std::shared_ptr<wal::SnapshotChunks> chunks,
            Function<void(bool delivered)> done);

  std::unique_ptr<wal::SnapshotFiles> files_;
  env::Loop& loop_;
  env::Lane& lane_;
  Logger logger_;
  Consensus* consensus_ = nullptr;
  peer::Peers* peers_ = nullptr;
  std::unique_ptr<Job> job_;
  std::multimap<raft::Index, raft::NodeId> sending_;
  bool receiving_ = false;
  bool stopped_ = false;
  uint64_t newest_bytes_ = 0;
};

}  // namespace witan::node
