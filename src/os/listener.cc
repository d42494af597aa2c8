#include "os/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include "os/loop_impl.h"
#include "os/stream.h"

namespace witan::os {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr Duration kFirstBackOff = milliseconds(20);
constexpr Duration kLongestBackOff = seconds(1);

// A descriptor on its way to the loop that will own it; closed when it never arrives.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Shared by the Listener, the acceptor's loop and the posts that carry new connections to their loops.
struct Accepting {
  Accepting(std::vector<env::AcceptTarget> accept_targets, const NetworkOptions& network_options)
      : targets(std::move(accept_targets)), options(network_options), home(static_cast<Loop&>(*targets[0].loop)),
        acceptor(home.impl().context) {}

  std::vector<env::AcceptTarget> targets;
  const NetworkOptions& options;
  Loop& home;  // where the acceptor lives
  tcp::acceptor acceptor;
  tcp protocol = tcp::v4();
  std::atomic<bool> stopped = false;
  size_t turn = 0;  // which target is next
  Duration back_off{};
};
using AcceptingRef = std::shared_ptr<Accepting>;

void accept_more(const AcceptingRef& state);

void hand_over(const AcceptingRef& state, Descriptor descriptor) {
  const size_t chosen = state->turn++ % state->targets.size();
  // The socket object is made on its own loop: a socket of one context waiting in another would tie their lifetimes.
  auto task = [state, chosen, descriptor = std::move(descriptor)]() mutable {
    if (state->stopped.load()) return;
    env::AcceptTarget& target = state->targets[chosen];
    auto& loop = static_cast<Loop&>(*target.loop);
    tcp::socket socket(loop.impl().context);
    error_code error;
    const int fd = descriptor.release();
    socket.assign(state->protocol, fd, error);
    if (error) {
      ::close(fd);
      return state->options.log.warn("an accepted connection is dropped: {}", error.message());
    }
    target.on_accept(std::make_unique<Stream>(loop, std::move(socket), state->options));
  };
  state->targets[chosen].loop->post(std::move(task));
}

bool out_of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// Waits without accepting: connections queue in the kernel until descriptors are free again.
void back_off(const AcceptingRef& state, int error) {
  state->back_off = std::min(kLongestBackOff, std::max(kFirstBackOff, 2 * state->back_off));
  state->options.log.warn(
      "cannot accept connections: {}; trying again in {} ms (raise the limit of open files, ulimit -n)",
      std::strerror(error), state->back_off / milliseconds(1));
  state->home.call_at(state->home.now() + state->back_off, [state] {
    if (!state->stopped.load()) accept_more(state);
  });
}

void accept_some(const AcceptingRef& state) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = ::accept4(state->acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      state->back_off = {};
      hand_over(state, Descriptor(fd));
      continue;
    }
    const int error = errno;
    if (state->stopped.load()) return;
    if (error == EAGAIN || error == EWOULDBLOCK) break;
    if (out_of_resources(error)) return back_off(state, error);
    // Everything else is the fate of one connection (ECONNABORTED, a pending network error: accept(2)).
  }
  accept_more(state);
}

void accept_more(const AcceptingRef& state) {
  state->acceptor.async_wait(asio::socket_base::wait_read, [state](const error_code& error) {
    if (error || state->stopped.load()) return;
    const Loop::Impl::Turn turn(state->home.impl());
    accept_some(state);
  });
}

class RealListener final : public env::Listener {
 public:
  RealListener(AcceptingRef state, env::Address local) : state_(std::move(state)), local_(std::move(local)) {}

  ~RealListener() override {
    state_->stopped.store(true);
    // The kernel stops listening here and now, from whichever thread this is; the descriptor is closed on its loop.
    ::shutdown(state_->acceptor.native_handle(), SHUT_RDWR);
    env::Loop& home = state_->home;
    home.post([state = std::move(state_)] {
      error_code ignored;
      state->acceptor.close(ignored);
    });
  }

  env::Address local() const override { return local_; }

 private:
  AcceptingRef state_;
  const env::Address local_;
};

std::unexpected<Error> cannot_listen(const env::Address& address, const error_code& error) {
  std::string_view hint = "choose another address";
  if (error == asio::error::address_in_use) {
    hint = "another program listens there; stop it or choose another port";
  } else if (error == asio::error::access_denied) {
    hint = "ports below 1024 need a privilege; choose a higher port";
  } else if (error.value() == EADDRNOTAVAIL) {
    hint = "no network interface of this machine has that address; use one that it has, or 0.0.0.0 for all";
  }
  return fail(Code::Io, fmt::format("cannot listen on {}: {} ({})", address.text(), error.message(), hint));
}

// An IPv4 address of the name where it has one: "localhost" means 127.0.0.1 to most people's scripts.
Result<tcp::endpoint> endpoint_of(const env::Address& address, asio::io_context& context) {
  error_code error;
  const auto literal = asio::ip::make_address(address.host, error);
  if (!error) return tcp::endpoint(literal, address.port);
  const auto results =
      tcp::resolver(context).resolve(address.host, std::to_string(address.port), tcp::resolver::numeric_service, error);
  if (error || results.empty()) {
    return fail(Code::NotFound, fmt::format("cannot listen on {}: the host has no address ({}); use an address of this "
                                            "machine",
                                            address.text(), error.message()));
  }
  for (const auto& result : results) {
    if (result.endpoint().address().is_v4()) return result.endpoint();
  }
  return results.begin()->endpoint();
}

}  // namespace

Result<std::unique_ptr<env::Listener>> make_listener(const env::Address& address,
                                                     std::vector<env::AcceptTarget> targets,
                                                     const NetworkOptions& options) {
  auto state = std::make_shared<Accepting>(std::move(targets), options);
  const auto endpoint = endpoint_of(address, state->home.impl().context);
  if (!endpoint) return std::unexpected(endpoint.error());
  error_code error;
  state->protocol = endpoint->protocol();
  state->acceptor.open(state->protocol, error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint->address().is_v6()) {
    error_code ignored;
    state->acceptor.set_option(asio::ip::v6_only(false), ignored);
  }
  if (!error) state->acceptor.bind(*endpoint, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) state->acceptor.non_blocking(true, error);
  if (error) return cannot_listen(address, error);
  const tcp::endpoint bound = state->acceptor.local_endpoint(error);
  if (error) return cannot_listen(address, error);
  env::Address local{.host = bound.address().to_string(), .port = bound.port()};
  state->home.post([state] {
    if (!state->stopped.load()) accept_more(state);
  });
  return std::make_unique<RealListener>(std::move(state), std::move(local));
}

}  // namespace witan::os
