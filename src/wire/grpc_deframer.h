// gRPC's frames out of a stream of bytes that was cut anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/coding.h"

namespace witan::wire {

// A gRPC frame is one byte (1 = compressed), the length in four bytes, most significant first, and the message.
inline constexpr size_t kGrpcPrefix = 5;
void write_grpc_prefix(char* p, uint32_t length);

// Cuts messages out of the bytes of one stream. A message that lies whole in what was fed is not copied.
class GrpcDeframer {
 public:
  enum class Verdict : uint8_t { Ok, TooLarge, Compressed, BadFlag };

  // Calls `sink(std::string_view message) -> bool` for every whole message of what was kept and `bytes`, in order.
  // After false, or a verdict other than Ok, the rest is kept unread. A message above `max` bytes is refused by its
  // prefix, before its bytes are stored.
  template <class Sink>
  Verdict feed(std::string_view bytes, size_t max, Sink&& sink);
  // Keeps bytes without looking at them.
  void hold(std::string_view bytes) { kept_.append(bytes); }
  void clear();

  // Bytes kept: of a message that is not complete, or not asked for.
  size_t buffered() const { return kept_.size(); }
  // Of the frame that made the last verdict: its declared length and its first byte.
  uint32_t declared() const { return declared_; }
  uint8_t flag() const { return flag_; }

 private:
  enum class Cut : uint8_t { Message, Incomplete, Refused };
  // Takes one message off the front of `rest`.
  Cut cut(std::string_view& rest, size_t max, std::string_view& message);
  void keep_only(std::string_view rest);

  std::string kept_;
  uint32_t declared_ = 0;
  uint8_t flag_ = 0;
  Verdict refusal_ = Verdict::Ok;
};

template <class Sink>
GrpcDeframer::Verdict GrpcDeframer::feed(std::string_view bytes, size_t max, Sink&& sink) {
  const bool borrowed = kept_.empty();  // messages are then cut straight out of the caller's bytes
  if (!borrowed) kept_.append(bytes);
  std::string_view rest = borrowed ? bytes : std::string_view(kept_);
  std::string_view message;
  Cut result = Cut::Message;
  while ((result = cut(rest, max, message)) == Cut::Message) {
    if (!sink(message)) break;
  }
  if (borrowed) {
    kept_.append(rest);
  } else {
    keep_only(rest);
  }
  return result == Cut::Refused ? refusal_ : Verdict::Ok;
}

}  // namespace witan::wire
