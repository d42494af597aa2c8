// The payloads of frames as bytes: protobuf's wire format, so that fields can be added (docs/formats/peer.md).
// Every decoder takes any bytes and allocates in proportion to them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/chain.h"
#include "base/result.h"
#include "peer/peer.h"
#include "raft/message.h"

namespace witan::peer {

// What a connection is for; said in the Hello.
enum class Purpose : uint8_t { Control = 1, Bulk = 2, Snapshot = 3, Join = 4 };

struct Greeting {
  Purpose purpose = Purpose::Control;
  Hello hello;
};
std::string encode(const Greeting& greeting);
Result<Greeting> decode_greeting(std::string_view bytes);

// Entries' data is shared with the chain, not copied.
Chain encode(const raft::Message& message);
// Entries' data is copied once.
Result<raft::Message> decode_message(std::string_view bytes);

// A raft message that is only ever sent in answer to one: it may go back on the connection that brought the question.
bool is_answer(const raft::Message& message);

struct CallFrame {
  uint64_t id = 0;  // unique among the calls of one connection
  uint8_t kind = 0;
  std::string_view payload;
};
Chain encode_call(uint64_t id, uint8_t kind, const Blob& payload);
Result<CallFrame> decode_call(std::string_view bytes);

struct ReplyFrame {
  uint64_t id = 0;
  std::string_view payload;
};
Chain encode_reply(uint64_t id, const Blob& payload);
Result<ReplyFrame> decode_reply(std::string_view bytes);

// A call that gets no answer. `acted`: the callee may have acted on it.
struct NoReplyFrame {
  uint64_t id = 0;
  bool acted = false;
  std::string message;
};
std::string encode(const NoReplyFrame& frame);
Result<NoReplyFrame> decode_no_reply(std::string_view bytes);

struct SnapshotOffer {
  raft::Term term;
  raft::SnapshotMeta meta;
  uint64_t size = 0;
};
std::string encode(const SnapshotOffer& offer);
Result<SnapshotOffer> decode_snapshot_offer(std::string_view bytes);

// Bytes of the snapshot that the receiver has written.
std::string encode_snapshot_ack(uint64_t written);
Result<uint64_t> decode_snapshot_ack(std::string_view bytes);

// The end of it, either way. An empty `problem`: the receiver has it, checked and durable.
std::string encode_snapshot_done(std::string_view problem);
Result<std::string> decode_snapshot_done(std::string_view bytes);

// Text from outside, made fit for a log line: printable, and not longer than a kilobyte.
std::string printable(std::string_view text);

}  // namespace witan::peer
