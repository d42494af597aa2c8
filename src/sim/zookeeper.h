// ZooKeeper's packets, as simulated clients write and read them: the words of verify on one side, the codec of
// api/zookeeper on the other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/session.h"

namespace witan::sim::zookeeper {

// All with their length in front.
struct Handshake {
  int64_t last_zxid = 0;
  Duration timeout{0};
  int64_t session = 0;   // 0: a new one
  std::string password;  // of one that is taken up again
};
std::string encode(const Handshake& handshake);
std::string encode(int32_t xid, const verify::NodeRequest& request);
// The xid of the client's nth request: pings and watches set again have fixed ones.
int32_t xid_of(int32_t number, const verify::NodeRequest& request);

// The next packet of `bytes`, taken off its front, without its length; nothing: it has not come whole.
std::optional<std::string> take_packet(std::string& bytes);

struct Welcome {
  int64_t session = 0;  // 0: refused, the session is no more
  Duration timeout{0};
  std::string password;
};
Welcome decode_welcome(std::string_view packet);

// Of an answer or an event.
struct Head {
  int32_t xid = 0;
  int64_t zxid = 0;
  int32_t error = 0;
  std::string_view body;
};
Head decode_head(std::string_view packet);
bool is_event(const Head& head);
verify::NodeEvent decode_event(const Head& head, Instant at);
verify::NodeReply decode_reply(const verify::NodeRequest& request, const Head& head, Instant at);

}  // namespace witan::sim::zookeeper
