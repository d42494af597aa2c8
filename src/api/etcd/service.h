// What every handler of one loop works with: the member, the way answers go, and the methods that exist.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "api/etcd/call.h"
#include "api/etcd/errors.h"
#include "api/etcd/header.h"
#include "api/etcd/options.h"
#include "base/log.h"
#include "base/rng.h"
#include "env/loop.h"
#include "node/client.h"

namespace google::protobuf {
class MessageLite;
}

namespace witan::api::etcd {

class WatchHub;

// Calls handlers make their answers through. Lives as long as its loop's server, and longer than every callback of the
// client, which is why callbacks may hold it.
class Service {
 public:
  Service(env::Loop& loop, node::Client& client, Transport& transport, const Options& options, Logger log);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  env::Loop& loop() { return loop_; }
  node::Client& client() { return client_; }
  Transport& transport() { return transport_; }
  WatchHub& watches() { return *watches_; }
  const Options& options() const { return options_; }
  const Logger& log() const { return log_; }
  Rng& rng() { return rng_; }

  // Of this member at a revision and term that a reply named.
  Header header(store::Revision revision, uint64_t term) const;
  // As far as this loop knows now.
  Header header() const { return header(client_.revision(), client_.view().term); }

  void fail(CallKey call, const Status& status) { transport_.finish(call, status); }
  void fail(CallKey call, Error error) { transport_.finish(call, status_of(error)); }
  void reply(CallKey call, const google::protobuf::MessageLite& message);
  void send(CallKey call, const google::protobuf::MessageLite& message);

  // False, and the call has failed, when `message` is not what it should be.
  bool parse(CallKey call, std::string_view message, google::protobuf::MessageLite& out);
  // The same in calls that etcd implements as streams, where gRPC-Go words the error differently.
  bool parse_stream(CallKey call, std::string_view message, google::protobuf::MessageLite& out);

  // What was done, or null when the call has failed with the outcome's error.
  const node::Done* settle(CallKey call, const node::Outcome& outcome);
  const node::Done* settle(CallKey call, const node::Answer<node::Done>& answer);

 private:
  env::Loop& loop_;
  node::Client& client_;
  Transport& transport_;
  Options options_;
  Logger log_;
  Rng rng_;
  std::unique_ptr<WatchHub> watches_;
};

// The error of a proposal that was not done; nothing when it was.
std::optional<Status> error_of(const node::Outcome& outcome);
std::optional<Status> error_of(const node::Answer<node::Done>& answer);

// ---- Methods ------------------------------------------------------------------------------------

using UnaryHandler = void (*)(Service& service, CallKey call, std::string_view message);
using StreamOpener = std::unique_ptr<StreamHandler> (*)(Service& service, CallKey call);

struct Method {
  std::string_view path;
  UnaryHandler unary = nullptr;  // exactly one of the two
  StreamOpener open = nullptr;
  bool streaming = false;     // a stream to etcd; calls that only wait are not
  bool for_learners = false;  // otherwise a learner refuses it; Range looks at its request first
};

// Null when there is no such method.
const Method* find_method(std::string_view path);
std::span<const Method> methods();
// What gRPC-Go says to a path that it does not know.
Status unknown_method(std::string_view path);

}  // namespace witan::api::etcd
