// What the tests and the fuzzer of this room stand on, beside node/fake_client.h: a transport that remembers.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/etcd/call.h"
#include "api/etcd/service.h"
#include "api/etcd/watch_hub.h"
#include "node/fake_client.h"

namespace witan::api::etcd::testing {

using node::testing::FakeClient;
using node::testing::TestLoop;

// What became of one call.
struct TestCall {
  std::vector<std::string> messages;  // in order; those read by take() are gone
  std::optional<Status> status;       // once it ended
  size_t unread = 0;                  // bytes of `messages`
  bool paused = false;
};

// Plays Connection and Server: opens handlers, keeps answers.
class TestTransport final : public Transport {
 public:
  TestTransport() = default;
  // Destroys every handler.
  void clear();

  // Where handlers come from; must be set before the first call.
  Service* service = nullptr;
  size_t low_water = 1024;

  CallKey open(std::string_view path);
  void message(CallKey call, std::string_view bytes);
  void half_close(CallKey call);
  void cancel(CallKey call);
  TestCall& at(CallKey call) { return calls_.at(call.stream.value).seen; }
  // Reads the next message, as a client does; tells the handler when the buffer has run low.
  std::optional<std::string> take(CallKey call);

  void send(CallKey call, Chain&& message) override;
  void finish(CallKey call, const Status& status) override;
  void reply(CallKey call, Chain&& message) override;
  void reply(CallKey call, std::string_view message) override;
  size_t pending(CallKey call) const override;
  void pause_reading(CallKey call, bool paused) override;
  StreamHandler* handler(CallKey call) override;

 private:
  struct Entry {
    TestCall seen;
    const Method* method = nullptr;
    std::unique_ptr<StreamHandler> handler;
  };
  void end(Entry& entry);

  std::map<int32_t, Entry> calls_;
  std::vector<std::unique_ptr<StreamHandler>> ended_;
  int32_t last_ = 0;
};

// All of it together, without bytes of HTTP/2.
class TestApi final : private node::Listener {
 public:
  explicit TestApi(const Options& options = {});
  ~TestApi() override;

  TestLoop loop;
  FakeClient client;
  TestTransport transport;
  Service service;

  // A unary call, run to its end.
  TestCall call(std::string_view path, std::string_view message);
  // Shorthands for `client.apply`, followed by a run of the loop.
  store::Revision put(std::string_view key, std::string_view value, int64_t lease = 0);
  store::Revision erase(std::string_view key);

 private:
  void on_changes(std::span<const store::ChangeBatchPtr> batches) override { service.watches().on_changes(batches); }
  void on_gap(store::Revision from, store::Revision to) override { service.watches().on_gap(from, to); }
  void on_view(const node::View&) override {}
  void on_stop() override {}
};

}  // namespace witan::api::etcd::testing
