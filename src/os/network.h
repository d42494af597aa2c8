// The real network: TCP through Asio.
#pragma once

#include <cstddef>
#include <memory>

#include "base/log.h"
#include "env/network.h"

namespace witan::os {

struct NetworkOptions {
  size_t low_water = size_t{64} << 10;  // bytes of unsent() at which on_drained() is called
  // close_after_flush() gives up when the peer took nothing for this long, and waits this long for the peer's own
  // close.
  Duration linger = seconds(2);
  // What the peer may still send meanwhile: it is thrown away, because closing with bytes unread would reset the
  // connection and lose what was sent last. More than HTTP/2's windows let an honest client have under way.
  size_t max_discarded = size_t{16} << 20;
  Logger log;
};

// Its loops are os::Loop (checked). It must outlive its listeners, connections and connection attempts; what is still
// under way when the loop is destroyed is dropped without a call.
//
// Connections: TCP_NODELAY and keep-alive; everything written in one turn of the loop leaves in one system call; a
// paused connection holds at most 64 KiB that the kernel has handed over; after close_after_flush() no on_bytes comes.
// Destroy a connection on its loop's thread, or after that thread has ended, but before the Loop object.
//
// Listeners: accepting runs on the first target's loop. Destroying a Listener stops accepting at once and frees the
// port; on_accept may still be running on another loop's thread then, so what it refers to must live until the targets'
// loops have stopped, or until a task posted to them afterwards has run.
//
// connect(): Timeout after `timeout`, name resolution included; Unavailable when nobody answers there; NotFound when
// the name has no address. Each names the address. Names are resolved on a thread of Asio's, not on the loop.
class Network final : public env::Network {
 public:
  explicit Network(NetworkOptions options = {});
  ~Network() override;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // From any thread; resolves a name on the calling one. Port 0 lets the system choose (Listener::local tells which).
  Result<std::unique_ptr<env::Listener>> listen(const env::Address& address,
                                                std::vector<env::AcceptTarget> targets) override;
  void connect(env::Loop& loop, const env::Address& address, Duration timeout,
               Function<void(Result<std::unique_ptr<env::Connection>>)> done) override;

 private:
  const std::unique_ptr<const NetworkOptions> options_;
};

}  // namespace witan::os
