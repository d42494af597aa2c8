// A small world of one session for the tests of its checkers: what it asks is done at once, unless a test says
// otherwise, and answered as a right server does. Tests then bend what was recorded.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "verify/node_watch.h"
#include "verify/session.h"
#include "verify/testing.h"

namespace witan::verify {

class SessionStory {
 public:
  static constexpr int64_t kId = 7;

  SessionStory() {
    session.name = "client";
    session.id = kId;
    session.timeout = seconds(1);
    connect();
    write({create("/n", "root")});
  }

  // ---- What happens
  SessionConnection& connect() {
    tick();
    SessionConnection& connection = session.connections.emplace_back();
    connection.asked = at();
    connection.last_zxid = told_;
    tick();
    connection.answered = at();
    log.push_back({.what = generation == 0 ? SessionEntry::What::Open : SessionEntry::What::Attach,
                   .session = kId,
                   .generation = ++generation,
                   .after = truth.revision(),
                   .when = at()});
    return connection;
  }
  static NodeOp create(std::string path, std::string value) {
    return {.kind = NodeOp::Kind::Create, .path = std::move(path), .value = std::move(value)};
  }
  static NodeOp set(std::string path, std::string value) {
    return {.kind = NodeOp::Kind::Set, .path = std::move(path), .value = std::move(value)};
  }
  static NodeOp erase(std::string path) { return {.kind = NodeOp::Kind::Delete, .path = std::move(path), .value = {}}; }
  // Applies it as an entry of the session's, and gives the entry.
  SessionEntry& commit(std::vector<NodeOp> ops, int64_t of = kId) {
    const NodeEffect effect = evaluate(Nodes(truth), ops, truth.revision());
    tick();
    const bool good = effect.error == NodeError::Ok;
    if (good) {
      std::vector<Change> changes;
      for (size_t i = 0; i < ops.size(); ++i) add_change(changes, ops[i], effect.paths[i], of);
      truth.append(truth.revision() + 1, std::move(changes), at());
    }
    log.push_back({.session = of,
                   .generation = of == kId ? generation : 1,
                   .ops = std::move(ops),
                   .after = truth.revision(),
                   .changed = good,
                   .when = at()});
    return log.back();
  }
  NodeRequest& ask(NodeRequest request) {
    tick();
    request.sent = at();
    session.connections.back().requests.push_back(std::move(request));
    return session.connections.back().requests.back();
  }
  NodeReply& answer(NodeReply reply) {
    tick();
    reply.at = at();
    if (reply.zxid == 0) reply.zxid = truth.revision();
    told_ = reply.zxid;
    session.connections.back().heard.emplace_back(std::move(reply));
    return last_reply();
  }
  NodeReply& last_reply() { return std::get<NodeReply>(session.connections.back().heard.back()); }
  // Asked, in the log, and answered.
  NodeReply& write(std::vector<NodeOp> ops) {
    NodeRequest request{.kind = NodeRequest::Kind::Write};
    request.ops = ops;
    ask(std::move(request));
    const int64_t before = truth.revision();
    const NodeEffect effect = evaluate(Nodes(truth), ops, before);
    commit(std::move(ops));
    NodeReply reply{.error = effect.error};
    if (effect.error == NodeError::Ok) {
      const Nodes nodes(truth);
      NodeReply::Item item{.path = effect.paths[0]};
      if (const Node* node = nodes.find(effect.paths[0], truth.revision())) item.stat = node->stat;
      reply.items.push_back(std::move(item));
    }
    return answer(std::move(reply));
  }
  NodeReply& read(NodeRequest::Kind kind, std::string path, bool watch = false) {
    const Nodes nodes(truth);
    NodeReply reply;
    const Node* node = nodes.find(path, truth.revision());
    if (node == nullptr) {
      reply.error = NodeError::NoNode;
    } else {
      reply.stat = node->stat;
      if (kind == NodeRequest::Kind::Data) reply.value = node->value;
      if (kind == NodeRequest::Kind::Children) reply.names = nodes.children(path, truth.revision());
    }
    ask({.kind = kind, .path = std::move(path), .watch = watch});
    return answer(std::move(reply));
  }
  NodeReply& ping() {
    ask({.kind = NodeRequest::Kind::Ping});
    return answer({});
  }
  NodeEvent& event(NodeEvent::Type type, std::string path, int64_t zxid) {
    tick();
    session.connections.back().heard.emplace_back(
        NodeEvent{.type = type, .path = std::move(path), .zxid = zxid, .at = at()});
    return std::get<NodeEvent>(session.connections.back().heard.back());
  }
  void end() {
    tick();
    std::vector<Change> changes;
    for (const KeyVersion& kv : truth.range("/", "0", truth.revision())) {
      if (kv.version.lease == kId) changes.push_back({.key = kv.key, .before = kv.version, .after = {}});
    }
    const bool changed = !changes.empty();
    if (changed) truth.append(truth.revision() + 1, std::move(changes), at());
    log.push_back({.what = SessionEntry::What::End,
                   .session = kId,
                   .after = truth.revision(),
                   .changed = changed,
                   .ended = true,
                   .when = at()});
  }
  Instant at() const { return at_ms(now_ms); }
  void tick() { now_ms += 5; }

  // ---- What is made of it
  std::vector<Violation> judge() const {
    return check_session(Nodes(truth), log, session,
                         {.max_drift_per_mille = 100,
                          .grace = milliseconds(300),
                          .end_of_faults = at_ms(0),
                          .end_of_world = at_ms(now_ms + 60'000)});
  }
  std::vector<Violation> judge_log() const { return check_session_log(Nodes(truth), log); }
  std::vector<Violation> judge_watches() const { return check_node_watches(Nodes(truth), session); }

  Truth truth;
  std::vector<SessionEntry> log;
  SessionHistory session;
  uint64_t generation = 0;
  int64_t now_ms = 0;

 private:
  void add_change(std::vector<Change>& changes, const NodeOp& op, const std::string& path, int64_t of) {
    if (op.kind == NodeOp::Kind::Check) return;
    const int64_t revision = truth.revision() + 1;
    const auto before = truth.at(path, truth.revision());
    Change change{.key = path, .before = before, .after = {}};
    if (op.kind != NodeOp::Kind::Delete) {
      change.after = Version{.value = op.value,
                             .create_revision = before ? before->create_revision : revision,
                             .mod_revision = revision,
                             .version = before ? before->version + 1 : 1,
                             .lease = before         ? before->lease
                                      : op.ephemeral ? of
                                                     : 0};
    }
    changes.push_back(std::move(change));
  }

  int64_t told_ = 0;
};

#define EXPECT_KEPT(found) \
  { \
    const auto violations = found; \
    EXPECT_TRUE(violations.empty()) << told(violations); \
  }
#define EXPECT_BROKEN(found, ...) \
  { \
    const auto violations = found; \
    EXPECT_EQ(broken(violations), (Rules{__VA_ARGS__})) << told(violations); \
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty()); \
  }

}  // namespace witan::verify
