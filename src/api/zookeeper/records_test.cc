// The bytes of requests were written by kazoo 2.8 and by ZooKeeper 3.8's own client classes; what becomes of bad ones
// was seen on a running ZooKeeper 3.8.0.
#include "api/zookeeper/records.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/zookeeper/records_testing.h"
#include "base/rng.h"

namespace witan::api::zookeeper {
namespace {

using namespace std::literals;
using testing::encode_request;
using testing::from_hex;
using testing::to_hex;

constexpr std::string_view kOpenAcl = "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65";

std::string packet(OpCode op, std::string_view body_hex, int32_t xid = 7) {
  return encode_request({.xid = xid, .type = static_cast<int32_t>(op)}) + from_hex(body_hex);
}

// Decodes `bytes`, which must outlive the result.
template <class Body>
Body decode(const std::string& bytes) {
  const Request request = decode_request(bytes);
  EXPECT_EQ(request.verdict, Verdict::Ok) << to_hex(bytes);
  EXPECT_TRUE(std::holds_alternative<Body>(request.body));
  return std::holds_alternative<Body>(request.body) ? std::get<Body>(request.body) : Body{};
}

Verdict verdict_of(const std::string& bytes) { return decode_request(bytes).verdict; }

template <class Item>
std::vector<Item> all(const Items<Item>& items) {
  return {items.begin(), items.end()};
}

struct Recorded {
  OpCode op;
  std::string_view body;
};
const Recorded kRecorded[] = {
    {OpCode::Create,
     "000000022f6e 0000000178 00000002 00000001 00000005776f726c64 00000006616e796f6e65"
     "0000001f 00000006646967657374 00000003753a68 00000003"},
    {OpCode::Create2, "000000022f61 ffffffff 00000001 0000001f 00000005776f726c64 00000006616e796f6e65 00000000"},
    {OpCode::CreateContainer,
     "000000052f636f6e74 ffffffff 00000001 0000001f 00000005776f726c64 00000006616e796f6e65 00000004"},
    {OpCode::CreateTtl,
     "000000042f74746c 0000000178 00000001 0000001f 00000005776f726c64 00000006616e796f6e65 00000005"
     "0000000000001388"},
    {OpCode::Delete, "000000022f61 ffffffff"},
    {OpCode::DeleteContainer, ""},
    {OpCode::Exists, "000000022f61 01"},
    {OpCode::GetData, "000000022f61 00"},
    {OpCode::SetData, "000000022f61 0000000179 00000003"},
    {OpCode::GetAcl, "000000022f61"},
    {OpCode::SetAcl,
     "000000022f61 00000002 00000001 00000005776f726c64 00000006616e796f6e65 0000001f"
     "00000006646967657374 00000003753a68 ffffffff"},
    {OpCode::GetChildren, "000000022f61 00"},
    {OpCode::GetChildren2, "000000022f61 01"},
    {OpCode::Sync, "000000012f"},
    {OpCode::Ping, ""},
    {OpCode::Multi,
     "00000001 00 ffffffff 000000032f6d31 00000000 00000001 0000001f 00000005776f726c64"
     "00000006616e796f6e65 00000000  00000005 00 ffffffff 000000032f6d31 000000017a ffffffff"
     "0000000d 00 ffffffff 000000032f6d31 00000001  00000002 00 ffffffff 000000032f6d31 00000001"
     "ffffffff 01 ffffffff"},
    {OpCode::MultiRead,
     "00000008 00 ffffffff 000000022f61 00  00000004 00 ffffffff 000000022f61 00  ffffffff 01 ffffffff"},
    {OpCode::Reconfig, "0000000e7365727665722e313d683a313a32 0000000133 ffffffff ffffffffffffffff"},
    {OpCode::CheckWatches, "000000022f61 00000002"},
    {OpCode::RemoveWatches, "000000022f61 00000003"},
    {OpCode::Auth, "00000000 00000006646967657374 00000003753a70"},
    {OpCode::SetWatches, "0000000000000000 00000001 000000022f61 00000001 000000022f6e 00000001 000000052f676f6e65"},
    {OpCode::SetWatches2,
     "0000000000000018 00000002 000000022f61 000000022f62 00000001 000000022f6e 00000000"
     "00000001 000000022f70 00000001 000000022f72"},
    {OpCode::Sasl, "0000000178"},
    {OpCode::GetEphemerals, "000000022f65"},
    {OpCode::GetAllChildrenNumber, "000000012f"},
    {OpCode::AddWatch, "000000022f61 00000001"},
    {OpCode::WhoAmI, ""},
    {OpCode::CloseSession, ""},
};

TEST(RecordsTest, WhatOtherClientsWriteIsReadAndWrittenBackToTheByte) {
  for (const Recorded& recorded : kRecorded) {
    const std::string bytes = packet(recorded.op, recorded.body);
    const Request request = decode_request(bytes);
    EXPECT_EQ(request.verdict, Verdict::Ok) << to_hex(bytes);
    EXPECT_EQ(request.xid, 7);
    EXPECT_EQ(request.type, static_cast<int32_t>(recorded.op));
    EXPECT_EQ(to_hex(encode_request(request)), to_hex(bytes));
  }
}

TEST(RecordsTest, ARecordCutAnywhereIsMalformedAndKeepsTheConnection) {
  for (const Recorded& recorded : kRecorded) {
    const std::string bytes = packet(recorded.op, recorded.body);
    const bool closes = recorded.op == OpCode::Auth || recorded.op == OpCode::Sasl;
    for (size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut = bytes.substr(0, size);  // its own memory, so that reading past it is noticed
      const Request request = decode_request(cut);
      EXPECT_EQ(request.verdict, size < 8 || closes ? Verdict::Close : Verdict::Malformed) << to_hex(cut);
      EXPECT_TRUE(std::holds_alternative<std::monostate>(request.body));
    }
  }
}

TEST(RecordsTest, BytesBehindARecordAreIgnored) {
  for (const Recorded& recorded : kRecorded) {
    const std::string bytes = packet(recorded.op, recorded.body);
    const std::string longer = bytes + "garbage";
    const Request request = decode_request(longer);
    EXPECT_EQ(request.verdict, Verdict::Ok) << to_hex(bytes);
    EXPECT_EQ(encode_request(request), bytes);
  }
}

TEST(RecordsTest, CreateShowsItsFields) {
  const std::string bytes = packet(OpCode::Create, kRecorded[0].body);
  const auto create = decode<CreateRequest>(bytes);
  EXPECT_EQ(create.op, OpCode::Create);
  EXPECT_FALSE(create.answers_stat());
  EXPECT_EQ(create.path, "/n");
  EXPECT_EQ(create.data, JuteText("x"));
  EXPECT_EQ(create.flags, 3);
  EXPECT_EQ(create.ttl_ms, -1);
  EXPECT_EQ(all(create.acl), (std::vector<Acl>{{kPermRead, "world", "anyone"}, {kPermAll, "digest", "u:h"}}));

  const std::string ttl_bytes = packet(OpCode::CreateTtl, kRecorded[3].body);
  const auto ttl = decode<CreateRequest>(ttl_bytes);
  EXPECT_EQ(ttl.op, OpCode::CreateTtl);
  EXPECT_TRUE(ttl.answers_stat());
  EXPECT_EQ(ttl.ttl_ms, 5000);
}

TEST(RecordsTest, NullDataAndEmptyDataAreToldApart) {
  const std::string null = packet(OpCode::SetData, "000000022f61 ffffffff 00000003");
  const std::string empty = packet(OpCode::SetData, "000000022f61 00000000 00000003");
  EXPECT_EQ(decode<SetDataRequest>(null).data, std::nullopt);
  EXPECT_EQ(decode<SetDataRequest>(empty).data, JuteText(""));
}

TEST(RecordsTest, SetWatchesShowsEveryList) {
  const std::string bytes = packet(OpCode::SetWatches2, kRecorded[22].body);
  const auto watches = decode<SetWatchesRequest>(bytes);
  EXPECT_EQ(watches.relative_zxid, 0x18);
  EXPECT_EQ(all(watches.data), (std::vector<std::string_view>{"/a", "/b"}));
  EXPECT_EQ(all(watches.exist), (std::vector<std::string_view>{"/n"}));
  EXPECT_TRUE(watches.child.empty());
  EXPECT_EQ(all(watches.persistent), (std::vector<std::string_view>{"/p"}));
  EXPECT_EQ(all(watches.persistent_recursive), (std::vector<std::string_view>{"/r"}));
}

TEST(RecordsTest, AMultiShowsItsPartsInOrder) {
  const std::string bytes = packet(OpCode::Multi, kRecorded[15].body);
  const auto ops = all(decode<MultiRequest>(bytes).ops);
  ASSERT_EQ(ops.size(), 4u);
  EXPECT_EQ(std::get<CreateRequest>(ops[0]).path, "/m1");
  EXPECT_EQ(std::get<SetDataRequest>(ops[1]).data, JuteText("z"));
  EXPECT_EQ(std::get<CheckRequest>(ops[2]).version, 1);
  EXPECT_EQ(std::get<DeleteRequest>(ops[3]).version, 1);

  const std::string reads = packet(OpCode::MultiRead, kRecorded[16].body);
  const auto read_ops = all(decode<MultiReadRequest>(reads).ops);
  ASSERT_EQ(read_ops.size(), 2u);
  EXPECT_EQ(std::get<GetChildrenRequest>(read_ops[0]).path, "/a");
  EXPECT_EQ(std::get<GetDataRequest>(read_ops[1]).path, "/a");
}

TEST(RecordsTest, AnEmptyMultiIsOneAndOnlyTheDoneFlagEndsIt) {
  const std::string end = "ffffffff 01 ffffffff";
  for (const OpCode op : {OpCode::Multi, OpCode::MultiRead}) {
    EXPECT_EQ(verdict_of(packet(op, end)), Verdict::Ok);
    EXPECT_EQ(verdict_of(packet(op, "00000005 02 00000000")), Verdict::Ok);  // whatever else stands in it
    EXPECT_EQ(verdict_of(packet(op, "")), Verdict::Malformed);
    EXPECT_EQ(verdict_of(packet(op, "ffffffff 00 ffffffff" + end)), Verdict::Malformed);
  }
}

TEST(RecordsTest, AMultiThatMixesReadsAndWritesIsMalformed) {
  const std::string end = "ffffffff 01 ffffffff";
  const std::string read = "00000004 00 ffffffff 000000022f61 00";
  const std::string write = "00000002 00 ffffffff 000000022f61 ffffffff";
  EXPECT_EQ(verdict_of(packet(OpCode::Multi, write + end)), Verdict::Ok);
  EXPECT_EQ(verdict_of(packet(OpCode::Multi, write + read + end)), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::Multi, read + end)), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::MultiRead, read + end)), Verdict::Ok);
  EXPECT_EQ(verdict_of(packet(OpCode::MultiRead, read + write + end)), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::MultiRead, write + end)), Verdict::Malformed);
}

