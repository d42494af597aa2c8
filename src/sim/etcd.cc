#include "sim/etcd.h"

#include "api/etcd/proto/election.pb.h"
#include "api/etcd/proto/kv.pb.h"
#include "api/etcd/proto/lock.pb.h"
#include "api/etcd/proto/rpc.pb.h"
#include "base/check.h"

namespace witan::sim::etcd {
namespace pb = etcdserverpb;
namespace {

template <class Message>
Message parse(std::string_view bytes) {
  Message message;
  CHECK(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())), "a member sent no message of its type");
  return message;
}

verify::Version version_of(const mvccpb::KeyValue& kv) {
  return {.value = kv.value(),
          .create_revision = kv.create_revision(),
          .mod_revision = kv.mod_revision(),
          .version = kv.version(),
          .lease = kv.lease()};
}

verify::KeyVersion key_version(const mvccpb::KeyValue& kv) { return {kv.key(), version_of(kv)}; }

// ---- Requests

pb::PutRequest request_of(const verify::Put& put) {
  pb::PutRequest out;
  out.set_key(put.key);
  out.set_value(put.value);
  out.set_lease(put.lease);
  out.set_prev_kv(put.prev_kv);
  return out;
}

pb::DeleteRangeRequest request_of(const verify::Delete& erase) {
  pb::DeleteRangeRequest out;
  out.set_key(erase.begin);
  out.set_range_end(erase.end);
  out.set_prev_kv(erase.prev_kv);
  return out;
}

pb::RangeRequest request_of(const verify::Range& range) {
  pb::RangeRequest out;
  out.set_key(range.begin);
  out.set_range_end(range.end);
  out.set_revision(range.revision);
  out.set_limit(range.limit);
  out.set_count_only(range.count_only);
  out.set_keys_only(range.keys_only);
  return out;
}

void add(const verify::Simple& simple, pb::RequestOp& out) {
  if (const auto* put = std::get_if<verify::Put>(&simple)) *out.mutable_request_put() = request_of(*put);
  if (const auto* erase = std::get_if<verify::Delete>(&simple)) {
    *out.mutable_request_delete_range() = request_of(*erase);
  }
  if (const auto* range = std::get_if<verify::Range>(&simple)) *out.mutable_request_range() = request_of(*range);
}

void add(const verify::Compare& compare, pb::Compare& out) {
  using Target = verify::Compare::Target;
  using Relation = verify::Compare::Relation;
  out.set_key(compare.key);
  switch (compare.relation) {
    case Relation::Equal: out.set_result(pb::Compare::EQUAL); break;
    case Relation::NotEqual: out.set_result(pb::Compare::NOT_EQUAL); break;
    case Relation::Greater: out.set_result(pb::Compare::GREATER); break;
    case Relation::Less: out.set_result(pb::Compare::LESS); break;
  }
  switch (compare.target) {
    case Target::Version:
      out.set_target(pb::Compare::VERSION);
      out.set_version(compare.number);
      break;
    case Target::Create:
      out.set_target(pb::Compare::CREATE);
      out.set_create_revision(compare.number);
      break;
    case Target::Mod:
      out.set_target(pb::Compare::MOD);
      out.set_mod_revision(compare.number);
      break;
    case Target::Value:
      out.set_target(pb::Compare::VALUE);
      out.set_value(compare.text);
      break;
    case Target::Lease:
      out.set_target(pb::Compare::LEASE);
      out.set_lease(compare.number);
      break;
  }
}

pb::TxnRequest request_of(const verify::Txn& txn) {
  pb::TxnRequest out;
  for (const verify::Compare& compare : txn.when) add(compare, *out.add_compare());
  for (const verify::Simple& simple : txn.then) add(simple, *out.add_success());
  for (const verify::Simple& simple : txn.otherwise) add(simple, *out.add_failure());
  return out;
}

// ---- Responses

verify::PutReply reply_of(const pb::PutResponse& in) {
  verify::PutReply out;
  if (in.has_prev_kv()) out.previous = version_of(in.prev_kv());
  return out;
}

verify::DeleteReply reply_of(const pb::DeleteRangeResponse& in) {
  verify::DeleteReply out{.deleted = in.deleted(), .previous = {}};
  for (const auto& kv : in.prev_kvs()) out.previous.push_back(key_version(kv));
  return out;
}

