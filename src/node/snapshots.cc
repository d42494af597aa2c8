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
  return std::optional<LoadedSnapshot>(LoadedSnapshot{(*reader)->meta(), (*newest)->bytes, std::move(*store)});
}

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
  bool durable = false;  // what the snapshot stands for
  bool held = false;     // the last piece waits for that
};

Snapshots::Snapshots(std::shared_ptr<wal::SnapshotFiles> files, env::Lane& lane, uint64_t newest_bytes, Logger logger)
    : files_(std::move(files)), lane_(lane), logger_(std::move(logger)), newest_bytes_(newest_bytes) {}

Snapshots::~Snapshots() = default;

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
  job_->held = lane->last && !job_->durable;
  if (!job_->held) write_piece();
}

void Snapshots::write_piece() {
  const std::shared_ptr<OnLane>& lane = job_->lane;
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

void Snapshots::durable(raft::Index index) {
  if (!job_ || job_->meta.index != index) return;
  job_->durable = true;
  if (std::exchange(job_->held, false)) write_piece();
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

// ---- Loading one --------------------------------------------------------------------------------

void Snapshots::load(Function<void(Result<std::optional<LoadedSnapshot>>)> done) {
  auto loaded = std::make_shared<Result<std::optional<LoadedSnapshot>>>();
  lane_.run([files = files_.get(), loaded] { *loaded = load_newest(*files); },
            [loaded, done = std::move(done)]() mutable { done(std::move(*loaded)); });
}

}  // namespace witan::node
