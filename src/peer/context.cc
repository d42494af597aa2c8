#include "peer/context.h"

#include <utility>

namespace witan::peer {

void Graveyard::bury(std::unique_ptr<Mortal> object) {
  if (object == nullptr) return;
  buried_.push_back(std::move(object));
  if (buried_.size() > 1) return;
  loop_.post(guard_.wrap([this] {
    // A destructor may bury something: that waits for the next turn.
    const std::vector<std::unique_ptr<Mortal>> gone = std::move(buried_);
    buried_.clear();
  }));
}

bool Complaint::worth_saying(std::string_view text, Instant now) {
  if (text == last_ && now - said_ < seconds(60)) return false;
  last_ = text;
  said_ = now;
  return true;
}

}  // namespace witan::peer
