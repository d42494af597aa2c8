// KV: requests are decoded by hand, lowered, answered by hand (design 8: the put's whole way costs under 10 us).
#include <algorithm>
#include <limits>
#include <string>

#include "api/etcd/encode.h"
#include "api/etcd/handlers.h"
#include "api/etcd/lower.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/request.h"
#include "base/coding.h"

namespace witan::api::etcd {
namespace {

node::Consistency consistency_of(bool serializable) {
  return serializable ? node::Consistency::Local : node::Consistency::Linearizable;
}

void reply_range(Service& service, CallKey call, const node::Answer<node::Done>& answer, bool keys_only) {
  const node::Done* done = service.settle(call, answer);
  if (done == nullptr) return;
  const auto& result = std::get<store::RangeResult>(done->reply.result);
  service.transport().reply(call, range_response(service.header(result.revision, done->term), result, keys_only));
}

// etcd measures the request as its log would hold it, some bytes more than the message.
bool too_large(Service& service, CallKey call, std::string_view message) {
  constexpr size_t kEnvelope = 16;
  if (message.size() + kEnvelope <= service.options().max_request_bytes) return false;
  service.fail(call, Error::RequestTooLarge);
  return true;
}

template <class Request>
bool accept(Service& service, CallKey call, std::string_view message, Request& request) {
  if (!decode(message, request)) {
    service.fail(call, Error::Unmarshal);
    return false;
  }
  if (const auto error = check(request)) {
    service.fail(call, *error);
    return false;
  }
  return true;
}

}  // namespace

void kv_range(Service& service, CallKey call, std::string_view message) {
  RangeRequest request;
  if (!decode(message, request)) return service.fail(call, Error::Unmarshal);
  if (service.client().view().is_learner && !request.serializable) {
    return service.fail(call, Error::NotSupportedForLearner);
  }
  if (const auto error = check(request)) return service.fail(call, *error);
  service.client().read(lower(request), consistency_of(request.serializable),
                        [&service, call, keys_only = request.keys_only](node::Answer<node::Done> answer) {
                          reply_range(service, call, answer, keys_only);
                        });
}

void kv_put(Service& service, CallKey call, std::string_view message) {
  PutRequest request;
  if (!accept(service, call, message, request) || too_large(service, call, message)) return;
  if (request.prev_kv) {
    service.client().propose(lower(request),
                             [&service, call, key = std::string(request.key)](const node::Outcome& outcome) {
                               const node::Done* done = service.settle(call, outcome);
                               if (done == nullptr) return;
                               const auto& result = std::get<store::PutResult>(done->reply.result);
                               const Header header = service.header(done->reply.revision, done->term);
                               service.transport().reply(call, put_response(header, result, key));
                             });
    return;
  }
  // The hottest path: what the callback holds fits into it without an allocation.
  service.client().propose(lower(request), [&service, call](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    std::string response;
    put_header(response, service.header(done->reply.revision, done->term));
    service.transport().reply(call, response);
  });
}

void kv_delete_range(Service& service, CallKey call, std::string_view message) {
  DeleteRequest request;
  if (!accept(service, call, message, request) || too_large(service, call, message)) return;
  service.client().propose(lower(request), [&service, call](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    const auto& result = std::get<store::DeleteResult>(done->reply.result);
    service.transport().reply(call, delete_response(service.header(done->reply.revision, done->term), result));
  });
}

void kv_txn(Service& service, CallKey call, std::string_view message) {
  TxnRequest request;
  std::string scratch;
  switch (decode(message, request, scratch)) {
    case TxnDecoding::Done: break;
    case TxnDecoding::Malformed: return service.fail(call, Error::Unmarshal);
    case TxnDecoding::TooLarge: return service.fail(call, Error::TooManyOperations);
  }
  if (const auto error = check(request, service.options().max_txn_operations)) return service.fail(call, *error);
  const auto reply = [&service, call](const node::Done* done, const TxnShape& shape) {
    if (done == nullptr) return;
    const auto& result = std::get<store::TxnResult>(done->reply.result);
    service.transport().reply(call, txn_response(service.header(done->reply.revision, done->term), result, shape));
  };
  if (is_read_only(request)) {
    service.client().read(lower(request), consistency_of(is_serializable(request)),
                          [&service, call, reply, shape = shape_of(request)](node::Answer<node::Done> answer) {
                            reply(service.settle(call, answer), shape);
                          });
    return;
  }
  if (too_large(service, call, message)) return;
  service.client().propose(lower(request),
                           [&service, call, reply, shape = shape_of(request)](const node::Outcome& outcome) {
                             reply(service.settle(call, outcome), shape);
                           });
}

void kv_compact(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::CompactionRequest request;
  if (!service.parse(call, message, request)) return;
  // `physical` asks to wait until the space is free. What a reader can see changes at once (core S2), and nothing that
  // is promised depends on when memory is given back, so there is nothing to wait for.
  const store::Compact body{.revision = store::Revision(request.revision())};
  service.client().propose(body, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    std::string response;
    put_header(response, service.header(done->reply.revision, done->term));
    service.transport().reply(call, response);
  });
}

