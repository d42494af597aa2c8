// Cryptographic digests (OpenSSL's), where a format of somebody else's demands one.
#pragma once

#include <array>
#include <memory>
#include <string_view>

namespace witan {

// SHA-1 of `bytes`; for ids that etcd's tools can compute, not for security.
std::array<unsigned char, 20> sha1(std::string_view bytes);

// SHA-256 of a stream of pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  // Ends the stream; the object may only be destroyed afterwards.
  std::array<unsigned char, 32> finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace witan
