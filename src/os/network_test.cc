#include "os/network.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "os/loop.h"

namespace witan::os {
namespace {

using env::Connection;
using testing::HasSubstr;

const env::Address kAnyPort{.host = "127.0.0.1", .port = 0};

// Runs `work` on the loop and waits for its result.
template <class Work>
auto on(Loop& loop, Work work) {
  std::promise<decltype(work())> result;
  loop.post([&] {
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      result.set_value();
    } else {
      result.set_value(work());
    }
  });
  return result.get_future().get();
}

// What a loop tells the test's thread.
template <class T>
class Mailbox {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    wake_.notify_all();
  }
  T take() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !values_.empty(); });
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }
  size_t waiting() {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<T> values_;
};

// A handler that keeps what it is told. Its fields belong to the loop.
struct Recorder final : env::ConnectionHandler {
  void on_bytes(std::string_view bytes) override {
    received += bytes;
    if (after_bytes) after_bytes(bytes);
  }
  void on_drained() override {
    ++drained;
    if (after_drained) after_drained();
  }
  void on_closed(std::string_view reason) override { closed.put(std::string(reason)); }

  std::string received;
  int drained = 0;
  std::function<void(std::string_view)> after_bytes;
  std::function<void()> after_drained;
  Mailbox<std::string> closed;
  std::unique_ptr<Connection> connection;
};

Chain chain(std::string_view bytes) {
  Chain out;
  out.append(bytes);
  return out;
}

