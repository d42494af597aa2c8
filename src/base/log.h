// The log facade: an interface passed in, never a global, because several nodes live in one process under simulation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace witan {

enum class LogLevel : uint8_t { Debug, Info, Warn, Error };

// Where lines go. Implementations are thread-safe and never block on a slow terminal for long.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual bool enabled(LogLevel level) const = 0;
  // `room` is who speaks ("raft", "wal"); `message` is one sentence without a final newline.
  virtual void write(LogLevel level, std::string_view room, std::string_view message) = 0;
};

// A room's handle on the sink. Cheap to copy; a default one is silent. The sink must outlive it.
class Logger {
 public:
  Logger() = default;
  Logger(LogSink* sink, std::string room) : sink_(sink), room_(std::move(room)) {}

  Logger named(std::string room) const { return Logger(sink_, std::move(room)); }

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::Debug, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::Info, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::Warn, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::Error, format, std::forward<Args>(args)...);
  }

 private:
  template <class... Args>
  void write(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
    if (sink_ == nullptr || !sink_->enabled(level)) return;
    sink_->write(level, room_, fmt::format(format, std::forward<Args>(args)...));
  }

  LogSink* sink_ = nullptr;
  std::string room_;
};

}  // namespace witan
