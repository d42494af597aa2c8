#include "migrate/zookeeper/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kOffset = 4000;

Decoded<Transaction> decode(Type type, std::string_view body, std::optional<uint64_t> digest = {}) {
  return decode_transaction(payload({.zxid = 9, .type = type, .session = 0x77, .time_ms = 1234}, body, digest),
                            kOffset);
}

// Decodes with a digest and without one; what comes before must not depend on it.
template <class Body>
Body body_of(Type type, std::string_view bytes) {
  const auto with = decode(type, bytes, 0xfedcba9876543210);
  const auto without = decode(type, bytes);
  if (!with || !without) {
    ADD_FAILURE() << (with ? without.error().what : with.error().what);
    return {};
  }
  EXPECT_EQ(with->type, type);
  EXPECT_EQ(with->session, 0x77);
  EXPECT_EQ(with->zxid, 9);
  EXPECT_EQ(with->time_ms, 1234);
  EXPECT_EQ(with->digest.value_or(TreeDigestClaim{}).version, 2);
  EXPECT_EQ(with->digest.value_or(TreeDigestClaim{}).digest, 0xfedcba9876543210);
  EXPECT_FALSE(without->digest.has_value());
  EXPECT_EQ(with->operations.size(), 1u);
  EXPECT_EQ(without->operations.size(), 1u);
  EXPECT_EQ(with->operations[0].type, type);
  EXPECT_TRUE(std::holds_alternative<Body>(without->operations[0].body));
  return std::get<Body>(with->operations[0].body);
}

TEST(TransactionTest, Create) {
  for (const Type type : {Type::Create, Type::Create2}) {
    const auto create = body_of<Create>(type, create_body("/a/b", "data", 5));
    EXPECT_EQ(create.path, "/a/b");
    EXPECT_EQ(create.data, Blob("data"));
    EXPECT_EQ(create.acl, open_acl());
    EXPECT_EQ(create.kind, Kind::Ordinary);
    EXPECT_EQ(create.parent_cversion, 5);
  }
  EXPECT_EQ(body_of<Create>(Type::Create, create_body("/e", "", 1, true)).kind, Kind::Ephemeral);
}

TEST(TransactionTest, CreateOfBefore34HasNoVersionOfTheParent) {
  const auto create = body_of<Create>(Type::Create, Bytes().text("/a").text("x").acl(open_acl()).boolean(true).str());
  EXPECT_EQ(create.parent_cversion, -1);
  EXPECT_EQ(create.kind, Kind::Ephemeral);
}

TEST(TransactionTest, NullDataAndNullAclAreNotEmptyOnes) {
  const auto null = body_of<Create>(Type::Create, Bytes().text("/a").null().null().boolean(false).int32(1).str());
  EXPECT_TRUE(null.data.is_null());
  EXPECT_FALSE(null.acl.has_value());
  const auto empty = body_of<Create>(Type::Create, Bytes().text("/a").text("").int32(0).boolean(false).int32(1).str());
  EXPECT_FALSE(empty.data.is_null());
  EXPECT_EQ(empty.acl, AclList());
  EXPECT_TRUE(body_of<SetData>(Type::SetData, Bytes().text("/a").null().int32(1).str()).data.is_null());
}

TEST(TransactionTest, CreateContainerAndCreateTtl) {
  const std::string container = Bytes().text("/c").text("d").acl(open_acl()).int32(3).str();
  EXPECT_EQ(body_of<Create>(Type::CreateContainer, container).kind, Kind::Container);
  EXPECT_EQ(body_of<Create>(Type::CreateContainer, container).parent_cversion, 3);
  const auto ttl = body_of<Create>(Type::CreateTtl, Bytes().raw(container).int64(60000).str());
  EXPECT_EQ(ttl.kind, Kind::Ttl);
  EXPECT_EQ(ttl.ttl_ms, 60000);
  EXPECT_EQ(ttl.parent_cversion, 3);
}

TEST(TransactionTest, DeleteAndDeleteContainer) {
  EXPECT_EQ(body_of<Delete>(Type::Delete, path_body("/a")).path, "/a");
  EXPECT_EQ(body_of<Delete>(Type::DeleteContainer, path_body("/a/b")).path, "/a/b");
}

TEST(TransactionTest, SetDataReconfigAndSetAcl) {
  for (const Type type : {Type::SetData, Type::Reconfig}) {
    const auto set = body_of<SetData>(type, set_data_body("/", "v", 4));
    EXPECT_EQ(set.path, "/");
    EXPECT_EQ(set.data, Blob("v"));
    EXPECT_EQ(set.version, 4);
  }
  const auto acl = body_of<SetAcl>(Type::SetAcl, Bytes().text("/a").acl({{1, "ip", "10.0.0.1"}}).int32(2).str());
  EXPECT_EQ(acl.acl, (AclList{{1, "ip", "10.0.0.1"}}));
  EXPECT_EQ(acl.version, 2);
}

TEST(TransactionTest, Sessions) {
  EXPECT_EQ(body_of<CreateSession>(Type::CreateSession, Bytes().int32(30000).str()).timeout_ms, 30000);
  const auto named = body_of<CloseSession>(Type::CloseSession, Bytes().int32(2).text("/a").text("/b").str());
  EXPECT_THAT(named.paths, ElementsAre("/a", "/b"));
  EXPECT_THAT(body_of<CloseSession>(Type::CloseSession, Bytes().int32(0).str()).paths, ElementsAre());
  // One path whose bytes are as long as a digest's.
  const auto like_a_digest = body_of<CloseSession>(Type::CloseSession, Bytes().int32(1).text("/abc").str());
  EXPECT_THAT(like_a_digest.paths, ElementsAre("/abc"));
}

