// A hostile client of SASL: its tokens are read, and its exchange comes to an end whatever they are. What was read is
// written in the plain form and read as the same; nobody is proved but a user whose answer was the right one.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/zookeeper/digest_md5.h"
#include "api/zookeeper/digest_md5_testing.h"
#include "base/check.h"

namespace witan::api::zookeeper {
namespace {

constexpr std::string_view kNonce = "n0nce";

std::string written(const Directives& directives) {
  std::string out;
  for (const auto& [name, value] : directives) {
    out += (out.empty() ? "" : ",") + name + "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out;
}

void read(std::string_view token) {
  const std::optional<Directives> directives = parse_directives(token);
  if (!directives) return;
  const std::optional<Directives> again = parse_directives(written(*directives));
  CHECK(again == directives, "what was read is not what is written of it");
}

void exchange(std::string_view first, std::string_view second) {
  const SaslUsers users{.passwords = {{"ann", "ann secret"}, {"b\xc3\xa4r", "p\xc3\xa4ss"}}, .super = {"ann"}};
  DigestMd5 server(users, std::string(kNonce));
  const bool begun = server.answer(first).has_value();
  CHECK(begun == (first.size() <= DigestMd5::kMaxToken) && !server.done());
  const std::optional<std::string> proof = server.answer(second);
  CHECK(proof.has_value() == server.done());
  if (!server.done()) {
    CHECK(server.user().empty() && !server.is_super());
    return;
  }
  CHECK(users.passwords.contains(server.user()) && server.is_super() == (server.user() == "ann"));
  const Directives said = *parse_directives(second);
  CHECK(said.at("nonce") == kNonce && said.at("response").size() == 32);
  CHECK(!server.answer(second) && !server.done(), "there is nothing behind a proof");
}

void run(std::string_view input) {
  const size_t cut = input.empty() ? 0 : static_cast<uint8_t>(input[0]) % (input.size() + 1);
  read(input);
  exchange("", input);
  exchange(input.substr(0, cut), input.substr(cut));
  // An honest answer with the input for a name or a password: it is refused, or was the right one.
  const testing::DigestClient client{.user = "ann", .password = std::string(input), .nonce = std::string(kNonce)};
  exchange("", client.token());
  (void)is_sasl_id(input);
}

}  // namespace
}  // namespace witan::api::zookeeper

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::api::zookeeper::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
