#include "verify/violation.h"

#include <gtest/gtest.h>

namespace witan::verify {
namespace {

TEST(Findings, KeepsTheFirstFew) {
  Findings findings;
  for (int i = 0; i < 100; ++i) findings.add("rule", std::to_string(i));
  EXPECT_TRUE(findings.full());
  const std::vector<Violation> taken = findings.take();
  ASSERT_EQ(taken.size(), Findings::kMost);
  EXPECT_EQ(taken.front().what, "0");
  EXPECT_EQ(taken.back().what, "9");
  EXPECT_TRUE(findings.take().empty());
}

TEST(Violation, ReadsAsASentenceAndItsWindow) {
  EXPECT_EQ(describe(Violation{.rule = "unique", .what = "it came twice", .window = {"first", "second"}}),
            "unique: it came twice\n    first\n    second");
}

TEST(Violation, QuotesAnyBytes) {
  EXPECT_EQ(printable("a\"b\\c\n"), R"("a\x22b\x5cc\x0a")");
  EXPECT_EQ(printable(std::string(100, 'x')),
            '"' + std::string(32, 'x') + "\"..100 bytes..\"" + std::string(8, 'x') + '"');
}

TEST(Violation, TellsTimeInMilliseconds) {
  EXPECT_EQ(describe(Instant{}), "0.000000ms");
  EXPECT_EQ(describe(Instant{12'000'345}), "12.000345ms");
  EXPECT_EQ(describe(Instant{-1}), "-0.000001ms");
  EXPECT_EQ(describe(Instant::never()), "never");
}

}  // namespace
}  // namespace witan::verify
