#include "wire/zookeeper_frames.h"

#include <algorithm>

#include "base/check.h"
#include "wire/jute.h"

namespace witan::wire {
namespace {

constexpr size_t kPrefix = 4;
constexpr uint32_t kLeastWord = 0x61616161;  // "aaaa"

bool is_word(std::string_view prefix) {
  return std::all_of(prefix.begin(), prefix.begin() + kPrefix, [](char c) { return c >= 'a' && c <= 'z'; });
}

}  // namespace

ZookeeperFramer::ZookeeperFramer(uint32_t max_packet) : max_packet_(max_packet) {
  CHECK(max_packet < kLeastWord, "a packet of {} bytes could be taken for a word", max_packet);
}

// Requires four bytes. `size` is set for Length: of the packet, without the prefix.
ZookeeperFramer::Prefix ZookeeperFramer::judge(std::string_view prefix, size_t& size) {
  if (fresh_ && is_word(prefix)) return Prefix::Word;
  const int32_t length = JuteReader(prefix.substr(0, kPrefix)).i32();
  if (length < 0 || static_cast<uint32_t>(length) > max_packet_) {
    refused_length_ = length;
    return Prefix::Bad;
  }
  size = static_cast<size_t>(length);
  return Prefix::Length;
}

ZookeeperInput ZookeeperFramer::end(Prefix why, std::string_view prefix, std::string_view& bytes) {
  ended_ = true;
  if (why == Prefix::Bad) return ZookeeperInput::Close;
  bytes = prefix.substr(0, kPrefix);
  return ZookeeperInput::Word;
}

// Moves bytes from rest_ into pending_ until it holds one whole packet. It grows with what arrives, not with what is
// claimed: a length alone must not cost a megabyte.
ZookeeperInput ZookeeperFramer::gather(std::string_view& bytes) {
  while (true) {
    size_t want = kPrefix;
    if (pending_.size() >= kPrefix) {
      size_t size = 0;
      const Prefix prefix = judge(pending_, size);
      if (prefix != Prefix::Length) return end(prefix, pending_, bytes);
      want = kPrefix + size;
      if (pending_.size() == want) {
        pending_used_ = true;
        fresh_ = false;
        bytes = std::string_view(pending_).substr(kPrefix);
        return ZookeeperInput::Packet;
      }
    }
    const size_t take = std::min(want - pending_.size(), rest_.size());
    if (take == 0) return ZookeeperInput::More;
    pending_.append(rest_.substr(0, take));
    rest_.remove_prefix(take);
  }
}

void ZookeeperFramer::release_pending() {
  // There are many idle connections: what an exceptional packet took is given back.
  constexpr size_t kKeep = size_t{4} << 10;
  pending_used_ = false;
  if (pending_.capacity() > kKeep) std::string().swap(pending_);
  pending_.clear();
}

ZookeeperInput ZookeeperFramer::next(std::string_view& bytes) {
  bytes = {};
  if (ended_) return ZookeeperInput::Close;
  if (pending_used_) release_pending();
  if (pending_.empty() && rest_.size() >= kPrefix) {
    size_t size = 0;
    const Prefix prefix = judge(rest_, size);
    if (prefix != Prefix::Length) return end(prefix, rest_, bytes);
    if (rest_.size() - kPrefix >= size) {
      bytes = rest_.substr(kPrefix, size);
      rest_.remove_prefix(kPrefix + size);
      fresh_ = false;
      return ZookeeperInput::Packet;
    }
  }
  return gather(bytes);
}

}  // namespace witan::wire
