#include "verify/session.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "verify/lease.h"

namespace witan::verify {
namespace {

using Kind = NodeRequest::Kind;

bool is_write(const NodeRequest& request) { return request.kind == Kind::Write || request.kind == Kind::Multi; }
bool is_read(const NodeRequest& request) {
  return request.kind == Kind::Exists || request.kind == Kind::Data || request.kind == Kind::Children;
}

// A request with what came of it, as the whole session sees it.
struct Asked {
  size_t connection = 0;
  const NodeRequest* request = nullptr;
  const NodeReply* reply = nullptr;     // null: none came
  int64_t known = 0;                    // the newest zxid told when it was sent
  const SessionEntry* entry = nullptr;  // of a write that is in the log
};

bool succeeded(const Asked& asked) {
  return asked.reply != nullptr && asked.reply->error == NodeError::Ok &&
         std::ranges::all_of(asked.reply->items, [](const NodeReply::Item& i) { return i.error == NodeError::Ok; });
}

class Judge {
 public:
  Judge(const Nodes& nodes, const std::vector<SessionEntry>& log, const SessionHistory& session,
        const SessionRules& rules)
      : nodes_(nodes), session_(session), rules_(rules) {
    for (const SessionEntry& entry : log) {
      if (entry.session == session.id && session.id != 0) take(entry);
    }
  }

  std::vector<Violation> run() {
    listen();
    if (match()) {
      for (size_t i = 0; i < asked_.size(); ++i) {
        if (asked_[i].reply == nullptr) continue;
        if (is_write(*asked_[i].request)) judge_write(asked_[i]);
        if (is_read(*asked_[i].request)) judge_read(i);
      }
    }
    judge_life();
    return findings_.take();
  }

 private:
  // What is stale by the time it is in the log does nothing, and comes at any time.
  void take(const SessionEntry& entry) {
    switch (entry.what) {
      case SessionEntry::What::Open:
      case SessionEntry::What::Attach:
        generation_ = entry.generation;
        begun_[generation_] = entry.when;
        break;
      case SessionEntry::What::Write:
        if (entry.generation == generation_) entries_.push_back(&entry);
        break;
      case SessionEntry::What::End:
        if (entry.ended && !ended_) ended_ = entry.when;
    }
  }

  // ---- What it was told ---------------------------------------------------------------------------

  void listen() {
    for (size_t c = 0; c < session_.connections.size(); ++c) {
      const SessionConnection& connection = session_.connections[c];
      size_t replies = 0;
      for (const auto& heard : connection.heard) {
        if (const auto* event = std::get_if<NodeEvent>(&heard)) {
          // What persistent watches missed is told anew from where the client says, perhaps heard before.
          const bool retold = replies < connection.requests.size() &&
                              connection.requests[replies].kind == Kind::SetWatches &&
                              event->zxid > connection.requests[replies].rewatch.relative;
          hear(event->zxid, event->at, [&] { return describe(*event); }, retold);
          continue;
        }
        const auto& reply = std::get<NodeReply>(heard);
        if (replies >= connection.requests.size()) {
          findings_.add("session-order", who() + "an answer to nothing", {describe(reply)});
          continue;
        }
        const NodeRequest& request = connection.requests[replies++];
        asked_.push_back({.connection = c, .request = &request, .reply = &reply, .known = known_by(request.sent)});
        hear(reply.zxid, reply.at, [&] { return describe(request) + " " + describe(reply); });
      }
      for (; replies < connection.requests.size(); ++replies) {
        asked_.push_back({.connection = c, .request = &connection.requests[replies]});
      }
    }
  }

  template <class Text>
  void hear(int64_t zxid, Instant at, Text text, bool retold = false) {
    if (zxid <= 0) return;
    if (zxid < known_ && !retold) {
      findings_.add("zxid", fmt::format("{}is told zxid {} after {}", who(), zxid, known_), {text()});
    }
    if (zxid > nodes_.truth().revision_by(at)) {
      findings_.add("zxid", fmt::format("{}is told zxid {} before anybody has it", who(), zxid), {text()});
    }
    known_ = std::max(known_, zxid);
    told_.emplace_back(at, known_);
  }

  int64_t known_by(Instant now) const {
    const auto end = std::partition_point(told_.begin(), told_.end(), [now](const auto& t) { return t.first <= now; });
    return end == told_.begin() ? 0 : std::prev(end)->second;
  }

  // ---- Writes and the log -------------------------------------------------------------------------

  bool fits(const Asked& asked, const SessionEntry& entry) const {
    if (asked.request->ops != entry.ops || entry.when < asked.request->sent) return false;
    // Of two writes that look the same, the connection's generation tells which it is.
    const SessionConnection& connection = session_.connections[asked.connection];
    const Instant begun = begun_.at(entry.generation);
    if (begun < connection.asked || begun > connection.answered) return false;
    if (asked.reply == nullptr) return true;
    return entry.when <= asked.reply->at && succeeded(asked) == entry.changed && entry.after <= asked.reply->zxid;
  }

