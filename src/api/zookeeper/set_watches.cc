// Watches that a client brings along from a connection it lost.
//
// One-shot watches are judged by the nodes as they are now against the zxid the client has seen, which is all ZooKeeper
// does. What persistent watches missed is read from history and told in order, as far back as history goes; ZooKeeper
// leaves it out. The persistent ones come first: they are armed the moment history has met the present, so that their
// live events follow; then the others are looked at.
#include "api/zookeeper/set_watches.h"

#include <utility>
#include <variant>

#include "api/zookeeper/connection.h"
#include "base/planted.h"
#include "store/node.h"
#include "store/path.h"

namespace witan::api::zookeeper {
namespace {

constexpr size_t kReadsAtOnce = 1000;
constexpr size_t kBatchesAtOnce = 1000;
// What a ZooKeeper server says of an event that it made up from a setWatches.
constexpr int64_t kNoChange = -1;

}  // namespace

void Connection::run(Number number, const SetWatchesRequest& request) {
  set_watches_ = std::make_unique<SetWatches>();
  SetWatches& work = *set_watches_;
  work.request = number;
  work.relative = store::Revision(request.relative_zxid);
  work.next = work.relative + 1;
  std::string scratch;
  const auto take = [&](const PathList& paths, SetWatches::Kind kind) {
    for (const std::string_view path : paths) {
      work.items.push_back({.kind = kind, .path = std::string(service_.root.to_store(path, scratch))});
    }
  };
  take(request.data, SetWatches::Kind::Data);
  take(request.exist, SetWatches::Kind::Exist);
  take(request.child, SetWatches::Kind::Child);
  for (const std::string_view path : request.persistent) {
    work.persistent.emplace(service_.root.to_store(path, scratch));
  }
  for (const std::string_view path : request.persistent_recursive) {
    work.recursive.emplace(service_.root.to_store(path, scratch));
  }
  const bool missed = work.relative > store::Revision(0) && work.relative < service_.client.revision();
  if (missed && !(work.persistent.empty() && work.recursive.empty())) return next_history();
  arm_persistent();
}

// ---- persistent ---------------------------------------------------------------------------------

void Connection::next_history() {
  SetWatches& work = *set_watches_;
  if (socket_->unsent() + out_.size() >= service_.options.socket_high) {
    work.paused = true;  // flush() goes on
    return;
  }
  node::HistoryRequest request{.ranges = {}, .from = work.next, .max_batches = kBatchesAtOnce};
  const auto ask = [&request](const std::string& path) {
    const std::string below = path == "/" ? path : path + "/";
    request.ranges.push_back(store::KeyRange::single(path));
    request.ranges.push_back({.begin = below, .end = below.substr(0, below.size() - 1) + '0'});  // '/' + 1
  };
  for (const std::string& path : work.persistent) ask(path);
  for (const std::string& path : work.recursive) ask(path);
  service_.client.history(std::move(request), [service = &service_, id = id_,
                                               number = work.request](const node::Answer<node::History>& answer) {
    Connection* connection = service->owner.find(id);
    if (connection != nullptr) connection->on_history(number, answer);
  });
}

void Connection::on_history(Number number, const node::Answer<node::History>& answer) {
  if (gone_ || set_watches_ == nullptr || set_watches_->request != number) return;
  if (!answer) return cut(number);
  SetWatches& work = *set_watches_;
  if (answer->was_compacted) return arm_persistent();
  for (const store::ChangeBatchPtr& batch : answer->batches) {
    store::for_each_node_event(*batch, [&](const store::NodeEvent& event) { tell_missed(event, batch->revision); });
    if (set_watches_ == nullptr) return;  // closed: it does not read
  }
  work.next = answer->through + 1;
  if (!answer->caught_up) return next_history();
  arm_persistent();
}

void Connection::tell_missed(const store::NodeEvent& event, store::Revision revision) {
  if (set_watches_ == nullptr) return;
  const std::string_view path = event.path;
  const bool persistent = set_watches_->persistent.contains(path);
  bool data = persistent;
  for (std::string_view above = path; !data && !set_watches_->recursive.empty(); above = store::parent_of(above)) {
    data = set_watches_->recursive.contains(above);
    if (above == "/") break;
  }
  const EventType type = event.type == store::NodeEvent::Type::Created   ? EventType::NodeCreated
                         : event.type == store::NodeEvent::Type::Deleted ? EventType::NodeDeleted
                                                                         : EventType::NodeDataChanged;
  if (data && may_hear(event.acl)) say_event(type, path, revision.value);
  if (type == EventType::NodeDataChanged || path == "/") return;
  const std::string_view parent = store::parent_of(path);
  if (set_watches_ != nullptr && set_watches_->persistent.contains(parent) && may_hear(event.parent_acl)) {
    say_event(EventType::NodeChildrenChanged, parent, revision.value);
  }
}

void Connection::arm_persistent() {
  for (const std::string& path : set_watches_->persistent) {
    if (!watch(path, kPersistentWatch)) return;
  }
  for (const std::string& path : set_watches_->recursive) {
    if (!watch(path, kRecursiveWatch)) return;
  }
  read_watched();
}

// ---- one-shot -----------------------------------------------------------------------------------

void Connection::read_watched() {
  const SetWatches& work = *set_watches_;
  if (work.judged == work.items.size()) {
    const Number number = work.request;
    set_watches_.reset();
    return fail(number, ErrorCode::Ok);
  }
  store::NodeReads reads;
  for (size_t i = work.judged; i < work.items.size() && reads.reads.size() < kReadsAtOnce; ++i) {
    reads.reads.push_back({.query = store::NodeQuery::Exists, .path = work.items[i].path});
  }
  service_.client.read_as(caller(), reads, last_write_,
                          [service = &service_, id = id_, number = work.request](node::Answer<node::Done> answer) {
                            Connection* connection = service->owner.find(id);
                            if (connection != nullptr) connection->on_watched(number, answer);
                          });
}

void Connection::on_watched(Number number, const node::Answer<node::Done>& answer) {
  if (gone_ || set_watches_ == nullptr || set_watches_->request != number) return;
  const auto* result = answer ? std::get_if<store::NodeReadsResult>(&answer->reply.result) : nullptr;
  if (result == nullptr) return cut(number);
  for (const store::NodeReadsResult::Item& item : result->items) {
    if (set_watches_ == nullptr) return;  // closed
    judge(set_watches_->items.at(set_watches_->judged++), item);
  }
  if (set_watches_ != nullptr) read_watched();
}

// Whoever may not read the node is not told what it is like, but may be told later, should that change. No zxid says
// when the membership changed: whoever watched it reads it again.
void Connection::judge(const SetWatches::Item& item, const store::NodeReadsResult::Item& now) {
  using Kind = SetWatches::Kind;
  const WatchKinds kinds = item.kind == Kind::Child ? kChildWatch : kDataWatch;
  const bool hidden = now.reason == store::Reason::PermissionDenied;
  const bool present = now.reason == store::Reason::None;
  const store::Revision seen = set_watches_->relative;
  std::optional<EventType> missed;
  if (!hidden && item.kind == Kind::Exist) {
    if (present) missed = EventType::NodeCreated;
  } else if (!hidden && !present) {
    missed = EventType::NodeDeleted;
  } else if (item.kind == Kind::Data && (now.stat.modified > seen || item.path == store::kConfigNode)) {
    missed = EventType::NodeDataChanged;
  } else if (item.kind == Kind::Child && now.stat.children_changed > seen) {
    missed = EventType::NodeChildrenChanged;
  }
  if (!missed || planted(Bug::WatchSetAgainForgets)) {
    watch(item.path, kinds);
  } else if (!set_watches_->told.contains(std::pair(static_cast<int32_t>(*missed), item.path))) {
    say_event(*missed, item.path, kNoChange);
  }
}

void Connection::say_event(EventType type, std::string_view path, int64_t zxid) {
  const auto of_client = service_.root.to_client(path);
  if (!of_client) return;
  if (zxid != kNoChange) set_watches_->told.emplace(static_cast<int32_t>(type), path);
  Chain packet;
  encode_event(packet, zxid, {.type = type, .path = *of_client});
  say(std::move(packet), zxid);
}

}  // namespace witan::api::zookeeper
