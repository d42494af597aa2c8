// Hostile bytes as a log directory. Opening must end with an error or a log that works: no crash, no memory beyond a
// few times the input. Checksums are repaired in half of the runs, so that the fuzzer gets behind them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "wal/log.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

// Makes the headers and payloads of what looks like a segment self-consistent.
void repair(std::string& bytes) {
  if (bytes.size() < kSegmentHeaderSize) return;
  set_fixed32(bytes.data() + kSegmentHeaderSize - 4, crc32c(std::string_view(bytes).substr(0, kSegmentHeaderSize - 4)));
  const std::string generation = bytes.substr(24, 8);
  for (size_t at = kSegmentHeaderSize; at + kRecordHeaderSize <= bytes.size();) {
    char* header = bytes.data() + at;
    const size_t size = get_fixed32(header + 16) % 4096;
    if (at + kRecordHeaderSize + aligned(size) > bytes.size()) return;
    bytes.replace(at, 8, generation);
    set_fixed32(header + 16, static_cast<uint32_t>(size));
    const std::string_view payload = std::string_view(bytes).substr(at + kRecordHeaderSize, aligned(size));
    set_fixed32(header + 24, crc32c(payload));
    set_fixed32(header + 28, crc32c(std::string_view(header, 28)));
    at += kRecordHeaderSize + payload.size();
  }
}

// The first byte says how many files there are and whether they are repaired, the second is the snapshot's index.
void run(std::string_view input) {
  if (input.size() < 2) return;
  const auto mode = static_cast<uint8_t>(input[0]);
  const raft::Index snapshot(static_cast<uint8_t>(input[1]) % 16);
  input.remove_prefix(2);
  MemoryDisk disk;
  const size_t files = mode % 3 + 1;
  for (size_t i = 0; i < files; ++i) {
    const size_t size = i + 1 == files ? input.size() : input.size() / (files - i);
    std::string bytes(input.substr(0, size));
    input.remove_prefix(size);
    if (mode & 128) repair(bytes);
    disk.put("wal/" + segment_name(i + 1), std::move(bytes));
  }
  const LogOptions options{.segment_bytes = 4096, .snapshot_index = snapshot, .seed = 1};
  auto opened = Log::open(disk, "wal", options, {});
  if (!opened) return;
  Log& log = *opened->log;
  if (log.first_index() <= log.last_index()) {
    const auto all = log.read(log.first_index(), log.last_index(), SIZE_MAX);
    CHECK(all.has_value(), "{}", all.error().message);
    CHECK(all->size() == log.last_index() - log.first_index() + 1);
  }
  const std::vector<raft::Entry> more{make_entry(1, log.last_index().value + 1, "more")};
  CHECK(log.append({.entries = more}).has_value());
  auto again = Log::open(disk, "wal", options, {});
  CHECK(again.has_value(), "{}", again.error().message);
  CHECK(again->entries.back() == more[0]);
}

}  // namespace
}  // namespace witan::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::wal::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