// Alone it is refused for the kind it has not, which is looked at before the path.
TEST(RecordsTest, OnlyAMultiLooksAtThePathOfACreateOfNoKindFirst) {
  const std::string create = "ffffffff 00000000 00000000 00000063";
  EXPECT_EQ(verdict_of(packet(OpCode::Create, create)), Verdict::Ok);
  EXPECT_EQ(verdict_of(packet(OpCode::Multi, "00000001 00 ffffffff" + create + "ffffffff 01 ffffffff")),
            Verdict::Malformed);
}

TEST(RecordsTest, OtherOperationsInAMultiAreMalformed) {
  const std::string end = "ffffffff 01 ffffffff";
  for (const std::string_view type : {"00000003", "00000014", "0000000e", "00000007", "00000000", "fffffff5"}) {
    const std::string part = std::string(type) + "00 ffffffff 000000022f61 00000000 00000000 00000000";
    EXPECT_EQ(verdict_of(packet(OpCode::Multi, part + end)), Verdict::Malformed) << type;
    EXPECT_EQ(verdict_of(packet(OpCode::MultiRead, part + end)), Verdict::Malformed) << type;
  }
  const std::string children2 = "0000000c 00 ffffffff 000000022f61 00";
  EXPECT_EQ(verdict_of(packet(OpCode::MultiRead, children2 + end)), Verdict::Malformed);
}

