// The client's side of the codec, for tests and fuzzers: what a server reads written, and the other way round.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/zookeeper/records.h"
#include "api/zookeeper/replies.h"

namespace witan::api::zookeeper::testing {

// Payloads of packets: no length in front.
std::string encode_connect(const ConnectRequest& request);
// Requires: request.body holds what belongs to request.type.
std::string encode_request(const Request& request);

ReplyHeader read_header(JuteReader& r);
Stat read_stat(JuteReader& r);

// "00ff10" -> three bytes; blanks and line ends are skipped.
std::string from_hex(std::string_view digits);
std::string to_hex(std::string_view bytes);

}  // namespace witan::api::zookeeper::testing
