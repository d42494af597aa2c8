// Who a connection has proved to be, and what its access lists mean by it.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/records.h"
#include "api/zookeeper/replies.h"

namespace witan::api::zookeeper {

class Identities {
 public:
  // `remote` is "address:port". Every connection is its address without proof. `sasl_ids` as in Options.
  Identities(std::string_view remote, bool sasl_ids);

  // What an auth packet shows. False: refused. `super_digest` and `limit` as in Options.
  bool prove(std::string_view scheme, JuteText proof, std::string_view super_digest, size_t limit);

  // Who has proved by SASL to be this user.
  void prove_sasl(std::string_view user, bool is_super);

  // "scheme:id", as the store wants them; valid until the next proof.
  std::span<const std::string_view> principals() const { return views_; }
  // As whoAmI says it: of a digest the user alone.
  std::vector<ClientInfo> list() const;
  // The store's form of an access list, the scheme "auth" replaced by who this is. Nullopt: INVALIDACL.
  std::optional<std::string> lower_acl(const AclList& acl) const;
  const std::string& address() const { return address_; }

 private:
  void add(std::string principal);

  std::string address_;
  bool sasl_ids_;
  std::deque<std::string> principals_;  // its strings never move: views_ points into them
  std::vector<std::string_view> views_;
};

// "127.0.0.1:4711" -> "127.0.0.1", "[::1]:4711" -> "::1".
std::string_view host_of(std::string_view remote);
// "10.0.0.0/8": an address, IPv4 or IPv6, with or without a number of bits.
bool is_ip_pattern(std::string_view text);

}  // namespace witan::api::zookeeper