// What the flags make of a create inside a multi; nullopt: the multi is malformed.
std::optional<OpCode> in_multi(OpCode op, int32_t flags) {
  const std::string header = from_hex("00000000 0000000e");
  const Request single{.type = static_cast<int32_t>(op), .body = CreateRequest{.op = op, .path = "/x", .flags = flags}};
  const std::string body = encode_request(single).substr(4);  // the type, which begins the part's header too
  const std::string bytes =
      header + body.substr(0, 4) + from_hex("00 ffffffff") + body.substr(4) + from_hex("ffffffff 01 ffffffff");
  const Request multi = decode_request(bytes);
  if (multi.verdict != Verdict::Ok) return std::nullopt;
  return std::get<CreateRequest>(*std::get<MultiRequest>(multi.body).ops.begin()).op;
}

TEST(RecordsTest, InAMultiTheFlagsSayWhatACreateIs) {
  for (const OpCode op : {OpCode::Create, OpCode::Create2, OpCode::CreateContainer, OpCode::CreateTtl}) {
    for (const int32_t flags : {0, 1, 2, 3, 9, -1}) EXPECT_EQ(in_multi(op, flags), OpCode::Create) << flags;
    EXPECT_EQ(in_multi(op, 4), OpCode::CreateContainer);
    for (const int32_t flags : {5, 6}) {
      EXPECT_EQ(in_multi(op, flags), op == OpCode::CreateTtl ? op : OpCode::Error) << flags;
    }
  }
}

