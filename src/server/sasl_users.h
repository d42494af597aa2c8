// Files that say who may come in by SASL, and with which password. Passwords are never repeated in an error.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace witan::server {

using Passwords = std::map<std::string, std::string, std::less<>>;  // by the user's name

// A line "user:password" for each, the user ending at the first colon; empty lines and those that begin with '#' say
// nothing. Errors: Invalid, naming file and line.
Result<Passwords> parse_sasl_users(std::string_view path, std::string_view contents);

// The users of `section` of a JAAS file, as ZooKeeper writes them there:
//   Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_NAME="PASSWORD" ... ; };
// Nullopt: there is no such section. Errors: Invalid, naming file and line: it does not parse, or asks for another way
// to log in.
Result<std::optional<Passwords>> parse_jaas(std::string_view path, std::string_view contents, std::string_view section);

}  // namespace witan::server