std::string noise(size_t size, uint64_t seed) {
  Rng rng(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(rng.next());
  return out;
}

// A plain blocking socket: what some foreign client is.
class RawClient {
 public:
  RawClient() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~RawClient() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void connect(const env::Address& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  // Up to `n` bytes; less only at the end of the stream.
  std::string receive(size_t n) {
    std::string out(n, '\0');
    size_t done = 0;
    while (done < n) {
      const ssize_t got = ::recv(fd_, out.data() + done, n - done, 0);
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    out.resize(done);
    return out;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() : network_({.linger = milliseconds(200)}) {}
  ~NetworkTest() override {
    listener_.reset();
    client_.stop();
    server_.stop();
    while (accepted_.waiting() > 0) accepted_.take();  // a connection goes before its loop
  }

  // A listener whose connections arrive in `accepted_`.
  void listen() {
    auto made = network_.listen(kAnyPort, accept_on({&server_.loop()}));
    ASSERT_TRUE(made) << made.error().message;
    listener_ = std::move(*made);
  }
  std::vector<env::AcceptTarget> accept_on(const std::vector<Loop*>& loops) {
    std::vector<env::AcceptTarget> targets;
    for (Loop* loop : loops) {
      targets.push_back({.loop = loop, .on_accept = [this](auto connection) { accepted_.put(std::move(connection)); }});
    }
    return targets;
  }
  // The next accepted connection, owned and handled by `recorder` from its loop's thread on.
  void serve(Recorder& recorder) {
    auto connection = accepted_.take();
    on(server_.loop(), [&] {
      recorder.connection = std::move(connection);
      recorder.connection->start(recorder);
    });
  }
  void drop(Recorder& recorder, LoopThread& thread) {
    on(thread.loop(), [&] { recorder.connection.reset(); });
  }
  Result<std::unique_ptr<Connection>> connect(const env::Address& address, Duration timeout = seconds(10)) {
    Mailbox<Result<std::unique_ptr<Connection>>> result;
    on(client_.loop(), [&] {
      network_.connect(client_.loop(), address, timeout, [&](auto made) { result.put(std::move(made)); });
      EXPECT_EQ(result.waiting(), 0u) << "answered inside the call";
    });
    return result.take();
  }

  Network network_;
  Mailbox<std::unique_ptr<Connection>> accepted_;
  LoopThread server_{"server"};
  LoopThread client_{"client"};
  std::unique_ptr<env::Listener> listener_;
};

TEST_F(NetworkTest, WhatIsWrittenArrivesWholeAndInOrderBothWays) {
  listen();
  auto made = connect(listener_->local());
  ASSERT_TRUE(made) << made.error().message;
  Recorder client;
  Recorder server;
  // The server echoes; the client sends small pieces and shared megabytes mixed.
  server.after_bytes = [&](std::string_view bytes) { server.connection->write(chain(bytes)); };
  serve(server);
  const std::string big = noise(3 << 20, 1);
  std::string expected;
  Mailbox<bool> done;
  client.after_bytes = [&](std::string_view) {
    if (client.received.size() == expected.size()) done.put(true);
  };
  on(client_.loop(), [&] {
    client.connection = std::move(*made);
    EXPECT_EQ(client.connection->peer().remote, listener_->local().text());
    client.connection->start(client);
    const Blob blob(big);
    for (int i = 0; i < 300; ++i) {
      Chain out;
      out.append(std::to_string(i));
      out.append(blob, blob.view().substr(i, 40000));
      expected += std::to_string(i) + big.substr(i, 40000);
      client.connection->write(std::move(out));
    }
    EXPECT_EQ(client.connection->unsent(), expected.size());
  });
  done.take();
  on(client_.loop(), [&] {
    EXPECT_TRUE(client.received == expected);
    EXPECT_EQ(client.connection->unsent(), 0u);
    EXPECT_GE(client.drained, 1);
    client.connection.reset();
  });
  EXPECT_THAT(server.closed.take(), testing::AnyOf("closed by peer", "connection reset by peer"));
  drop(server, server_);
}

TEST_F(NetworkTest, WritesOfOneTurnLeaveInOneSegment) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  Recorder server;
  serve(server);
  on(server_.loop(), [&] {
    for (int i = 0; i < 50; ++i) server.connection->write(chain("0123456789"));
  });
  EXPECT_EQ(client.receive(500).size(), 500u);
  tcp_info info{};
  socklen_t size = sizeof info;
  ASSERT_EQ(::getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_data_segs_in, 1u);
  drop(server, server_);
}

TEST_F(NetworkTest, ConnectionsGoToTheLoopsInTurn) {
  LoopThread second("second");
  Mailbox<std::pair<int, std::thread::id>> places;
  Mailbox<std::unique_ptr<Connection>> kept;
  std::vector<env::AcceptTarget> targets;
  int number = 0;
  for (Loop* loop : {&server_.loop(), &second.loop()}) {
    targets.push_back({.loop = loop, .on_accept = [&, number](auto connection) {
                         kept.put(std::move(connection));
                         places.put({number, std::this_thread::get_id()});
                       }});
    ++number;
  }
  auto listener = network_.listen(kAnyPort, std::move(targets));
  ASSERT_TRUE(listener);
  const auto first_id = on(server_.loop(), [] { return std::this_thread::get_id(); });
  const auto second_id = on(second.loop(), [] { return std::this_thread::get_id(); });
  std::vector<RawClient> clients(6);
  std::array<int, 2> counts{};
  for (RawClient& client : clients) {
    client.connect((*listener)->local());
    const auto [where, thread] = places.take();
    ++counts[where];
    EXPECT_EQ(thread, where == 0 ? first_id : second_id);
  }
  EXPECT_EQ(counts, (std::array<int, 2>{3, 3}));
  listener->reset();
  second.stop();
  server_.stop();
  while (kept.waiting() > 0) kept.take();
}

TEST_F(NetworkTest, APausedConnectionPushesBackAndLosesNothing) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  Recorder server;
  Mailbox<size_t> paused;
  server.after_bytes = [&](std::string_view) {
    if (server.received.size() > 100000 && paused.waiting() == 0) {
      server.connection->pause_reading(true);
      paused.put(server.received.size());
    }
  };
  serve(server);
  const std::string bytes = noise(20 << 20, 2);
  std::thread sender([&] {
    client.send(bytes);
    client.close();
  });
  const size_t at_pause = paused.take();
  // Much more than that is on its way; a timer's length later nothing has been delivered.
  Mailbox<bool> later;
  on(server_.loop(),
     [&] { server_.loop().call_at(server_.loop().now() + milliseconds(50), [&] { later.put(true); }); });
  later.take();
  EXPECT_EQ(on(server_.loop(), [&] { return server.received.size(); }), at_pause);
  on(server_.loop(), [&] {
    server.after_bytes = nullptr;
    // Waking up twice must not deliver twice.
    server.connection->pause_reading(false);
    server.connection->pause_reading(true);
    server.connection->pause_reading(false);
  });
  EXPECT_EQ(server.closed.take(), "closed by peer");
  sender.join();
  EXPECT_TRUE(on(server_.loop(), [&] { return server.received == bytes; }));
  drop(server, server_);
}

TEST_F(NetworkTest, PausingAndResumingWhileBytesAreDeliveredLosesNothing) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  Recorder server;
  server.after_bytes = [&](std::string_view) {
    server.connection->pause_reading(true);
    server.connection->pause_reading(false);
  };
  serve(server);
  const std::string bytes = noise(2 << 20, 9);
  for (size_t at = 0; at < bytes.size(); at += 1000) client.send(std::string_view(bytes).substr(at, 1000));
  client.close();
  EXPECT_EQ(server.closed.take(), "closed by peer");
  EXPECT_TRUE(on(server_.loop(), [&] { return server.received == bytes; }));
  drop(server, server_);
}

TEST_F(NetworkTest, CloseAfterFlushDeliversEverythingEvenToAPeerThatStillSends) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  client.send(std::string(100000, 'x'));
  Recorder server;
  const std::string bytes = noise(8 << 20, 3);
  bool closing = false;
  server.after_bytes = [&](std::string_view) {
    EXPECT_FALSE(std::exchange(closing, true)) << "bytes after close_after_flush";
    server.connection->write(chain(bytes));
    server.connection->close_after_flush();
    server.connection->write(chain("too late"));
  };
  serve(server);
  EXPECT_TRUE(client.receive(bytes.size() + 100) == bytes);
  client.close();
  EXPECT_THAT(server.closed.take(), HasSubstr("closed"));
  drop(server, server_);
}

