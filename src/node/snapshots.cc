#include "node/snapshots.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace witan::node {
namespace {

// How much of the state is encoded in one turn of the loop (core P4), about a millisecond's work.
constexpr size_t kSliceBytes = size_t{256} << 10;

}  // namespace

Result<std::optional<LoadedSnapshot>> load_newest(wal::SnapshotFiles& files) {
  auto newest = files.newest();
  if (!newest) return std::unexpected(newest.error());
  if (!*newest) return std::optional<LoadedSnapshot>();
  auto reader = files.read((*newest)->meta.index);
  if (!reader) return std::unexpected(reader.error());
  store::SnapshotDecoder decoder;
  for (;;) {
    const auto piece = (*reader)->next();
    if (!piece) return std::unexpected(piece.error());
    if (piece->empty()) break;
    if (auto fed = decoder.feed(*piece); !fed) return std::unexpected(fed.error());
  }
  auto store = decoder.finish();
  if (!store) return std::unexpected(store.error());
  return std::optional<LoadedSnapshot>(LoadedSnapshot{(*reader)->meta(), std::move(*store)});
}

Snapshots::Snapshots(std::unique_ptr<wal::SnapshotFiles> files, env::Loop& loop, env::Lane& lane, Logger logger)
    : files_(std::move(files)), loop_(loop), lane_(lane), logger_(std::move(logger)) {
  if (const auto newest = files_->newest(); newest && *newest) newest_bytes_ = (*newest)->bytes;
}

Snapshots::~Snapshots() = default;

// ---- Writing the state's ------------------------------------------------------------------------

// What the lane works on; the loop does not touch it while a task is there.
struct Snapshots::OnLane {
  std::unique_ptr<wal::SnapshotWriter> writer;
  std::string piece;
  bool last = false;
  Result<uint64_t> result = 0;
};

struct Snapshots::Job {
  raft::SnapshotMeta meta;
  std::unique_ptr<store::SnapshotEncoder> encoder;
  Function<void(Result<uint64_t>)> done;
  std::shared_ptr<OnLane> lane = std::make_shared<OnLane>();
};

void Snapshots::write(store::Store& store, raft::SnapshotMeta meta, Function<void(Result<uint64_t>)> done) {
  CHECK(!job_, "one snapshot is written at a time");
  job_ = std::make_unique<Job>();
  job_->meta = meta;
  job_->encoder = std::make_unique<store::SnapshotEncoder>(store);
  job_->done = std::move(done);
  logger_.info("writing a snapshot at entry {}", meta.index);
  lane_.run(
      [files = files_.get(), lane = job_->lane, meta = std::move(meta)] {
        if (auto writer = files->write(meta)) {
          lane->writer = std::move(*writer);
        } else {
          lane->result = std::unexpected(std::move(writer.error()));
        }
      },
      [this, lane = job_->lane] { on_written(lane); });
}

// The lane has written what it had; the next slice, the end, or the failure.
void Snapshots::on_written(const std::shared_ptr<OnLane>& lane) {
  if (!job_ || job_->lane != lane) return;  // abandoned meanwhile
  if (!lane->result) return finish_job(std::move(lane->result));
  if (lane->last) return finish_job(lane->result);
  lane->piece.clear();
  lane->last = !job_->encoder->next(kSliceBytes, lane->piece);
  lane_.run(
      [files = files_.get(), lane, index = job_->meta.index] {
        if (auto appended = lane->writer->append(lane->piece); !appended) {
          lane->result = std::unexpected(std::move(appended.error()));
        } else if (lane->last) {
          lane->result = lane->writer->finish();
          if (lane->result) (void)files->remove_before(index);  // older ones only cost space
        }
      },
      [this, lane] { on_written(lane); });
}

void Snapshots::finish_job(Result<uint64_t> result) {
  const std::unique_ptr<Job> job = std::move(job_);
  if (result) {
    newest_bytes_ = *result;
    logger_.info("the snapshot at entry {} is durable, {} bytes", job->meta.index, *result);
  } else {
    logger_.error("the snapshot at entry {} failed: {}", job->meta.index, result.error().message);
  }
  job->done(std::move(result));
}

void Snapshots::abandon() { job_.reset(); }

void Snapshots::stop() {
  stopped_ = true;
  abandon();
}

// ---- Loading one --------------------------------------------------------------------------------

void Snapshots::load(raft::Index index, Function<void(Result<std::unique_ptr<store::Store>>)> done) {
  struct Loaded {
    Result<std::optional<LoadedSnapshot>> result;
  };
  auto loaded = std::make_shared<Loaded>();
  lane_.run([files = files_.get(), loaded] { loaded->result = load_newest(*files); },
            [loaded, index, done = std::move(done)]() mutable {
              if (!loaded->result) return done(std::unexpected(std::move(loaded->result.error())));
              if (!*loaded->result || (*loaded->result)->meta.index != index) {
                return done(fail(Code::Corrupt, fmt::format("the snapshot at entry {} is gone", index)));
              }
              done(std::move((*loaded->result)->store));
            });
}

// ---- Sending ------------------------------------------------------------------------------------

// A file on its way to another member, read on the lane.
class Snapshots::Source final : public peer::SnapshotSource {
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

void Snapshots::send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) {
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

void Snapshots::send(raft::NodeId to, raft::Term term, std::shared_ptr<wal::SnapshotChunks> chunks,
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

std::optional<raft::Index> Snapshots::needed_after() const {
  if (sending_.empty()) return std::nullopt;
  return sending_.begin()->first;
}

// ---- Receiving ----------------------------------------------------------------------------------

// A file on its way in. One at a time: the leader alone sends, and only what it sent last matters.
class Snapshots::Sink final : public peer::SnapshotSink {
 public:
  Sink(Snapshots& owner, raft::NodeId from, raft::Term term, raft::SnapshotMeta meta, uint64_t size)
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

  Snapshots& owner_;
  env::Lane& lane_;
  const raft::NodeId from_;
  const raft::Term term_;
  const raft::SnapshotMeta meta_;
  const uint64_t size_;
  std::shared_ptr<Incoming> file_ = std::make_shared<Incoming>();
};

std::unique_ptr<peer::SnapshotSink> Snapshots::receive(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                       uint64_t size) {
  if (stopped_ || receiving_) return nullptr;
  receiving_ = true;
  logger_.info("receiving the snapshot at entry {} from member {:x}, {} bytes", meta.index, from.value, size);
  return std::make_unique<Sink>(*this, from, term, std::move(meta), size);
}

}  // namespace witan::node
