// What holds back physical compaction (core S4): readers, hashes and snapshots that have begun.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "store/types.h"

namespace witan::store {

class Pin;

class Pins {
 public:
  // Keeps everything that a read at `revision` or later could see, until the pin is gone.
  Pin hold(Revision revision);
  std::optional<Revision> lowest() const {
    if (held_->empty()) return std::nullopt;
    return *held_->begin();
  }

 private:
  friend class Pin;
  using Held = std::multiset<Revision>;
  std::shared_ptr<Held> held_ = std::make_shared<Held>();  // shared: a pin may outlive the store it came from
};

class Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept : held_(std::move(other.held_)), at_(other.at_) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(held_, other.held_);
    std::swap(at_, other.at_);
    return *this;
  }
  ~Pin() {
    if (held_ != nullptr) held_->erase(at_);
  }

 private:
  friend class Pins;
  Pin(std::shared_ptr<Pins::Held> held, Revision revision) : held_(std::move(held)), at_(held_->insert(revision)) {}
  std::shared_ptr<Pins::Held> held_;
  Pins::Held::iterator at_;
};

inline Pin Pins::hold(Revision revision) { return Pin(held_, revision); }

}  // namespace witan::store
