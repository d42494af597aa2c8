#include "store/acl.h"

#include <gtest/gtest.h>

#include <vector>

namespace witan::store {
namespace {

constexpr AclEntry kWorld{perm::kAll, "world", "anyone"};
constexpr AclEntry kReader{perm::kRead, "digest", "u:hash"};
constexpr AclEntry kOwner{perm::kAll, "digest", "o:hash"};

bool may(const AclEntry& entry, std::string_view who, uint32_t permissions = perm::kRead) {
  return allows(encode_acl({&entry, 1}), {&who, 1}, permissions);
}
bool is_from(std::string_view address, std::string_view pattern) { return may({perm::kRead, "ip", pattern}, address); }
std::vector<AclEntry> entries_of(std::string_view acl) {
  std::vector<AclEntry> out;
  AclReader r(acl);
  while (const auto entry = r.next()) out.push_back(*entry);
  EXPECT_TRUE(r.ok());
  return out;
}

TEST(Acl, IsReadAsItWasWrittenWithoutRepetitions) {
  const std::vector<AclEntry> given = {kReader, kOwner, kReader, {0, "", ""}, kWorld};
  EXPECT_EQ(entries_of(encode_acl(given)), (std::vector<AclEntry>{kReader, kOwner, {0, "", ""}, kWorld}));
}

// Nearly every node has this list, so it costs nothing.
TEST(Acl, OpenToEverybodyIsTheEmptyString) {
  EXPECT_EQ(encode_acl({&kWorld, 1}), "");
  EXPECT_EQ(encode_acl(std::vector<AclEntry>{kWorld, kWorld}), "");
  EXPECT_EQ(entries_of(""), std::vector<AclEntry>{kWorld});
  EXPECT_TRUE(allows("", {}, perm::kAdmin));
  EXPECT_NE(encode_acl(std::vector<AclEntry>{kWorld, kReader}), "");
}

TEST(Acl, EveryCutIsDamage) {
  const std::string good = encode_acl(std::vector<AclEntry>{kReader});
  EXPECT_TRUE(is_acl(good));
  for (size_t n = 1; n < good.size(); ++n) EXPECT_FALSE(is_acl(good.substr(0, n))) << n;
  EXPECT_FALSE(is_acl(good + '\x01'));
  EXPECT_FALSE(is_acl(std::string("\xff\xff\xff\xff\x7f\x00\x00", 7))) << "permissions of more than 32 bits";
  EXPECT_FALSE(is_acl(std::string("\x01\x7f", 2) + "world")) << "a length beyond the end";
}

TEST(Acl, AnyOfTheBitsAskedForIsEnoughAndBitsOfDifferentEntriesAddUp) {
  const std::string acl = encode_acl(std::vector<AclEntry>{kReader, {perm::kWrite, "digest", "u:hash"}});
  const std::string_view who = "digest:u:hash";
  EXPECT_TRUE(allows(acl, {&who, 1}, perm::kRead));
  EXPECT_TRUE(allows(acl, {&who, 1}, perm::kWrite));
  EXPECT_TRUE(allows(acl, {&who, 1}, perm::kRead | perm::kAdmin));
  EXPECT_FALSE(allows(acl, {&who, 1}, perm::kAdmin));
  EXPECT_FALSE(allows(acl, {&who, 1}, 0)) << "nobody asked for anything";
  EXPECT_FALSE(allows(acl, {}, perm::kRead)) << "nobody asks";
}

TEST(Acl, SchemeAndIdMustBothBeTheSame) {
  EXPECT_TRUE(may(kReader, "digest:u:hash"));
  for (const char* other : {"digest:u", "digest:u:hash2", "digest", "digest:", "x509:u:hash", "Digest:u:hash", "", ":"})
    EXPECT_FALSE(may(kReader, other)) << other;
  EXPECT_FALSE(may({perm::kRead, "world", "somebody"}, "world:anyone"));
}

TEST(Acl, TheSuperuserMayDoEverything) {
  EXPECT_TRUE(may(kReader, kSuperPrincipal, perm::kAdmin));
  EXPECT_FALSE(may(kReader, "super:x", perm::kAdmin));
}

TEST(Acl, TheSaslUserSuperPassesForEveryOther) {
  EXPECT_TRUE(may({perm::kRead, "sasl", "bob"}, "sasl:bob"));
  EXPECT_FALSE(may({perm::kRead, "sasl", "bob"}, "sasl:alice"));
  EXPECT_TRUE(may({perm::kRead, "sasl", "bob"}, "sasl:super"));
  EXPECT_FALSE(may({perm::kRead, "sasl", "bob"}, "sasl:super", perm::kWrite)) << "but only for that";
  EXPECT_FALSE(may(kReader, "sasl:super"));
  EXPECT_FALSE(may({perm::kRead, "digest", "bob"}, "digest:super"));
}

TEST(Acl, AddressesMatchByTheBitsNamed) {
  EXPECT_TRUE(is_from("ip:10.1.2.3", "10.1.2.3"));
  EXPECT_FALSE(is_from("ip:10.1.2.4", "10.1.2.3"));
  EXPECT_TRUE(is_from("ip:10.1.2.4", "10.1.0.0/16"));
  EXPECT_TRUE(is_from("ip:10.1.2.4", "10.1.99.99/16")) << "the bits behind do not count";
  EXPECT_FALSE(is_from("ip:10.2.2.4", "10.1.0.0/16"));
  EXPECT_TRUE(is_from("ip:10.1.2.129", "10.1.2.128/25"));
  EXPECT_FALSE(is_from("ip:10.1.2.127", "10.1.2.128/25"));
  EXPECT_TRUE(is_from("ip:1.2.3.4", "0.0.0.0/0"));
  EXPECT_TRUE(is_from("ip:2001:db8::1", "2001:db8::/32"));
  EXPECT_TRUE(is_from("ip:2001:db8::1", "2001:DB8:0:0:0:0:0:1"));
  EXPECT_TRUE(is_from("ip:::1", "::1"));
  EXPECT_TRUE(is_from("ip:1::", "1:0:0:0:0:0:0:0/128"));
  EXPECT_FALSE(is_from("ip:2001:db9::1", "2001:db8::/32"));
  EXPECT_FALSE(is_from("ip:1.2.3.4", "::/0")) << "another family";
  EXPECT_FALSE(is_from("digest:10.1.2.3", "10.1.2.3"));
}

TEST(Acl, WhatIsNoAddressMatchesNothing) {
  for (const char* bad : {"10.1.2", "10.1.2.3.4", "10.1.2.256", "10.1.2.", "10..2.3", "10.1.2.3x", "10.1.2.3/33",
                          "10.1.2.3/", "10.1.2.3/x", "10.1.2.3/-1", "", "/", "/0"}) {
    EXPECT_FALSE(is_from("ip:10.1.2.3", bad)) << bad;
    EXPECT_FALSE(is_from(std::string("ip:") + bad, bad)) << bad;
  }
  for (const char* bad : {":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:", "1::2::3", "1:", ":1",
                          "::12345", "g::", "1:2:3:4:5:6:7:8::", "::1/129"}) {
    EXPECT_FALSE(is_from("ip:::1", bad)) << bad;
    EXPECT_FALSE(is_from(std::string("ip:") + bad, bad)) << bad;
  }
}

}  // namespace
}  // namespace witan::store
