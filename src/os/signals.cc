#include "os/signals.h"

#include <csignal>
#include <utility>

#include <boost/asio/signal_set.hpp>

#include "os/loop_impl.h"

namespace witan::os {

struct Signals::Impl {
  Impl(Loop& loop_of_signals, Function<void(int)> callback)
      : loop(loop_of_signals), on_signal(std::move(callback)), set(loop.impl().context, SIGTERM, SIGINT) {}

  static void wait(const std::shared_ptr<Impl>& self) {
    self->set.async_wait([weak = std::weak_ptr(self)](const boost::system::error_code& error, int number) {
      const std::shared_ptr<Impl> impl = weak.lock();
      if (error || impl == nullptr) return;
      wait(impl);
      const Loop::Impl::Turn turn(impl->loop.impl());
      impl->on_signal(number);
    });
  }

  Loop& loop;
  Function<void(int)> on_signal;
  boost::asio::signal_set set;
};

Signals::Signals(Loop& loop, Function<void(int)> on_signal)
    : impl_(std::make_shared<Impl>(loop, std::move(on_signal))) {
  std::signal(SIGPIPE, SIG_IGN);
  Impl::wait(impl_);
}

Signals::~Signals() = default;

}  // namespace witan::os