TEST_F(NetworkTest, CloseAfterFlushDoesNotWaitForeverForAPeerThatTakesNothing) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  Recorder server;
  serve(server);
  on(server_.loop(), [&] {
    server.connection->write(chain(std::string(64 << 20, 'x')));
    server.connection->close_after_flush();
  });
  EXPECT_EQ(server.closed.take(), "closed: the peer did not take what was sent");
  drop(server, server_);
}

TEST_F(NetworkTest, CloseAfterFlushDoesNotListenForeverToAPeerThatDoesNotStop) {
  Network patient({.linger = seconds(600), .max_discarded = 1 << 20});
  auto made = patient.listen(kAnyPort, accept_on({&server_.loop()}));
  ASSERT_TRUE(made);
  const auto listener = std::move(*made);
  RawClient client;
  client.connect(listener->local());
  client.send("x");
  Recorder server;
  server.after_bytes = [&](std::string_view) {
    server.connection->write(chain("enough"));
    server.connection->close_after_flush();
  };
  serve(server);
  EXPECT_EQ(client.receive(6), "enough");
  client.send(std::string(64 << 20, 'x'));  // returns when the connection is reset
  EXPECT_EQ(server.closed.take(), "closed: the peer did not stop sending");
  drop(server, server_);
}

TEST_F(NetworkTest, AConnectionMayBeDestroyedInEachOfItsCalls) {
  listen();
  for (int round = 0; round < 20; ++round) {
    RawClient client;
    client.connect(listener_->local());
    Recorder server;
    Mailbox<std::string> gone;
    server.after_bytes = [&](std::string_view bytes) {
      server.connection->write(chain("never sent"));
      server.connection.reset();
      gone.put(std::string(bytes));  // still readable
    };
    serve(server);
    client.send("hello");
    EXPECT_EQ(gone.take(), "hello");
    EXPECT_EQ(client.receive(100), "");
    EXPECT_EQ(server.closed.waiting(), 0u);
  }
}

TEST_F(NetworkTest, AWriterThatRefillsOnDrainedStopsWhenDestroyedThere) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  Recorder server;
  Mailbox<bool> gone;
  const std::string piece(200000, 'x');
  server.after_drained = [&] {
    if (server.drained < 5) return server.connection->write(chain(piece));
    server.connection->write(chain(piece));
    server.connection.reset();
    gone.put(true);
  };
  serve(server);
  std::thread reader([&] { EXPECT_GE(client.receive(7 * piece.size()).size(), 4 * piece.size()); });
  on(server_.loop(), [&] { server.connection->write(chain(piece)); });
  gone.take();
  reader.join();
}

