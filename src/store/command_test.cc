#include "store/command.h"

#include <gtest/gtest.h>

#include <string>

#include "base/coding.h"
#include "store/acl.h"
#include "store/command.pb.h"
#include "store/command_layout.h"

namespace witan::store {
namespace {

std::string bytes_of(const Command& command) { return std::string(encode(command).view()); }

Txn nested(size_t depth) {
  Txn txn;
  for (size_t i = 1; i < depth; ++i) {
    Txn outer;
    outer.success.push_back({std::move(txn)});
    txn = std::move(outer);
  }
  return txn;
}

const std::string kAcl = encode_acl(std::vector<AclEntry>{{perm::kRead, "digest", "u:h"}, {perm::kAll, "ip", "::1"}});

NodeTxn node_samples() {
  CreateNode create{.path = "/a/s-", .value = "v", .acl = kAcl, .kind = NodeKind::Ttl};
  create.ephemeral = create.sequential = true;
  create.ttl_ms = -6;
  NodeTxn txn;
  txn.operations = {{create},
                    {CreateNode{.path = "/null", .null_value = true}},
                    {DeleteNode{.path = "/a", .expected = 0, .only_if_idle = true}},
                    {DeleteNode{.path = "/b"}},
                    {SetNode{.path = "/a", .value = "w", .expected = 7}},
                    {SetNode{.path = "/a", .null_value = true}},
                    {SetNodeAcl{.path = "/a", .acl = kAcl, .expected = 0}},
                    {CheckNode{.path = "/a", .expected = 3}},
                    {RefuseNode{Reason::QuotaExceeded}}};
  return txn;
}

// One of everything, every field set.
std::vector<Command> samples() {
  const Put put{.key = "k",
                .value = "v",
                .lease = LeaseId(-5),
                .ignore_value = true,
                .ignore_lease = true,
                .want_previous = true};
  const DeleteRange del{.range = {.begin = "a", .end = "b"}, .want_previous = true};
  Range range{.range = {.begin = "a", .single = true}, .limit = 7, .revision = Revision(9)};
  range.order = SortOrder::Descend;
  range.target = SortTarget::Value;
  range.keys_only = range.count_only = true;
  range.min_mod = Revision(1), range.max_mod = Revision(2), range.min_create = Revision(3),
  range.max_create = Revision(4);
  Txn txn;
  txn.compares.push_back({.range = {.begin = "c"},
                          .target = CompareTarget::Lease,
                          .relation = Relation::NotEqual,
                          .number = -1,
                          .value = "x"});
  txn.success = {{put}, {del}, {range}, {nested(3)}};
  txn.failure = {{Put{}}};
  std::vector<Command> out;
  for (const Body& body : std::vector<Body>{
           Nothing{}, put, del, range, txn, Compact{Revision(12)}, LeaseGrant{LeaseId(3), LeaseKind::Consul, 1500},
           LeaseRevoke{LeaseId(INT64_MIN), LeaseKind::ZooKeeper}, LeaseCheckpoint{{{LeaseId(1), 2}, {LeaseId(3), 0}}},
           AlarmChange{77, AlarmKind::Corrupt, true}, SettingsChange{-1, 1 << 20, 3000, -1}, node_samples(),
           NodeReads{{{NodeQuery::Ephemerals, "/a"}, {NodeQuery::Exists, ""}, {NodeQuery::Acl, "/"}}},
           SessionOpen{254, 0xffffff, 4000}, SessionAttach{LeaseId(-9), 5000},
           LeaseRevoke{LeaseId(4), LeaseKind::ZooKeeper, 3}}) {
    Command command{.body = body};
    command.header.stamp = WallTime{-123456789};
    command.header.origin = {.member = ~uint64_t{0}, .incarnation = 2, .request = 3};
    command.header.session = LeaseId(-7);
    command.header.attach_generation = 8;
    command.header.principals = {"root", ""};
    command.header.auth_revision = 9;
    out.push_back(std::move(command));
    out.push_back({.body = body});  // and with an empty header
  }
  return out;
}

TEST(Command, GeneratedClassesReadAndWriteTheSameBytes) {
  for (const Command& command : samples()) {
    const std::string bytes = bytes_of(command);
    pb::Command message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    EXPECT_EQ(message.body_case(), static_cast<int>(kFirstBodyField + command.body.index()));
    EXPECT_EQ(message.stamp_ms(), command.header.stamp.ms);
    EXPECT_EQ(message.origin_request(), command.header.origin.request);
    EXPECT_EQ(message.SerializeAsString(), bytes) << message.DebugString();
    const Result<Command> decoded = decode(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(bytes_of(*decoded), bytes);
  }
}

TEST(Command, FieldsMeanWhatTheDescriptionSays) {
  pb::Command message;
  ASSERT_TRUE(message.ParseFromString(bytes_of(samples()[8])));  // the transaction
  EXPECT_EQ(message.session(), -7);
  EXPECT_EQ(message.attach_generation(), 8u);
  ASSERT_EQ(message.principals_size(), 2);
  EXPECT_EQ(message.auth_revision(), 9u);
  const pb::Txn& txn = message.txn();
  EXPECT_EQ(txn.compares(0).target(), pb::Compare::LEASE);
  EXPECT_EQ(txn.compares(0).relation(), pb::Compare::NOT_EQUAL);
  EXPECT_EQ(txn.compares(0).number(), -1);
  EXPECT_EQ(txn.compares(0).value(), "x");
  EXPECT_EQ(txn.success(0).put().lease(), -5);
  EXPECT_EQ(txn.success(1).delete_range().range().end(), "b");
  EXPECT_TRUE(txn.success(2).range().range().single());
  EXPECT_EQ(txn.success(2).range().order(), pb::Range::DESCEND);
  EXPECT_EQ(txn.success(2).range().max_create(), 4);
  EXPECT_TRUE(txn.success(3).txn().success(0).has_txn());
}

TEST(Command, NodesAndSessionsMeanWhatTheDescriptionSays) {
  pb::Command message;
  ASSERT_TRUE(message.ParseFromString(bytes_of({.body = node_samples()})));
  const pb::NodeTxn& txn = message.node_txn();
  ASSERT_EQ(txn.operations_size(), 9);
  EXPECT_EQ(txn.operations(0).create().path(), "/a/s-");
  EXPECT_EQ(txn.operations(0).create().acl(), kAcl);
  EXPECT_EQ(txn.operations(0).create().kind(), pb::CreateNode::TTL);
  EXPECT_TRUE(txn.operations(0).create().ephemeral() && txn.operations(0).create().sequential());
  EXPECT_EQ(txn.operations(0).create().ttl_ms(), -6);
  EXPECT_TRUE(txn.operations(1).create().null_value());
  EXPECT_TRUE(txn.operations(2).delete_().only_if_idle());
  EXPECT_EQ(txn.operations(3).delete_().expected(), -1);
  EXPECT_EQ(txn.operations(4).set().expected(), 7);
  EXPECT_TRUE(txn.operations(5).set().null_value());
  EXPECT_EQ(txn.operations(6).set_acl().acl(), kAcl);
  EXPECT_EQ(txn.operations(7).check().expected(), 3);
  EXPECT_EQ(txn.operations(8).refuse().reason(), static_cast<uint32_t>(Reason::QuotaExceeded));
  ASSERT_TRUE(message.ParseFromString(bytes_of({.body = NodeReads{{{NodeQuery::Ephemerals, "/a"}}}})));
  EXPECT_EQ(message.node_reads().reads(0).query(), pb::NodeRead::EPHEMERALS);
  ASSERT_TRUE(message.ParseFromString(bytes_of({.body = SessionOpen{254, 0xffffff, 4000}})));
  EXPECT_EQ(message.session_open().member_number(), 254u);
  EXPECT_EQ(message.session_open().salt(), 0xffffffu);
  ASSERT_TRUE(message.ParseFromString(bytes_of({.body = SessionAttach{LeaseId(-9), 5000}})));
  EXPECT_EQ(message.session_attach().id(), -9);
}

// What a version stands for survives: 0 is a version, and nothing said is not.
TEST(Command, ExpectedVersionsAreReadBackAsTheyWere) {
  const std::string bytes = bytes_of({.body = node_samples()});
  const NodeTxn txn = std::get<NodeTxn>(decode(bytes)->body);
  EXPECT_EQ(std::get<DeleteNode>(txn.operations[2].what).expected, 0);
  EXPECT_EQ(std::get<DeleteNode>(txn.operations[3].what).expected, -1);
  EXPECT_EQ(std::get<SetNode>(txn.operations[4].what).expected, 7);
  EXPECT_EQ(std::get<SetNodeAcl>(txn.operations[6].what).expected, 0);
  EXPECT_EQ(std::get<CheckNode>(txn.operations[7].what).expected, 3);
}

// Core C5: a member that knows no nodes must stop at them, not stumble.
TEST(Command, NodesNeedALevelOfTheirOwn) {
  const auto level = [](const Body& body) {
    pb::Command message;
    EXPECT_TRUE(message.ParseFromString(bytes_of({.body = body})));
    return message.feature_level();
  };
  EXPECT_EQ(level(Put{.key = "k"}), 1u);
  EXPECT_EQ(level(LeaseRevoke{.id = LeaseId(1)}), 1u);
  EXPECT_EQ(level(SettingsChange{.history_bytes = 5}), 1u);
  EXPECT_EQ(level(LeaseGrant{.id = LeaseId(1)}), 1u);
  EXPECT_EQ(level(LeaseGrant{.id = LeaseId(1), .kind = LeaseKind::ZooKeeper}), kFeatureOfNodes);
  EXPECT_EQ(level(NodeTxn{}), kFeatureOfNodes);
  EXPECT_EQ(level(SessionOpen{}), kFeatureOfNodes);
  EXPECT_EQ(level(SessionAttach{}), kFeatureOfNodes);
  EXPECT_EQ(level(LeaseRevoke{.id = LeaseId(1), .kind = LeaseKind::ZooKeeper, .generation = 1}), kFeatureOfNodes);
  EXPECT_EQ(level(SettingsChange{.enforce_node_quotas = 1}), kFeatureOfNodes);
}

TEST(Command, StampAndOriginArePatchedInPlace) {
  Command command{.body = Put{.key = "key", .value = "value"}};
  Blob bytes = encode(command);
  set_stamp(bytes, WallTime{42});
  set_origin(bytes, {.member = 1, .incarnation = 2, .request = 3});
  command.header.stamp = WallTime{42};
  command.header.origin = {.member = 1, .incarnation = 2, .request = 3};
  EXPECT_EQ(bytes.view(), encode(command).view());
  EXPECT_EQ(*origin_of(bytes), command.header.origin);
}

TEST(Command, NewerFormatsAndLevelsAreRefusedNotGuessed) {
  Command newer{.body = Nothing{}};
  newer.header.feature_level = kFeatureLevel + 1;
  EXPECT_EQ(decode(bytes_of(newer)).error().code, Code::Refused);
  newer.header.feature_level = kFeatureLevel;
  newer.header.format = kCommandFormat + 1;
  EXPECT_EQ(decode(bytes_of(newer)).error().code, Code::Refused);
  EXPECT_NE(decode(bytes_of(newer)).error().message.find("newer version"), std::string::npos);
}

TEST(Command, WhatIsCutShortIsNeverTakenForSomethingElse) {
  for (const Command& command : samples()) {
    const std::string bytes = bytes_of(command);
    for (size_t n = 0; n < bytes.size(); ++n) {
      const Result<Command> decoded = decode(std::string_view(bytes).substr(0, n));
      // The body comes last, so no prefix has all of it.
      ASSERT_FALSE(decoded) << n << " bytes of " << bytes.size();
      EXPECT_EQ(decoded.error().code, Code::Corrupt);
    }
  }
}

TEST(Command, AnythingUnknownIsDamage) {
  const std::string good = bytes_of({.body = Nothing{}});
  ASSERT_TRUE(decode(good));
  const auto with = [&](auto&& write) {
    std::string bytes = good;
    FieldWriter w(bytes);
    write(w);
    return bytes;
  };
  EXPECT_FALSE(decode(with([](FieldWriter& w) { w.uint(11, 1); }))) << "a header field";
  EXPECT_FALSE(decode(with([](FieldWriter& w) { w.bytes_always(17, ""); }))) << "a second body";
  EXPECT_FALSE(decode(with([](FieldWriter& w) { w.bytes_always(99, ""); }))) << "a body";
  EXPECT_FALSE(decode(good.substr(0, kFixedSize))) << "no body";
  const auto body = [](uint32_t field, auto&& write) {
    std::string bytes = bytes_of({.body = Nothing{}}).substr(0, kFixedSize);
    FieldWriter w(bytes);
    w.message(field, write);
    return bytes;
  };
  EXPECT_TRUE(decode(body(17, [](FieldWriter& w) { w.bytes(1, "k"); })));
  EXPECT_FALSE(decode(body(17, [](FieldWriter& w) { w.bytes(7, "k"); }))) << "a field of Put";
  EXPECT_FALSE(decode(body(19, [](FieldWriter& w) { w.uint(4, 3); }))) << "a sort order";
  EXPECT_FALSE(decode(body(20, [](FieldWriter& w) { w.bytes_always(2, ""); }))) << "an empty operation";
  EXPECT_FALSE(decode(body(17, [](FieldWriter& w) { w.uint(1, 5); }))) << "a number for a key";
}

TEST(Command, NodesThatMakeNoSenseAreDamage) {
  const auto node = [](uint32_t operation, auto&& write) {
    std::string bytes = bytes_of({.body = Nothing{}}).substr(0, kFixedSize);
    FieldWriter w(bytes);
    w.message(27, [&](FieldWriter& txn) { txn.message(1, [&](FieldWriter& one) { one.message(operation, write); }); });
    return decode(bytes).has_value();
  };
  EXPECT_TRUE(node(1, [](FieldWriter& w) { w.bytes(1, "/a"), w.bytes(4, kAcl); }));
  for (size_t n = 1; n < kAcl.size(); ++n) {
    const std::string cut = kAcl.substr(0, n);
    const bool between_entries = is_acl(cut);
    EXPECT_EQ(node(1, [&](FieldWriter& w) { w.bytes(1, "/a"), w.bytes(4, cut); }), between_entries) << n;
    EXPECT_EQ(node(4, [&](FieldWriter& w) { w.bytes(1, "/a"), w.bytes(2, cut); }), between_entries) << n;
  }
  EXPECT_FALSE(node(1, [](FieldWriter& w) { w.bytes(2, "v"), w.uint(3, 1); })) << "no value, and one";
  EXPECT_FALSE(node(3, [](FieldWriter& w) { w.bytes(2, "v"), w.uint(3, 1); })) << "no value, and one";
  EXPECT_FALSE(node(1, [](FieldWriter& w) { w.uint(5, 3); })) << "a kind";
  EXPECT_FALSE(node(2, [](FieldWriter& w) { w.uint(4, 1); })) << "a field of DeleteNode";
  EXPECT_FALSE(node(6, [](FieldWriter&) {})) << "a refusal for no reason";
  EXPECT_FALSE(node(6, [](FieldWriter& w) { w.uint(1, 200); })) << "a reason";
  EXPECT_FALSE(node(7, [](FieldWriter&) {})) << "an operation";
}

TEST(Command, DepthAndSizeAreBounded) {
  EXPECT_TRUE(decode(bytes_of({.body = nested(kMaxDepth)})));
  EXPECT_FALSE(decode(bytes_of({.body = nested(kMaxDepth + 1)})));
  Txn wide;
  wide.success.resize(kMaxOperations);
  EXPECT_TRUE(decode(bytes_of({.body = wide})));
  wide.failure.resize(1);
  EXPECT_FALSE(decode(bytes_of({.body = wide})));
  LeaseCheckpoint many;
  many.items.resize(kMaxOperations + 1);
  EXPECT_FALSE(decode(bytes_of({.body = many})));
  NodeTxn nodes;
  nodes.operations.resize(kMaxOperations + 1);
  EXPECT_FALSE(decode(bytes_of({.body = nodes})));
  NodeReads reads;
  reads.reads.resize(kMaxOperations + 1);
  EXPECT_FALSE(decode(bytes_of({.body = reads})));
}

}  // namespace
}  // namespace witan::store
