// A store as ZooKeeper's clients use it, for tests of its nodes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "store/node.h"
#include "store/testing.h"

namespace witan::store {

// '+' created, '-' deleted, '~' changed.
inline char sign_of(NodeEvent::Type type) {
  return type == NodeEvent::Type::Created ? '+' : type == NodeEvent::Type::Deleted ? '-' : '~';
}

// What happened to nodes, as "+path -path ~path".
inline std::string events_of(const ChangeBatchPtr& batch) {
  if (batch == nullptr) return "nothing";
  std::string out;
  for_each_node_event(*batch, [&](const NodeEvent& event) {
    out += fmt::format("{}{}{}", out.empty() ? "" : " ", sign_of(event.type), event.path.view());
  });
  return out;
}

struct Tree : Tester {
  LeaseId session;
  uint64_t generation = 0;
  std::vector<std::string_view> who;
  std::string events;  // of the last command
  uint32_t failed_at = 0;

  Applied run(Body body) {
    Command command{.body = std::move(body)};
    command.header.stamp = WallTime{stamp};
    command.header.session = session;
    command.header.attach_generation = generation;
    command.header.principals = who;
    Applied applied = store.apply(store.applied_index() + 1, command, true);
    events = events_of(applied.changes);
    failed_at = applied.reply.failure.operation;
    return applied;
  }
  Reason multi(std::vector<NodeOperation> operations) {
    return run(NodeTxn{std::move(operations)}).reply.failure.reason;
  }
  template <class Operation>
  Reason one(const Operation& operation) {
    return multi({{operation}});
  }
  Reason create(std::string_view path, std::string_view value = "") {
    return one(CreateNode{.path = path, .value = value});
  }
  Reason create_ephemeral(std::string_view path) { return one(CreateNode{.path = path, .ephemeral = true}); }
  Reason set(std::string_view path, std::string_view value = "", int64_t expected = -1) {
    return one(SetNode{.path = path, .value = value, .expected = expected});
  }
  Reason del(std::string_view path, int64_t expected = -1) {
    return one(DeleteNode{.path = path, .expected = expected});
  }
  Reason sequence(std::string_view path, std::string& name) {
    NodeTxn txn;
    txn.operations.push_back({CreateNode{.path = path, .sequential = true}});
    const Applied applied = run(txn);
    if (applied.reply.failure.reason == Reason::None) {
      name = std::get<NodeTxnResult>(applied.reply.result).items[0].path;
    }
    return applied.reply.failure.reason;
  }
  std::string sequence(std::string_view path) {
    std::string name;
    EXPECT_EQ(sequence(path, name), Reason::None) << path;
    return name;
  }
  void open(uint32_t member = 1) {
    const Applied applied = run(SessionOpen{.member_number = member, .salt = 5, .ttl_ms = 10'000});
    const auto& granted = std::get<LeaseGrantResult>(applied.reply.result);
    session = granted.id;
    generation = granted.generation;
  }
  void leave() {
    session = LeaseId(0);
    generation = 0;
  }

  NodeReadsResult::Item read(NodeQuery query, std::string_view path) const {
    NodeReads reads;
    reads.reads.push_back({.query = query, .path = path});
    return store.read_nodes(reads, session, who).items.at(0);
  }
  NodeStat stat(std::string_view path) const {
    const NodeReadsResult::Item item = read(NodeQuery::Exists, path);
    EXPECT_EQ(item.reason, Reason::None) << path;
    return item.stat;
  }
  bool exists(std::string_view path) const { return read(NodeQuery::Exists, path).reason == Reason::None; }
  std::vector<std::string> children(std::string_view path) const { return read(NodeQuery::Children, path).names; }
  int64_t now() const { return store.revision().value; }
};

}  // namespace witan::store
