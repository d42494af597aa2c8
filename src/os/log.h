// Where log lines go in a real process: standard error, through spdlog.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace witan::os {

enum class LogFormat : uint8_t {
  Text,  // 2025-01-31T12:00:00.000Z INFO  wal: opened 3 segments
  Json,  // {"time":"2025-01-31T12:00:00.000Z","level":"info","room":"wal","message":"opened 3 segments"}
};

struct LogOptions {
  LogFormat format = LogFormat::Text;
  LogLevel level = LogLevel::Info;  // and above
  std::FILE* to = stderr;           // must stay open longer than the sink
};

// Lines are written by a thread of the sink's own; when the terminal or pipe stalls, the oldest waiting lines are lost
// rather than the server stopped. Destroying the sink writes what waits. Control characters in a message are escaped,
// so that one message is one line. Times are UTC.
std::unique_ptr<LogSink> make_log_sink(const LogOptions& options);

// "debug", "info", "warn", "error" and "text", "json"; nothing for other words.
std::optional<LogLevel> parse_log_level(std::string_view word);
std::optional<LogFormat> parse_log_format(std::string_view word);

// `text` between quotes as JSON wants it. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace witan::os
