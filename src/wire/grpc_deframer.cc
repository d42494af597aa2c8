#include "wire/grpc_deframer.h"

namespace witan::wire {

void write_grpc_prefix(char* p, uint32_t length) {
  p[0] = 0;
  for (int i = 0; i < 4; ++i) p[1 + i] = static_cast<char>(length >> (24 - 8 * i));
}

GrpcDeframer::Cut GrpcDeframer::cut(std::string_view& rest, size_t max, std::string_view& message) {
  if (rest.size() < kGrpcPrefix) return Cut::Incomplete;
  const auto* p = reinterpret_cast<const unsigned char*>(rest.data());
  flag_ = p[0];
  declared_ = static_cast<uint32_t>(p[1]) << 24 | static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 8 |
              static_cast<uint32_t>(p[4]);
  if (flag_ != 0 || declared_ > max) {
    refusal_ = flag_ == 1 ? Verdict::Compressed : flag_ != 0 ? Verdict::BadFlag : Verdict::TooLarge;
    return Cut::Refused;
  }
  if (rest.size() - kGrpcPrefix < declared_) return Cut::Incomplete;
  message = rest.substr(kGrpcPrefix, declared_);
  rest.remove_prefix(kGrpcPrefix + declared_);
  return Cut::Message;
}

void GrpcDeframer::keep_only(std::string_view rest) {
  if (rest.empty()) return clear();
  kept_.erase(0, kept_.size() - rest.size());
}

void GrpcDeframer::clear() {
  // Streams are pooled: an ordinary buffer is kept for the next one, that of an exceptional message is given back.
  constexpr size_t kKeep = size_t{16} << 10;
  if (kept_.capacity() > kKeep) {
    kept_ = std::string();
  } else {
    kept_.clear();
  }
}

}  // namespace witan::wire
