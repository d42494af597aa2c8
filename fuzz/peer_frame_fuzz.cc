// What anybody can send to the port for members. The input is an attacker's bytes: the first one chooses how far the
// attacker has come (a stranger, or the lane of a member whose id it knows) and how its bytes are cut, the rest is
// sent. Besides, whatever decodes must encode to something that decodes to the same again.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/testing_member.h"

namespace witan::peer {
namespace {

// Throws the bytes of a snapshot away, one turn later.
class Drain final : public SnapshotSink {
 public:
  explicit Drain(testing::FakeLoop& loop) : loop_(loop) {}
  void write(Blob, Function<void(Result<>)> done) override {
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }
  void finish(Function<void(Result<>)> done) override {
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }

 private:
  testing::FakeLoop& loop_;
};

class Attacker final : public env::ConnectionHandler {
 public:
  void on_bytes(std::string_view) override {}
  void on_closed(std::string_view) override {}
};

void attack(uint8_t how, std::string_view bytes) {
  testing::FakeLoop loop;
  testing::FakeNetwork network(loop, how);
  testing::Member victim(loop, network, 1);
  victim.make_sink = [&](uint64_t) { return std::make_unique<Drain>(loop); };
  victim.answer_calls = (how & 4) != 0;
  victim.peers->set_members({{.id = raft::NodeId(2), .addresses = {}, .directory_uuid = "dir-2"}});
  std::unique_ptr<env::Connection> connection;
  Attacker attacker;
  network.connect(loop, victim.address, seconds(1), [&](Result<std::unique_ptr<env::Connection>> made) {
    connection = std::move(*made);
    connection->start(attacker);
  });
  loop.run_until([&] { return connection != nullptr; });
  Chain out;
  if ((how & 8) != 0) {
    const Greeting greeting{.purpose = static_cast<Purpose>(1 + (how & 3)),
                            .hello = {.cluster_id = testing::kCluster,
                                      .member = raft::NodeId(2),
                                      .target = raft::NodeId(1),
                                      .directory_uuid = "dir-2"}};
    out.append(make_frame(FrameType::Hello, encode(greeting)));
  }
  // Frames by the fuzzer's content, so that it need not find checksums: type, length, payload. Raw bytes otherwise.
  while ((how & 16) != 0 && bytes.size() >= 2) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(bytes[1]), bytes.size() - 2);
    out.append(make_frame(static_cast<FrameType>(bytes[0]), bytes.substr(2, size)));
    bytes.remove_prefix(2 + size);
  }
  out.append(bytes);
  if ((how & 32) != 0) network.crumble(5);
  connection->write(std::move(out));
  loop.run_for(milliseconds(20));
  victim.responders.clear();
  loop.run_for(milliseconds(20));
  connection.reset();
  loop.run_for(milliseconds(20));
  CHECK(network.open() == 0, "a connection outlived its end");
}

void round_trip(std::string_view bytes) {
  if (const auto message = decode_message(bytes)) {
    const std::string once = encode(*message).flatten();
    const auto again = decode_message(once);
    CHECK(again.has_value() && encode(*again).flatten() == once);
  }
  if (const auto greeting = decode_greeting(bytes)) {
    const std::string once = encode(*greeting);
    const auto again = decode_greeting(once);
    CHECK(again.has_value() && encode(*again) == once);
  }
  if (const auto offer = decode_snapshot_offer(bytes)) {
    const std::string once = encode(*offer);
    const auto again = decode_snapshot_offer(once);
    CHECK(again.has_value() && again->meta == offer->meta);
  }
}

}  // namespace
}  // namespace witan::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  witan::peer::round_trip(rest);
  witan::peer::attack(data[0], rest);
  return 0;
}
