#include "peer/handshake.h"

#include <gtest/gtest.h>

namespace witan::peer {
namespace {

const Hello kSelf{
    .min_protocol = 1, .max_protocol = 2, .cluster_id = 0xc1, .member = raft::NodeId(0xa), .directory_uuid = "dir-a"};
const PeerRecord kRecord{.id = raft::NodeId(0xb), .addresses = {}, .directory_uuid = "dir-b"};

Greeting from_b() {
  return {.purpose = Purpose::Control,
          .hello = {.min_protocol = 1,
                    .max_protocol = 1,
                    .cluster_id = 0xc1,
                    .member = raft::NodeId(0xb),
                    .target = raft::NodeId(0xa),
                    .directory_uuid = "dir-b"}};
}

// The refusal contains all of `parts`, so that an operator sees both sides' values.
void expect_refused(const Greeting& caller, const PeerRecord* record, std::initializer_list<std::string_view> parts) {
  const auto why = refuse_caller(kSelf, caller, record, false);
  ASSERT_TRUE(why.has_value());
  for (const std::string_view part : parts) EXPECT_NE(why->find(part), std::string::npos) << *why << " lacks " << part;
}

TEST(HandshakeTest, AKnownMemberIsTaken) {
  EXPECT_FALSE(refuse_caller(kSelf, from_b(), &kRecord, false).has_value());
  PeerRecord unknown_directory = kRecord;
  unknown_directory.directory_uuid.clear();
  EXPECT_FALSE(refuse_caller(kSelf, from_b(), &unknown_directory, false).has_value());
}

TEST(HandshakeTest, AnotherClusterIsRefused) {
  Greeting caller = from_b();
  caller.hello.cluster_id = 0xc2;
  expect_refused(caller, &kRecord, {"cluster c1", "cluster c2", "empty data directory"});
}

TEST(HandshakeTest, AReplacedDirectoryIsRefused) {
  Greeting caller = from_b();
  caller.hello.directory_uuid = "dir-new";
  expect_refused(caller, &kRecord, {"dir-new", "dir-b", "remove the member and add it again"});
}

TEST(HandshakeTest, AMemberThisOneHasNotHeardOfIsTaken) {
  EXPECT_FALSE(refuse_caller(kSelf, from_b(), nullptr, false).has_value());
  Greeting nobody = from_b();
  nobody.hello.member = raft::kNobody;
  expect_refused(nobody, nullptr, {"without an id"});
}

TEST(HandshakeTest, ARemovedMemberIsRefused) {
  const auto why = refuse_caller(kSelf, from_b(), nullptr, true);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(*why,
            "member b is not a member of cluster c1 any more: it was removed; a removed member returns through member "
            "add with an empty data directory");
}

TEST(HandshakeTest, ACallForSomebodyElseIsRefused) {
  Greeting caller = from_b();
  caller.hello.target = raft::NodeId(0xd);
  expect_refused(caller, &kRecord, {"member d", "member a", "member update"});
}

TEST(HandshakeTest, OurOwnIdFromOutsideIsRefused) {
  Greeting caller = from_b();
  caller.hello.member = kSelf.member;
  expect_refused(caller, nullptr, {"two processes", "member a"});
}

TEST(HandshakeTest, ProtocolsWithoutCommonGroundAreRefused) {
  Greeting caller = from_b();
  caller.hello.min_protocol = 3;
  caller.hello.max_protocol = 4;
  expect_refused(caller, &kRecord, {"1 to 2", "3 to 4"});
  caller.hello.min_protocol = 2;
  EXPECT_FALSE(refuse_caller(kSelf, caller, &kRecord, false).has_value());
}

TEST(HandshakeTest, AJoinerIsNobodyYet) {
  Greeting joiner{.purpose = Purpose::Join, .hello = {.min_protocol = 1, .max_protocol = 1}};
  EXPECT_FALSE(refuse_caller(kSelf, joiner, nullptr, false).has_value());
  joiner.hello.member = raft::NodeId(0xb);
  expect_refused(joiner, &kRecord, {"member b"});
  // Nobody gets a lane by calling itself nobody.
  Greeting nobody = from_b();
  nobody.hello.cluster_id = 0;
  nobody.hello.member = raft::kNobody;
  expect_refused(nobody, nullptr, {"cluster 0"});
}

TEST(HandshakeTest, TheCallerChecksWhoAnswers) {
  Greeting said{.purpose = Purpose::Bulk, .hello = kSelf};
  said.hello.target = raft::NodeId(0xb);
  const Hello b = from_b().hello;
  EXPECT_FALSE(refuse_callee(said, b, &kRecord).has_value());
  Hello other = b;
  other.cluster_id = 0xc2;
  EXPECT_TRUE(refuse_callee(said, other, &kRecord).has_value());
  other = b;
  other.member = raft::NodeId(0xd);
  EXPECT_TRUE(refuse_callee(said, other, &kRecord).has_value());
  other = b;
  other.directory_uuid = "dir-new";
  EXPECT_TRUE(refuse_callee(said, other, &kRecord).has_value());
  other = b;
  other.min_protocol = other.max_protocol = 9;
  EXPECT_TRUE(refuse_callee(said, other, &kRecord).has_value());
}

}  // namespace
}  // namespace witan::peer
