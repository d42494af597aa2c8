// What is refused and what becomes of bad UTF-8 was seen on a running ZooKeeper 3.8.0.
#include "api/zookeeper/path.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace witan::api::zookeeper {
namespace {

using namespace std::literals;

TEST(PathTest, PathsThatZooKeeperTakes) {
  for (const std::string_view path :
       {"/", "/a", "/a/b", "/...", "/a b", "/\xc3\xa9", "/.a", "/a.", "/\xed\x9f\xbf" /* d7ff */,
        "/\xef\xa4\x80" /* f900 */, "/\xef\xbf\xaf" /* ffef */, "/~", "/\xc2\xa0"}) {
    EXPECT_TRUE(is_legal_path(path)) << path;
  }
}

TEST(PathTest, PathsThatZooKeeperRefuses) {
  for (const std::string_view path : {""sv,
                                      "a"sv,
                                      "//"sv,
                                      "/a/"sv,
                                      "/a//b"sv,
                                      "/."sv,
                                      "/.."sv,
                                      "/a/./b"sv,
                                      "/a/.."sv,
                                      "/\0"sv,
                                      "/\x01"sv,
                                      "/\x1f"sv,
                                      "/\x7f"sv,
                                      "/\xc2\x80"sv,
                                      "/\xc2\x9f"sv,
                                      "/\xee\x80\x80"sv /* e000 */,
                                      "/\xef\xa3\xbf"sv /* f8ff */,
                                      "/\xef\xbf\xb0"sv /* fff0 */,
                                      "/\xef\xbf\xbf"sv,
                                      "/\xf0\x9f\x98\x80"sv /* a pair of surrogates in Java */}) {
    EXPECT_FALSE(is_legal_path(path)) << path;
  }
}

TEST(PathTest, BytesThatAreNoUtf8AreRefused) {
  for (const std::string_view path : {"/\xff"sv, "/a\x80"sv, "/\xc3"sv, "/\xe2\x82"sv, "/\xc0\xaf"sv,
                                      "/\xed\xa0\x80"sv /* a surrogate */, "/\xf8\x88\x80\x80\x80"sv}) {
    EXPECT_FALSE(is_legal_path(path)) << path;
    // The same comes of it the way ZooKeeper goes: it replaces them, and refuses the replacement.
    EXPECT_FALSE(is_legal_path(java_text(path))) << path;
  }
}

TEST(PathTest, TheParentIsFoundBeforeThePathIsJudged) {
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a/b/"), "/a/b");
  EXPECT_EQ(parent_path("/b/"), "/b");
  EXPECT_EQ(parent_path("/b"), "/");
  EXPECT_EQ(parent_path("/"), "/");
  EXPECT_EQ(parent_path("//"), "/");
  EXPECT_EQ(parent_path("a/b"), "a");
  EXPECT_EQ(parent_path("a"), std::nullopt);
  EXPECT_EQ(parent_path(""), std::nullopt);
  EXPECT_EQ(parent_path("/a\0/b"sv), std::nullopt);
}

TEST(PathTest, SequenceNumbersAreTenDigitsAndRunOverAsJavasDo) {
  EXPECT_EQ(sequential_path("/a/s-", 0), "/a/s-0000000000");
  EXPECT_EQ(sequential_path("/a/", 4), "/a/0000000004");
  EXPECT_EQ(sequential_path("/a", INT32_MAX), "/a2147483647");
  EXPECT_EQ(sequential_path("/a", INT32_MIN), "/a-2147483648");
  EXPECT_EQ(sequential_path("/a", -1), "/a-000000001");
}

TEST(PathTest, BadUtf8BecomesWhatJavaMakesOfIt) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"/a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "/a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"/a\xff"
       "b\xe2\x82\xf0\x9f\x98\xed\xa0\x80",
       "/a\ufffd"
       "b\ufffd\ufffd\ufffd"},
      {"\xc0\x2f", "\ufffd/"},
      {"\xe0\x61\xe0\xf0",
       "\ufffd"
       "a\ufffd\ufffd"},
      {"\xe0\x9f\xbf", "\ufffd\ufffd\ufffd"},
      {"\xf0\x8f\xbf\xbf", "\ufffd\ufffd\ufffd\ufffd"},
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
      {"\xf5\x80", "\ufffd\ufffd"},
      {"\xed\xbf\xbf\x61",
       "\ufffd"
       "a"},
      {"\xed\xa0", "\ufffd"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(java_text(bytes), text) << bytes;
}

TEST(JavaText, CharactersBeyondSixteenBitsAreWrittenAsSurrogates) {
  EXPECT_EQ(jute_text("/a\u00e9\uffff"), "/a\u00e9\uffff");
  EXPECT_EQ(jute_text("/\U0001f600b"),
            "/\xed\xa0\xbd\xed\xb8\x80"
            "b");
  EXPECT_EQ(jute_text("\U0010ffff"), "\xed\xaf\xbf\xed\xbf\xbf");
}

}  // namespace
}  // namespace witan::api::zookeeper
