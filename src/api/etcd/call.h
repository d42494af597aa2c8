// One call of one client: how it is named across asynchronous edges, and how a handler answers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "api/etcd/errors.h"
#include "base/chain.h"
#include "wire/grpc.h"

namespace witan::api::etcd {

// Neither number is used again while something could still hold the key: an answer to a call that is gone finds nobody.
// Eight bytes, so that a callback holding it and one pointer needs no allocation.
struct CallKey {
  uint32_t connection = 0;
  wire::StreamId stream;

  friend bool operator==(const CallKey&, const CallKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, CallKey key) {
    return H::combine(std::move(h), key.connection, key.stream.value);
  }
};

class StreamHandler;

// Where answers go. Every method ignores a call that is gone.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void send(CallKey call, Chain&& message) = 0;
  // Ends the call, after what was sent. The call's stream handler is destroyed, later in the same turn.
  virtual void finish(CallKey call, const Status& status) = 0;
  // The whole of a unary success.
  virtual void reply(CallKey call, Chain&& message) = 0;
  virtual void reply(CallKey call, std::string_view message) = 0;
  // Bytes sent that the client has not taken yet.
  virtual size_t pending(CallKey call) const = 0;
  // Stops and resumes on_message of this call.
  virtual void pause_reading(CallKey call, bool paused) = 0;
  // The handler of a call that is open and was not finished; null otherwise. Of the type that the call's method made.
  virtual StreamHandler* handler(CallKey call) = 0;
};

// A call that is more than one request and one answer: streams, and unary calls that wait and must clean up.
// Destroyed after on_cancel, or after it was finished.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void on_message(std::string_view message) = 0;
  virtual void on_half_close() {}
  // The client is gone, or its deadline passed. Nothing that is sent afterwards arrives.
  virtual void on_cancel() {}
  // pending() has become small again.
  virtual void on_writable() {}
};

}  // namespace witan::api::etcd
