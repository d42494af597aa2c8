#include "api/etcd/queue_call.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/planted.h"

namespace witan::api::etcd {

std::string queue_prefix(std::string_view name) { return std::string(name) + "/"; }

std::string queue_key(std::string_view prefix, int64_t lease) { return fmt::format("{}{:x}", prefix, lease); }

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(end.back() + 1);
  return end;
}

store::Range Prefix::first_created() const {
  return {.range = view(), .limit = 1, .order = store::SortOrder::Ascend, .target = store::SortTarget::CreateRevision};
}

store::Range Prefix::last_created_before(store::Revision revision) const {
  return {.range = view(),
          .limit = 1,
          .order = store::SortOrder::Descend,
          .target = store::SortTarget::CreateRevision,
          .max_create = revision - 1};
}

Status without_code(Status status) { return {wire::GrpcStatus::Unknown, std::move(status.text)}; }

void with_session(Service& service, int64_t lease, Function<void(std::expected<int64_t, Status>)> then) {
  if (lease != 0) return then(lease);
  service.client().propose(store::LeaseGrant{.ttl_ms = kSessionTtlMs},
                           [then = std::move(then)](const node::Outcome& outcome) mutable {
                             if (auto error = error_of(outcome)) {
                               return then(std::unexpected(without_code(*std::move(error))));
                             }
                             const auto& reply = std::get<node::Done>(outcome).reply;
                             then(std::get<store::LeaseGrantResult>(reply.result).id.value);
                           });
}

void delete_created_at(Service& service, std::string_view key, store::Revision created) {
  const store::KeyRangeView range{.begin = key, .single = true};
  store::Txn txn;
  txn.compares.push_back({.range = range,
                          .target = store::CompareTarget::CreateRevision,
                          .relation = store::Relation::Equal,
                          .number = created.value});
  txn.success.push_back({store::DeleteRange{.range = range}});
  service.client().propose(txn, [](const node::Outcome&) {});
}

QueueCall::~QueueCall() { service_.watches().detach(ticket_); }

void QueueCall::on_cancel() {
  if (created_.value != 0) delete_created_at(service_, key_, std::exchange(created_, store::Revision(0)));
}

void QueueCall::leave(const Status& status) {
  on_cancel();
  service_.fail(call_, without_code(status));
}

void QueueCall::enter(std::string_view name, int64_t lease, std::string value) {
  prefix_ = Prefix(queue_prefix(name));
  with_session(service_, lease,
               [&service = service_, call = call_, value = std::move(value)](std::expected<int64_t, Status> session) {
                 auto* self = static_cast<QueueCall*>(service.transport().handler(call));
                 if (self == nullptr) return;
                 if (!session) return service.fail(call, session.error());
                 self->put(*session, value);
               });
}

void QueueCall::put(int64_t lease, std::string_view value) {
  lease_ = lease;
  key_ = queue_key(prefix_.text(), lease);
  const store::KeyRangeView own{.begin = key_, .single = true};
  store::Txn txn;
  txn.compares.push_back({.range = own, .target = store::CompareTarget::CreateRevision});
  txn.success.push_back({store::Put{.key = key_, .value = value, .lease = store::LeaseId(lease)}});
  txn.success.push_back({prefix_.first_created()});
  txn.failure.push_back({store::Range{.range = own}});
  txn.failure.push_back({prefix_.first_created()});
  service_.client().propose(txn, [&service = service_, call = call_, key = key_](const node::Outcome& outcome) {
    if (auto* self = static_cast<QueueCall*>(service.transport().handler(call))) return self->on_put(outcome);
    // The client went away before its put was answered. A place it had before, by the same lease, is not ours to give
    // up.
    const auto* done = std::get_if<node::Done>(&outcome);
    if (done == nullptr || done->reply.failure.reason != store::Reason::None) return;
    if (std::get<store::TxnResult>(done->reply.result).succeeded) delete_created_at(service, key, done->reply.revision);
  });
}

void QueueCall::on_put(const node::Outcome& outcome) {
  const node::Done* done = settle_without_code(service_, call_, outcome);
  if (done == nullptr) return;
  const auto& result = std::get<store::TxnResult>(done->reply.result);
  if (result.succeeded) {
    created_ = done->reply.revision;
  } else {
    created_ = std::get<store::RangeResult>(result.results[0].what).items[0].version->create_revision;
  }
  on_entered(*done, result);
}

// The member's own state is enough: it has applied the own put, so it shows everyone who came before.
void QueueCall::wait() {
  service_.client().read(prefix_.last_created_before(created_), node::Consistency::Local,
                         then([](QueueCall& self, const node::Done& done) { self.on_predecessor(done); }));
}

// Attached in the turn that brought the answer, so the deletion cannot slip between the two (core F1).
void QueueCall::on_predecessor(const node::Done& done) {
  const auto& result = std::get<store::RangeResult>(done.reply.result);
  if (result.items.empty()) return planted(Bug::LockWithoutRecheck) ? on_turn(done) : confirm();
  predecessor_ = result.items[0].key.view();
  ticket_ = service_.watches().attach(store::KeyRange::single(predecessor_), result.revision + 1, *this, 0);
}

void QueueCall::on_events(uint64_t, std::span<const EventRef> events) {
  if (std::ranges::all_of(events, [](const EventRef& ref) { return static_cast<bool>(ref.get().after); })) return;
  service_.watches().detach(std::exchange(ticket_, 0));
  wait();
}

void QueueCall::on_detached(uint64_t, store::Revision) {
  ticket_ = 0;
  wait();
}

void QueueCall::confirm() {
  const store::Range own{.range = {.begin = key_, .single = true}};
  service_.client().read(own, node::Consistency::Linearizable, then([](QueueCall& self, const node::Done& done) {
                           const auto& items = std::get<store::RangeResult>(done.reply.result).items;
                           if (!items.empty() && items[0].version->create_revision == self.created_) {
                             return self.on_turn(done);
                           }
                           self.created_ = store::Revision(0);
                           self.service_.fail(self.call_, self.expired());
                         }));
}

}  // namespace witan::api::etcd
