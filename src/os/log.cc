#include "os/log.h"

#include <array>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

namespace witan::os {
namespace {

constexpr size_t kWaitingLines = 8192;

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return spdlog::level::debug;
    case LogLevel::Info: return spdlog::level::info;
    case LogLevel::Warn: return spdlog::level::warn;
    case LogLevel::Error: return spdlog::level::err;
  }
  return spdlog::level::off;
}

// spdlog's own standard error sinks share one global lock and cannot be pointed at a test's file.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::FILE* file) : file_(file) {}

 private:
  void sink_it_(const spdlog::details::log_msg& line) override {
    spdlog::memory_buf_t text;
    formatter_->format(line, text);
    // A line that cannot be written has nowhere to be reported.
    [[maybe_unused]] const size_t written = std::fwrite(text.data(), 1, text.size(), file_);
  }
  void flush_() override { std::fflush(file_); }

  std::FILE* file_;
};

// The level in capitals, padded: %l of spdlog is lower case and says "warning" and "critical".
class LevelWord final : public spdlog::custom_flag_formatter {
 public:
  explicit LevelWord(LogFormat format) : format_(format) {}
  void format(const spdlog::details::log_msg& line, const std::tm&, spdlog::memory_buf_t& out) override {
    const bool json = format_ == LogFormat::Json;
    std::string_view word;
    switch (line.level) {
      case spdlog::level::debug: word = json ? "debug" : "DEBUG"; break;
      case spdlog::level::info: word = json ? "info" : "INFO "; break;
      case spdlog::level::warn: word = json ? "warn" : "WARN "; break;
      default: word = json ? "error" : "ERROR"; break;
    }
    out.append(word.data(), word.data() + word.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelWord>(format_); }

 private:
  LogFormat format_;
};

std::string one_line(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

class SpdlogSink final : public LogSink {
 public:
  explicit SpdlogSink(const LogOptions& options)
      : format_(options.format), level_(options.level),
        pool_(std::make_shared<spdlog::details::thread_pool>(kWaitingLines, 1)),
        logger_(std::make_shared<spdlog::async_logger>("witan", std::make_shared<FileSink>(options.to), pool_,
                                                       spdlog::async_overflow_policy::overrun_oldest)) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc, "\n");
    formatter->add_flag<LevelWord>('*', format_);
    formatter->set_pattern(format_ == LogFormat::Json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%*",%v})"
                                                      : "%Y-%m-%dT%H:%M:%S.%eZ %* %v");
    logger_->set_formatter(std::move(formatter));
    logger_->set_level(level_of(level_));
    logger_->flush_on(spdlog::level::debug);
  }

  bool enabled(LogLevel level) const override { return level >= level_; }

  void write(LogLevel level, std::string_view room, std::string_view message) override {
    const std::string payload = format_ == LogFormat::Json
                                    ? fmt::format(R"("room":{},"message":{})", json_string(room), json_string(message))
                                    : fmt::format("{}: {}", room, one_line(message));
    logger_->log(level_of(level), spdlog::string_view_t(payload.data(), payload.size()));
  }

 private:
  const LogFormat format_;
  const LogLevel level_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

// Length of the UTF-8 sequence at the front of `text`, 0 when there is none (RFC 3629, section 4).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogates
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
  return out;
}

std::unique_ptr<LogSink> make_log_sink(const LogOptions& options) { return std::make_unique<SpdlogSink>(options); }

std::optional<LogLevel> parse_log_level(std::string_view word) {
  if (word == "debug") return LogLevel::Debug;
  if (word == "info") return LogLevel::Info;
  if (word == "warn") return LogLevel::Warn;
  if (word == "error") return LogLevel::Error;
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view word) {
  if (word == "text") return LogFormat::Text;
  if (word == "json") return LogFormat::Json;
  return std::nullopt;
}

}  // namespace witan::os
