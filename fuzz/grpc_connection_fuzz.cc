// Hostile bytes into a gRPC server connection. The first byte of the input chooses how they arrive and what the handler
// does; the rest is what the client sends, after a valid preface and SETTINGS or as it is. Besides not crashing, the
// contract of GrpcHandler must hold and memory must stay bounded.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/grpc_server.h"

namespace witan::wire {
namespace {

constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

GrpcServerOptions small_limits() {
  GrpcServerOptions options;
  options.max_message = 4096;
  options.max_streams = 20;
  options.max_unfinished = 20'000;
  options.max_queued = 30'000;
  options.low_water = 500;
  options.stream_window = 70'000;
  options.connection_window = 100'000;
  options.reset_burst = 100;
  return options;
}

// Answers, finishes, pauses and streams as the bytes of the messages say, and checks the order of what it is told.
class Judge : public GrpcHandler {
 public:
  explicit Judge(uint8_t mode) : mode_(mode) {}
  void attach(GrpcServerConnection* connection) { connection_ = connection; }

  void on_call(const GrpcCall& call) override {
    CHECK(!seen_.contains(call.stream.value), "stream {} begins twice", call.stream);
    seen_[call.stream.value] = State::Open;
    if (call.path.ends_with('!')) finish(call.stream, GrpcStatus::Unimplemented);
  }
  void on_message(StreamId stream, std::string_view message) override {
    CHECK(seen_.at(stream.value) == State::Open, "a message after the end of stream {}", stream);
    CHECK(message.size() <= small_limits().max_message, "a message of {} bytes", message.size());
    const char what = message.empty() ? 'e' : message[0];
    if (what == 'p') {
      connection_->pause_reading(stream, true);
      paused_ = stream;
    } else if (what == 'f') {
      finish(stream, GrpcStatus::OutOfRange);
    } else if (what == 'l') {
      connection_->send_message(stream, std::string(3000, 'x'));
    } else {
      connection_->send_message(stream, message);
    }
    if (what == 'r') connection_->pause_reading(paused_, false);
  }
  void on_half_close(StreamId stream) override {
    CHECK(seen_.at(stream.value) == State::Open, "half-close in the wrong place on stream {}", stream);
    seen_[stream.value] = State::HalfClosed;
    if ((mode_ & 1) == 0) finish(stream, GrpcStatus::Ok);
  }
  void on_cancel(StreamId stream) override {
    CHECK(seen_.at(stream.value) != State::Over, "stream {} ends twice", stream);
    seen_[stream.value] = State::Over;
  }
  void on_writable(StreamId stream) override {
    CHECK(seen_.at(stream.value) != State::Over, "writable after the end of stream {}", stream);
    CHECK(connection_->pending_bytes(stream) <= small_limits().low_water, "writable above the mark");
  }
  void resume() { connection_->pause_reading(paused_, false); }
  void expect_all_over() const {
    for (const auto& [id, state] : seen_) CHECK(state == State::Over, "stream {} never ended", id);
  }

 private:
  enum class State : uint8_t { Open, HalfClosed, Over };
  void finish(StreamId stream, GrpcStatus status) {
    connection_->finish(stream, status, "over");
    seen_[stream.value] = State::Over;
  }

  uint8_t mode_;
  GrpcServerConnection* connection_ = nullptr;
  std::map<int32_t, State> seen_;
  StreamId paused_;
};

void run(uint8_t mode, std::string_view bytes) {
  Judge judge(mode);
  Instant now{0};
  const GrpcServerOptions options = small_limits();
  GrpcServerConnection server(options, judge, now);
  judge.attach(&server);
  if ((mode & 2) == 0) server.on_bytes(now, kPreface);
  const size_t step = (mode & 4) != 0 ? 1 + mode / 16 : bytes.size();
  while (!bytes.empty() && !server.wants_close() && server.wants_read()) {
    server.on_bytes(now, bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    if ((mode & 8) == 0) (void)server.take_output(5000);
    // What waits for the client, one answer to each held byte at most, and what it has sent ahead.
    const size_t bound = options.max_queued + options.max_unfinished + options.connection_window + 100'000;
    CHECK(server.memory() <= bound, "{} bytes are held", server.memory());
    now = now + milliseconds(20);
    server.on_timer(now);
  }
  judge.resume();
  while (server.wants_write()) (void)server.take_output();
  if ((mode & 16) != 0) server.go_away(now);
  server.on_timer(now + seconds(3));
  while (server.wants_write()) (void)server.take_output();
  server.on_disconnect();
  judge.expect_all_over();
}

}  // namespace
}  // namespace witan::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  witan::wire::run(data[0], std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
