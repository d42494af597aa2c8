#include "api/etcd/testing.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/check.h"

namespace witan::api::etcd::testing {

// ---- TestTransport ------------------------------------------------------------------------------

void TestTransport::clear() {
  calls_.clear();
  ended_.clear();
}

CallKey TestTransport::open(std::string_view path) {
  const CallKey call{.connection = 1, .stream = wire::StreamId(last_ += 2)};
  Entry& entry = calls_[call.stream.value];
  entry.method = find_method(path);
  CHECK(entry.method != nullptr, "no method {}", path);
  if (entry.method->open != nullptr) entry.handler = entry.method->open(*service, call);
  return call;
}

void TestTransport::message(CallKey call, std::string_view bytes) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  if (entry.handler != nullptr) {
    entry.handler->on_message(bytes);
  } else {
    entry.method->unary(*service, call, bytes);
  }
  ended_.clear();
}

void TestTransport::half_close(CallKey call) {
  if (StreamHandler* open = handler(call)) open->on_half_close();
  ended_.clear();
}

void TestTransport::cancel(CallKey call) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  if (entry.handler != nullptr) entry.handler->on_cancel();
  entry.seen.status = Status{wire::GrpcStatus::Cancelled, "by the client"};
  end(entry);
  ended_.clear();
}

std::optional<std::string> TestTransport::take(CallKey call) {
  TestCall& seen = at(call);
  if (seen.messages.empty()) return std::nullopt;
  std::string message = std::move(seen.messages.front());
  seen.messages.erase(seen.messages.begin());
  const bool above = seen.unread > low_water;
  seen.unread -= message.size();
  if (above && seen.unread <= low_water) {
    if (StreamHandler* open = handler(call)) open->on_writable();
    ended_.clear();
  }
  return message;
}

void TestTransport::end(Entry& entry) {
  if (entry.handler != nullptr) ended_.push_back(std::move(entry.handler));
}

void TestTransport::send(CallKey call, Chain&& message) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  entry.seen.unread += message.size();
  entry.seen.messages.push_back(message.flatten());
}

void TestTransport::finish(CallKey call, const Status& status) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  entry.seen.status = status;
  end(entry);
}

void TestTransport::reply(CallKey call, Chain&& message) {
  send(call, std::move(message));
  finish(call, {});
}

void TestTransport::reply(CallKey call, std::string_view message) {
  Chain chain;
  chain.append(message);
  reply(call, std::move(chain));
}

size_t TestTransport::pending(CallKey call) const { return calls_.at(call.stream.value).seen.unread; }

void TestTransport::pause_reading(CallKey call, bool paused) { at(call).paused = paused; }

StreamHandler* TestTransport::handler(CallKey call) {
  const auto it = calls_.find(call.stream.value);
  return it == calls_.end() ? nullptr : it->second.handler.get();
}

// ---- TestApi ------------------------------------------------------------------------------------

TestApi::TestApi(const Options& options) : client(loop), service(loop, client, transport, options, Logger()) {
  transport.service = &service;
  client.listen(*this);
}

// Handlers give their tickets back to the hub, so they go first.
TestApi::~TestApi() { transport.clear(); }

TestCall TestApi::call(std::string_view path, std::string_view message) {
  const CallKey key = transport.open(path);
  transport.message(key, message);
  loop.run();
  return transport.at(key);
}

store::Revision TestApi::put(std::string_view key, std::string_view value, int64_t lease) {
  const store::Reply reply = client.apply(store::Put{.key = key, .value = value, .lease = store::LeaseId(lease)});
  loop.run();
  return reply.revision;
}

store::Revision TestApi::erase(std::string_view key) {
  const store::Reply reply = client.apply(store::DeleteRange{.range = {.begin = key, .single = true}});
  loop.run();
  return reply.revision;
}

}  // namespace witan::api::etcd::testing
