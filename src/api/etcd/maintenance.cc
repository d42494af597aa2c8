// Maintenance: how the member is, and work on the whole of its state.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "api/etcd/handlers.h"
#include "api/etcd/proto/rpc.pb.h"

namespace witan::api::etcd {
namespace {

etcdserverpb::AlarmType alarm_type(store::AlarmKind kind) {
  return static_cast<etcdserverpb::AlarmType>(static_cast<int>(kind));
}

void put_alarm(const store::AlarmChange& alarm, etcdserverpb::AlarmResponse& out) {
  etcdserverpb::AlarmMember& shown = *out.add_alarms();
  shown.set_memberid(alarm.member);
  shown.set_alarm(alarm_type(alarm.kind));
}

void reply_status(Service& service, CallKey call, const node::Status& status) {
  etcdserverpb::StatusResponse response;
  fill(*response.mutable_header(), service.header(status.revision, status.term));
  response.set_version(kVersion);
  response.set_dbsize(status.bytes_allocated);
  response.set_dbsizeinuse(status.bytes_in_use);
  response.set_dbsizequota(status.quota_bytes);
  response.set_leader(status.leader);
  response.set_raftindex(status.commit_index);
  response.set_raftappliedindex(status.applied_index);
  response.set_raftterm(status.term);
  response.set_islearner(status.is_learner);
  response.set_storageversion(kStorageVersion);
  response.mutable_downgradeinfo()->set_enabled(false);
  if (status.leader == 0) response.add_errors(std::string(text_of(Error::NoLeader)));
  for (const store::AlarmChange& alarm : status.alarms) {
    response.add_errors(fmt::format("memberID:{} alarm:{}", alarm.member, AlarmType_Name(alarm_type(alarm.kind))));
  }
  service.reply(call, response);
}

// The alarms that are on, after a linearizable read, so that one raised through another member is seen.
void list_alarms(Service& service, CallKey call, store::AlarmKind kind) {
  const store::Range barrier{.range = {.begin = std::string_view("\0", 1), .single = true}, .count_only = true};
  service.client().read(barrier, node::Consistency::Linearizable, [&service, call, kind](const auto& answer) {
    if (service.settle(call, answer) == nullptr) return;
    service.client().status([&service, call, kind](const node::Status& status) {
      etcdserverpb::AlarmResponse response;
      fill(*response.mutable_header(), service.header(status.revision, status.term));
      for (const store::AlarmChange& alarm : status.alarms) {
        if (kind == store::AlarmKind::None || alarm.kind == kind) put_alarm(alarm, response);
      }
      service.reply(call, response);
    });
  });
}

void change_alarm(Service& service, CallKey call, const store::AlarmChange& change) {
  service.client().propose(change, [&service, call, change](const node::Outcome& outcome) {
    const node::Done* done = service.settle(call, outcome);
    if (done == nullptr) return;
    etcdserverpb::AlarmResponse response;
    fill(*response.mutable_header(), service.header(done->reply.revision, done->term));
    const auto* result = std::get_if<store::AlarmResult>(&done->reply.result);
    if (change.active) {
      put_alarm(change, response);  // also when it was on before, as etcd does
    } else if (result != nullptr) {
      for (const store::AlarmChange& changed : result->changed) put_alarm(changed, response);
    }
    service.reply(call, response);
  });
}

// "3.6" or "3.6.0"; what etcd calls a version.
bool is_version(std::string_view text) {
  int numbers = 0;
  while (true) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || (digits > 1 && text[0] == '0')) return false;
    ++numbers;
    text.remove_prefix(digits);
    if (text.empty()) return numbers == 2 || numbers == 3;
    if (text[0] != '.') return false;
    text.remove_prefix(1);
  }
}

}  // namespace

void maintenance_status(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::StatusRequest request;
  if (!service.parse(call, message, request)) return;
  service.client().status([&service, call](const node::Status& status) { reply_status(service, call, status); });
}

void maintenance_alarm(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::AlarmRequest request;
  if (!service.parse(call, message, request)) return;
  const bool known = etcdserverpb::AlarmType_IsValid(request.alarm());
  const auto kind = known ? static_cast<store::AlarmKind>(request.alarm()) : store::AlarmKind::None;
  switch (request.action()) {
    case etcdserverpb::AlarmRequest::GET: return list_alarms(service, call, kind);
    case etcdserverpb::AlarmRequest::ACTIVATE:
    case etcdserverpb::AlarmRequest::DEACTIVATE:
      if (kind != store::AlarmKind::None) {
        const bool active = request.action() == etcdserverpb::AlarmRequest::ACTIVATE;
        return change_alarm(service, call, {.member = request.memberid(), .kind = kind, .active = active});
      }
      break;
    default: break;
  }
  etcdserverpb::AlarmResponse response;  // nothing was asked for
  fill(*response.mutable_header(), service.header());
  service.reply(call, response);
}

// Space is given back while the server runs: there is nothing to do, and it is done. etcd's response has no header.
void maintenance_defragment(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::DefragmentRequest request;
  if (service.parse(call, message, request)) service.reply(call, etcdserverpb::DefragmentResponse());
}

// etcd hashes its database file, which says something only about one member. Ours is HashKV of the present revision.
void maintenance_hash(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::HashRequest request;
  if (!service.parse(call, message, request)) return;
  service.client().hash_kv(store::Revision(0), [&service, call](const auto& result) {
    if (!result) return service.fail(call, Error::Compacted);
    etcdserverpb::HashResponse response;
    fill(*response.mutable_header(), service.header(result->revision, result->term));
    response.set_hash(result->hash);
    service.reply(call, response);
  });
}

void maintenance_hash_kv(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::HashKVRequest request;
  if (!service.parse(call, message, request)) return;
  service.client().hash_kv(store::Revision(request.revision()), [&service, call](const auto& result) {
    if (!result) {
      const bool compacted = result.error() == node::HashFailure::Compacted;
      return service.fail(call, compacted ? Error::Compacted : Error::FutureRevision);
    }
    etcdserverpb::HashKVResponse response;
    fill(*response.mutable_header(), service.header(result->revision, result->term));
    response.set_hash(result->hash);
    response.set_compact_revision(result->compacted.value);
    response.set_hash_revision(result->hash_revision.value);
    service.reply(call, response);
  });
}

// etcd's response has no header.
void maintenance_move_leader(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MoveLeaderRequest request;
  if (!service.parse(call, message, request)) return;
  if (!service.client().view().is_leader) return service.fail(call, Error::NotLeader);
  service.client().move_leader(request.targetid(), [&service, call](const Result<>& result) {
    if (!result) return service.fail(call, move_leader_status(result.error()));
    service.reply(call, etcdserverpb::MoveLeaderResponse());
  });
}

// There is no older server that reads this one's data, so no target is valid. Cancelling what does not run succeeds, as
// in etcd 3.7.1.
void maintenance_downgrade(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::DowngradeRequest request;
  if (!service.parse(call, message, request)) return;
  switch (request.action()) {
    case etcdserverpb::DowngradeRequest::VALIDATE:
    case etcdserverpb::DowngradeRequest::ENABLE:
      if (!is_version(request.version())) return service.fail(call, Error::WrongDowngradeFormat);
      return service.fail(call, Error::InvalidDowngradeTarget);
    case etcdserverpb::DowngradeRequest::CANCEL: break;
    default: return service.fail(call, Error::UnknownMethod);
  }
  etcdserverpb::DowngradeResponse response;
  fill(*response.mutable_header(), service.header());
  response.set_version("3.7");
  service.reply(call, response);
}

}  // namespace witan::api::etcd
