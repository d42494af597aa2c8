// The digest scheme: who knows a password is the id made from it.
#pragma once

#include <string>
#include <string_view>

namespace witan::api::zookeeper {

// "user:password" -> "user:base64(SHA-1 of all of it)", the user being what stands before the first colon. `auth` is
// UTF-8; what is not is replaced as java_text() does. Without a colon, all of it is the user.
std::string digest_id(std::string_view auth);

// Whether an ACL may carry `id`: exactly one colon.
bool is_digest_id(std::string_view id);

}  // namespace witan::api::zookeeper
