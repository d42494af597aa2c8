// CPU of the server's side of a unary gRPC call: HTTP/2, HPACK, gRPC framing, answer and trailers, without sockets.
// The client's bytes are recorded once and replayed, so that only the server is measured. Claim: at most 4 us a call.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

namespace witan::wire {
namespace {

constexpr size_t kCalls = 32'768;
constexpr Instant kNow{1'000'000'000};

class Answering : public GrpcHandler {
 public:
  explicit Answering(size_t size) : small_(size, 'r'), value_(small_) {}
  void attach(GrpcServerConnection* connection) { connection_ = connection; }
  void on_call(const GrpcCall& call) override { benchmark::DoNotOptimize(call.path.size()); }
  void on_message(StreamId stream, std::string_view message) override {
    benchmark::DoNotOptimize(message.data());
    if (small_.size() < Chain::kShareFrom) {
      connection_->reply(stream, small_);
    } else {
      Chain chain;
      chain.append(value_);
      connection_->reply(stream, std::move(chain));
    }
    ++answered;
  }
  void on_half_close(StreamId) override {}
  void on_cancel(StreamId) override {}

  size_t answered = 0;

 private:
  GrpcServerConnection* connection_ = nullptr;
  std::string small_;
  Blob value_;
};

// What a client sends for kCalls calls, `batch` at a time, each batch after it has read the answers of the one before.
std::vector<std::string> record(size_t batch, size_t request, size_t answer, bool with_timeout) {
  Answering handler(answer);
  GrpcServerConnection server({}, handler, kNow);
  handler.attach(&server);
  GrpcClientConnection client({.keep_messages = false});
  GrpcClientConnection::Headers extra = {{"user-agent", "grpc-go/1.26.0"}};
  if (with_timeout) extra.emplace_back("grpc-timeout", "4999891u");
  const std::string body(request, 'q');
  std::vector<std::string> reads;
  for (size_t calls = 0; calls < kCalls; calls += batch) {
    std::vector<StreamId> ids;
    for (size_t i = 0; i < batch; ++i) ids.push_back(client.call("/etcdserverpb.KV/Put", body, extra));
    for (std::string out = client.take_output(); !out.empty(); out = client.take_output()) {
      server.on_bytes(kNow, out);
      reads.push_back(std::move(out));
      while (server.wants_write()) CHECK(client.on_bytes(server.take_output().flatten()));
    }
    for (const StreamId id : ids) client.forget(id);
  }
  return reads;
}

void unary(benchmark::State& state) {
  const auto answer = static_cast<size_t>(state.range(2));
  const auto reads =
      record(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), answer, state.range(3) != 0);
  Answering handler(answer);
  for (auto _ : state) {
    handler.answered = 0;
    GrpcServerConnection server({}, handler, kNow);
    handler.attach(&server);
    size_t sent = 0;
    for (const std::string& bytes : reads) {
      server.on_bytes(kNow, bytes);
      while (server.wants_write()) sent += server.take_output().size();
    }
    CHECK(handler.answered == kCalls && sent > kCalls * answer, "the replay went astray");
  }
  state.counters["per_call"] = benchmark::Counter(
      static_cast<double>(kCalls), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(unary)
    ->ArgNames({"batch", "request", "answer", "timeout"})
    ->Args({1, 330, 30, 0})
    ->Args({16, 330, 30, 0})
    ->Args({128, 330, 30, 0})
    ->Args({16, 330, 30, 1})
    ->Args({16, 70, 400, 0})
    ->Args({16, 70, 4000, 0})
    ->Args({1, 70, 100'000, 0})
    ->Unit(benchmark::kMillisecond);

// Events of one long stream: what a watcher costs beyond the matching.
void server_stream(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  Answering handler(0);
  GrpcServerConnection server({}, handler, kNow);
  handler.attach(&server);
  GrpcClientConnection client({.keep_messages = false});
  const StreamId id = client.start("/etcdserverpb.Watch/Watch");
  server.on_bytes(kNow, client.take_output());
  const std::string event(size, 'e');
  size_t events = 0;
  for (auto _ : state) {
    for (int i = 0; i < 8; ++i) server.send_message(id, event);
    events += 8;
    while (server.wants_write()) {
      const std::string out = server.take_output().flatten();
      state.PauseTiming();
      CHECK(client.on_bytes(out));
      const std::string back = client.take_output();
      state.ResumeTiming();
      if (!back.empty()) server.on_bytes(kNow, back);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(events));
}
BENCHMARK(server_stream)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace witan::wire