TEST(RecordsTest, UnknownOpcodesAndAStandAloneCheckAreUnimplemented) {
  for (const int32_t type : {0, -1, -2, -10, -12, 10, 13, 23, 99, 108, 1000000, INT32_MIN, INT32_MAX}) {
    const std::string bytes = encode_request({.xid = 3, .type = type}) + from_hex("000000022f61 00000000");
    const Request request = decode_request(bytes);
    EXPECT_EQ(request.verdict, Verdict::Unimplemented) << type;
    EXPECT_EQ(request.xid, 3);
    EXPECT_EQ(request.type, type);
  }
}

TEST(RecordsTest, ANullPathIsMalformedWhereZooKeeperTripsOverIt) {
  const std::string acl(kOpenAcl);
  const std::pair<OpCode, std::string> malformed[] = {
      {OpCode::Create, "ffffffff 00000000" + acl + "00000000"},
      {OpCode::Delete, "ffffffff ffffffff"},
      {OpCode::Exists, "ffffffff 00"},
      {OpCode::GetData, "ffffffff 00"},
      {OpCode::GetAcl, "ffffffff"},
      {OpCode::GetChildren, "ffffffff 00"},
      {OpCode::GetChildren2, "ffffffff 00"},
      {OpCode::CheckWatches, "ffffffff 00000001"},
      {OpCode::GetAllChildrenNumber, "ffffffff"},
      {OpCode::Multi, "0000000d 00 ffffffff ffffffff ffffffff ffffffff 01 ffffffff"},
      {OpCode::Multi, "00000005 00 ffffffff ffffffff ffffffff ffffffff ffffffff 01 ffffffff"},
      {OpCode::MultiRead, "00000004 00 ffffffff ffffffff 00 ffffffff 01 ffffffff"},
  };
  for (const auto& [op, body] : malformed) EXPECT_EQ(verdict_of(packet(op, body)), Verdict::Malformed) << body;
  const std::pair<OpCode, std::string> refused_later[] = {
      {OpCode::DeleteContainer, "ffffffff"},
      {OpCode::SetData, "ffffffff 00000000 ffffffff"},
      {OpCode::SetAcl, "ffffffff" + acl + "ffffffff"},
      {OpCode::RemoveWatches, "ffffffff 00000001"},
      {OpCode::AddWatch, "ffffffff 00000000"},
      {OpCode::GetEphemerals, "ffffffff"},
      {OpCode::Sync, "ffffffff"},
      {OpCode::Reconfig, "ffffffff ffffffff ffffffff ffffffffffffffff"},
      {OpCode::Auth, "00000000 ffffffff ffffffff"},
  };
  for (const auto& [op, body] : refused_later) EXPECT_EQ(verdict_of(packet(op, body)), Verdict::Ok) << body;
}

TEST(RecordsTest, AccessListsThatAreNotThereOrNotWhole) {
  const auto with_acl = [](const std::string& acl) {
    return packet(OpCode::Create, "000000022f61 00000000" + acl + "00000000");
  };
  for (const std::string none : {"ffffffff", "00000000", "fffffffe"}) {
    const std::string bytes = with_acl(none);
    EXPECT_TRUE(decode<CreateRequest>(bytes).acl.empty()) << none;
  }
  EXPECT_EQ(verdict_of(with_acl("7fffffff")), Verdict::Malformed);
  EXPECT_EQ(verdict_of(with_acl("00000002 0000001f 00000000 00000000")), Verdict::Malformed);
  const std::string no_scheme = with_acl("00000001 0000001f ffffffff ffffffff");
  EXPECT_EQ(all(decode<CreateRequest>(no_scheme).acl), (std::vector<Acl>{{kPermAll, "", ""}}));
  const std::string auth = with_acl("00000001 0000001f 0000000461757468 ffffffff");
  EXPECT_EQ(all(decode<CreateRequest>(auth).acl), (std::vector<Acl>{{kPermAll, "auth", ""}}));
  EXPECT_EQ(verdict_of(with_acl("00000001 0000001f 00000005776f726c64 ffffffff")), Verdict::Malformed);
}

