#include "base/digest.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace witan {

std::array<unsigned char, 20> sha1(std::string_view bytes) {
  std::array<unsigned char, 20> out{};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha1(), nullptr) == 1 && size == out.size());
  return out;
}

std::optional<Md5> md5(std::string_view bytes) {
  Md5 out{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_md5(), nullptr) != 1) return std::nullopt;
  CHECK(size == out.size());
  return out;
}

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() { CHECK(evp != nullptr && EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1); }
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) { CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1); }

std::array<unsigned char, 32> Sha256::finish() {
  std::array<unsigned char, 32> out{};
  unsigned int size = 0;
  CHECK(EVP_DigestFinal_ex(context_->evp, out.data(), &size) == 1 && size == out.size());
  return out;
}

}  // namespace witan
