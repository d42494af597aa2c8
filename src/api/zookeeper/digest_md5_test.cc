// The example of RFC 2831, and what a running ZooKeeper 3.8.0 on Java 17 makes of other answers.
#include "api/zookeeper/digest_md5.h"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/zookeeper/digest_md5_testing.h"
#include "base/rng.h"

namespace witan::api::zookeeper {
namespace {

using testing::DigestClient;

const SaslUsers kUsers{.passwords = {{"chris", "secret"}, {"b\xc3\xa4r", "p\xc3\xa4ss"}, {"\xe2\x82\xac", "w\xc5\x82"}},
                       .super = {"chris"}};

// RFC 2831, section 4.
TEST(DigestMd5Test, TheExampleOfTheStandard) {
  DigestMd5 server(kUsers, "OA6MG9tEQGm2hh", {.name = "imap", .host = "elwood.innosoft.com"});
  EXPECT_EQ(server.answer(""),
            "realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",charset=utf-8,algorithm=md5-sess");
  EXPECT_FALSE(server.done());
  EXPECT_EQ(server.answer("charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\","
                          "nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\","
                          "response=d388dad90d4bbd760a152321f2143af7,qop=auth"),
            "rspauth=ea40f60335c427b5527b84dbabcdfffd");
  EXPECT_TRUE(server.done());
  EXPECT_EQ(server.user(), "chris");
  EXPECT_TRUE(server.is_super());
}

class DigestMd5Exchange : public ::testing::Test {
 protected:
  // What becomes of an answer to a fresh challenge: the user, or "" when it is refused.
  static std::string user_of(const std::string& token) {
    DigestMd5 server(kUsers, "n0nce");
    EXPECT_TRUE(server.answer("").has_value());
    const auto proof = server.answer(token);
    EXPECT_EQ(proof.has_value(), server.done());
    if (proof) {
      EXPECT_TRUE(proof->starts_with("rspauth="));
    }
    return server.user();
  }

  DigestClient client{.user = "chris", .password = "secret", .nonce = "n0nce"};
};

TEST_F(DigestMd5Exchange, ThePasswordIsWhatCounts) {
  EXPECT_EQ(user_of(client.token()), "chris");
  client.password = "Secret";
  EXPECT_EQ(user_of(client.token()), "");
  client.password = "";
  EXPECT_EQ(user_of(client.token()), "");
}

TEST_F(DigestMd5Exchange, NobodyHasNoPassword) {
  client.user = "nobody";
  for (const char* password : {"secret", ""}) {
    client.password = password;
    EXPECT_EQ(user_of(client.token()), "");
  }
  client.user = "";
  EXPECT_EQ(user_of(client.token()), "");
}

TEST_F(DigestMd5Exchange, TextIsDigestedAsLatin1WhereItCanBe) {
  client.user = "b\xc3\xa4r";
  client.password = "p\xc3\xa4ss";
  client.digested_user = "b\xe4r";
  client.digested_password = "p\xe4ss";
  EXPECT_EQ(user_of(client.token()), "b\xc3\xa4r");
  client.user = "\xe2\x82\xac";
  client.password = "w\xc5\x82";
  client.digested_user.clear();
  client.digested_password.clear();
  EXPECT_EQ(user_of(client.token()), "\xe2\x82\xac");
}

TEST_F(DigestMd5Exchange, AnAnswerToAnotherChallengeIsWorthNothing) {
  const std::string token = client.token();
  DigestMd5 other(kUsers, "n0nce2");
  other.answer("");
  EXPECT_FALSE(other.answer(token).has_value());
  client.nonce = "n0nce2";
  EXPECT_EQ(user_of(client.token()), "") << "nor does it choose its own nonce";
}

TEST_F(DigestMd5Exchange, ThereIsOneAnswerAndNothingBehindIt) {
  DigestMd5 server(kUsers, "n0nce");
  server.answer("");
  EXPECT_FALSE(server.answer("garbage").has_value());
  EXPECT_FALSE(server.answer(client.token()).has_value()) << "no second guess";
  DigestMd5 again(kUsers, "n0nce");
  again.answer("");
  ASSERT_TRUE(again.answer(client.token()).has_value());
  EXPECT_FALSE(again.answer(client.token()).has_value());
  EXPECT_FALSE(again.done()) << "the connection ends with that";
}

TEST_F(DigestMd5Exchange, ItIsForZooKeeperAndNobodyElse) {
  for (const char* uri : {"zookeeper/localhost", "imap/zk-sasl-md5", "zookeeper/zk-sasl-md5/x", "zookeeper", ""}) {
    client.uri = uri;
    EXPECT_EQ(user_of(client.token()), "") << uri;
  }
  client.uri = "ZooKeeper/ZK-sasl-md5";
  EXPECT_EQ(user_of(client.token()), "chris");
}

TEST_F(DigestMd5Exchange, EachDirectiveIsHeldAgainstTheChallenge) {
  const std::string good = client.token();
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = good;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  for (const auto& [from, to] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"charset=utf-8", "charset=latin-1"},
           {"nc=00000001", "nc=00000002"},
           {"nc=00000001", "nc=1"},
           {"qop=auth", "qop=auth-int"},
           {"qop=auth", "qop="},
           {"realm=\"zk-sasl-md5\"", "realm=\"x\""},
           {"realm=\"zk-sasl-md5\",", ""},
           {"username=\"chris\",", ""},
           {"cnonce=\"cl1ent\",", ""},
           {"nonce=\"n0nce\",", ""},
           {"response=", "response=0"},
           {"nc=00000001", "nc=00000001,username=\"chris\""},
           {"nc=00000001", "nc=00000001,realm=\"zk-sasl-md5\""}}) {
    EXPECT_EQ(user_of(with(from, to)), "") << from << " -> " << to;
  }
  for (const auto& [from, to] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"charset=utf-8,", ""},
           {"nc=00000001,", ""},
           {"qop=auth", "qop=\"auth\""},
           {",qop=auth", ""},
           {",qop=auth", ",,qop=auth , \r\n"},
           {"username=", "UserName \t= "},
           {"\"chris\"", "\"ch\\ris\""},
           {"nc=00000001", "nc=00000001,maxbuf=x,new=1,new=2"}}) {
    EXPECT_EQ(user_of(with(from, to)), "chris") << from << " -> " << to;
  }
}

