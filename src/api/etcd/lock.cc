// v3lockpb.Lock (reference 1.13).
#include <string>

#include "api/etcd/handlers.h"
#include "api/etcd/lower.h"
#include "api/etcd/proto/lock.pb.h"
#include "api/etcd/queue_call.h"

namespace witan::api::etcd {
namespace {

class LockCall final : public QueueCall {
 public:
  using QueueCall::QueueCall;

  void on_message(std::string_view message) override {
    v3lockpb::LockRequest request;
    if (started_ || !service().parse(call(), message, request)) return;
    started_ = true;
    enter(request.name(), request.lease(), "");
  }

 private:
  void on_entered(const node::Done& done, const store::TxnResult& result) override {
    const auto& first = std::get<store::RangeResult>(result.results[1].what).items;
    if (first.empty() || first[0].version->create_revision == created()) return answer(done.reply.revision, done.term);
    wait();
  }

  void on_turn(const node::Done& done) override {
    answer(std::get<store::RangeResult>(done.reply.result).revision, done.term);
  }

  Error expired() const override { return Error::SessionExpired; }

  void answer(store::Revision revision, uint64_t term) {
    v3lockpb::LockResponse response;
    fill(*response.mutable_header(), service().header(revision, term));
    response.set_key(key());
    service().reply(call(), response);
  }

  bool started_ = false;
};

}  // namespace

std::unique_ptr<StreamHandler> lock_lock(Service& service, CallKey call) {
  return std::make_unique<LockCall>(service, call);
}

void lock_unlock(Service& service, CallKey call, std::string_view message) {
  v3lockpb::UnlockRequest request;
  if (!service.parse(call, message, request)) return;
  if (request.key().empty()) return service.fail(call, without_code(status_of(Error::EmptyKey)));
  const store::DeleteRange body{.range = {.begin = request.key(), .single = true}};
  service.client().propose(body, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = settle_without_code(service, call, outcome);
    if (done == nullptr) return;
    v3lockpb::UnlockResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    service.reply(call, response);
  });
}

}  // namespace witan::api::etcd
