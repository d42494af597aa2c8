// Byte streams. A connection lives on one loop; everything about it happens there.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/chain.h"
#include "base/function.h"
#include "base/result.h"
#include "base/time.h"
#include "env/address.h"
#include "env/loop.h"

namespace witan::env {

// Who is at the other end, for limits, logs and (later) identities (core M4).
struct PeerInfo {
  std::string remote;                   // "127.0.0.1:4711"
  std::vector<std::string> identities;  // of a verified TLS certificate; empty without TLS
  std::string alpn;                     // negotiated protocol; empty without TLS
};

// Told what happens on a connection. Never called inside a call to the connection.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void on_bytes(std::string_view bytes) = 0;  // valid during the call
  // unsent() fell to the low-water mark after it had been above it.
  virtual void on_drained() {}
  // The stream is over; nothing is called after it. `reason` is for logs: "closed by peer", "connection reset".
  virtual void on_closed(std::string_view reason) = 0;
};

class Connection {
 public:
  // Closes without flushing. The handler is not called any more.
  virtual ~Connection() = default;
  // Starts reading. The handler must outlive the connection or the call to on_closed.
  virtual void start(ConnectionHandler& handler) = 0;
  // Takes all of `bytes`. Writes of one turn leave together.
  virtual void write(Chain&& bytes) = 0;
  virtual size_t unsent() const = 0;
  // Stops and resumes on_bytes, to push back on a peer that sends faster than we work.
  virtual void pause_reading(bool paused) = 0;
  // Sends what was written, then closes; on_closed follows.
  virtual void close_after_flush() = 0;
  virtual const PeerInfo& peer() const = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;  // stops accepting
  virtual Address local() const = 0;
};

// A loop that takes accepted connections.
struct AcceptTarget {
  Loop* loop = nullptr;
  Function<void(std::unique_ptr<Connection>)> on_accept;  // called on `loop`
};

class Network {
 public:
  virtual ~Network() = default;
  // Accepted connections go to the targets in turn. Errors: Io, naming the address and what to do. `backlog` is the
  // system's.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address, std::vector<AcceptTarget> targets) = 0;
  // Calls `done` on `loop` exactly once with a connection on that loop. From that loop only.
  virtual void connect(Loop& loop, const Address& address, Duration timeout,
                       Function<void(Result<std::unique_ptr<Connection>>)> done) = 0;
};

}  // namespace witan::env