TEST(RecordsTest, WatchListsThatAreNotThereOrNotWhole) {
  const std::string zxid = "0000000000000000";
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches, zxid + "00000000 00000000 00000000")), Verdict::Ok);
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches, zxid + "fffffffb fffffffb fffffffb")), Verdict::Ok);
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches, zxid + "ffffffff ffffffff ffffffff")), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches, zxid + "00000001 ffffffff 00000000 00000000")), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches, zxid + "00000003 00000000 00000000 00000000")), Verdict::Malformed);
  EXPECT_EQ(verdict_of(packet(OpCode::SetWatches2, zxid + "00000000 00000000 00000000")), Verdict::Malformed);
}

TEST(RecordsTest, UnknownWatcherTypesAndModesAreMalformed) {
  for (const std::string type : {"00000000", "00000006", "ffffffff"}) {
    EXPECT_EQ(verdict_of(packet(OpCode::CheckWatches, "000000022f61" + type)), Verdict::Malformed);
    EXPECT_EQ(verdict_of(packet(OpCode::RemoveWatches, "000000022f61" + type)), Verdict::Malformed);
  }
  for (const std::string mode : {"00000002", "ffffffff"}) {
    EXPECT_EQ(verdict_of(packet(OpCode::AddWatch, "000000022f61" + mode)), Verdict::Malformed);
  }
}

TEST(RecordsTest, ANullSaslTokenCloses) { EXPECT_EQ(verdict_of(packet(OpCode::Sasl, "ffffffff")), Verdict::Close); }

TEST(RecordsTest, ConnectIsReadWithAndWithoutTheReadOnlyByte) {
  const std::string old =
      from_hex("00000000 0000000000000020 00002710 01000020a5710000 00000010 000102030405060708090a0b0c0d0e0f");
  const std::string bytes = old + "\x01";
  const auto connect = decode_connect(bytes);
  ASSERT_TRUE(connect.has_value());
  EXPECT_EQ(connect->last_zxid_seen, 0x20);
  EXPECT_EQ(connect->timeout_ms, 10000);
  EXPECT_EQ(connect->session_id, 0x1000020a5710000);
  EXPECT_EQ(connect->password, JuteText("\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf"sv));
  EXPECT_TRUE(connect->has_read_only && connect->read_only);
  EXPECT_EQ(testing::encode_connect(*connect), bytes);

  const auto without = decode_connect(old);
  ASSERT_TRUE(without.has_value());
  EXPECT_FALSE(without->has_read_only || without->read_only);
  EXPECT_EQ(testing::encode_connect(*without), old);

  const std::string read_write = old + "\0and more"s;
  EXPECT_FALSE(decode_connect(read_write)->read_only);
  EXPECT_TRUE(decode_connect(read_write)->has_read_only);
  for (size_t size = 0; size < old.size(); ++size) {
    EXPECT_FALSE(decode_connect(std::string(old.substr(0, size))).has_value()) << size;
  }
}

TEST(RecordsTest, APasswordOfAnyLengthIsRead) {
  const std::string head = from_hex("00000007 0000000000000000 fffffffb 0000000000000000");
  EXPECT_EQ(decode_connect(head + from_hex("ffffffff"))->password, std::nullopt);
  EXPECT_EQ(decode_connect(head + from_hex("00000000"))->password, JuteText(""));
  EXPECT_FALSE(decode_connect(head + from_hex("fffffffe")).has_value());
}

TEST(RecordsTest, DamagedBytesNeverReadOutsideAndNeverBecomeAnotherVerdictOfTheHeader) {
  Rng rng(7);
  for (const Recorded& recorded : kRecorded) {
    const std::string good = packet(recorded.op, recorded.body);
    for (int round = 0; round < 500 && good.size() > 8; ++round) {
      std::string bad = good;
      bad[8 + rng.below(bad.size() - 8)] = static_cast<char>(rng.below(256));
      const Request request = decode_request(bad);
      EXPECT_NE(request.verdict, Verdict::Unimplemented);
      if (request.verdict != Verdict::Ok) continue;
      const std::string once = encode_request(request);
      const Request again = decode_request(once);
      ASSERT_EQ(again.verdict, Verdict::Ok);
      EXPECT_EQ(to_hex(encode_request(again)), to_hex(once));
    }
  }
}

}  // namespace
}  // namespace witan::api::zookeeper
