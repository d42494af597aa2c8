// Carries what raft wants on disk to the log's lane, one write and one sync at a time; what arrives meanwhile shares
// the next one (group commit).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/function.h"
#include "base/time.h"
#include "env/loop.h"
#include "raft/raft.h"
#include "wal/log.h"

namespace witan::node {

class LogWriter {
 public:
  // The log is used on the lane only, from now on.
  LogWriter(std::unique_ptr<wal::Log> log, env::Loop& loop, env::Lane& lane);

  // `durable` runs on the loop for every persist, in order, once it and all before it are on disk.
  // After a failure nothing is durable any more and `failed` runs once.
  void write(raft::Persist persist);
  void on_durable(Function<void(raft::Persist)> durable) { durable_ = std::move(durable); }
  void on_failure(Function<void(Error)> failed) { failed_ = std::move(failed); }

  // Entries [from, to] as far as they are there, about `max_bytes` of them.
  void read(raft::Index from, raft::Index to, size_t max_bytes, Function<void(std::vector<raft::Entry>)> done);
  // Gives up entries up to `index`, which a durable snapshot stands for; beyond the last one it starts the log anew
  // there.
  void compact(raft::Index index);
  // Runs `done` when everything asked for before is over.
  void drain(Task done);
  // Since when a write has been under way; nullopt when idle. A disk that stalls is seen here.
  std::optional<Instant> busy_since() const { return busy_since_; }
  // Bytes of log on disk since the last compaction, as of the last completed write.
  uint64_t bytes() const { return bytes_; }

 private:
  void start();
  void fail_with(Error error);

  std::unique_ptr<wal::Log> log_;
  env::Loop& loop_;
  env::Lane& lane_;
  Function<void(raft::Persist)> durable_;
  Function<void(Error)> failed_;
  std::vector<raft::Persist> queued_;
  std::optional<Instant> busy_since_;
  bool failed_once_ = false;
  uint64_t bytes_ = 0;
};

}  // namespace witan::node