TEST_F(DigestMd5Exchange, WhoActsAsAnotherIsStillWhoItIs) {
  client.authzid = "super";
  EXPECT_EQ(user_of(client.token()), "chris");
}

TEST_F(DigestMd5Exchange, TheFirstTokenAsksForTheChallengeWhateverItIs) {
  DigestMd5 server(kUsers, "n0nce");
  EXPECT_EQ(server.answer("x"), "realm=\"zk-sasl-md5\",nonce=\"n0nce\",charset=utf-8,algorithm=md5-sess");
  DigestMd5 long_winded(kUsers, "n0nce");
  EXPECT_FALSE(long_winded.answer(std::string(DigestMd5::kMaxToken + 1, 'x')).has_value());
  EXPECT_FALSE(long_winded.answer("").has_value());
}

TEST_F(DigestMd5Exchange, ATokenHasABound) {
  std::string token = client.token();
  token.resize(DigestMd5::kMaxToken, ',');
  EXPECT_EQ(user_of(token), "chris");
  EXPECT_EQ(user_of(token + ","), "");
}

TEST_F(DigestMd5Exchange, GarbageIsRefused) {
  const std::string good = client.token();
  for (size_t size = 0; size < good.rfind(",qop=auth"); ++size) EXPECT_EQ(user_of(good.substr(0, size)), "") << size;
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string noise = good;
    for (int i = 0; i < 3; ++i) noise[rng.below(noise.size())] = static_cast<char>(rng.next());
    const std::string user = user_of(noise);
    EXPECT_TRUE(user.empty() || user == "chris");
  }
}

TEST(DirectivesTest, AreReadAsTheStandardWritesThem) {
  const auto parsed = parse_directives(" nonce = \"a\\\"b, c\" ,,\tQOP=auth,x=1,x=2,realm=\"\",nc=,");
  EXPECT_EQ(parsed, (Directives{{"nonce", "a\"b, c"}, {"qop", "auth"}, {"realm", ""}, {"nc", ""}}));
}

TEST(DirectivesTest, MistakesAreRefused) {
  for (const char* bad : {"nonce", "nonce=", "=x", "nonce x=1", "nonce,=1", "nonce=\"x", "nonce=\"x\\", "nonce=\"x\"y",
                          "nonce=1,nonce=2", "nonce=1,Nonce=1", "\"nonce\"", "x=\""}) {
    EXPECT_FALSE(parse_directives(bad).has_value()) << bad;
  }
  EXPECT_TRUE(parse_directives("").has_value());
}

TEST(SaslIdTest, IsWhatKerberosTakesForAPrincipal) {
  for (const char* good : {"", "a", "a/b", "a/b/c", "a b", "@", "a@b", "/@b", "a/b@c", "a@", "\xc3\xa4\n"}) {
    EXPECT_TRUE(is_sasl_id(good)) << good;
  }
  for (const char* bad : {"a@b@c", "a/b/c@d", "a@b/c", "@@"}) EXPECT_FALSE(is_sasl_id(bad)) << bad;
}

}  // namespace
}  // namespace witan::api::zookeeper
