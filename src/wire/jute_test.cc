#include "wire/jute.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace witan::wire {
namespace {

using namespace std::literals;

template <class Body>
std::string written(Body&& body) {
  Chain out;
  JuteWriter w(out);
  body(w);
  w.flush();
  EXPECT_EQ(w.written(), out.size());
  return out.flatten();
}

TEST(JuteTest, NumbersHaveTheirMostSignificantByteFirst) {
  const std::string bytes = written([](JuteWriter& w) {
    w.i32(0x01020304);
    w.i64(-2);
    w.boolean(true);
    w.boolean(false);
  });
  EXPECT_EQ(bytes, "\x01\x02\x03\x04\xff\xff\xff\xff\xff\xff\xff\xfe\x01\x00"s);
  JuteReader r(bytes);
  EXPECT_EQ(r.i32(), 0x01020304);
  EXPECT_EQ(r.i64(), -2);
  EXPECT_TRUE(r.boolean());
  EXPECT_FALSE(r.boolean());
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.rest().empty());
}

TEST(JuteTest, TheEndsOfEveryRangeSurvive) {
  for (const int64_t v :
       {std::numeric_limits<int64_t>::min(), int64_t{-1}, int64_t{0}, std::numeric_limits<int64_t>::max()}) {
    const std::string bytes = written([&](JuteWriter& w) { w.i64(v), w.i32(static_cast<int32_t>(v >> 32)); });
    JuteReader r(bytes);
    EXPECT_EQ(r.i64(), v);
    EXPECT_EQ(r.i32(), static_cast<int32_t>(v >> 32));
  }
}

TEST(JuteTest, NullAndEmptyAreNotTheSame) {
  const std::string bytes = written([](JuteWriter& w) {
    w.text(std::nullopt);
    w.text("");
    w.blob(Blob());
    w.blob(Blob(""));
    w.text("ab");
    w.blob(Blob("cd"));
  });
  EXPECT_EQ(bytes, "\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\2ab\0\0\0\2cd"s);
  JuteReader r(bytes);
  EXPECT_EQ(r.text(), std::nullopt);
  EXPECT_EQ(r.text(), JuteText(""));
  EXPECT_EQ(r.text_or_empty(), "");
  EXPECT_EQ(r.required_text(), "");
  EXPECT_EQ(r.required_text(), "ab");
  EXPECT_EQ(r.text_or_empty(), "cd");
  EXPECT_TRUE(r.ok());
}

TEST(JuteTest, TextsOfEverySizeAroundTheStagingComeOutWhole) {
  for (size_t before = 0; before < 300; before += 37) {
    for (size_t size = 0; size < 1200; size += 13) {
      const std::string text(size, 'x');
      const std::string bytes = written([&](JuteWriter& w) {
        for (size_t i = 0; i < before; ++i) w.boolean(true);
        w.text(text);
        w.blob(Blob(text));
        w.i32(7);
      });
      JuteReader r(bytes);
      for (size_t i = 0; i < before; ++i) ASSERT_TRUE(r.boolean());
      ASSERT_EQ(r.required_text(), text);
      ASSERT_EQ(r.required_text(), text);
      ASSERT_EQ(r.i32(), 7);
      ASSERT_TRUE(r.ok() && r.rest().empty());
    }
  }
}

TEST(JuteTest, ALargeBlobIsSharedNotCopied) {
  const Blob blob(std::string(100000, 'x'));
  Chain out;
  JuteWriter w(out);
  w.i32(1);
  w.blob(blob);
  w.i32(2);
  w.flush();
  std::vector<std::string_view> pieces;
  out.peek(pieces, 10);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].data(), blob.data());
  EXPECT_EQ(pieces[0].size() + pieces[1].size() + pieces[2].size(), 12 + blob.size());
}

TEST(JuteTest, ReadingPastTheEndGivesNothingAndStaysWrong) {
  const std::string bytes = "\0\0\0\1\0\0\0"s;
  JuteReader r(bytes);
  EXPECT_EQ(r.i32(), 1);
  EXPECT_EQ(r.i32(), 0);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.i64(), 0);
  EXPECT_FALSE(r.boolean());
  EXPECT_EQ(r.text_or_empty(), "");
  EXPECT_FALSE(r.ok());
}

TEST(JuteTest, ALengthThatIsNegativeOrLongerThanTheRestIsRefused) {
  for (const int32_t length : {-2, std::numeric_limits<int32_t>::min(), 3, std::numeric_limits<int32_t>::max()}) {
    const std::string bytes = written([&](JuteWriter& w) { w.i32(length); }) + "ab";
    JuteReader r(bytes);
    EXPECT_EQ(r.text(), std::nullopt) << length;
    EXPECT_FALSE(r.ok()) << length;
  }
}

TEST(JuteTest, ANullWhereATextIsRequiredIsRefused) {
  JuteReader r("\xff\xff\xff\xff");
  EXPECT_EQ(r.required_text(), "");
  EXPECT_FALSE(r.ok());
}

TEST(JuteTest, ACountIsBoundedByWhatTheRestCouldHold) {
  const auto count = [](int32_t n, size_t rest, size_t item, bool& ok) {
    const std::string bytes = written([&](JuteWriter& w) { w.i32(n); }) + std::string(rest, 'x');
    JuteReader r(bytes);
    const std::optional<uint32_t> got = r.count(item);
    ok = r.ok();
    return got;
  };
  bool ok = false;
  EXPECT_EQ(count(3, 12, 4, ok), 3u);
  EXPECT_TRUE(ok);
  count(3, 11, 4, ok);
  EXPECT_FALSE(ok);
  count(std::numeric_limits<int32_t>::max(), 1000, 1, ok);
  EXPECT_FALSE(ok);
  EXPECT_EQ(count(-1, 0, 4, ok), std::nullopt);
  EXPECT_TRUE(ok);
  EXPECT_EQ(count(-7, 0, 4, ok), 0u);
  EXPECT_TRUE(ok);
}

}  // namespace
}  // namespace witan::wire
