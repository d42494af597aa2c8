#include "peer/frame.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/crc32c.h"

namespace witan::peer {
namespace {

// The checksum covers the type and the payload; a damaged length shows as a wrong checksum.
uint32_t checksum(char type, std::string_view payload) { return crc32c(payload, crc32c(std::string_view(&type, 1))); }

std::string header(FrameType type, size_t size, uint32_t crc) {
  std::string out;
  put_fixed32(out, static_cast<uint32_t>(size));
  put_fixed32(out, crc);
  out.push_back(static_cast<char>(type));
  return out;
}

}  // namespace

Chain make_frame(FrameType type, Chain&& payload) {
  std::vector<std::string_view> pieces;
  payload.peek(pieces, SIZE_MAX);
  const char tag = static_cast<char>(type);
  uint32_t crc = crc32c(std::string_view(&tag, 1));
  for (const std::string_view piece : pieces) crc = crc32c(piece, crc);
  Chain frame;
  frame.append(header(type, payload.size(), crc));
  frame.append(std::move(payload));
  return frame;
}

Chain make_frame(FrameType type, std::string_view payload) {
  std::string bytes = header(type, payload.size(), checksum(static_cast<char>(type), payload));
  bytes.append(payload);
  Chain frame;
  frame.append(bytes);
  return frame;
}

bool FrameReader::refuse(std::string why) {
  error_ = std::move(why);
  rest_ = {};
  pending_.clear();
  return false;
}

size_t FrameReader::frame_size(std::string_view header) {
  const uint32_t length = get_fixed32(header.data());
  const auto type = static_cast<uint8_t>(header[kFrameHeader - 1]);
  if (type == 0 || type > static_cast<uint8_t>(kLastFrameType)) {
    refuse(fmt::format("a frame of unknown type {}", type));
    return 0;
  }
  if (length > max_payload_) {
    refuse(fmt::format("a frame of {} bytes where at most {} are allowed", length, max_payload_));
    return 0;
  }
  return kFrameHeader + length;
}

bool FrameReader::open(std::string_view bytes, Frame& frame) {
  const char type = bytes[kFrameHeader - 1];
  frame.type = static_cast<FrameType>(type);
  frame.payload = bytes.substr(kFrameHeader);
  if (checksum(type, frame.payload) != get_fixed32(bytes.data() + 4)) return refuse("a frame with a wrong checksum");
  return true;
}

// Moves bytes from rest_ into pending_ until it holds one whole frame. False: not yet, or never.
bool FrameReader::gather() {
  while (true) {
    size_t want = kFrameHeader;
    if (pending_.size() >= kFrameHeader) {
      want = frame_size(pending_);
      if (want == 0) return false;
      if (pending_.size() == want) return true;
      // Growing with what arrives, not with what is claimed: a header alone must not cost megabytes.
      if (pending_.capacity() < want) pending_.reserve(std::min(want, pending_.size() + rest_.size()) * 2);
    }
    const size_t take = std::min(want - pending_.size(), rest_.size());
    if (take == 0) return false;
    pending_.append(rest_.substr(0, take));
    rest_.remove_prefix(take);
  }
}

bool FrameReader::next(Frame& frame) {
  if (!error_.empty()) return false;
  if (pending_used_) {
    pending_used_ = false;
    constexpr size_t kKeep = size_t{256} << 10;
    if (pending_.capacity() > kKeep) std::string().swap(pending_);
    pending_.clear();
  }
  if (pending_.empty() && rest_.size() >= kFrameHeader) {
    const size_t size = frame_size(rest_);
    if (size == 0) return false;
    if (rest_.size() >= size) {
      const std::string_view whole = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return open(whole, frame);
    }
  }
  if (!gather()) return false;
  pending_used_ = true;
  return open(pending_, frame);
}

}  // namespace witan::peer
