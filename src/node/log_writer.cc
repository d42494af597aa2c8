#include "node/log_writer.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace witan::node {

LogWriter::LogWriter(std::unique_ptr<wal::Log> log, env::Loop& loop, env::Lane& lane)
    : log_(std::move(log)), loop_(loop), lane_(lane), bytes_(log_->bytes()) {}

void LogWriter::write(raft::Persist persist) {
  queued_.push_back(std::move(persist));
  if (!busy_since_) start();
}

// Everything that waits becomes one write and one sync.
void LogWriter::start() {
  if (queued_.empty() || failed_once_) return;
  busy_since_ = loop_.now();
  struct Work {
    std::vector<raft::Persist> persists;
    Result<> result;
    uint64_t bytes = 0;
  };
  auto work = std::make_shared<Work>();
  work->persists = std::exchange(queued_, {});
  lane_.run(
      [log = log_.get(), work] {
        std::vector<wal::Batch> batches;
        batches.reserve(work->persists.size());
        for (const raft::Persist& persist : work->persists) {
          std::optional<raft::Index> restart_after;
          if (persist.reset) restart_after = persist.reset->index;
          batches.push_back(wal::Batch{.hard_state = persist.hard_state,
                                       .cut_from = persist.cut_from,
                                       .entries = persist.entries,
                                       .restart_after = restart_after});
        }
        work->result = log->append(batches);
        work->bytes = log->bytes();
      },
      [this, work] {
        busy_since_.reset();
        if (!work->result) return fail_with(std::move(work->result.error()));
        bytes_ = work->bytes;
        start();
        if (planted(Bug::AcknowledgeBeforeSync)) return;
        for (raft::Persist& persist : work->persists) durable_(std::move(persist));
      });
  if (!planted(Bug::AcknowledgeBeforeSync)) return;
  loop_.post([this, work] {
    for (const raft::Persist& persist : work->persists) durable_(persist);
  });
}

void LogWriter::fail_with(Error error) {
  if (std::exchange(failed_once_, true)) return;
  if (failed_) failed_(std::move(error));
}

void LogWriter::read(raft::Index from, raft::Index to, size_t max_bytes,
                     Function<void(std::vector<raft::Entry>)> done) {
  auto found = std::make_shared<std::vector<raft::Entry>>();
  lane_.run(
      [log = log_.get(), found, from, to, max_bytes] {
        // What is not there any more is answered with nothing: raft then sends a snapshot.
        if (auto entries = log->read(from, to, max_bytes)) *found = std::move(*entries);
      },
      [found, done = std::move(done)]() mutable { done(std::move(*found)); });
}

void LogWriter::compact(raft::Index index) {
  auto result = std::make_shared<Result<>>();
  lane_.run([log = log_.get(), result, index] { *result = log->compact(index); },
            [this, result] {
              if (!*result) fail_with(std::move(result->error()));
            });
}

void LogWriter::drain(Task done) {
  lane_.run([] {},
            [this, done = std::move(done)]() mutable {
              if (!busy_since_) return done();
              drain(std::move(done));
            });
}

}  // namespace witan::node
