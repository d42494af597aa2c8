#include "verify/node_watch.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace witan::verify {
namespace {

using Type = NodeEvent::Type;
using Told = std::pair<Type, std::string>;

enum class Table : uint8_t { Data, Child };

struct Watch {
  int64_t since = 0;   // the state it was set on: later changes fire it
  bool doubt = false;  // set again, and not yet answered: it may or may not have been judged
  bool exist = false;  // in doubt, as one that waits for a node to be created
  bool fired = false;  // in doubt: an event came that it could be the reason of, or not
};

Type type_of(NodeNews::Kind kind) {
  switch (kind) {
    case NodeNews::Kind::Created: return Type::Created;
    case NodeNews::Kind::Deleted: return Type::Deleted;
    case NodeNews::Kind::Changed: break;
  }
  return Type::DataChanged;
}

class Judge {
 public:
  Judge(const Nodes& nodes, const SessionHistory& session, const SessionConnection& connection, Findings& findings)
      : nodes_(nodes), session_(session), connection_(connection), findings_(findings) {}

  void run() {
    size_t replies = 0;
    note_sent(0);
    for (const auto& heard : connection_.heard) {
      if (const auto* event = std::get_if<NodeEvent>(&heard)) {
        hear(*event);
      } else if (replies < connection_.requests.size()) {
        answer(connection_.requests[replies], std::get<NodeReply>(heard));
        note_sent(++replies);
      }
    }
  }

 private:
  // ---- Setting ------------------------------------------------------------------------------------

  // What the next request in line brings along can fire before it is answered.
  void note_sent(size_t next) {
    if (next >= connection_.requests.size()) return;
    const NodeRequest& request = connection_.requests[next];
    if (request.kind != NodeRequest::Kind::SetWatches) return;
    const Rewatch& again = request.rewatch;
    const auto doubt = [&](const std::vector<std::string>& paths, Table table, bool exist) {
      for (const std::string& path : paths) {
        once_[{path, table}] = {.since = again.relative, .doubt = true, .exist = exist};
      }
    };
    doubt(again.data, Table::Data, false);
    doubt(again.exist, Table::Data, true);
    doubt(again.child, Table::Child, false);
    for (const std::string& path : again.persistent) persistent_[path] = {.since = again.relative, .doubt = true};
    for (const std::string& path : again.recursive) recursive_[path] = {.since = again.relative, .doubt = true};
    done_ = std::min(done_ == 0 ? again.relative : done_, again.relative);
  }

  void answer(const NodeRequest& request, const NodeReply& reply) {
    if (request.kind == NodeRequest::Kind::SetWatches && reply.error == NodeError::Ok) settle(request, reply);
    if (reply.zxid > 0) require_through(reply.zxid, describe(request) + " " + describe(reply));
    const bool found = reply.error == NodeError::Ok;
    switch (request.kind) {
      case NodeRequest::Kind::Exists:
        if (request.watch && (found || reply.error == NodeError::NoNode)) set(request.path, Table::Data, reply.zxid);
        break;
      case NodeRequest::Kind::Data:
        if (request.watch && found) set(request.path, Table::Data, reply.zxid);
        break;
      case NodeRequest::Kind::Children:
        if (request.watch && found) set(request.path, Table::Child, reply.zxid);
        break;
      case NodeRequest::Kind::AddWatch: {
        if (!found) break;
        Watch& watch = (request.recursive ? recursive_ : persistent_)[request.path];
        if (watch.since == 0) watch.since = reply.zxid;
        break;
      }
      default: break;
    }
  }

  void set(const std::string& path, Table table, int64_t zxid) { once_[{path, table}] = {.since = zxid}; }

  // The server has judged what it was brought, and watches from some state before its answer on.
  void settle(const NodeRequest& request, const NodeReply& reply) {
    const int64_t now = std::min(reply.zxid, nodes_.revision());
    const int64_t relative = request.rewatch.relative;
    for (auto it = once_.begin(); it != once_.end();) {
      auto& [key, watch] = *it;
      if (!std::exchange(watch.doubt, false)) {
        ++it;
        continue;
      }
      watch.since = now;
      const auto& [path, table] = key;
      const Node* node = now >= 1 ? nodes_.find(path, now) : nullptr;
      const bool due = watch.exist             ? node != nullptr
                       : node == nullptr       ? true
                       : table == Table::Child ? node->stat.pzxid > relative
                                               : node->stat.mzxid > relative;
      if (watch.fired) {
        it = once_.erase(it);
      } else if (due) {
        accuse("watch-again", fmt::format("{} has changed since {}, and nothing was said", path, relative),
               {describe(request), describe(reply)});
        it = once_.erase(it);
      } else {
        ++it;
      }
    }
    // What history had forgotten by then cannot be told.
    const bool lost = nodes_.truth().compacted_by(reply.at) >= relative;
    for (auto* watches : {&persistent_, &recursive_}) {
      for (auto& [path, watch] : *watches) {
        if (!std::exchange(watch.doubt, false) || !lost) continue;
        watch.since = now;
      }
    }
  }

  // ---- Firing -------------------------------------------------------------------------------------

  static bool armed(const Watch* watch, int64_t revision, bool doubtful) {
    return watch != nullptr && watch->since < revision && (doubtful || !watch->doubt);
  }
  const Watch* once(const std::string& path, Table table) const {
    const auto found = once_.find({path, table});
    return found == once_.end() ? nullptr : &found->second;
  }
  static const Watch* in(const std::map<std::string, Watch>& watches, const std::string& path) {
    const auto found = watches.find(path);
    return found == watches.end() ? nullptr : &found->second;
  }
  bool recursively(std::string_view path, int64_t revision, bool doubtful) const {
    for (;; path = parent_of(path)) {
      if (armed(in(recursive_, std::string(path)), revision, doubtful)) return true;
      if (path == "/") return false;
    }
  }

