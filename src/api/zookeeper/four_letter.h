// The four letters that an operator sends in place of a session: "srvr", "ruok".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/function.h"

namespace witan::api::zookeeper {

// Answers them for one loop's server, whose loop every call is made on.
class FourLetterWords {
 public:
  virtual ~FourLetterWords() = default;
  // Calls `done` once, on the same loop, within this call or later: the text to send before the connection is closed;
  // nullopt closes it without a word. `word` is four bytes that were letters, and valid only during the call.
  virtual void answer(std::string_view word, Function<void(std::optional<std::string>)> done) = 0;
};

}  // namespace witan::api::zookeeper
