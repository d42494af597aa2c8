// The durable log: entries and hard state in preallocated segments (core D1 to D4, docs/formats/wal.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"
#include "wal/format.h"
#include "wal/log_index.h"
#include "wal/recovery.h"

namespace witan::wal {

struct LogOptions {
  uint64_t segment_bytes =
      uint64_t{64} << 20;  // of a new segment; at least 4096. A larger batch gets a larger segment.
  // The newest snapshot on this member: entries up to it may be missing. 0: there is none.
  raft::Index snapshot_index;
  // Whether the directory may be without a log: true for a new member only. A member that lost its log has lost its
  // vote.
  bool may_create = true;
  // Mixed into the generations of new segments, so that nobody can write entries that look like records. Random.
  uint64_t seed = 0;
};

// Calls block; one thread at a time. After an error of append() or compact() the disk's state is not known: every
// further call returns that error again, and the process must end (a sync is never retried: the kernel may have
// dropped the pages that it could not write).
class Log {
 public:
  struct Opened {
    std::unique_ptr<Log> log;
    raft::HardState hard_state;
    // Contiguous up to the last index. Begins with the entry at snapshot_index where that is still there (its term
    // tells whether the log agrees with the snapshot), otherwise right after it.
    std::vector<raft::Entry> entries;
    bool created = false;  // there was no log
  };

  // Makes the directory if need be. `disk` must outlive the log. What is returned is on stable storage, also when it
  // was not before. Errors: Corrupt (damage before the end, core D2: file, offset and advice in the message), Invalid
  // (made by a newer program), Io.
  static Result<Opened> open(env::Disk& disk, const std::string& directory, const LogOptions& options, Logger logger);

  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Writes all batches, in order, with one write and one sync: after a crash all of them are there or none.
  // Requires (checked): entries contiguous, cut_from at most last_index() + 1 as of that point.
  // Errors: Exhausted (more than 1 GiB at once; nothing changed), Io.
  Result<> append(std::span<const Batch> batches);
  Result<> append(const Batch& batch) { return append(std::span(&batch, 1)); }

  // Entries [from, to], at most `max_bytes` of data but at least one. Requires: from <= to.
  // Errors: OutOfRange (not all of them are there), Corrupt, Io.
  Result<std::vector<raft::Entry>> read(raft::Index from, raft::Index to, size_t max_bytes);

  // Entries up to and including `index` are not needed any more: a durable snapshot stands for them. Whole segments go;
  // an index beyond the last entry restarts the log after it.
  Result<> compact(raft::Index index);

  raft::Index first_index() const { return state_.index.first(); }  // readable; last_index() + 1 when there are none
  raft::Index last_index() const { return state_.index.last(); }
  const raft::HardState& hard_state() const { return state_.hard_state; }
  uint64_t bytes() const;  // of records and headers in all segments; what is preallocated does not count
  size_t segments() const { return state_.segments.size(); }

 private:
  Log(env::Disk& disk, std::string directory, const LogOptions& options, Logger logger, LogState state);

  std::string path_of(const std::string& name) const { return directory_ + "/" + name; }
  Result<> failed(Error error);
  Result<> append_record(size_t total);
  Result<> rotate(size_t total);
  Result<std::unique_ptr<env::File>> make_spare(uint64_t size);
  void prepare_spare();
  Result<> drop_segment(const SegmentInfo& segment);
  Result<> read_span(const LogIndex::Span& span, raft::Index to, size_t& budget, std::vector<raft::Entry>& out);

  env::Disk& disk_;
  const std::string directory_;
  const LogOptions options_;
  Logger logger_;
  LogState state_;
  RecordBuilder builder_;
  std::unique_ptr<env::File> spare_;  // allocated, named kSpareName; what it holds means nothing
  uint64_t spare_size_ = 0;
  bool spare_refused_ = false;  // the disk had no room for one; not tried again for this segment
  std::optional<Error> failure_;
};

}  // namespace witan::wal
