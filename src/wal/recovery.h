// Reading a log directory back (core D2). Changes nothing on disk.
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
#include "wal/format.h"
#include "wal/log_index.h"

namespace witan::wal {

inline constexpr const char* kSpareName = "spare";

// "000000000000001f.log" and back.
std::string segment_name(uint64_t sequence);
std::optional<uint64_t> parse_segment_name(std::string_view name);

struct SegmentInfo {
  uint64_t sequence = 0;
  uint64_t generation = 0;
  uint64_t used = 0;  // header and records
  uint64_t size = 0;  // of the file
};

// What a log is between two calls.
struct LogState {
  std::vector<SegmentInfo> segments;   // by sequence, no gaps; the last is written to
  std::unique_ptr<env::File> current;  // the last one
  LogIndex index;
  raft::HardState hard_state;
  uint64_t next_batch = 1;
  bool restart_pending = false;  // the log goes on after index.last(), and the disk does not know yet
};

struct Recovered {
  LogState state;                    // no segments: there is no log
  std::vector<raft::Entry> entries;  // from `keep_from` on
};

// Errors as Log::open.
Result<Recovered> recover(env::Disk& disk, const std::string& directory, raft::Index keep_from, const Logger& logger);

}  // namespace witan::wal
