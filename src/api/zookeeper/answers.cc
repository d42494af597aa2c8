// What came of requests, in ZooKeeper's words.
#include <algorithm>
#include <utility>
#include <variant>

#include "api/zookeeper/connection.h"
#include "api/zookeeper/errors.h"
#include "api/zookeeper/lower.h"
#include "store/path.h"

namespace witan::api::zookeeper {

template <class Body>
void Connection::reply(Number number, const Slot& slot, const Body& body) {
  const int64_t zxid = service_.zxid();
  Chain encoded;
  encode_reply(encoded, {.xid = slot.xid, .zxid = zxid}, body);
  answers_.answer(number, std::move(encoded), zxid);
  leave();
}
template void Connection::reply(Number, const Slot&, const MultiReply&);
template void Connection::reply(Number, const Slot&, const AddWatchReply&);
template void Connection::reply(Number, const Slot&, const WhoAmIReply&);
template void Connection::reply(Number, const Slot&, const DataReply&);

// Of what says nothing of the state: the header tells the zxid that is the newest when it leaves.
void Connection::reply_stateless(Number number, const ReplyBody& body) {
  answers_.answer_stateless(number, ErrorCode::Ok, encode_body(body));
  leave();
}

void Connection::fail(Number number, ErrorCode error) {
  answers_.answer(number, error);
  leave();
}

void Connection::fail_last(Number number, ErrorCode error) {
  stage_ = stage_ == Stage::Open ? Stage::Leaving : stage_;
  if (Slot* slot = answers_.waiting(number)) slot->last = true;
  fail(number, error);
}

// Nobody can say what became of it, so its client must think of its connection as lost.
void Connection::cut(Number number) {
  stage_ = stage_ == Stage::Open ? Stage::Leaving : stage_;
  answers_.cut(number);
  leave();
}

// Of any name that a node could have by its length, as ZooKeeper takes them.
bool Connection::watch(std::string_view path, WatchKinds kinds) {
  if (path.size() > store::kMaxPathBytes) return true;  // nothing will ever happen to it
  service_.watches.add(id_, path, kinds);
  if (service_.watches.paths_of(id_) <= service_.options.max_watched_paths) return true;
  close("it watches too many paths");
  return false;
}

// ---- writes -------------------------------------------------------------------------------------

void Connection::on_written(Number number, const node::Outcome& outcome) {
  if (gone_ || stage_ == Stage::Closing) return;
  const Slot* slot = answers_.waiting(number);
  if (slot == nullptr) return;
  const auto* done = std::get_if<node::Done>(&outcome);
  if (done == nullptr) return cut(number);
  const store::Failure& failure = done->reply.failure;
  // A session that is over or has moved has nobody here to be answered.
  const ErrorCode error = error_of(failure.reason);
  if (error == ErrorCode::SessionExpired || error == ErrorCode::SessionMoved) return cut(number);
  if (OpCode{slot->type} == OpCode::Multi && error != ErrorCode::Ok) {
    if (slot->parts.at(failure.operation) == OpCode::Error) return fail(number, ErrorCode::MarshallingError);
    return reply(number, *slot, MultiReply{.results = failed_multi(slot->parts.size(), failure)});
  }
  if (error != ErrorCode::Ok) return fail(number, error);
  answer_write(number, *slot, std::get<store::NodeTxnResult>(done->reply.result));
}

void Connection::answer_write(Number number, const Slot& slot, const store::NodeTxnResult& result) {
  if (OpCode{slot.type} == OpCode::Multi) {
    const std::vector<MultiResult> results = multi_results(slot.parts, result, service_.root);
    return reply(number, slot, MultiReply{.results = results});
  }
  const store::NodeTxnResult::Item& item = result.items.at(0);
  switch (OpCode{slot.type}) {
    case OpCode::Create: return reply(number, slot, PathReply{.path = service_.root.to_client(item.path)});
    case OpCode::Create2:
    case OpCode::CreateContainer:
    case OpCode::CreateTtl: {
      const std::string_view path = service_.root.to_client(item.path).value_or(item.path);
      return reply(number, slot, CreateReply{.path = path, .stat = stat_of(item.stat)});
    }
    case OpCode::SetData:
    case OpCode::SetAcl: return reply(number, slot, StatReply{.stat = stat_of(item.stat)});
    default: return fail(number, ErrorCode::Ok);
  }
}

void Connection::on_session_closed(Number number, const node::Outcome& outcome) {
  if (gone_ || stage_ == Stage::Closing) return;
  const auto* done = std::get_if<node::Done>(&outcome);
  if (done == nullptr || error_of(done->reply.failure.reason) == ErrorCode::SessionMoved) return cut(number);
  fail_last(number, ErrorCode::Ok);  // over is over, whoever ended it
}

// ---- reads --------------------------------------------------------------------------------------

// A watch is armed here and not when the answer leaves: from this turn on its events come (core F1).
void Connection::on_read(Number number, node::Answer<node::Done> answer) {
  if (gone_ || stage_ == Stage::Closing) return;
  const Slot* slot = answers_.waiting(number);
  if (slot == nullptr) return;
  if (!answer) return cut(number);
  auto* result = std::get_if<store::NodeReadsResult>(&answer->reply.result);
  if (answer->reply.failure.reason != store::Reason::None || result == nullptr) return cut(number);
  for (const size_t config : slot->configs) service_.config.show(result->items.at(config));
  if (OpCode{slot->type} == OpCode::MultiRead) return answer_multi_read(number, *slot, *result);
  answer_item(number, *slot, result->items.at(0));
}

void Connection::answer_item(Number number, const Slot& slot, const store::NodeReadsResult::Item& item) {
  const auto type = OpCode{slot.type};
  const bool exists = item.reason == store::Reason::None;
  const bool watchable = exists || (type == OpCode::Exists && item.reason == store::Reason::NodeNotFound);
  const bool children = type == OpCode::GetChildren || type == OpCode::GetChildren2;
  if (slot.watch && watchable && !watch(slot.path, children ? kChildWatch : kDataWatch)) return;
  if (!exists) return fail(number, error_of(item.reason));
  switch (type) {
    case OpCode::Exists: return reply(number, slot, StatReply{.stat = stat_of(item.stat)});
    case OpCode::GetData: return reply(number, slot, DataReply{.data = item.value, .stat = stat_of(item.stat)});
    case OpCode::GetAcl: {
      const AclAnswer acl(item.acl, item.is_admin);
      return reply(number, slot, AclReply{.acl = acl.acl(), .stat = stat_of(item.stat)});
    }
    case OpCode::GetAllChildrenNumber:
      return reply(number, slot, CountReply{.count = static_cast<int32_t>(item.count) + (slot.counts_root ? 1 : 0)});
    default: return answer_names(number, slot, item);
  }
}

void Connection::answer_names(Number number, const Slot& slot, const store::NodeReadsResult::Item& item) {
  std::vector<std::string_view> names;
  names.reserve(item.names.size());
  for (const std::string& name : item.names) {
    if (OpCode{slot.type} != OpCode::GetEphemerals) {
      names.push_back(name);
    } else if (const auto path = service_.root.to_client(name)) {
      names.push_back(*path);
    }
  }
  ChildrenReply body{.children = names, .stat = {}};
  if (OpCode{slot.type} == OpCode::GetChildren2) body.stat = stat_of(item.stat);
  reply(number, slot, body);
}

void Connection::answer_multi_read(Number number, const Slot& slot, const store::NodeReadsResult& result) {
  std::vector<MultiResult> results;
  std::deque<std::vector<std::string_view>> names;
  for (size_t i = 0; i < slot.parts.size(); ++i) {
    const store::NodeReadsResult::Item& item = result.items.at(i);
    if (item.reason != store::Reason::None) {
      results.emplace_back(ErrorResult{.error = error_of(item.reason)});
    } else if (slot.parts[i] == OpCode::GetData) {
      results.emplace_back(DataReply{.data = item.value, .stat = stat_of(item.stat)});
    } else {
      const auto& children = names.emplace_back(item.names.begin(), item.names.end());
      results.emplace_back(ChildrenReply{.children = children, .stat = {}});
    }
  }
  reply(number, slot, MultiReply{.results = results});
}

void Connection::on_synced(Number number, bool done, const std::optional<std::string>& path) {
  if (gone_ || stage_ == Stage::Closing) return;
  const Slot* slot = answers_.waiting(number);
  if (slot == nullptr) return;
  if (!done) return cut(number);
  reply_stateless(number, PathReply{.path = path});
}

}  // namespace witan::api::zookeeper
