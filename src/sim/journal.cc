#include "sim/journal.h"

#include <cctype>
#include <cstdio>

#include <fmt/format.h>

namespace witan::sim {
namespace {

// "follows 8f3a in term 7" and "follows 11 in term 12" are one kind: words with a digit in them are left out.
std::string kind_of(std::string_view room, std::string_view message) {
  std::string out = fmt::format("{}:", room);
  while (!message.empty()) {
    const size_t space = message.find(' ');
    const std::string_view word = message.substr(0, space);
    bool digit = false;
    for (const char c : word) digit = digit || std::isdigit(static_cast<unsigned char>(c)) != 0;
    out += ' ';
    out += digit ? std::string_view("#") : word;
    if (space == std::string_view::npos) break;
    message.remove_prefix(space + 1);
  }
  return out;
}

}  // namespace

class Journal::Sink final : public LogSink {
 public:
  Sink(Journal& journal, MachineId machine) : journal_(journal), machine_(machine) {}
  bool enabled(LogLevel level) const override { return level >= LogLevel::Info; }
  void write(LogLevel, std::string_view room, std::string_view message) override {
    ++journal_.kinds_[kind_of(room, message)];
    journal_.keep(fmt::format("m{} {}: {}", machine_, room, message));
  }

 private:
  Journal& journal_;
  const MachineId machine_;
};

Journal::Journal(const Scheduler& scheduler) : scheduler_(scheduler) {}
Journal::~Journal() = default;

LogSink* Journal::of(MachineId machine) {
  auto& sink = sinks_[machine];
  if (!sink) sink = std::make_unique<Sink>(*this, machine);
  return sink.get();
}

void Journal::note(std::string line) { keep("world: " + std::move(line)); }

void Journal::keep(std::string line) {
  lines_.push_back(fmt::format("{:9.4f} {}", static_cast<double>(scheduler_.now().ns) / 1e9, line));
  if (print_) fmt::print(stderr, "{}\n", lines_.back());
  if (lines_.size() > kKept) lines_.pop_front();
}

}  // namespace witan::sim
