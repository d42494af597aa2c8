// Cryptographic digests (OpenSSL's), where a format of somebody else's demands one.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

namespace witan {

// SHA-1 of `bytes`; for ids that etcd's tools can compute, not for security.
std::array<unsigned char, 20> sha1(std::string_view bytes);

using Md5 = std::array<unsigned char, 16>;
// MD5 of `bytes`; for a protocol that knows nothing else. Nullopt: this machine's OpenSSL refuses it (FIPS).
std::optional<Md5> md5(std::string_view bytes);

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