// ---- RangeStream --------------------------------------------------------------------------------

namespace {

// Reads a range chunk by chunk at the revision of the first one. Chunks start at ten keys and are doubled or halved to
// land near the request limit, as etcd does; the next is read only when the client has taken what was sent.
class RangeStream final : public StreamHandler {
 public:
  RangeStream(Service& service, CallKey call) : service_(service), call_(call) {}

  void on_message(std::string_view message) override {
    if (started_) return;
    started_ = true;
    RangeRequest request;
    if (!decode(message, request)) return service_.fail(call_, Error::UnmarshalStream);
    if (const auto error = check_stream(request)) return service_.fail(call_, *error);
    next_key_ = request.key;
    range_end_ = request.range_end;
    single_ = request.range_end.empty();
    request_ = request;
    left_ = request.limit > 0 ? request.limit : std::numeric_limits<int64_t>::max();
    chunk_ = 10;
    read(consistency_of(request.serializable));
  }

  void on_writable() override {
    if (waiting_for_client_) {
      waiting_for_client_ = false;
      read(node::Consistency::Local);
    }
  }

 private:
  void read(node::Consistency consistency) {
    RangeRequest request = request_;
    request.key = next_key_;
    request.range_end = single_ ? std::string_view() : std::string_view(range_end_);
    request.limit = request_.count_only ? 0 : std::min(chunk_, left_);
    request.sort_order = 0;
    service_.client().read(lower(request), consistency, [&service = service_, call = call_](auto answer) {
      auto* self = static_cast<RangeStream*>(service.transport().handler(call));
      if (self != nullptr) self->on_chunk(answer);
    });
  }

  void on_chunk(const node::Answer<node::Done>& answer) {
    const node::Done* done = service_.settle(call_, answer);
    if (done == nullptr) return;
    const auto& result = std::get<store::RangeResult>(done->reply.result);
    if (revision_.value == 0) {
      revision_ = result.revision;
      count_ = result.count;
      if (request_.revision <= 0) request_.revision = revision_.value;
    }
    left_ -= static_cast<int64_t>(result.items.size());
    const bool last = !result.more || left_ <= 0 || request_.count_only;
    const size_t size = send_chunk(result, last, done->term);
    if (last) return service_.transport().finish(call_, {});

    next_key_.assign(result.items.back().key.view());
    next_key_.push_back('\0');
    const size_t target = service_.options().max_request_bytes;
    if (size < target / 2) chunk_ *= 2;
    if (size > target * 2) chunk_ = std::max<int64_t>(1, chunk_ / 2);
    if (service_.transport().pending(call_) > target) {
      waiting_for_client_ = true;
    } else {
      read(node::Consistency::Local);
    }
  }

  // Header, more and count come with the last piece only, so that merging the pieces gives the whole.
  size_t send_chunk(const store::RangeResult& result, bool last, uint64_t term) {
    store::RangeResult shown{.items = result.items};
    Chain inner;
    if (last) {
      std::string header;
      put_header(header, service_.header(revision_, term));
      inner.append(header);
      shown.more = result.more;
      shown.count = count_;
    }
    put_range_body(inner, shown, request_.keys_only);
    const size_t size = inner.size();
    Chain message;
    std::string prefix = "\x0a";
    put_varint(prefix, size);
    message.append(prefix);
    message.append(std::move(inner));
    service_.transport().send(call_, std::move(message));
    return size;
  }

  Service& service_;
  const CallKey call_;
  RangeRequest request_;  // its views are not used after on_message
  std::string next_key_;
  std::string range_end_;
  bool single_ = false;
  bool started_ = false;
  bool waiting_for_client_ = false;
  int64_t chunk_ = 0;
  int64_t left_ = 0;
  int64_t count_ = 0;         // of the whole range, at the first chunk
  store::Revision revision_;  // at the first chunk; 0 before it
};

}  // namespace

std::unique_ptr<StreamHandler> kv_range_stream(Service& service, CallKey call) {
  return std::make_unique<RangeStream>(service, call);
}

}  // namespace witan::api::etcd