verify::RangeReply reply_of(const pb::RangeResponse& in) {
  verify::RangeReply out{.kvs = {}, .count = in.count(), .more = in.more()};
  for (const auto& kv : in.kvs()) out.kvs.push_back(key_version(kv));
  return out;
}

verify::TxnReply reply_of(const pb::TxnResponse& in) {
  verify::TxnReply out{.succeeded = in.succeeded(), .replies = {}};
  for (const auto& response : in.responses()) {
    if (response.has_response_put()) out.replies.emplace_back(reply_of(response.response_put()));
    if (response.has_response_delete_range()) out.replies.emplace_back(reply_of(response.response_delete_range()));
    if (response.has_response_range()) out.replies.emplace_back(reply_of(response.response_range()));
  }
  return out;
}

template <class Response>
verify::Reply decode(std::string_view bytes) {
  const auto response = parse<Response>(bytes);
  return {.revision = response.header().revision(), .answer = reply_of(response)};
}

}  // namespace

// ---- KV -----------------------------------------------------------------------------------------

std::string path_of(const verify::Operation& operation) {
  static constexpr const char* kPaths[] = {"/etcdserverpb.KV/Put", "/etcdserverpb.KV/DeleteRange",
                                           "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"};
  return kPaths[operation.index()];
}

std::string encode(const verify::Operation& operation, bool serializable) {
  if (const auto* range = std::get_if<verify::Range>(&operation)) {
    pb::RangeRequest request = request_of(*range);
    request.set_serializable(serializable);
    return request.SerializeAsString();
  }
  if (const auto* put = std::get_if<verify::Put>(&operation)) return request_of(*put).SerializeAsString();
  if (const auto* erase = std::get_if<verify::Delete>(&operation)) return request_of(*erase).SerializeAsString();
  return request_of(std::get<verify::Txn>(operation)).SerializeAsString();
}

verify::Reply decode_reply(const verify::Operation& operation, std::string_view bytes) {
  if (std::holds_alternative<verify::Put>(operation)) return decode<pb::PutResponse>(bytes);
  if (std::holds_alternative<verify::Delete>(operation)) return decode<pb::DeleteRangeResponse>(bytes);
  if (std::holds_alternative<verify::Range>(operation)) return decode<pb::RangeResponse>(bytes);
  return decode<pb::TxnResponse>(bytes);
}

std::string encode_compaction(int64_t revision) {
  pb::CompactionRequest request;
  request.set_revision(revision);
  return request.SerializeAsString();
}

// ---- Watch --------------------------------------------------------------------------------------

std::string encode_watch(const verify::WatchAttachment& wanted, int64_t watch_id) {
  pb::WatchRequest request;
  auto& create = *request.mutable_create_request();
  create.set_key(wanted.begin);
  create.set_range_end(wanted.end);
  create.set_start_revision(wanted.start_revision);
  create.set_progress_notify(wanted.progress_notify);
  create.set_prev_kv(wanted.prev_kv);
  create.set_watch_id(watch_id);
  create.set_fragment(wanted.fragment);
  if (wanted.no_put) create.add_filters(pb::WatchCreateRequest::NOPUT);
  if (wanted.no_delete) create.add_filters(pb::WatchCreateRequest::NODELETE);
  return request.SerializeAsString();
}

std::string encode_watch_cancel(int64_t watch_id) {
  pb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(watch_id);
  return request.SerializeAsString();
}

std::string encode_progress_request() {
  pb::WatchRequest request;
  request.mutable_progress_request();
  return request.SerializeAsString();
}

WatchResponse decode_watch(std::string_view bytes, Instant at) {
  using Kind = verify::WatchMessage::Kind;
  const auto response = parse<pb::WatchResponse>(bytes);
  WatchResponse out{.watch_id = response.watch_id(), .messages = {}};
  const auto say = [&](Kind kind) -> verify::WatchMessage& {
    verify::WatchMessage& message = out.messages.emplace_back();
    message.kind = kind;
    message.header_revision = response.header().revision();
    message.compact_revision = response.compact_revision();
    message.at = at;
    return message;
  };
  if (response.created()) say(Kind::Created);
  if (response.events_size() > 0) {
    verify::WatchMessage& message = say(Kind::Events);
    message.more_fragments = response.fragment();
    for (const auto& event : response.events()) {
      verify::WatchEvent& made = message.events.emplace_back();
      made.deleted = event.type() == mvccpb::Event::DELETE;
      made.key = event.kv().key();
      made.now = version_of(event.kv());
      if (event.has_prev_kv()) made.previous = version_of(event.prev_kv());
    }
  }
  if (response.canceled()) say(Kind::Canceled);
  if (out.messages.empty()) say(Kind::Progress);
  return out;
}

