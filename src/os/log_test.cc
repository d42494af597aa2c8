#include "os/log.h"

#include <cstdio>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace witan::os {
namespace {

std::string logged(LogFormat format, LogLevel level, const std::function<void(Logger)>& speak) {
  std::FILE* file = std::tmpfile();
  {
    const auto sink = make_log_sink({.format = format, .level = level, .to = file});
    speak(Logger(sink.get(), "wal"));
  }
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

TEST(Log, TextHasTimeLevelAndRoomOnOneLine) {
  const std::string text = logged(LogFormat::Text, LogLevel::Info, [](const Logger& log) {
    log.info("opened {} segments", 3);
    log.error("two\nlines\x01");
  });
  EXPECT_THAT(text, testing::MatchesRegex("[0-9]{4}-[0-9-]{5}T[0-9:]{8}\\.[0-9]{3}Z INFO  wal: opened 3 segments\n"
                                          "[^\n]*Z ERROR wal: two\\\\nlines\\\\x01\n"));
}

TEST(Log, JsonFieldsAreEscaped) {
  const std::string text =
      logged(LogFormat::Json, LogLevel::Debug, [](const Logger& log) { log.warn("say \"a\\b\" {}", "%v\n"); });
  EXPECT_THAT(text, testing::MatchesRegex(
                        R"(\{"time":"[^"]*Z","level":"warn","room":"wal","message":"say \\"a\\\\b\\" %v\\n"\})"
                        "\n"));
}

TEST(Log, LevelsBelowTheChosenOneAreSilent) {
  const std::string text = logged(LogFormat::Text, LogLevel::Warn, [](const Logger& log) {
    log.debug("no");
    log.info("no");
    log.warn("yes");
  });
  EXPECT_EQ(text.find("no"), std::string::npos);
  EXPECT_NE(text.find("WARN  wal: yes"), std::string::npos);
}

TEST(Log, JsonStringsAreValidWhateverTheBytes) {
  EXPECT_EQ(json_string("a\"b\\c\nd\te\x7f"), "\"a\\\"b\\\\c\\nd\\u0009e\x7f\"");
  EXPECT_EQ(json_string("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
  // A lone continuation byte, an overlong slash, a surrogate, a sequence cut short.
  EXPECT_EQ(json_string("\x80"), "\"\\ufffd\"");
  EXPECT_EQ(json_string("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xe2\x82"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string(std::string_view("\0", 1)), "\"\\u0000\"");
}

TEST(Log, WordsForLevelsAndFormats) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::Warn);
  EXPECT_EQ(parse_log_level("WARN"), std::nullopt);
  EXPECT_EQ(parse_log_format("json"), LogFormat::Json);
  EXPECT_EQ(parse_log_format(""), std::nullopt);
}

}  // namespace
}  // namespace witan::os
