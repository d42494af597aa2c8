#include "base/result.h"

namespace witan {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::Invalid: return "invalid";
    case Code::NotFound: return "not found";
    case Code::Exists: return "exists";
    case Code::Refused: return "refused";
    case Code::NotLeader: return "not leader";
    case Code::Unavailable: return "unavailable";
    case Code::Exhausted: return "exhausted";
    case Code::OutOfRange: return "out of range";
    case Code::Timeout: return "timeout";
    case Code::Unknown: return "unknown";
    case Code::Corrupt: return "corrupt";
    case Code::Io: return "input/output";
  }
  return "?";
}

}  // namespace witan