TEST(TransactionTest, CloseSessionOfBefore36NamesNoPaths) {
  EXPECT_THAT(body_of<CloseSession>(Type::CloseSession, "").paths, ElementsAre());
}

TEST(TransactionTest, WhatChangesNothing) {
  body_of<Nothing>(Type::Check, Bytes().text("/a").int32(3).str());
  body_of<Nothing>(Type::Error, Bytes().int32(-110).str());
}

TEST(TransactionTest, AnErrorMayCarryTheRequestItStandsFor) {
  const auto decoded = decode(Type::Error, create_body("/never/made", "x", 1));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
  EXPECT_TRUE(std::holds_alternative<Nothing>(decoded->operations[0].body));
}

TEST(TransactionTest, MultiIsItsParts) {
  const std::string check = Bytes().text("/a").int32(0).str();
  const std::string container = Bytes().text("/c").text("").acl(open_acl()).int32(2).str();
  const std::string body = multi_body({{Type::Check, check},
                                       {Type::Create, create_body("/a/x", "1", 1)},
                                       {Type::Create2, create_body("/a/y", "2", 2)},
                                       {Type::CreateContainer, container},
                                       {Type::CreateTtl, Bytes().raw(container).int64(5).str()},
                                       {Type::SetData, set_data_body("/a", "v", 1)},
                                       {Type::Delete, path_body("/a/x")}});
  const auto decoded = decode(Type::Multi, body, 1);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
  std::vector<Type> types;
  for (const Operation& operation : decoded->operations) types.push_back(operation.type);
  EXPECT_THAT(types, ElementsAre(Type::Check, Type::Create, Type::Create2, Type::CreateContainer, Type::CreateTtl,
                                 Type::SetData, Type::Delete));
  EXPECT_TRUE(decoded->digest.has_value());
  EXPECT_TRUE(decode(Type::Multi, multi_body({}))->operations.empty());
}

TEST(TransactionTest, ARefusedMultiDoesNothingWhereverItFailed) {
  const std::string error = Bytes().int32(-110).str();
  const std::string create = create_body("/x", "", 1);
  for (const auto& parts : std::vector<std::vector<std::pair<Type, std::string>>>{
           {{Type::Error, error}, {Type::Create, create}},
           {{Type::Create, create}, {Type::Error, error}},
           {{Type::Error, create}, {Type::Error, ""}, {Type::SetData, "rubbish"}}}) {
    const auto decoded = decode(Type::Multi, multi_body(parts), 1);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
    EXPECT_TRUE(decoded->operations.empty());
  }
}

TEST(TransactionTest, WhatIsNotUnderstoodIsAProblemAndSaysWhere) {
  struct Case {
    Type type;
    std::string body;
    std::string_view what;
  };
  const std::string error_part = Bytes().int32(-110).str();
  const std::vector<Case> cases = {
      {Type(99), "", "type 99"},
      {Type::Create, create_body("/a", "", 1).substr(0, 20), "end in the middle"},
      {Type::Create, create_body("a", "", 1), "no path"},
      {Type::Create, create_body("/a//b", "", 1), "no path"},
      {Type::Create, create_body("/a/", "", 1), "no path"},
      {Type::Create, create_body("/", "", 1), "the root"},
      {Type::Delete, path_body("/"), "the root"},
      {Type::Delete, path_body("/a") + "tail", "behind its end"},
      {Type::SetAcl, Bytes().text("/a").int32(-2).int32(1).str(), "-2 ACLs"},
      {Type::SetData, Bytes().text("/a").int32(-7).int32(1).str(), "a length of -7"},
      {Type::SetData, Bytes().text("/a").int32(0x7fffffff).int32(1).str(), "a length of 2147483647"},
      {Type::CloseSession, Bytes().int32(1 << 30).text("/a").str(), "end in the middle"},
      {Type::CloseSession, Bytes().int32(-3).str(), "-3 paths"},
      {Type::CreateTtl, Bytes().text("/t").text("").acl(open_acl()).int32(1).int64(-1).str(), "a TTL of -1"},
      {Type::Multi, multi_body({{Type::SetAcl, ""}}), "a part of type 7"},
      {Type::Multi, multi_body({{Type::Multi, ""}}), "a part of type 14"},
      {Type::Multi, multi_body({{Type::Delete, path_body("/a") + "x"}}), "part of a multi goes on"},
      {Type::Multi, Bytes().int32(3).int32(2).text(path_body("/a")).str(), "end in the middle"},
  };
  for (const Case& one : cases) {
    const auto decoded = decode(one.type, one.body);
    ASSERT_FALSE(decoded.has_value()) << one.what;
    EXPECT_THAT(decoded.error().what, HasSubstr(one.what));
    EXPECT_GE(decoded.error().offset, kOffset);
    EXPECT_LE(decoded.error().offset, kOffset + 32 + one.body.size());
  }
}

}  // namespace
}  // namespace witan::migrate::zookeeper