  // The first write of a later connection, if nothing in between was answered; writes_.size() when there is none left.
  std::optional<size_t> leave_connection(size_t position) const {
    const size_t connection = writes_[position]->connection;
    for (; position < writes_.size() && writes_[position]->connection == connection; ++position) {
      if (writes_[position]->reply != nullptr) return std::nullopt;
    }
    return position;
  }

  // Which entry is which write: two of a session can look the same (deletes of one path), so all ways are followed that
  // leave nothing out that was answered, and nothing in the middle of a connection.
  bool match() {
    for (Asked& asked : asked_) {
      if (is_write(*asked.request)) writes_.push_back(&asked);
    }
    // By entry: the positions behind it, and from which position each was reached.
    std::vector<std::map<size_t, size_t>> reached{{{0, 0}}};
    for (const SessionEntry* entry : entries_) {
      std::map<size_t, size_t> next;
      for (const auto& [from, before] : reached.back()) {
        for (std::optional<size_t> at = from; at && *at < writes_.size(); at = leave_connection(*at)) {
          if (fits(*writes_[*at], *entry)) next.emplace(*at + 1, from);
        }
      }
      if (next.empty()) return accuse_entry(*entry, reached.back());
      reached.push_back(std::move(next));
    }
    for (const auto& [position, before] : reached.back()) {
      std::optional<size_t> end = position;
      while (end && *end < writes_.size()) end = leave_connection(*end);
      if (!end) continue;
      assign(reached, position);
      return true;
    }
    return accuse_missing(reached.back().begin()->first);
  }

  void assign(const std::vector<std::map<size_t, size_t>>& reached, size_t position) {
    for (size_t i = entries_.size(); i-- > 0;) {
      writes_[position - 1]->entry = entries_[i];
      position = reached[i + 1].at(position);
    }
  }

  bool accuse_entry(const SessionEntry& entry, const std::map<size_t, size_t>& reached) {
    std::vector<std::string> window{describe(entry)};
    for (const auto& [position, before] : reached) {
      for (size_t i = position < 2 ? 0 : position - 2; i < std::min(position + 3, writes_.size()); ++i) {
        window.push_back((i < position ? "before: " : "instead of: ") + text_of(*writes_[i]));
      }
    }
    findings_.add("session-order", who() + "the log has something that is not the next write", std::move(window));
    return false;
  }

  bool accuse_missing(size_t position) {
    for (; position < writes_.size() && writes_[position]->reply == nullptr;) ++position;
    findings_.add("session-order", who() + "a write was answered that is not in the log",
                  {position < writes_.size() ? text_of(*writes_[position]) : "?"});
    return false;
  }

  // ---- Answers ------------------------------------------------------------------------------------

  void judge_write(const Asked& asked) {
    if (asked.entry == nullptr) return;
    const NodeEffect effect = evaluate(nodes_, asked.request->ops, asked.entry->after - (asked.entry->changed ? 1 : 0));
    std::string wrong = asked.entry->changed ? wrong_items(asked, effect) : wrong_refusal(asked, effect);
    if (wrong.empty()) return;
    findings_.add("write-answer", who() + wrong, {text_of(asked), describe(*asked.entry)});
  }

  std::string wrong_items(const Asked& asked, const NodeEffect& effect) const {
    const std::vector<NodeReply::Item>& items = asked.reply->items;
    if (effect.error != NodeError::Ok) return fmt::format("it should fail for {}", static_cast<int>(effect.error));
    if (items.size() != asked.request->ops.size()) return "as many answers as operations are due";
    for (size_t i = 0; i < items.size(); ++i) {
      const NodeOp& op = asked.request->ops[i];
      if (op.kind == NodeOp::Kind::Create && items[i].path != effect.paths[i]) {
        return fmt::format("{} is what was created", effect.paths[i]);
      }
      if (!items[i].stat) continue;
      const Node* node = nodes_.find(effect.paths[i], asked.entry->after);
      if (node == nullptr || !same(*items[i].stat, node->stat, items.size() > 1)) {
        return fmt::format("the Stat of {} is {}", effect.paths[i], node == nullptr ? "none" : describe(node->stat));
      }
    }
    return {};
  }

  // A part of a multi says what it found: later parts may have given the node other children.
  static bool same(const NodeStat& said, NodeStat is, bool part) {
    if (part) {
      is.pzxid = said.pzxid;
      is.cversion = said.cversion;
      is.num_children = said.num_children;
    }
    return said == is;
  }

