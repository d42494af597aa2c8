// The hand codec of protobuf's wire format on the shapes of etcd's hottest messages: a PutRequest with a key of 64 and
// a value of 256 bytes, and a RangeResponse of many small key-values.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "base/coding.h"

namespace witan {
namespace {

void write_key_value(FieldWriter& w, std::string_view key, std::string_view value, uint64_t revision) {
  w.bytes(1, key);
  w.uint(2, revision);
  w.uint(3, revision);
  w.uint(4, 1);
  w.bytes(5, value);
}

std::string range_response(size_t count, std::string_view value) {
  std::string out;
  FieldWriter w(out);
  w.message(1, [](FieldWriter& header) {
    header.uint(1, 0x8e9e05c52164694dULL);
    header.uint(2, 0xcdf818194e3a8c32ULL);
    header.uint(3, 123'456);
    header.uint(4, 7);
  });
  for (size_t i = 0; i < count; ++i) {
    w.message(2, [&](FieldWriter& kv) { write_key_value(kv, "/registry/pods/default/a-pod", value, 100'000 + i); });
  }
  w.uint(4, count);
  return out;
}

void write_put(benchmark::State& state) {
  const std::string key(64, 'k');
  const std::string value(256, 'v');
  std::string out;
  for (auto _ : state) {
    out.clear();
    FieldWriter w(out);
    w.bytes(1, key);
    w.bytes(2, value);
    w.uint(3, 0x326963a57b6f4b0eULL);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(write_put);

void read_put(benchmark::State& state) {
  std::string bytes;
  FieldWriter w(bytes);
  w.bytes(1, std::string(64, 'k'));
  w.bytes(2, std::string(256, 'v'));
  w.uint(3, 0x326963a57b6f4b0eULL);
  for (auto _ : state) {
    std::string_view key;
    std::string_view value;
    int64_t lease = 0;
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: key = r.bytes(); break;
        case 2: value = r.bytes(); break;
        case 3: lease = r.sint(); break;
        default: break;
      }
    }
    CHECK(r.ok(), "what was written is read");
    benchmark::DoNotOptimize(key.size() + value.size() + static_cast<size_t>(lease));
  }
}
BENCHMARK(read_put);

void write_range(benchmark::State& state) {
  const std::string value(static_cast<size_t>(state.range(0)), 'v');
  for (auto _ : state) benchmark::DoNotOptimize(range_response(100, value).data());
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(write_range)->Arg(40)->Arg(400);

void read_range(benchmark::State& state) {
  const std::string bytes = range_response(100, std::string(static_cast<size_t>(state.range(0)), 'v'));
  for (auto _ : state) {
    size_t sum = 0;
    FieldReader r(bytes);
    while (r.next()) {
      if (r.field() != 2) continue;
      FieldReader kv(r.bytes());
      while (kv.next()) sum += kv.type() == WireType::Bytes ? kv.bytes().size() : kv.uint();
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(read_range)->Arg(40)->Arg(400);

}  // namespace
}  // namespace witan
