// What can go wrong is a value. Every fallible function of the house returns Result<T>.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace witan {

// Few codes: a new one is added only where a caller reacts to it differently.
enum class Code : uint8_t {
  Invalid,      // the input is wrong and will be wrong again
  NotFound,     // the thing named does not exist
  Exists,       // the thing named exists already
  Refused,      // right input, wrong state; certainly not done
  NotLeader,    // only the leader can do this; certainly not done
  Unavailable,  // no leader, no quorum or stopping; certainly not done
  Exhausted,    // a bound was reached; certainly not done
  OutOfRange,   // a revision or an offset that is not there
  Timeout,      // gave up waiting; whether it was done is not known
  Unknown,      // lost track: it may or may not have been done
  Corrupt,      // stored bytes are not what was written
  Io,           // the operating system said no
};

std::string_view code_name(Code code);

// A sentence for a person: what happened, where, and what to do next.
struct Error {
  Code code = Code::Unknown;
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace witan
