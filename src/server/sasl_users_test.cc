#include "server/sasl_users.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace witan::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SaslUsersTest, AreALineEach) {
  EXPECT_EQ(parse_sasl_users("f", "# who\nann:a:b c \r\n\nb\xc3\xa4r:p\xc3\xa4ss"),
            (Passwords{{"ann", "a:b c "}, {"b\xc3\xa4r", "p\xc3\xa4ss"}}));
  EXPECT_EQ(parse_sasl_users("f", ""), Passwords());
}

TEST(SaslUsersTest, MistakesAreNamedByTheirLineWithoutThePassword) {
  for (const char* bad : {"a:b\nsecret", "a:b\n:secret", "a:b\nuser:", "a:secret1\na:secret"}) {
    const auto parsed = parse_sasl_users("f", bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_THAT(parsed.error().message, AllOf(HasSubstr("f, line 2"), Not(HasSubstr("secret"))));
  }
}

std::optional<Passwords> jaas(std::string_view text, std::string_view section = "Server") {
  const auto parsed = parse_jaas("f", text, section);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  return parsed.value_or(std::nullopt);
}

TEST(JaasTest, ASectionNamesItsUsers) {
  constexpr std::string_view kText =
      "// of ours\nServer {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n"
      "  user_super=\"adminsecret\" /* two\n lines */ user_bob=bobsecret debug=true\n  user_b\xc3\xa4r='p\xc3\xa4ss' "
      ";\n};\n"
      "Client { com.sun.security.auth.module.Krb5LoginModule Required keyTab=\"/k\" user_x=\"y\"; };\n"
      "Other{};";
  EXPECT_EQ(jaas(kText), (Passwords{{"super", "adminsecret"}, {"bob", "bobsecret"}, {"b\xc3\xa4r", "p\xc3\xa4ss"}}));
  EXPECT_EQ(jaas(kText, "Other"), Passwords());
  EXPECT_EQ(jaas(kText, "server"), std::nullopt);
  EXPECT_EQ(jaas(""), std::nullopt);
}

TEST(JaasTest, QuotedTextHasJavasEscapes) {
  EXPECT_EQ(jaas("Server { org.apache.zookeeper.server.auth.DigestLoginModule required "
                 "user_a=\"\\\"\\\\\\t;\\101\\477{}\\344\"; };"),
            (Passwords{{"a",
                        "\"\\\t;A\x27"
                        "7{}\xc3\xa4"}}));
}

TEST(JaasTest, MistakesAreNamedByTheirLineWithoutThePassword) {
  const std::string module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
  for (const std::string& bad : std::vector<std::string>{
           "\nServer", "\nServer {", "Server {\n" + module + "}", "Server {\n" + module + " user_a \"secret\"; };",
           "Server {\n" + module + " user_a=; };", "Server {\n" + module + " user_a=\"secret\n; };",
           "Server {\n" + module + " user_a=\"secret", "Server { " + module + " user_a=secret; }\nServer {};",
           "Server { " + module + " user_a=secret; };\nServer {};", "\n/* Server { };", "Server {\nx maybe; };",
           "Server {\n" + module + " user_a=\"${secret}\"; };", "Server {\nx.Krb5LoginModule required; };",
           "\n= {};"}) {
    const auto parsed = parse_jaas("f", bad, "Server");
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_THAT(parsed.error().message, AllOf(HasSubstr("f, line 2"), Not(HasSubstr("secret")))) << bad;
  }
  EXPECT_THAT(parse_jaas("f", "Server {\nx.Krb5LoginModule required; };", "Server").error().message,
              AllOf(HasSubstr("line 2"), HasSubstr("x.Krb5LoginModule")));
}

}  // namespace
}  // namespace witan::server
