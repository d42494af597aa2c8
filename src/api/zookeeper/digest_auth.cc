#include "api/zookeeper/digest_auth.h"

#include <algorithm>
#include <array>

#include <absl/strings/escaping.h>

#include "api/zookeeper/path.h"
#include "base/digest.h"

namespace witan::api::zookeeper {

std::string digest_id(std::string_view auth) {
  const std::string text = java_text(auth);
  const std::array<unsigned char, 20> digest = sha1(text);
  std::string id = text.substr(0, text.find(':'));
  id += ':';
  id += absl::Base64Escape({reinterpret_cast<const char*>(digest.data()), digest.size()});
  return id;
}

bool is_digest_id(std::string_view id) {
  while (id.ends_with(':')) id.remove_suffix(1);
  return std::count(id.begin(), id.end(), ':') == 1;
}

}  // namespace witan::api::zookeeper
