// The client's side of DIGEST-MD5, for this room's tests and fuzzers. Written from RFC 2831 by itself.
#pragma once

#include <string>
#include <string_view>

#include "base/check.h"
#include "base/digest.h"

namespace witan::api::zookeeper::testing {

struct DigestClient {
  std::string user;
  std::string password;
  std::string nonce;
  std::string uri = "zookeeper/zk-sasl-md5";
  std::string authzid;            // empty: none
  std::string digested_user;      // empty: as user
  std::string digested_password;  // likewise

  std::string response() const {
    const auto raw = [](const std::string& text) {
      const auto digest = md5(text);
      CHECK(digest.has_value(), "no MD5 here");
      return std::string(reinterpret_cast<const char*>(digest->data()), digest->size());
    };
    const auto hex = [&](const std::string& text) {
      std::string out;
      for (const char c : raw(text)) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 15];
      }
      return out;
    };
    const std::string& name = digested_user.empty() ? user : digested_user;
    const std::string& secret = digested_password.empty() ? password : digested_password;
    std::string a1 = raw(name + ":zk-sasl-md5:" + secret) + ":" + nonce + ":cl1ent";
    if (!authzid.empty()) a1 += ":" + authzid;
    return hex(hex(a1) + ":" + nonce + ":00000001:cl1ent:auth:" + hex("AUTHENTICATE:" + uri));
  }

  std::string token() const {
    std::string out = "charset=utf-8,username=\"" + user + "\",realm=\"zk-sasl-md5\",nonce=\"" + nonce +
                      "\",nc=00000001,cnonce=\"cl1ent\",digest-uri=\"" + uri + "\",response=" + response() +
                      ",qop=auth";
    return authzid.empty() ? out : out + ",authzid=\"" + authzid + "\"";
  }
};

// Out of a challenge.
inline std::string nonce_of(std::string_view challenge) {
  constexpr std::string_view kBefore = "nonce=\"";
  challenge.remove_prefix(challenge.find(kBefore) + kBefore.size());
  return std::string(challenge.substr(0, challenge.find('"')));
}

}  // namespace witan::api::zookeeper::testing
