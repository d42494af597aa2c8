// v3electionpb.Election (reference 1.13).
#include <optional>
#include <string>
#include <utility>

#include "api/etcd/handlers.h"
#include "api/etcd/proto/election.pb.h"
#include "api/etcd/queue_call.h"

namespace witan::api::etcd {
namespace {

using v3electionpb::LeaderKey;

store::Compare created_at(std::string_view key, int64_t revision) {
  return {.range = {.begin = key, .single = true},
          .target = store::CompareTarget::CreateRevision,
          .relation = store::Relation::Equal,
          .number = revision};
}

void put_kv(const store::KeyVersion& item, mvccpb::KeyValue& out) {
  out.set_key(item.key.data(), item.key.size());
  out.set_create_revision(item.version->create_revision.value);
  out.set_mod_revision(item.version->mod_revision.value);
  out.set_version(item.version->version);
  out.set_value(item.version->value.data(), item.version->value.size());
  out.set_lease(item.version->lease.value);
}

// ---- Campaign -----------------------------------------------------------------------------------

class Campaign final : public QueueCall {
 public:
  using QueueCall::QueueCall;

  void on_message(std::string_view message) override {
    if (started_ || !service().parse(call(), message, request_)) return;
    started_ = true;
    enter(request_.name(), request_.lease(), request_.value());
  }

 private:
  // The response's header is that of the candidacy, as in etcd.
  void on_entered(const node::Done& done, const store::TxnResult& result) override {
    header_ = service().header(done.reply.revision, done.term);
    if (result.succeeded) return wait();
    const auto& own = std::get<store::RangeResult>(result.results[0].what).items[0];
    if (own.version->value.view() == request_.value()) return wait();
    proclaim();
  }

  // The session is a candidate already, with another value.
  void proclaim() {
    store::Txn txn;
    txn.compares.push_back(created_at(key(), created().value));
    txn.success.push_back({store::Put{.key = key(), .value = request_.value(), .lease = store::LeaseId(lease())}});
    service().client().propose(txn, then([](QueueCall& self, const node::Done& done) {
                                 if (!std::get<store::TxnResult>(done.reply.result).succeeded) {
                                   return self.leave(status_of(Error::NotElected));
                                 }
                                 static_cast<Campaign&>(self).wait();
                               }));
  }

  void on_turn(const node::Done&) override {
    v3electionpb::CampaignResponse response;
    fill(*response.mutable_header(), header_);
    LeaderKey& leader = *response.mutable_leader();
    leader.set_name(request_.name());
    leader.set_key(key());
    leader.set_rev(created().value);
    leader.set_lease(lease());
    service().reply(call(), response);
  }

  Error expired() const override { return Error::NotElected; }

  v3electionpb::CampaignRequest request_;
  Header header_;
  bool started_ = false;
};

// ---- Proclaim -----------------------------------------------------------------------------------

// A lease of 0 in the leader key means a new one, odd as it is: etcd's server makes a session first, whatever for.
void proclaim(Service& service, CallKey call, const v3electionpb::ProclaimRequest& request, int64_t lease) {
  const LeaderKey& leader = request.leader();
  store::Txn txn;
  txn.compares.push_back(created_at(leader.key(), leader.rev()));
  txn.success.push_back({store::Put{.key = leader.key(), .value = request.value(), .lease = store::LeaseId(lease)}});
  service.client().propose(txn, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = settle_without_code(service, call, outcome);
    if (done == nullptr) return;
    if (!std::get<store::TxnResult>(done->reply.result).succeeded) return service.fail(call, Error::NotElected);
    v3electionpb::ProclaimResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    service.reply(call, response);
  });
}

// ---- Observe ------------------------------------------------------------------------------------

// Tells the present leader and every value it proclaims; when it goes, the next one. Between two leaders values may be
// missed, the latest never is.
class Observe final : public StreamHandler, private ChangeSink {
 public:
  Observe(Service& service, CallKey call) : service_(service), call_(call) {}
  ~Observe() override { detach(); }

  void on_message(std::string_view message) override {
    v3electionpb::LeaderRequest request;
    if (started_ || !service_.parse_stream(call_, message, request)) return;
    started_ = true;
    prefix_ = Prefix(queue_prefix(request.name()));
    look(node::Consistency::Linearizable);
  }

  void on_writable() override {
    if (skipped_) look(node::Consistency::Local);
  }

 private:
  void detach() { service_.watches().detach(std::exchange(ticket_, 0)); }

  void look(node::Consistency consistency) {
    detach();
    if (looking_) return;
    looking_ = true;
    skipped_ = false;
    service_.client().read(prefix_.first_created(), consistency,
                           [&service = service_, call = call_](const auto& answer) {
                             auto* self = static_cast<Observe*>(service.transport().handler(call));
                             if (self != nullptr) self->on_leader(answer);
                           });
  }

