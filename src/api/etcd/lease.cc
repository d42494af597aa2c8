// Lease: granting, ending, keeping alive.
#include <algorithm>
#include <deque>
#include <optional>

#include "api/etcd/handlers.h"
#include "api/etcd/proto/rpc.pb.h"

namespace witan::api::etcd {
namespace {

constexpr int64_t kMillis = 1000;
constexpr int64_t kLargestTtl =
    9'000'000'000;  // seconds; what is larger is refused at apply, in the right order of errors

int64_t ttl_ms(int64_t seconds) { return std::clamp<int64_t>(seconds, 0, kLargestTtl + 1) * kMillis; }

// Renewals go out as they come; answers go back in the order of the requests, each with a header made before its
// renewal, so that its revision is never above that of the renewal (etcd, v3rpc/lease.go).
class KeepAlive final : public StreamHandler {
 public:
  KeepAlive(Service& service, CallKey call) : service_(service), call_(call) {}

  void on_message(std::string_view message) override {
    etcdserverpb::LeaseKeepAliveRequest request;
    if (!service_.parse_stream(call_, message, request)) return;
    Renewal& renewal = waiting_.emplace_back();
    fill(*renewal.response.mutable_header(), service_.header());
    renewal.response.set_id(request.id());
    if (waiting_.size() == kMaxWaiting) service_.transport().pause_reading(call_, true);
    const uint64_t number = first_ + waiting_.size() - 1;
    service_.client().renew_lease(store::LeaseId(request.id()), store::LeaseKind::Etcd,
                                  [&service = service_, call = call_, number](const auto& answer) {
                                    auto* self = static_cast<KeepAlive*>(service.transport().handler(call));
                                    if (self != nullptr) self->on_renewed(number, answer);
                                  });
  }

  void on_half_close() override {
    half_closed_ = true;
    finish_when_done();
  }

 private:
  static constexpr size_t kMaxWaiting = 256;
  struct Renewal {
    etcdserverpb::LeaseKeepAliveResponse response;
    bool done = false;
    std::optional<Status> error;
  };

  void on_renewed(uint64_t number, const node::Answer<node::LeaseRenewal>& answer) {
    Renewal& renewal = waiting_[number - first_];
    renewal.done = true;
    if (answer) {
      renewal.response.set_ttl(answer->ttl_ms / kMillis);  // 0: there is no such lease
    } else {
      renewal.error = status_of(answer.error());
    }
    const bool was_full = waiting_.size() >= kMaxWaiting;
    while (!waiting_.empty() && waiting_.front().done) {
      if (waiting_.front().error) return service_.fail(call_, *waiting_.front().error);
      service_.send(call_, waiting_.front().response);
      waiting_.pop_front();
      ++first_;
    }
    if (was_full && waiting_.size() < kMaxWaiting) service_.transport().pause_reading(call_, false);
    finish_when_done();
  }

  void finish_when_done() {
    if (half_closed_ && waiting_.empty()) service_.transport().finish(call_, {});
  }

  Service& service_;
  const CallKey call_;
  std::deque<Renewal> waiting_;
  uint64_t first_ = 0;  // number of waiting_.front()
  bool half_closed_ = false;
};

}  // namespace

void lease_grant(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::LeaseGrantRequest request;
  if (!service.parse(call, message, request)) return;
  const store::LeaseGrant body{.id = store::LeaseId(request.id()), .ttl_ms = ttl_ms(request.ttl())};
  service.client().propose(body, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    const auto& result = std::get<store::LeaseGrantResult>(done->reply.result);
    etcdserverpb::LeaseGrantResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    response.set_id(result.id.value);
    response.set_ttl(result.ttl_ms / kMillis);
    service.reply(call, response);
  });
}

void lease_revoke(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::LeaseRevokeRequest request;
  if (!service.parse(call, message, request)) return;
  const store::LeaseRevoke body{.id = store::LeaseId(request.id())};
  service.client().propose(body, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    etcdserverpb::LeaseRevokeResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    service.reply(call, response);
  });
}

void lease_time_to_live(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  if (!service.parse(call, message, request)) return;
  service.client().lease_time(store::LeaseId(request.id()), request.keys(),
                              [&service, call, id = request.id()](const node::Answer<node::LeaseTime>& answer) {
                                if (!answer) return service.fail(call, status_of(answer.error()));
                                etcdserverpb::LeaseTimeToLiveResponse response;
                                fill(*response.mutable_header(), service.header());
                                response.set_id(id);
                                response.set_ttl(answer->found ? answer->remaining_ms / kMillis : -1);
                                if (answer->found) response.set_grantedttl(answer->granted_ms / kMillis);
                                for (const Blob& key : answer->keys) response.add_keys(key.data(), key.size());
                                service.reply(call, response);
                              });
}

void lease_leases(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::LeaseLeasesRequest request;
  if (!service.parse(call, message, request)) return;
  service.client().leases(store::LeaseKind::Etcd,
                          [&service, call](const node::Answer<std::vector<store::LeaseId>>& answer) {
                            if (!answer) return service.fail(call, status_of(answer.error()));
                            etcdserverpb::LeaseLeasesResponse response;
                            fill(*response.mutable_header(), service.header());
                            for (const store::LeaseId id : *answer) response.add_leases()->set_id(id.value);
                            service.reply(call, response);
                          });
}

std::unique_ptr<StreamHandler> lease_keep_alive(Service& service, CallKey call) {
  return std::make_unique<KeepAlive>(service, call);
}

}  // namespace witan::api::etcd