// ---- Lease --------------------------------------------------------------------------------------

std::string encode_grant(int64_t id, int64_t ttl_s) {
  pb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl_s);
  return request.SerializeAsString();
}

// Revocations and keep-alives are the same bytes.
std::string encode_lease_id(int64_t id) {
  pb::LeaseRevokeRequest request;
  request.set_id(id);
  return request.SerializeAsString();
}

LeaseReply decode_grant(std::string_view bytes) {
  const auto response = parse<pb::LeaseGrantResponse>(bytes);
  return {response.id(), response.ttl()};
}

LeaseReply decode_keep_alive(std::string_view bytes) {
  const auto response = parse<pb::LeaseKeepAliveResponse>(bytes);
  return {response.id(), response.ttl()};
}

// ---- Lock and Election --------------------------------------------------------------------------

std::string encode_lock(std::string_view name, int64_t lease) {
  v3lockpb::LockRequest request;
  request.set_name(std::string(name));
  request.set_lease(lease);
  return request.SerializeAsString();
}

Held decode_lock(std::string_view bytes) {
  const auto response = parse<v3lockpb::LockResponse>(bytes);
  return {.key = response.key(), .revision = response.header().revision(), .lease = 0, .name = {}, .value = {}};
}

std::string encode_unlock(std::string_view key) {
  v3lockpb::UnlockRequest request;
  request.set_key(std::string(key));
  return request.SerializeAsString();
}

namespace {

void fill(const Held& held, v3electionpb::LeaderKey& out) {
  out.set_name(held.name);
  out.set_key(held.key);
  out.set_rev(held.revision);
  out.set_lease(held.lease);
}

}  // namespace

std::string encode_campaign(std::string_view name, int64_t lease, std::string_view value) {
  v3electionpb::CampaignRequest request;
  request.set_name(std::string(name));
  request.set_lease(lease);
  request.set_value(std::string(value));
  return request.SerializeAsString();
}

Held decode_campaign(std::string_view bytes) {
  const auto response = parse<v3electionpb::CampaignResponse>(bytes);
  const auto& leader = response.leader();
  return {.key = leader.key(), .revision = leader.rev(), .lease = leader.lease(), .name = leader.name(), .value = {}};
}

std::string encode_proclaim(const Held& leader, std::string_view value) {
  v3electionpb::ProclaimRequest request;
  fill(leader, *request.mutable_leader());
  request.set_value(std::string(value));
  return request.SerializeAsString();
}

std::string encode_resign(const Held& leader) {
  v3electionpb::ResignRequest request;
  fill(leader, *request.mutable_leader());
  return request.SerializeAsString();
}

std::string encode_observe(std::string_view name) {
  v3electionpb::LeaderRequest request;
  request.set_name(std::string(name));
  return request.SerializeAsString();
}

verify::KeyVersion decode_observed(std::string_view bytes) {
  return key_version(parse<v3electionpb::LeaderResponse>(bytes).kv());
}

// ---- Members and maintenance --------------------------------------------------------------------

std::string encode_member_list(bool linearizable) {
  pb::MemberListRequest request;
  request.set_linearizable(linearizable);
  return request.SerializeAsString();
}

std::vector<MemberItem> decode_members(std::string_view bytes) {
  std::vector<MemberItem> out;
  const auto response = parse<pb::MemberListResponse>(bytes);
  for (const auto& member : response.members()) {
    out.push_back({.id = member.id(),
                   .learner = member.islearner(),
                   .started = !member.name().empty(),
                   .peer_url = member.peerurls_size() == 0 ? std::string() : member.peerurls(0)});
  }
  return out;
}

std::string encode_member_add(std::string_view peer_url, bool learner) {
  pb::MemberAddRequest request;
  request.add_peerurls(std::string(peer_url));
  request.set_islearner(learner);
  return request.SerializeAsString();
}

std::string encode_member_id(uint64_t id) {
  pb::MemberRemoveRequest request;
  request.set_id(id);
  return request.SerializeAsString();
}

std::string encode_move_leader(uint64_t to) {
  pb::MoveLeaderRequest request;
  request.set_targetid(to);
  return request.SerializeAsString();
}

}  // namespace witan::sim::etcd
