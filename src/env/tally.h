// What all threads of a process must agree on at once: how many there are of each name.
#pragma once

#include <cstddef>
#include <string_view>

namespace witan::env {

// From any thread. Calls never wait for anything but each other.
class Tally {
 public:
  virtual ~Tally() = default;
  // Counts one more of `name`, unless there are `most` already: then false, and nothing is counted.
  virtual bool enter(std::string_view name, size_t most) = 0;
  // Requires: an enter() of this name that was not taken back yet.
  virtual void leave(std::string_view name) = 0;
};

}  // namespace witan::env
