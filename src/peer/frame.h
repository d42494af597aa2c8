// Frames: how everything peers say lies in a byte stream (docs/formats/peer.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/chain.h"

namespace witan::peer {

// Numbers are on the wire and never change their meaning.
enum class FrameType : uint8_t {
  Hello = 1,
  Welcome = 2,
  Refuse = 3,
  Ping = 4,
  Pong = 5,
  Message = 6,
  Call = 7,
  Reply = 8,
  NoReply = 9,
  SnapshotOffer = 10,
  SnapshotPiece = 11,
  SnapshotAck = 12,
  SnapshotDone = 13,
};
inline constexpr FrameType kLastFrameType = FrameType::SnapshotDone;

// Length, checksum, type.
inline constexpr size_t kFrameHeader = 9;
// Of the frames that anybody may send, before it is known who is there.
inline constexpr size_t kMaxGreetingBytes = 4096;

// A frame's bytes; large slices of `payload` are shared, not copied.
Chain make_frame(FrameType type, Chain&& payload);
Chain make_frame(FrameType type, std::string_view payload = {});

struct Frame {
  FrameType type = FrameType::Ping;
  std::string_view payload;
};

// Cuts a byte stream into frames, whatever pieces it comes in. Holds at most one incomplete frame.
//   reader.feed(bytes);
//   while (reader.next(frame)) { ... }
//   if (!reader.error().empty()) close the connection
class FrameReader {
 public:
  explicit FrameReader(size_t max_payload) : max_payload_(max_payload) {}

  void set_max(size_t max_payload) { max_payload_ = max_payload; }
  // Requires: next() has returned false since the last call. `bytes` stay valid until it does so again.
  void feed(std::string_view bytes) { rest_ = bytes; }
  // The next whole frame, valid until the next call. False: more bytes are needed, or error() says what is wrong;
  // nothing more comes after an error.
  bool next(Frame& frame);
  const std::string& error() const { return error_; }

 private:
  bool gather();
  // Total bytes of the frame that begins with `header`; 0 with error_ set when it cannot be one.
  size_t frame_size(std::string_view header);
  bool open(std::string_view bytes, Frame& frame);
  bool refuse(std::string why);

  size_t max_payload_;
  std::string_view rest_;      // of the bytes fed
  std::string pending_;        // the beginning of a frame that is not complete
  bool pending_used_ = false;  // pending_ is the frame given out by the last next()
  std::string error_;
};

}  // namespace witan::peer
