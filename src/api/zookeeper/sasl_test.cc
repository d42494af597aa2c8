// SASL over bytes. Codes, zxids and empty bodies are those of a running ZooKeeper 3.8.0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/zookeeper/digest_md5_testing.h"
#include "api/zookeeper/server_testing.h"

namespace witan::api::zookeeper {
namespace {

using namespace testing;  // this room's
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SaslTest : public ServerTest {
 protected:
  SaslTest() { restart(options); }

  static Record token(std::string_view text) { return Record().text(text); }
  // The answer to the challenge that this connection is given.
  static std::string answer_for(TestClient& peer, std::string user, std::string password) {
    const Packet challenge = peer.call(OpCode::Sasl, token(""));
    EXPECT_EQ(challenge.error, 0);
    EXPECT_EQ(challenge.zxid, 0);
    return DigestClient{
        .user = std::move(user), .password = std::move(password), .nonce = nonce_of(token_of(challenge))}
        .token();
  }
  static void prove(TestClient& peer, const std::string& user) {
    const Packet proof = peer.call(OpCode::Sasl, token(answer_for(peer, user, user + " secret")));
    EXPECT_EQ(proof.error, 0);
    EXPECT_EQ(proof.zxid, 0);
    EXPECT_THAT(token_of(proof), ::testing::StartsWith("rspauth="));
  }
  // What a wrong token is told, in its time.
  Packet refusal(TestClient& peer, std::string_view text) {
    peer.send(7, OpCode::Sasl, token(text));
    peer.send(8, OpCode::Exists, read_of("/"));
    peer.pump();
    loop.advance(milliseconds(99));
    peer.pump();
    EXPECT_THAT(peer.take(), IsEmpty()) << "guesses take their time";
    EXPECT_FALSE(peer.closed());
    loop.advance(milliseconds(1));
    peer.pump();
    const std::vector<Packet> packets = peer.take();
    EXPECT_THAT(xids(packets), ElementsAre(7)) << "nothing behind it is answered";
    EXPECT_TRUE(peer.closed());
    return packets.empty() ? Packet() : packets[0];
  }
  static int32_t create_for(TestClient& peer, std::string_view path, std::string_view scheme, std::string_view id) {
    return peer.call(OpCode::Create, Record().text(path).text("x").i32(1).acl(31, scheme, id).i32(0)).error;
  }
  static int32_t see(TestClient& peer, std::string_view path) {
    return peer.call(OpCode::GetData, read_of(path)).error;
  }

  const Options options{
      .sasl_users = std::make_shared<const SaslUsers>(SaslUsers{
          .passwords = {{"ann", "ann secret"}, {"bob", "bob secret"}, {"super", "super secret"}}, .super = {"bob"}}),
      .sasl_ids = true};
};

TEST_F(SaslTest, WhoProvesAPasswordIsThatUser) {
  const auto ann = join();
  prove(*ann, "ann");
  EXPECT_EQ(to_hex(ann->call(OpCode::WhoAmI).body),
            to_hex(Record().i32(2).text("ip").text("127.0.0.1").text("sasl").text("ann").done()));
  EXPECT_EQ(create_for(*ann, "/a", "sasl", "ann"), 0);
  EXPECT_EQ(create_for(*ann, "/b", "auth", ""), 0);
  EXPECT_EQ(create_for(*ann, "/c", "sasl", "cid"), 0) << "a list may name anybody";
  EXPECT_EQ(see(*ann, "/a"), 0);
  EXPECT_EQ(see(*ann, "/b"), 0);
  EXPECT_EQ(see(*ann, "/c"), -102);
  const auto nobody = join();
  for (const char* path : {"/a", "/b", "/c"}) EXPECT_EQ(see(*nobody, path), -102) << path;
  EXPECT_EQ(nobody->call(OpCode::SetAcl, Record().text("/a").i32(1).acl(31, "sasl", "x").i32(-1)).error, -102);
  EXPECT_EQ(ann->call(OpCode::SetAcl, Record().text("/a").i32(1).acl(31, "sasl", "a@b@c").i32(-1)).error, -114);
  EXPECT_EQ(ann->call(OpCode::SetAcl, Record().text("/a").i32(1).acl(31, "sasl", "cid").i32(-1)).error, 0);
  EXPECT_EQ(see(*ann, "/a"), -102);
}

TEST_F(SaslTest, SuperUsers) {
  const auto ann = join();
  prove(*ann, "ann");
  EXPECT_EQ(create_for(*ann, "/a", "sasl", "ann"), 0);
  EXPECT_EQ(create_for(*ann, "/d", "digest", "u:h"), 0);
  const auto by_setting = join();
  prove(*by_setting, "bob");
  EXPECT_EQ(see(*by_setting, "/a"), 0);
  EXPECT_EQ(see(*by_setting, "/d"), 0);
  const auto by_name = join();
  prove(*by_name, "super");
  EXPECT_EQ(see(*by_name, "/a"), 0) << "for lists that name users of SASL it is any of them";
  EXPECT_EQ(see(*by_name, "/d"), -102);
}

TEST_F(SaslTest, AWrongAnswerEndsTheConnectionAsInZooKeeper) {
  const auto guesses = join();
  const Packet refused = refusal(*guesses, answer_for(*guesses, "ann", "guess"));
  EXPECT_EQ(refused.error, -115);
  EXPECT_EQ(refused.zxid, 0);
  EXPECT_EQ(to_hex(refused.body), "ffffffff");
  const auto heard = join();
  const std::string answer = answer_for(*heard, "ann", "ann secret");
  const auto replays = join();
  replays->call(OpCode::Sasl, token(""));
  EXPECT_EQ(refusal(*replays, answer).error, -115) << "what is an answer elsewhere";
  EXPECT_EQ(heard->call(OpCode::Sasl, token(answer)).error, 0);
  EXPECT_EQ(server->statistics().authentications_failed, 2u);
}

TEST_F(SaslTest, WhoLeavesBeforeTheRefusalIsGone) {
  const auto peer = join();
  peer->send(7, OpCode::Sasl, token(answer_for(*peer, "ann", "guess")));
  peer->pump();
  peer->disconnect();
  loop.advance(seconds(1));
  EXPECT_EQ(server->statistics().connections, 0u);
  const auto moved = join();
  moved->send(7, OpCode::Sasl, token(answer_for(*moved, "ann", "guess")));
  moved->pump();
  TestClient taker(loop, *server);
  taker.connect(moved->session, moved->password);
  moved->pump();
  EXPECT_TRUE(moved->closed()) << "its session moved meanwhile";
}

TEST_F(SaslTest, ChallengesAreAllDifferent) {
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const auto peer = join();
    EXPECT_TRUE(seen.insert(nonce_of(token_of(peer->call(OpCode::Sasl, token(""))))).second);
  }
  FakeClient other_client(loop);
  Options other_options = options;
  other_options.secret = 1;
  Server other(loop, other_client, other_options, Logger());
  TestClient peer(loop, other);
  peer.connect();
  EXPECT_FALSE(seen.contains(nonce_of(token_of(peer.call(OpCode::Sasl, token(""))))));
}

TEST_F(SaslTest, AUserIsProvedOnce) {
  const auto peer = join();
  prove(*peer, "ann");
  EXPECT_EQ(refusal(*peer, "").error, -115);
}

TEST_F(SaslTest, TokensKeepTheirPlaceAmongTheRequests) {
  const auto peer = join();
  create_for(*peer, "/w", "world", "anyone");
  EXPECT_EQ(create_for(*peer, "/a", "sasl", "ann"), 0);
  const std::string answer = answer_for(*peer, "ann", "ann secret");
  client.held = true;
  peer->send(10, OpCode::Sync, Record().text("/"));
  peer->send(11, OpCode::GetData, read_of("/a"));
  peer->send(12, OpCode::SetData, set("/w", "y"));
  peer->send(13, OpCode::Sasl, token(answer));
  peer->send(14, OpCode::GetData, read_of("/a"));
  peer->pump();
  EXPECT_THAT(peer->take(), IsEmpty()) << "nothing overtakes what was sent before";
  client.release();
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  EXPECT_THAT(xids(packets), ElementsAre(10, 11, 12, 13, 14));
  EXPECT_EQ(packets[1].error, -102) << "sent by nobody yet";
  EXPECT_EQ(packets[3].error, 0);
  EXPECT_EQ(packets[4].error, 0) << "sent by the user";
}

// As a running ZooKeeper without a JAAS file: a client that was told to use SASL goes on as nobody.
TEST_F(SaslTest, WithoutUsersTokensAreAnsweredWithNothing) {
  restart({.sasl_ids = true});
  const auto peer = join();
  for (int i = 0; i < 2; ++i) {
    const Packet answer = peer->call(OpCode::Sasl, token(i == 0 ? "" : "x"));
    EXPECT_EQ(answer.error, 0);
    EXPECT_EQ(answer.zxid, 0);
    EXPECT_EQ(to_hex(answer.body), "ffffffff");
  }
  EXPECT_EQ(create_for(*peer, "/a", "sasl", "ann"), 0);
  EXPECT_EQ(see(*peer, "/a"), -102);
}

TEST_F(SaslTest, ListsNameUsersOnlyWhereThatIsAskedFor) {
  Options without = options;
  without.sasl_ids = false;
  restart(without);
  const auto peer = join();
  prove(*peer, "ann");
  EXPECT_EQ(create_for(*peer, "/a", "sasl", "ann"), -114);
  EXPECT_EQ(create_for(*peer, "/a", "auth", ""), -114);
}

TEST_F(SaslTest, AnAuthPacketProvesNoUser) {
  const auto peer = join();
  EXPECT_EQ(peer->call(OpCode::Auth, Record().i32(0).text("sasl").text("ann:ann secret")).error, -115);
  EXPECT_TRUE(peer->closed());
}

}  // namespace
}  // namespace witan::api::zookeeper
