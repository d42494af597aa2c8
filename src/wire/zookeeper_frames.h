// ZooKeeper's packets out of a stream of bytes that was cut anywhere: an int32 length, most significant byte first, and
// that many bytes. The first four bytes of a connection may be a word instead ("ruok", "srvr").
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace witan::wire {

// The default of jute.maxbuffer: the largest packet a server takes.
inline constexpr uint32_t kDefaultMaxPacket = 0xfffff;

enum class ZookeeperInput : uint8_t {
  More,    // nothing whole is left: feed more bytes
  Packet,  // `bytes` is a packet, without its length
  Word,    // `bytes` is the four-letter word that the connection began with; nothing else comes of it
  Close,   // a length that is negative or too large; nothing else comes. No reply: close the connection
};

// Holds at most one incomplete packet. A packet that lies whole in what was fed is not copied.
//   framer.feed(bytes);
//   while ((what = framer.next(packet)) == ZookeeperInput::Packet) { ... }
class ZookeeperFramer {
 public:
  // Requires max_packet < 0x61616161, so that no length looks like a word (checked).
  explicit ZookeeperFramer(uint32_t max_packet = kDefaultMaxPacket);

  // Requires: next() has returned More since the last call, or this is the first. `bytes` stay valid until it does.
  void feed(std::string_view bytes) { rest_ = bytes; }
  // `bytes` stay valid until the next call. After Word and Close, feed() has no effect and next() gives Close.
  ZookeeperInput next(std::string_view& bytes);

  // Bytes of memory held for a packet that is not complete: at most twice what has come of it.
  size_t memory() const { return pending_.capacity(); }
  // After Close: the length that was refused.
  int32_t refused_length() const { return refused_length_; }

 private:
  enum class Prefix : uint8_t { Length, Word, Bad };
  Prefix judge(std::string_view prefix, size_t& size);
  ZookeeperInput end(Prefix why, std::string_view prefix, std::string_view& bytes);
  ZookeeperInput gather(std::string_view& bytes);
  void release_pending();

  uint32_t max_packet_;
  std::string_view rest_;      // of the bytes fed
  std::string pending_;        // the beginning of a packet that is not complete, its length included
  bool pending_used_ = false;  // pending_ is what the last next() gave out
  bool fresh_ = true;          // no packet has come yet
  bool ended_ = false;
  int32_t refused_length_ = 0;
};

}  // namespace witan::wire