  // What the revision means to this connection, and how often; with `doubtful` also what it may mean. One-shot watches
  // hear of the first of several children only.
  std::map<Told, int> due(int64_t revision, bool doubtful) const {
    std::map<Told, int> out;
    const auto fires = [&](const Watch* watch) { return armed(watch, revision, doubtful); };
    for (const NodeNews& news : nodes_.news(revision)) {
      const Type type = type_of(news.kind);
      if (fires(in(persistent_, news.path)) || recursively(news.path, revision, doubtful)) ++out[{type, news.path}];
      if (fires(once(news.path, Table::Data))) out.try_emplace({type, news.path}, 1);
      if (type == Type::DataChanged) continue;
      if (type == Type::Deleted && fires(once(news.path, Table::Child))) out.try_emplace({type, news.path}, 1);
      const std::string parent(parent_of(news.path));
      if (fires(in(persistent_, parent))) ++out[{Type::ChildrenChanged, parent}];
      if (fires(once(parent, Table::Child))) out.try_emplace({Type::ChildrenChanged, parent}, 1);
    }
    return out;
  }
  int times_heard(int64_t revision, const Told& told) const {
    const auto found = heard_.find({revision, told.first, told.second});
    return found == heard_.end() ? 0 : found->second;
  }

  void require_through(int64_t zxid, const std::string& because) {
    zxid = std::min(zxid, nodes_.revision());
    if (once_.empty() && persistent_.empty() && recursive_.empty()) done_ = std::max(done_, zxid);
    for (; done_ < zxid; ++done_) {
      const int64_t revision = done_ + 1;
      if (revision < 2) continue;
      for (const auto& [told, times] : due(revision, false)) {
        if (times_heard(revision, told) >= times) continue;
        const NodeEvent missed{.type = told.first, .path = told.second, .zxid = revision};
        accuse("watch-missed", fmt::format("no word of what revision {} did to {}", revision, told.second),
               {describe(missed), "when it was told: " + because});
        fire(told);
      }
    }
  }

  void hear(const NodeEvent& event) {
    const Told told{event.type, event.path};
    if (event.zxid <= 0) return hear_made_up(event);
    require_through(event.zxid - 1, describe(event));
    const int heard = times_heard(event.zxid, told);
    const auto possible = event.zxid > nodes_.revision() ? std::map<Told, int>() : due(event.zxid, true);
    const auto found = possible.find(told);
    if (found == possible.end() || heard >= found->second) {
      std::vector<std::string> window{describe(event)};
      if (nodes_.truth().has(event.zxid)) {
        for (const Change& change : nodes_.truth().changes(event.zxid))
          window.push_back("the log: " + describe(change));
      }
      if (heard > 0) return accuse("watch-twice", "an event comes once more", std::move(window));
      return accuse("watch-invented", "an event that nobody waits for", std::move(window));
    }
    ++heard_[{event.zxid, event.type, event.path}];
    fire(told);
  }

  // From watches that were set again, which are judged by what the nodes are like by then: each by itself, so that the
  // end of a node is told to its data watch and to its child watch.
  void hear_made_up(const NodeEvent& event) {
    const auto in_doubt = [&](Table table) {
      const Watch* watch = once(event.path, table);
      return watch != nullptr && watch->doubt;
    };
    const bool of_children =
        event.type == Type::ChildrenChanged || (event.type == Type::Deleted && !in_doubt(Table::Data));
    const Table table = of_children ? Table::Child : Table::Data;
    if (!in_doubt(table)) return accuse("watch-invented", "an event that nobody waits for", {describe(event)});
    once_.erase({event.path, table});
  }

  // One-shot watches go. One in doubt may be told of again, of what its node is like by then.
  void fire(const Told& told) {
    const auto go = [&](Table table) {
      const auto found = once_.find({told.second, table});
      if (found == once_.end()) return;
      if (found->second.doubt) {
        found->second.fired = true;
      } else {
        once_.erase(found);
      }
    };
    if (told.first == Type::ChildrenChanged || told.first == Type::Deleted) go(Table::Child);
    if (told.first != Type::ChildrenChanged) go(Table::Data);
  }

  // With how the connection began, and what was said on it last.
  void accuse(std::string rule, const std::string& what, std::vector<std::string> window) {
    window.push_back(fmt::format("connected at {} with zxid {}; everything up to {} was told",
                                 describe(connection_.asked), connection_.last_zxid, done_));
    for (const NodeRequest& request : connection_.requests) {
      const bool sets =
          request.watch || request.kind == NodeRequest::Kind::SetWatches || request.kind == NodeRequest::Kind::AddWatch;
      if (sets) window.push_back("asked " + describe(request));
    }
    findings_.add(std::move(rule),
                  fmt::format("{} ({:#x}) at m{}: {}", session_.name, static_cast<uint64_t>(session_.id),
                              connection_.member, what),
                  std::move(window));
  }

  const Nodes& nodes_;
  const SessionHistory& session_;
  const SessionConnection& connection_;
  Findings& findings_;
  std::map<std::pair<std::string, Table>, Watch> once_;
  std::map<std::string, Watch> persistent_;
  std::map<std::string, Watch> recursive_;
  int64_t done_ = 0;                                             // up to here everything was told
  std::map<std::tuple<int64_t, Type, std::string>, int> heard_;  // how often
};

}  // namespace

std::vector<Violation> check_node_watches(const Nodes& nodes, const SessionHistory& session) {
  Findings findings;
  for (const SessionConnection& connection : session.connections) {
    Judge(nodes, session, connection, findings).run();
  }
  return findings.take();
}

}  // namespace witan::verify
