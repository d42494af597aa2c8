// SASL's mechanism DIGEST-MD5 (RFC 2831) from the server's side, as ZooKeeper's servers speak it: a challenge, one
// answer, protection of the exchange alone (qop "auth"), and no second round.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace witan::api::zookeeper {

// Names and passwords are UTF-8.
struct SaslUsers {
  std::map<std::string, std::string, std::less<>> passwords;  // by the user's name
  std::vector<std::string> super;                             // users who may do everything
};

// A list of directives as RFC 2831 7.1 writes them, `username="chris",nc=00000001`: those that the mechanism knows,
// by their names in lower case, with their values as bytes. Nullopt: it does not parse, or one of them stands there
// twice. Others are passed over.
using Directives = std::map<std::string, std::string, std::less<>>;
std::optional<Directives> parse_directives(std::string_view text);

// One exchange.
class DigestMd5 {
 public:
  static constexpr size_t kMaxToken = 4096;  // longer ones are refused

  // What a client must name; ZooKeeper's are the same for every server.
  struct Service {
    std::string_view name = "zookeeper";
    std::string_view host = "zk-sasl-md5";  // also the realm
  };

  // `users` outlives the exchange. `nonce`: a text without quotes that nobody has ever seen.
  DigestMd5(const SaslUsers& users, std::string nonce) : DigestMd5(users, std::move(nonce), Service{}) {}
  DigestMd5(const SaslUsers& users, std::string nonce, Service service);

  // What the server says to a client's token. First the challenge, whatever the token is; then, if the client knows
  // the password, the proof that the server knows it too. Nullopt: refused, and so is everything behind it.
  std::optional<std::string> answer(std::string_view token);

  // The client has proved to be user(), who is one of the users.
  bool done() const { return step_ == Step::Done; }
  const std::string& user() const { return user_; }
  bool is_super() const;

 private:
  enum class Step : uint8_t { Challenge, Response, Done, Refused };

  std::string challenge() const;
  std::optional<std::string> check(const Directives& given);

  const SaslUsers& users_;
  const std::string nonce_;
  const Service service_;
  Step step_ = Step::Challenge;
  std::string user_;
};

// Whether an access list may carry `id` in the scheme sasl: what Kerberos takes for a principal. That is everything
// without an '@', and otherwise at most one of those, behind at most one '/'.
bool is_sasl_id(std::string_view id);

}  // namespace witan::api::zookeeper
