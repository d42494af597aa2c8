#include <gtest/gtest.h>

#include "env/address.h"

namespace witan::env {
namespace {

TEST(Address, IsAcceptedWithAndWithoutAScheme) {
  for (const char* text : {"node-1:2379", "http://node-1:2379", "http://node-1:2379/"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), "node-1:2379");
    EXPECT_EQ(address->url(), "http://node-1:2379");
  }
  EXPECT_EQ(parse_address("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_address("[::1]:80")->text(), "[::1]:80");
}

TEST(Address, AWrongOneIsNamedWithTheReason) {
  for (const char* text : {"", "host", "host:", ":80", "host:70000", "host:8x", "::1:80", "a/b:1", "https://h:1"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Code::Invalid);
    EXPECT_NE(address.error().message.find("is not an address"), std::string::npos);
  }
}

}  // namespace
}  // namespace witan::env
