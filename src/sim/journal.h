// What members log in a world: the last lines for whoever reads a failure, and how often each kind of line came, which
// tells what paths were taken.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "sim/network.h"
#include "sim/scheduler.h"

namespace witan::sim {

class Journal {
 public:
  static constexpr size_t kKept = 80;

  explicit Journal(const Scheduler& scheduler);
  ~Journal();
  LogSink* of(MachineId machine);
  // The world's own words.
  void note(std::string line);

  const std::deque<std::string>& last_lines() const { return lines_; }
  // Lines without their numbers, with their counts.
  const std::map<std::string, uint64_t>& kinds() const { return kinds_; }
  // Lines go to standard error as they come.
  void print_all(bool on) { print_ = on; }

 private:
  class Sink;
  void keep(std::string line);

  const Scheduler& scheduler_;
  std::map<MachineId, std::unique_ptr<Sink>> sinks_;
  std::deque<std::string> lines_;
  std::map<std::string, uint64_t> kinds_;
  bool print_ = false;
};

}  // namespace witan::sim
