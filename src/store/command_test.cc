#include "store/command.h"

#include <gtest/gtest.h>

#include <string>

#include "base/coding.h"
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
           AlarmChange{77, AlarmKind::Corrupt, true}, SettingsChange{-1, 1 << 20, 3000}}) {
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
}

}  // namespace
}  // namespace witan::store
