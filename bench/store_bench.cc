// What the store costs: applying, reading, counting, memory per key, snapshots. `./dev bench` runs the whole server.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/rng.h"
#include "store/snapshot.h"
#include "store/store.h"

namespace witan::store {
namespace {

constexpr int kMillion = 1'000'000;
const std::string kValue(256, 'v');

// 64 bytes, as a service registry would have them.
std::string key_of(uint64_t i) { return fmt::format("/registry/namespaces/default/workloads/deployment/{:017}", i); }

Command put_command(const std::string& key) {
  return {.header = {.stamp = WallTime{1'700'000'000'000}}, .body = Put{.key = key, .value = kValue}};
}

uint64_t load(Store& store, int keys) {
  uint64_t index = store.applied_index();
  for (int i = 0; i < keys; ++i) {
    const std::string key = key_of(static_cast<uint64_t>(i) * 7919 % static_cast<uint64_t>(keys));
    store.apply(++index, put_command(key), false);
  }
  return index;
}

void compact(Store& store) {
  store.apply(store.applied_index() + 1, {.body = Compact{store.revision()}}, false);
  while (store.compact_step(1000)) {
  }
}

// A store of a million keys in random order, compacted; made once.
Store& million() {
  static Store* const store = [] {
    auto* made = new Store;
    load(*made, kMillion);
    compact(*made);
    return made;
  }();
  return *store;
}

void LoadMillion(benchmark::State& state) {
  for (auto _ : state) {
    const size_t before = mallinfo2().uordblks;
    auto store = std::make_unique<Store>();
    load(*store, kMillion);
    const size_t loaded = mallinfo2().uordblks - before;
    state.PauseTiming();
    compact(*store);
    const size_t compacted = mallinfo2().uordblks - before;
    const double bytes = static_cast<double>(key_of(0).size() + kValue.size());
    state.counters["overhead_per_key_with_history"] = static_cast<double>(loaded) / kMillion - bytes;
    state.counters["overhead_per_key"] = static_cast<double>(compacted) / kMillion - bytes;
    state.counters["accounted_per_key"] = static_cast<double>(store->usage().memory_bytes) / kMillion - bytes;
    store.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(LoadMillion)->Unit(benchmark::kMillisecond)->Iterations(1);

// The way of an entry from the log: decode, then apply.
void PutExisting(benchmark::State& state) {
  Store& store = million();
  Rng rng(1);
  for (auto _ : state) {
    state.PauseTiming();
    const Blob bytes = encode(put_command(key_of(rng.below(kMillion))));
    state.ResumeTiming();
    benchmark::DoNotOptimize(store.apply(store.applied_index() + 1, *decode(bytes), true));
    if (store.revision() - store.compacted() > 100'000) {
      state.PauseTiming();
      compact(store);
      state.ResumeTiming();
    }
  }
}
BENCHMARK(PutExisting);

// The same without the benchmark's pauses, which cost more than what they leave out: one hot set of keys.
void PutHot(benchmark::State& state) {
  Store store;
  std::vector<Blob> commands;
  for (uint64_t i = 0; i < 1000; ++i) commands.push_back(encode(put_command(key_of(i))));
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(store.apply(store.applied_index() + 1, *decode(commands[i++ % commands.size()]), true));
    if (i % 100'000 == 0) compact(store);
  }
}
BENCHMARK(PutHot);

void Encode(benchmark::State& state) {
  const std::string key = key_of(1);
  const Command command = put_command(key);
  for (auto _ : state) benchmark::DoNotOptimize(encode(command));
}
BENCHMARK(Encode);

void Decode(benchmark::State& state) {
  const Blob bytes = encode(put_command(key_of(1)));
  for (auto _ : state) benchmark::DoNotOptimize(decode(bytes));
}
BENCHMARK(Decode);

void ReadRange(benchmark::State& state) {
  Store& store = million();
  Rng rng(2);
  for (auto _ : state) {
    const std::string key = key_of(rng.below(kMillion - 1000));
    const Range range{.range = {.begin = key}, .limit = state.range(0)};
    benchmark::DoNotOptimize(store.range(range));
  }
}
BENCHMARK(ReadRange)->Arg(1)->Arg(100);

void ReadOne(benchmark::State& state) {
  Store& store = million();
  Rng rng(3);
  for (auto _ : state) {
    const std::string key = key_of(rng.below(kMillion));
    benchmark::DoNotOptimize(store.range({.range = {.begin = key, .single = true}}));
  }
}
BENCHMARK(ReadOne);

void CountHalfMillion(benchmark::State& state) {
  Store& store = million();
  const std::string begin = key_of(100'000);
  const std::string end = key_of(600'000);
  for (auto _ : state) {
    benchmark::DoNotOptimize(store.range({.range = {.begin = begin, .end = end}, .count_only = true}));
  }
}
BENCHMARK(CountHalfMillion);

void SnapshotMillion(benchmark::State& state) {
  Store& store = million();
  for (auto _ : state) {
    SnapshotEncoder encoder(store);
    std::string bytes;
    while (encoder.next(1 << 20, bytes)) bytes.clear();
  }
}
BENCHMARK(SnapshotMillion)->Unit(benchmark::kMillisecond);

void RestoreMillion(benchmark::State& state) {
  SnapshotEncoder encoder(million());
  std::string bytes;
  while (encoder.next(1 << 20, bytes)) {
  }
  for (auto _ : state) {
    SnapshotDecoder decoder;
    for (size_t at = 0; at < bytes.size(); at += 1 << 20) {
      if (!decoder.feed(std::string_view(bytes).substr(at, 1 << 20))) state.SkipWithError("damaged");
    }
    auto store = decoder.finish();
    state.PauseTiming();
    benchmark::DoNotOptimize(store);
    store->reset();
    state.ResumeTiming();
  }
}
BENCHMARK(RestoreMillion)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace witan::store
