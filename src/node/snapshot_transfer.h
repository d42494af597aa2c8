// Snapshot files on their way between members: the newest streamed to one that is behind, and the leader's taken in.
// On consensus' loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/function.h"
#include "base/log.h"
#include "env/loop.h"
#include "node/consensus.h"
#include "peer/peer.h"
#include "wal/snapshot_files.h"

namespace witan::node {

class SnapshotTransfer final : public SnapshotPort {
 public:
  // `files` is used on `lane` only.
  SnapshotTransfer(std::shared_ptr<wal::SnapshotFiles> files, env::Lane& lane, Logger logger)
      : files_(std::move(files)), lane_(lane), logger_(std::move(logger)) {}
  void connect(Consensus& consensus, peer::Peers& peers) {
    consensus_ = &consensus;
    peers_ = &peers;
  }
  // Nothing new begins; what arrives is not handed on.
  void stop() { stopped_ = true; }

  // SnapshotPort
  void send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) override;
  std::unique_ptr<peer::SnapshotSink> receive(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                              uint64_t size) override;
  std::optional<raft::Index> needed_after() const override;

 private:
  class Source;
  class Sink;

  void send(raft::NodeId to, raft::Term term, std::shared_ptr<wal::SnapshotChunks> chunks,
            Function<void(bool delivered)> done);

  std::shared_ptr<wal::SnapshotFiles> files_;
  env::Lane& lane_;
  Logger logger_;
  Consensus* consensus_ = nullptr;
  peer::Peers* peers_ = nullptr;
  std::multimap<raft::Index, raft::NodeId> sending_;
  bool receiving_ = false;
  bool stopped_ = false;
};

}  // namespace witan::node
