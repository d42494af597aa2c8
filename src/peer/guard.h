// Callbacks that outlive the object they belong to, made harmless.
#pragma once

#include <memory>
#include <utility>

namespace witan::peer {

// A member of the object that callbacks point at. Everything on one loop.
class Guard {
 public:
  Guard() = default;
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // `call`, doing nothing once this Guard is gone.
  template <class F>
  auto wrap(F call) const {
    return [watch = watch(), call = std::move(call)](auto&&... arguments) mutable {
      if (!watch.expired()) call(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  std::weak_ptr<const char> watch() const { return alive_; }

 private:
  std::shared_ptr<const char> alive_ = std::make_shared<const char>('\0');
};

}  // namespace witan::peer
