#include "os/network.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/check.h"
#include "os/listener.h"
#include "os/loop_impl.h"
#include "os/stream.h"

namespace witan::os {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Done = Function<void(Result<std::unique_ptr<env::Connection>>)>;

Loop& real(env::Loop& loop) {
  auto* ours = dynamic_cast<Loop*>(&loop);
  CHECK(ours != nullptr, "the real network needs a real loop");
  return *ours;
}

// One call of connect(). Held by its timer and by whichever step is under way; ends with the last of them.
struct Attempt {
  Attempt(Loop& loop_of_attempt, const env::Address& to, const NetworkOptions& network_options, Done callback)
      : loop(loop_of_attempt), address(to), options(network_options), done(std::move(callback)),
        resolver(loop.impl().context), socket(loop.impl().context) {}

  void finish(Result<std::unique_ptr<env::Connection>> result) {
    if (!done) return;
    loop.cancel(std::exchange(timer, 0));
    std::exchange(done, nullptr)(std::move(result));
  }

  Loop& loop;
  const env::Address address;
  const NetworkOptions& options;
  Done done;  // null once called
  tcp::resolver resolver;
  tcp::socket socket;
  env::TimerId timer = 0;
};
using AttemptRef = std::shared_ptr<Attempt>;

void connect_to(const AttemptRef& attempt, const std::vector<tcp::endpoint>& endpoints) {
  asio::async_connect(attempt->socket, endpoints, [attempt](const error_code& error, const tcp::endpoint&) {
    const Loop::Impl::Turn turn(attempt->loop.impl());
    if (!attempt->done) return;  // gave up meanwhile
    if (error) {
      return attempt->finish(
          fail(Code::Unavailable, fmt::format("cannot connect to {}: {}", attempt->address.text(), error.message())));
    }
    attempt->finish(std::make_unique<Stream>(attempt->loop, std::move(attempt->socket), attempt->options));
  });
}

void resolve(const AttemptRef& attempt) {
  const auto resolved = [attempt](const error_code& error, const tcp::resolver::results_type& results) {
    const Loop::Impl::Turn turn(attempt->loop.impl());
    if (!attempt->done) return;
    if (error) {
      return attempt->finish(fail(
          Code::NotFound, fmt::format("cannot find the host of {}: {}", attempt->address.text(), error.message())));
    }
    std::vector<tcp::endpoint> endpoints;
    for (const auto& result : results) endpoints.push_back(result.endpoint());
    connect_to(attempt, endpoints);
  };
  attempt->resolver.async_resolve(attempt->address.host, std::to_string(attempt->address.port),
                                  tcp::resolver::numeric_service, resolved);
}

}  // namespace

Network::Network(NetworkOptions options) : options_(std::make_unique<const NetworkOptions>(std::move(options))) {}
Network::~Network() = default;

Result<std::unique_ptr<env::Listener>> Network::listen(const env::Address& address,
                                                       std::vector<env::AcceptTarget> targets) {
  CHECK(!targets.empty(), "a listener needs a loop");
  for (const env::AcceptTarget& target : targets) real(*target.loop);
  return make_listener(address, std::move(targets), *options_);
}

void Network::connect(env::Loop& loop, const env::Address& address, Duration timeout, Done done) {
  Loop& ours = real(loop);
  const auto attempt = std::make_shared<Attempt>(ours, address, *options_, std::move(done));
  attempt->timer = ours.call_at(ours.now() + timeout, [attempt, timeout] {
    attempt->timer = 0;
    attempt->resolver.cancel();
    error_code ignored;
    attempt->socket.close(ignored);
    attempt->finish(fail(Code::Timeout, fmt::format("cannot connect to {}: no answer within {} ms",
                                                    attempt->address.text(), timeout / milliseconds(1))));
  });
  error_code not_literal;
  const auto literal = asio::ip::make_address(address.host, not_literal);
  if (not_literal) {
    resolve(attempt);
  } else {
    connect_to(attempt, {tcp::endpoint(literal, address.port)});
  }
}

}  // namespace witan::os
