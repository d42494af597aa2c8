// The bytes were recorded from a running ZooKeeper 3.8.0.
#include "api/zookeeper/replies.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/zookeeper/password.h"
#include "api/zookeeper/records_testing.h"

namespace witan::api::zookeeper {
namespace {

using testing::from_hex;
using testing::read_stat;
using testing::to_hex;

Stat stat_of(std::string_view hex) {
  const std::string bytes = from_hex(hex);
  JuteReader r(bytes);
  const Stat stat = read_stat(r);
  EXPECT_TRUE(r.ok() && r.rest().empty());
  return stat;
}

// The body of the framed reply to xid 5 at zxid 0x20.
std::string body_hex(const ReplyBody& body) {
  Chain out;
  encode_reply(out, {.xid = 5, .zxid = 0x20}, body);
  const std::string bytes = out.flatten();
  JuteReader r(bytes);
  EXPECT_EQ(static_cast<size_t>(r.i32()), bytes.size() - 4);
  const ReplyHeader header = testing::read_header(r);
  EXPECT_EQ(header.xid, 5);
  EXPECT_EQ(header.zxid, 0x20);
  EXPECT_EQ(header.error, ErrorCode::Ok);
  return to_hex(r.rest());
}

std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += to_hex(from_hex(part));
  return out;
}

constexpr std::string_view kStatA =
    "0000000000000004 0000000000000004 000001a1fbe016e3 000001a1fbe016e3 00000000 00000006 00000000 0000000000000000"
    "00000001 00000004 000000000000000a";
constexpr std::string_view kStatEphemeral =
    "000000000000000e 000000000000000e 000001a1fbe016f6 000001a1fbe016f6 00000000 00000000 00000000 01000020a5710000"
    "00000000 00000000 000000000000000e";
constexpr std::string_view kStatM2 =
    "0000000000000010 0000000000000010 000001a1fbe016fc 000001a1fbe016fc 00000001 00000000 00000000 0000000000000000"
    "00000001 00000000 0000000000000010";

TEST(RepliesTest, AStatHasItsElevenFieldsInOrder) {
  const Stat a = stat_of(kStatA);
  EXPECT_EQ(a.czxid, 4);
  EXPECT_EQ(a.mzxid, 4);
  EXPECT_EQ(a.ctime, 1795227129571);
  EXPECT_EQ(a.mtime, 1795227129571);
  EXPECT_EQ(a.version, 0);
  EXPECT_EQ(a.cversion, 6);
  EXPECT_EQ(a.aversion, 0);
  EXPECT_EQ(a.ephemeral_owner, 0);
  EXPECT_EQ(a.data_length, 1);
  EXPECT_EQ(a.num_children, 4);
  EXPECT_EQ(a.pzxid, 10);
  EXPECT_EQ(stat_of(kStatEphemeral).ephemeral_owner, 0x1000020a5710000);
  EXPECT_EQ(body_hex(StatReply{a}), join({kStatA}));
  EXPECT_EQ(body_hex(StatReply{a}).size(), 2 * kStatBytes);
}

TEST(RepliesTest, TheBodiesOfSingleOperations) {
  const Stat a = stat_of(kStatA);
  EXPECT_EQ(body_hex(PathReply{"/n"}), "000000022f6e");
  EXPECT_EQ(body_hex(PathReply{std::nullopt}), "ffffffff");
  EXPECT_EQ(body_hex(CreateReply{"/e", stat_of(kStatEphemeral)}), join({"000000022f65", kStatEphemeral}));
  EXPECT_EQ(body_hex(DataReply{Blob("x"), a}), join({"0000000178", kStatA}));
  EXPECT_EQ(body_hex(DataReply{Blob(), a}), join({"ffffffff", kStatA}));
  EXPECT_EQ(body_hex(DataReply{Blob(""), a}), join({"00000000", kStatA}));
  EXPECT_EQ(body_hex(CountReply{14}), "0000000e");
  EXPECT_EQ(body_hex(AddWatchReply{}), "00000000");
  const std::vector<Acl> acl = {{kPermAll, "world", "anyone"}};
  EXPECT_EQ(body_hex(AclReply{acl, a}), join({"000000010000001f00000005776f726c6400000006616e796f6e65", kStatA}));
  const std::vector<ClientInfo> clients = {{"ip", "127.0.0.1"}, {"digest", "u"}};
  EXPECT_EQ(body_hex(WhoAmIReply{clients}),
            "00000002000000026970000000093132372e302e302e31000000066469676573740000000175");
  const std::vector<std::string_view> children = {"/e"};
  EXPECT_EQ(body_hex(ChildrenReply{children, std::nullopt}), "00000001000000022f65");
  EXPECT_EQ(body_hex(ChildrenReply{children, a}), join({"00000001000000022f65", kStatA}));
  EXPECT_EQ(body_hex(ChildrenReply{}), "00000000");
}

TEST(RepliesTest, AMultiThatSucceeded) {
  const std::vector<MultiResult> results = {PathReply{"/m1"}, PathReply{"/m2"}, StatReply{stat_of(kStatM2)},
                                            CheckResult{}, DeleteResult{}};
  EXPECT_EQ(body_hex(MultiReply{results}),
            join({"00000001 00 00000000 000000032f6d31", "00000001 00 00000000 000000032f6d32", "00000005 00 00000000",
                  kStatM2, "0000000d 00 00000000", "00000002 00 00000000", "ffffffff 01 ffffffff"}));
  const std::vector<MultiResult> with_stat = {CreateReply{"/q4", stat_of(kStatM2)}};
  EXPECT_EQ(body_hex(MultiReply{with_stat}),
            join({"0000000f 00 00000000 000000032f7134", kStatM2, "ffffffff 01 ffffffff"}));
  EXPECT_EQ(body_hex(MultiReply{}), "ffffffff01ffffffff");
}

TEST(RepliesTest, AMultiThatFailed) {
  const std::vector<MultiResult> results = {ErrorResult{ErrorCode::Ok}, ErrorResult{ErrorCode::NoNode},
                                            ErrorResult{ErrorCode::RuntimeInconsistency}};
  EXPECT_EQ(body_hex(MultiReply{results}),
            "ffffffff000000000000000000ffffffff00ffffff9bffffff9bffffffff00fffffffefffffffeffffffff01ffffffff");
}

TEST(RepliesTest, AMultiRead) {
  const std::vector<std::string_view> children = {"a"};
  const std::vector<MultiResult> results = {DataReply{Blob("x"), stat_of(kStatA)},
                                            ChildrenReply{children, std::nullopt}, ErrorResult{ErrorCode::NoNode}};
  EXPECT_EQ(body_hex(MultiReply{results}),
            join({"00000004 00 00000000 0000000178", kStatA, "00000008 00 00000000 00000001 0000000161",
                  "ffffffff 00 ffffff9b ffffff9b", "ffffffff 01 ffffffff"}));
}

TEST(RepliesTest, AnErrorIsAHeaderAlone) {
  Chain out;
  encode_reply(out, {.xid = -4, .zxid = 0, .error = ErrorCode::AuthFailed});
  EXPECT_EQ(to_hex(out.flatten()), "00000010fffffffc0000000000000000ffffff8d");
}

TEST(RepliesTest, AnEvent) {
  Chain out;
  encode_event(out, -1, {.type = EventType::NodeDataChanged, .path = "/a"});
  EXPECT_EQ(to_hex(out.flatten()),
            join({"0000001e ffffffff ffffffffffffffff 00000000 00000003 00000003 000000022f61"}));
}

TEST(RepliesTest, ConnectResponsesWithAndWithoutTheReadOnlyByte) {
  ConnectResponse response{.timeout_ms = 10000,
                           .session_id = 0x1000020a5710000,
                           .password = session_password(0x1000020a5710000),
                           .read_only = false};
  const std::string_view recorded = "000000000000271001000020a571000000000010f537d43bde2213fc5b1822d65769ecc1";
  Chain with;
  encode_connect_response(with, response);
  EXPECT_EQ(to_hex(with.flatten()), join({"00000025", recorded, "00"}));
  response.read_only.reset();
  Chain without;
  encode_connect_response(without, response);
  EXPECT_EQ(to_hex(without.flatten()), join({"00000024", recorded}));
  Chain refused;
  encode_connect_response(refused, session_refused(false));
  EXPECT_EQ(to_hex(refused.flatten()),
            "0000002500000000000000000000000000000000000000100000000000000000000000000000000000");
}

TEST(RepliesTest, ALargeValueIsSharedNotCopied) {
  const Blob value(std::string(100000, 'v'));
  Chain out;
  encode_reply(out, {.xid = 1}, DataReply{value, {}});
  std::vector<std::string_view> pieces;
  out.peek(pieces, 10);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].data(), value.data());
}

}  // namespace
}  // namespace witan::api::zookeeper
