#include "node/snapshot_transfer.h"

#include <utility>

#include "node/consensus.h"

namespace witan::node {

// ---- Sending ------------------------------------------------------------------------------------

// A file on its way to another member, read on the lane.
class SnapshotTransfer::Source final : public peer::SnapshotSource {
 public:
  Source(std::shared_ptr<wal::SnapshotChunks> chunks, env::Lane& lane) : chunks_(std::move(chunks)), lane_(lane) {}
  uint64_t size() const override { return chunks_->size(); }
  void read(size_t max_bytes, Function<void(Result<Blob>)> done) override {
    auto piece = std::make_shared<Result<Blob>>();
    lane_.run([chunks = chunks_, piece, offset = offset_, max_bytes] { *piece = chunks->read(offset, max_bytes); },
              [piece, done = std::move(done)]() mutable { done(std::move(*piece)); });
    offset_ += max_bytes;
  }

 private:
  std::shared_ptr<wal::SnapshotChunks> chunks_;
  env::Lane& lane_;
  uint64_t offset_ = 0;
};

void SnapshotTransfer::send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) {
  struct Opened {
    Result<std::shared_ptr<wal::SnapshotChunks>> chunks;
  };
  auto opened = std::make_shared<Opened>();
  lane_.run(
      [files = files_.get(), opened] {
        const auto newest = files->newest();
        if (!newest) {
          opened->chunks = std::unexpected(newest.error());
        } else if (!*newest) {
          opened->chunks = fail(Code::NotFound, "there is no snapshot yet");
        } else if (auto chunks = files->chunks((*newest)->meta.index)) {
          opened->chunks = std::shared_ptr<wal::SnapshotChunks>(std::move(*chunks));
        } else {
          opened->chunks = std::unexpected(std::move(chunks.error()));
        }
      },
      [this, opened, to, term, done = std::move(done)]() mutable {
        if (stopped_) return;
        if (!opened->chunks) {
          logger_.error("no snapshot for member {:x}: {}", to.value, opened->chunks.error().message);
          return done(false);
        }
        send(to, term, std::move(*opened->chunks), std::move(done));
      });
}

void SnapshotTransfer::send(raft::NodeId to, raft::Term term, std::shared_ptr<wal::SnapshotChunks> chunks,
                            Function<void(bool delivered)> done) {
  const raft::SnapshotMeta meta = chunks->meta();
  logger_.info("sending the snapshot at entry {} to member {:x}, {} bytes", meta.index, to.value, chunks->size());
  const auto sending = sending_.emplace(meta.index, to);
  peers_->send_snapshot(to, term, meta, std::make_unique<Source>(std::move(chunks), lane_),
                        [this, sending, to, done = std::move(done)](bool delivered) mutable {
                          sending_.erase(sending);
                          if (!delivered) logger_.warn("the snapshot did not reach member {:x}", to.value);
                          done(delivered);
                        });
}

std::optional<raft::Index> SnapshotTransfer::needed_after() const {
  if (sending_.empty()) return std::nullopt;
  return sending_.begin()->first;
}

// ---- Receiving ----------------------------------------------------------------------------------

// A file on its way in. One at a time: the leader alone sends, and only what it sent last matters.
class SnapshotTransfer::Sink final : public peer::SnapshotSink {
 public:
  Sink(SnapshotTransfer& owner, raft::NodeId from, raft::Term term, raft::SnapshotMeta meta, uint64_t size)
      : owner_(owner), lane_(owner.lane_), from_(from), term_(term), meta_(std::move(meta)), size_(size) {}
  ~Sink() override {
    owner_.receiving_ = false;
    // Removes an unfinished file, behind whatever the lane is still doing with it.
    lane_.run([file = std::move(file_)] {}, [] {});
  }

  void write(Blob piece, Function<void(Result<>)> done) override {
    auto result = std::make_shared<Result<>>();
    lane_.run([files = owner_.files_.get(), file = file_, meta = meta_, size = size_, piece = std::move(piece),
               result] { *result = append(*files, *file, meta, size, piece); },
              [result, done = std::move(done)]() mutable { done(std::move(*result)); });
  }

  void finish(Function<void(Result<>)> done) override {
    auto result = std::make_shared<Result<>>();
    lane_.run(
        [file = file_, result] {
          *result = file->receiver ? file->receiver->finish() : fail(Code::Invalid, "an empty snapshot");
        },
        [&owner = owner_, from = from_, term = term_, meta = meta_, result, done = std::move(done)]() mutable {
          const bool good = result->has_value();
          done(std::move(*result));
          if (good && !owner.stopped_) owner.consensus_->snapshot_received(from, term, std::move(meta));
        });
  }

 private:
  struct Incoming {
    std::unique_ptr<wal::SnapshotReceiver> receiver;
  };

  static Result<> append(wal::SnapshotFiles& files, Incoming& file, const raft::SnapshotMeta& meta, uint64_t size,
                         const Blob& piece) {
    if (!file.receiver) {
      auto made = files.receive(meta, size);
      if (!made) return std::unexpected(made.error());
      file.receiver = std::move(*made);
    }
    return file.receiver->append(file.receiver->received(), piece.view());
  }

  SnapshotTransfer& owner_;
  env::Lane& lane_;
  const raft::NodeId from_;
  const raft::Term term_;
  const raft::SnapshotMeta meta_;
  const uint64_t size_;
  std::shared_ptr<Incoming> file_ = std::make_shared<Incoming>();
};

std::unique_ptr<peer::SnapshotSink> SnapshotTransfer::receive(raft::NodeId from, raft::Term term,
                                                              raft::SnapshotMeta meta, uint64_t size) {
  if (stopped_ || receiving_) return nullptr;
  receiving_ = true;
  logger_.info("receiving the snapshot at entry {} from member {:x}, {} bytes", meta.index, from.value, size);
  return std::make_unique<Sink>(*this, from, term, std::move(meta), size);
}

}  // namespace witan::node
