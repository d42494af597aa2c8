// Passwords of sessions were recorded from a running ZooKeeper 3.8.0, digests made by its DigestAuthenticationProvider.
#include <gtest/gtest.h>

#include <string>

#include "api/zookeeper/digest_auth.h"
#include "api/zookeeper/password.h"
#include "api/zookeeper/records_testing.h"

namespace witan::api::zookeeper {
namespace {

std::string password_hex(int64_t session) {
  const auto password = session_password(session);
  return testing::to_hex({password.data(), password.size()});
}

TEST(IdentityTest, ASessionHasThePasswordThatZooKeeperGivesIt) {
  EXPECT_EQ(password_hex(0x1000020a5710000), "f537d43bde2213fc5b1822d65769ecc1");
  EXPECT_EQ(password_hex(0x1000020a5710002), "cff5df3b9e8b54727192537fb057c327");
  EXPECT_EQ(password_hex(0x1000277ce490000), "5daab61e264927b103157bc4dfecaecb");
  EXPECT_EQ(password_hex(0x100027896260006), "9e4833f4e55999fb0170f0899dc9d34d");
}

TEST(IdentityTest, OnlyTheWholePasswordIsTheRightOne) {
  constexpr int64_t kSession = 0x1000020a5710000;
  const auto right = session_password(kSession);
  const std::string_view shown(right.data(), right.size());
  EXPECT_TRUE(is_session_password(kSession, shown));
  EXPECT_FALSE(is_session_password(kSession + 1, shown));
  EXPECT_FALSE(is_session_password(kSession, shown.substr(0, 15)));
  EXPECT_FALSE(is_session_password(kSession, std::string(shown) + "x"));
  EXPECT_FALSE(is_session_password(kSession, ""));
  EXPECT_FALSE(is_session_password(kSession, std::nullopt));
}

TEST(IdentityTest, ADigestIsTheOneZooKeeperMakes) {
  EXPECT_EQ(digest_id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
  EXPECT_EQ(digest_id("u:p:q"), "u:VIgTKUjc2iscZoJn2UUrdGNNgW4=");
  EXPECT_EQ(digest_id("nocolon"), "nocolon:Ra+cHr2ZoHvBjtNArFGNGlVie4g=");
  EXPECT_EQ(digest_id(""), ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
  EXPECT_EQ(digest_id("j\xc3\xb6rg:secret"), "j\xc3\xb6rg:HpGyR2Q+Azw+3ZS1VE6dgpZB8fw=");
}

TEST(IdentityTest, BytesThatAreNoTextAreReplacedBeforeTheDigestIsMade) {
  EXPECT_EQ(digest_id("\xff:p"), digest_id("\xef\xbf\xbd:p"));
}

TEST(IdentityTest, AnIdForAnAclHasOneColonNotCountingThoseAtItsEnd) {
  for (const std::string_view good : {"a:b", "a:b:", ":b", "a:b::"}) EXPECT_TRUE(is_digest_id(good)) << good;
  for (const std::string_view bad : {"a:", "::", "a::b", "a:b:c", "a", ""}) EXPECT_FALSE(is_digest_id(bad)) << bad;
}

}  // namespace
}  // namespace witan::api::zookeeper