TEST_F(NetworkTest, WritesBeforeStartAndAPeerThatLeftAreToldAfterStart) {
  listen();
  RawClient client;
  client.connect(listener_->local());
  auto connection = accepted_.take();
  client.send("x");
  on(server_.loop(), [&] { connection->write(chain("welcome")); });
  EXPECT_EQ(client.receive(7), "welcome");
  client.close();
  Recorder server;
  on(server_.loop(), [&] {
    server.connection = std::move(connection);
    server.connection->start(server);
    EXPECT_EQ(server.closed.waiting(), 0u);
  });
  EXPECT_THAT(server.closed.take(), testing::AnyOf("closed by peer", "connection reset by peer"));
  drop(server, server_);
}

TEST_F(NetworkTest, NothingListeningIsUnavailable) {
  listen();
  const env::Address address = listener_->local();
  listener_.reset();
  const auto made = connect(address);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::Unavailable);
  EXPECT_THAT(made.error().message, HasSubstr(address.text()));
}

TEST_F(NetworkTest, NamesAreResolvedAndWrongOnesAreNotFound) {
  listen();
  auto made = connect({.host = "localhost", .port = listener_->local().port});
  ASSERT_TRUE(made) << made.error().message;
  on(client_.loop(), [&] { made->reset(); });
  const auto wrong = connect({.host = "no-such-host.invalid", .port = 1});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("no-such-host.invalid:1"));
}

TEST_F(NetworkTest, AnAddressThatDoesNotAnswerTimesOutOnce) {
  // A listener whose queue is full drops the handshake: nobody answers.
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(fd, 0), 0);
  socklen_t size = sizeof any;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size);
  const env::Address address{.host = "127.0.0.1", .port = ntohs(any.sin_port)};
  RawClient occupant;
  occupant.connect(address);
  Result<std::unique_ptr<Connection>> made = connect(address, milliseconds(50));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::Timeout);
  EXPECT_THAT(made.error().message, HasSubstr("no answer within 50 ms"));
  ::close(fd);
}

TEST_F(NetworkTest, APortInUseIsNamedWithWhatToDo) {
  listen();
  const auto again = network_.listen(listener_->local(), accept_on({&server_.loop()}));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::Io);
  EXPECT_THAT(again.error().message,
              testing::AllOf(HasSubstr(listener_->local().text()), HasSubstr("another program")));
  const auto foreign = network_.listen({.host = "192.0.2.1", .port = 0}, accept_on({&server_.loop()}));
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("192.0.2.1:0"));
  const env::Address address = listener_->local();
  listener_.reset();
  EXPECT_TRUE(network_.listen(address, accept_on({&server_.loop()})));
}

TEST_F(NetworkTest, RunningOutOfDescriptorsDelaysAcceptingButDoesNotEndIt) {
  struct Ears final : LogSink {
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel, std::string_view, std::string_view message) override { heard.put(std::string(message)); }
    Mailbox<std::string> heard;
  } ears;
  Network network({.log = Logger(&ears, "os")});
  LoopThread server("server");
  auto listener = network.listen(kAnyPort, accept_on({&server.loop()}));
  ASSERT_TRUE(listener);
  // It accepts by now. A first line and timer without need: UBSan looks at a type it has not seen through a pipe.
  on(server.loop(), [&] {
    Logger(&ears, "os").warn("begin");
    server.loop().call_at(server.loop().now(), [] {});
  });
  ears.heard.take();
  RawClient client;
  std::vector<int> hogs;
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hogs.push_back(fd);
  client.connect((*listener)->local());
  EXPECT_THAT(ears.heard.take(), HasSubstr("raise the limit of open files"));
  for (const int fd : hogs) ::close(fd);
  auto connection = accepted_.take();
  on(server.loop(), [&] { connection.reset(); });
}

TEST_F(NetworkTest, AStoppedLoopTakesItsConnectionsAndAttemptsWithIt) {
  listen();
  Recorder client;
  {
    LoopThread other("other");
    auto held = std::make_shared<int>(0);
    on(other.loop(), [&] {
      for (int i = 0; i < 10; ++i) {
        network_.connect(other.loop(), listener_->local(), seconds(60), [held](auto) {});
      }
      other.loop().post([made = std::make_unique<int>(0)] {});
    });
  }
  // The server's side sees them come, or come and go.
  for (int i = 0; i < 10 && accepted_.waiting() > 0; ++i) {
    auto connection = accepted_.take();
    on(server_.loop(), [&] { connection.reset(); });
  }
  server_.stop();
  while (accepted_.waiting() > 0) accepted_.take();
}

}  // namespace
}  // namespace witan::os
