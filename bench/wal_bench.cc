// What the log costs on a real disk: WITAN_BENCH_DIR, or the current directory, is where it is put.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "os/disk.h"
#include "wal/log.h"

namespace witan::wal {
namespace {

// A log in a directory that goes with it.
class Place {
 public:
  Place() {
    const char* base = std::getenv("WITAN_BENCH_DIR");
    std::string name = std::string(base == nullptr ? "." : base) + "/wal-bench-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~Place() { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Log> open() {
    auto opened = Log::open(disk_, directory_, {.seed = 1}, {});
    if (!opened) std::abort();
    return std::move(opened->log);
  }

 private:
  os::Disk disk_;
  std::string directory_;
};

std::vector<raft::Entry> make_entries(raft::Index from, size_t count, const Blob& data) {
  std::vector<raft::Entry> out;
  for (size_t i = 0; i < count; ++i) out.push_back({.term = raft::Term(1), .index = from + i, .data = data});
  return out;
}

// Batches of range(0) entries of range(1) bytes: entries and bytes a second, one sync each.
void append(benchmark::State& state) {
  Place place;
  const auto log = place.open();
  const auto count = static_cast<size_t>(state.range(0));
  const Blob data(std::string(static_cast<size_t>(state.range(1)), 'x'));
  for (auto _ : state) {
    const auto entries = make_entries(log->last_index() + 1, count, data);
    if (!log->append({.entries = entries})) state.SkipWithError("append");
    // As a node with snapshots would: segments are recycled.
    if (log->bytes() > uint64_t{512} << 20 && !log->compact(log->last_index())) state.SkipWithError("compact");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(append)
    ->Args({1, 300})
    ->Args({16, 300})
    ->Args({256, 300})
    ->Args({4096, 300})
    ->Args({16, 65536})
    ->UseRealTime();

// Opening a log of range(0) entries in batches of 100.
void recovery(benchmark::State& state) {
  Place place;
  {
    const auto log = place.open();
    const Blob data(std::string(300, 'x'));
    while (log->last_index().value < static_cast<uint64_t>(state.range(0))) {
      const auto entries = make_entries(log->last_index() + 1, 100, data);
      if (!log->append({.entries = entries})) state.SkipWithError("append");
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize(place.open());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(recovery)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace witan::wal