  // Attached in the turn that brought the answer: what changes afterwards comes live (core F1).
  void on_leader(const node::Answer<node::Done>& answer) {
    looking_ = false;
    if (error_of(answer)) return service_.fail(call_, Error::ObservationEnded);  // etcd does not say why either
    const node::Done* done = &*answer;
    const auto& result = std::get<store::RangeResult>(done->reply.result);
    store::KeyRange range = prefix_.range();
    leader_.reset();
    if (!result.items.empty()) {
      leader_ = std::string(result.items[0].key.view());
      range = store::KeyRange::single(*leader_);
      const store::Revision modified = result.items[0].version->mod_revision;
      if (modified != told_) tell(result.items[0], result.revision);
    }
    ticket_ = service_.watches().attach(range, result.revision + 1, *this, 0);
  }

  void on_events(uint64_t, std::span<const EventRef> events) override {
    for (const EventRef& ref : events) {
      const store::Change& change = ref.get();
      // A deletion or the first candidate: who leads must be looked up. A leader's new value is told as it is.
      if (!change.after || !leader_) return look(node::Consistency::Local);
      if (congested()) {
        skipped_ = true;
        return detach();
      }
      tell({change.key, change.after}, ref.revision());
    }
  }

  void on_detached(uint64_t, store::Revision) override {
    ticket_ = 0;
    look(node::Consistency::Local);
  }

  bool congested() const { return service_.transport().pending(call_) > service_.options().watch_buffer_bytes; }

  void tell(const store::KeyVersion& item, store::Revision revision) {
    told_ = item.version->mod_revision;
    v3electionpb::LeaderResponse response;
    fill(*response.mutable_header(), service_.header(revision, service_.client().view().term));
    put_kv(item, *response.mutable_kv());
    service_.send(call_, response);
  }

  Service& service_;
  const CallKey call_;
  Prefix prefix_;
  std::optional<std::string> leader_;  // its key
  store::Revision told_;               // mod_revision of what was told last
  WatchHub::Ticket ticket_ = 0;
  bool started_ = false;
  bool looking_ = false;
  bool skipped_ = false;  // the client was too slow for a value
};

// ---- Resign -------------------------------------------------------------------------------------

void resign(Service& service, CallKey call, const LeaderKey& leader) {
  store::Txn txn;
  txn.compares.push_back(created_at(leader.key(), leader.rev()));
  txn.success.push_back({store::DeleteRange{.range = {.begin = leader.key(), .single = true}}});
  service.client().propose(txn, [&service, call](const node::Outcome& outcome) {
    const node::Done* done = settle_without_code(service, call, outcome);
    if (done == nullptr) return;
    v3electionpb::ResignResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    service.reply(call, response);
  });
}

}  // namespace

std::unique_ptr<StreamHandler> election_campaign(Service& service, CallKey call) {
  return std::make_unique<Campaign>(service, call);
}

void election_proclaim(Service& service, CallKey call, std::string_view message) {
  v3electionpb::ProclaimRequest request;
  if (!service.parse(call, message, request)) return;
  if (!request.has_leader()) return service.fail(call, Error::MissingLeaderKey);
  const int64_t lease = request.leader().lease();
  with_session(service, lease,
               [&service, call, request = std::move(request)](const std::expected<int64_t, Status>& session) {
                 if (!session) return service.fail(call, session.error());
                 if (request.leader().key().empty())
                   return service.fail(call, without_code(status_of(Error::EmptyKey)));
                 proclaim(service, call, request, *session);
               });
}

void election_leader(Service& service, CallKey call, std::string_view message) {
  v3electionpb::LeaderRequest request;
  if (!service.parse(call, message, request)) return;
  const Prefix prefix(queue_prefix(request.name()));
  service.client().read(prefix.first_created(), node::Consistency::Linearizable, [&service, call](const auto& answer) {
    const node::Done* done = settle_without_code(service, call, answer);
    if (done == nullptr) return;
    const auto& result = std::get<store::RangeResult>(done->reply.result);
    if (result.items.empty()) return service.fail(call, Error::NoElectedLeader);
    v3electionpb::LeaderResponse response;
    fill(*response.mutable_header(), service.header(result.revision, done->term));
    put_kv(result.items[0], *response.mutable_kv());
    service.reply(call, response);
  });
}

std::unique_ptr<StreamHandler> election_observe(Service& service, CallKey call) {
  return std::make_unique<Observe>(service, call);
}

void election_resign(Service& service, CallKey call, std::string_view message) {
  v3electionpb::ResignRequest request;
  if (!service.parse(call, message, request)) return;
  if (!request.has_leader()) return service.fail(call, Error::MissingLeaderKey);
  if (request.leader().key().empty()) return service.fail(call, without_code(status_of(Error::EmptyKey)));
  resign(service, call, request.leader());
}

}  // namespace witan::api::etcd