  static std::string wrong_refusal(const Asked& asked, const NodeEffect& effect) {
    if (asked.request->kind == Kind::Write) {
      if (asked.reply->error == effect.error) return {};
      return fmt::format("it failed for {}", static_cast<int>(effect.error));
    }
    const std::vector<NodeReply::Item>& items = asked.reply->items;
    for (size_t i = 0; i < items.size(); ++i) {
      const NodeError due = i < effect.failed    ? NodeError::Ok
                            : i == effect.failed ? effect.error
                                                 : NodeError::RuntimeInconsistency;
      if (items[i].error != due) return fmt::format("part {} should say {}", i, static_cast<int>(due));
    }
    return items.size() == asked.request->ops.size() ? "" : "as many answers as operations are due";
  }

  void judge_read(size_t index) {
    const Asked& asked = asked_[index];
    int64_t newest = std::min(asked.reply->zxid, nodes_.revision());
    for (size_t i = index + 1; i < asked_.size(); ++i) {
      const Asked& later = asked_[i];
      if (later.entry == nullptr || !later.entry->changed) continue;
      newest = std::min(newest, later.entry->after - 1);
      break;
    }
    int64_t oldest = std::max<int64_t>(asked.known, 1);
    for (size_t i = 0; i < index; ++i) {
      const SessionEntry* entry = asked_[i].entry;
      if (entry != nullptr && entry->changed) oldest = std::max(oldest, entry->after);
    }
    for (int64_t at = newest; at >= oldest; --at) {
      if (shows(asked, at)) return;
    }
    std::vector<std::string> window{text_of(asked)};
    if (const Node* node = nodes_.find(asked.request->path, std::max<int64_t>(newest, 1))) {
      window.push_back(fmt::format("at {} it is {}", newest, describe(node->stat)));
    }
    findings_.add("read-answer", fmt::format("{}a read shows no state of revisions {} to {}", who(), oldest, newest),
                  std::move(window));
  }

  bool shows(const Asked& asked, int64_t at) const {
    const NodeReply& reply = *asked.reply;
    const Node* node = nodes_.find(asked.request->path, at);
    if (node == nullptr) return reply.error == NodeError::NoNode;
    if (reply.error != NodeError::Ok || (reply.stat && *reply.stat != node->stat)) return false;
    switch (asked.request->kind) {
      case Kind::Data: return reply.value == node->value;
      case Kind::Children: return reply.names == nodes_.children(asked.request->path, at);
      default: return true;
    }
  }

  // ---- Its life -----------------------------------------------------------------------------------

  void judge_life() {
    if (session_.id == 0) return;
    LeaseHistory lease;
    lease.id = session_.id;
    lease.ttl = session_.timeout;
    lease.ended = ended_;
    lease.abandoned = session_.abandoned;
    lease.revoke_sent = session_.close_sent;
    lease.revoke_acknowledged = session_.close_answered;
    bool granted = false;
    for (const SessionConnection& connection : session_.connections) {
      if (connection.answered == Instant::never()) continue;
      const Renewal attach{.sent = connection.asked,
                           .returned = connection.answered,
                           .acknowledged = true,
                           .ttl = connection.refused ? Duration{0} : session_.timeout};
      if (granted) lease.renewals.push_back(attach);
      if (!granted) lease.grant_sent = connection.asked;
      granted = true;
    }
    for (const Asked& asked : asked_) {
      if (asked.request->kind != Kind::Ping || asked.reply == nullptr) continue;
      lease.renewals.push_back(
          {.sent = asked.request->sent, .returned = asked.reply->at, .acknowledged = true, .ttl = session_.timeout});
    }
    const LeaseRules rules{.max_drift_per_mille = rules_.max_drift_per_mille,
                           .grace = rules_.grace,
                           .end_of_faults = rules_.end_of_faults,
                           .end_of_world = rules_.end_of_world};
    for (Violation& violation : check_lease(lease, rules)) {
      findings_.add("session-" + violation.rule, who() + violation.what, std::move(violation.window));
    }
  }

  std::string who() const { return fmt::format("{} ({:#x}): ", session_.name, static_cast<uint64_t>(session_.id)); }
  static std::string text_of(const Asked& asked) {
    return describe(*asked.request) + (asked.reply == nullptr ? " not answered" : " " + describe(*asked.reply));
  }

  const Nodes& nodes_;
  const SessionHistory& session_;
  const SessionRules& rules_;
  std::vector<const SessionEntry*> entries_;  // its writes, but the stale ones
  uint64_t generation_ = 0;
  std::map<uint64_t, Instant> begun_;  // of each generation
  std::optional<Instant> ended_;
  std::vector<Asked> asked_;  // in the order sent
  std::vector<Asked*> writes_;
  int64_t known_ = 0;                              // the newest zxid told so far
  std::vector<std::pair<Instant, int64_t>> told_;  // and when it was what
  Findings findings_;
};

}  // namespace

std::vector<Violation> check_session(const Nodes& nodes, const std::vector<SessionEntry>& log,
                                     const SessionHistory& session, const SessionRules& rules) {
  return Judge(nodes, log, session, rules).run();
}

}  // namespace witan::verify
