// A hostile ZooKeeper client: its stream cut into packets, and every packet decoded both as a handshake and as a
// request. The same packets come out however the stream is cut, and what was encoded from a decoded record decodes to
// the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/zookeeper/path.h"
#include "api/zookeeper/records.h"
#include "api/zookeeper/records_testing.h"
#include "base/check.h"
#include "wire/zookeeper_frames.h"

namespace witan::api::zookeeper {
namespace {

using wire::ZookeeperFramer;
using wire::ZookeeperInput;

constexpr uint32_t kMaxPacket = 4096;  // small, so that packets beyond it are found

struct Stream {
  std::vector<std::string> packets;
  ZookeeperInput last = ZookeeperInput::More;
};

Stream split(std::string_view bytes, size_t step) {
  ZookeeperFramer framer(kMaxPacket);
  Stream out;
  while (!bytes.empty() && out.last == ZookeeperInput::More) {
    const std::string piece(bytes.substr(0, step));  // its own memory: reading past it is noticed
    framer.feed(piece);
    std::string_view packet;
    while ((out.last = framer.next(packet)) == ZookeeperInput::Packet) out.packets.emplace_back(packet);
    CHECK(framer.memory() <= 2 * size_t{kMaxPacket} + 64, "{} bytes held for one packet", framer.memory());
    bytes.remove_prefix(piece.size());
  }
  return out;
}

void round_trip(const std::string& packet) {
  if (const auto connect = decode_connect(packet)) {
    const std::string once = testing::encode_connect(*connect);
    CHECK(packet.starts_with(once) || (connect->has_read_only && connect->read_only), "a handshake changed");
    CHECK(testing::encode_connect(*decode_connect(once)) == once);
  }
  const Request request = decode_request(packet);
  CHECK(std::holds_alternative<std::monostate>(request.body) == (request.verdict != Verdict::Ok));
  if (request.verdict != Verdict::Ok) return;
  const std::string once = testing::encode_request(request);
  const Request again = decode_request(once);
  CHECK(again.verdict == Verdict::Ok, "what was encoded here is not understood here");
  CHECK(testing::encode_request(again) == once, "encoding is not stable");
}

void text(const std::string& bytes) {
  const std::string replaced = java_text(bytes);
  CHECK(java_text(replaced) == replaced, "replacing twice differs from replacing once");
  CHECK(is_legal_path(bytes) <= (replaced == bytes), "a path that is no UTF-8");
}

void run(size_t step, std::string_view input) {
  const Stream whole = split(input, input.size());
  const Stream cut = split(input, step);
  CHECK(whole.packets == cut.packets && whole.last == cut.last, "what comes out depends on how it was cut");
  for (const std::string& packet : whole.packets) round_trip(packet);
  // And without a length in front, which most mutations would break.
  round_trip(std::string(input));
  text(std::string(input));
}

}  // namespace
}  // namespace witan::api::zookeeper

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  witan::api::zookeeper::run(1 + data[0] % 64, rest);
  return 0;
}
