#include "api/zookeeper/digest_md5.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/zookeeper/path.h"
#include "base/digest.h"

namespace witan::api::zookeeper {
namespace {

constexpr std::string_view kKnown[] = {"username",   "realm",    "nonce",  "cnonce",  "nc",     "qop",
                                       "digest-uri", "response", "maxbuf", "charset", "cipher", "authzid"};
constexpr std::string_view kFirst = "00000001";  // of a nonce that is used once

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
}

// The name in front of an equals sign, both taken off.
std::optional<std::string> take_name(std::string_view& rest) {
  const size_t size = std::min(rest.find_first_of("=, \t\r\n"), rest.size());
  std::string name = lower(rest.substr(0, size));
  rest.remove_prefix(size);
  skip_blanks(rest);
  if (name.empty() || !rest.starts_with('=')) return std::nullopt;
  rest.remove_prefix(1);
  skip_blanks(rest);
  if (rest.empty()) return std::nullopt;
  return name;
}

// Behind an opening quote; the closing one is taken off, too.
std::optional<std::string> take_quoted(std::string_view& rest) {
  std::string out;
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() == '\\') rest.remove_prefix(1);
    if (rest.empty()) return std::nullopt;
    out.push_back(rest.front());
    rest.remove_prefix(1);
  }
  if (rest.empty()) return std::nullopt;
  rest.remove_prefix(1);
  if (!rest.empty() && rest.front() != ',' && !is_blank(rest.front())) return std::nullopt;
  return out;
}

std::optional<std::string> take_value(std::string_view& rest) {
  if (rest.starts_with('"')) {
    rest.remove_prefix(1);
    return take_quoted(rest);
  }
  const size_t size = std::min(rest.find_first_of(", \t\r\n"), rest.size());
  std::string out(rest.substr(0, size));
  rest.remove_prefix(size);
  return out;
}

// RFC 2831 2.1.2.1: text that could be ISO 8859-1 is digested as that, and other text as UTF-8. `text` is UTF-8.
std::string for_digest(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out.push_back(text[i]);
      continue;
    }
    if ((c != 0xc2 && c != 0xc3) || i + 1 == text.size()) return std::string(text);
    out.push_back(static_cast<char>((c & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f)));
  }
  return out;
}

std::string joined(std::initializer_list<std::string_view> parts) { return fmt::format("{}", fmt::join(parts, ":")); }

std::string hex_of(const Md5& digest) {
  std::string out;
  for (const unsigned char byte : digest) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  return out;
}

bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

// Both digests of an exchange: the client's, and with an empty method the server's (RFC 2831 2.1.2.1, 2.1.3).
std::optional<std::string> digest_of(const Directives& given, std::string_view method, std::string_view user,
                                     std::string_view realm, std::string_view password) {
  const auto secret = md5(joined({for_digest(user), for_digest(realm), for_digest(password)}));
  if (!secret) return std::nullopt;
  const std::string_view nonce = given.find("nonce")->second;
  const std::string_view cnonce = given.find("cnonce")->second;
  std::string a1 = joined({{reinterpret_cast<const char*>(secret->data()), secret->size()}, nonce, cnonce});
  if (const auto acts_as = given.find("authzid"); acts_as != given.end()) a1 += ":" + acts_as->second;
  const auto one = md5(a1);
  const auto two = md5(joined({method, given.find("digest-uri")->second}));
  if (!one || !two) return std::nullopt;
  const auto whole = md5(joined({hex_of(*one), nonce, kFirst, cnonce, "auth", hex_of(*two)}));
  return whole ? std::optional(hex_of(*whole)) : std::nullopt;
}

}  // namespace

std::optional<Directives> parse_directives(std::string_view text) {
  Directives out;
  while (true) {
    while (!text.empty() && (text.front() == ',' || is_blank(text.front()))) text.remove_prefix(1);
    if (text.empty()) return out;
    std::optional<std::string> name = take_name(text);
    if (!name) return std::nullopt;
    std::optional<std::string> value = take_value(text);
    if (!value) return std::nullopt;
    if (std::ranges::find(kKnown, *name) == std::end(kKnown)) continue;
    if (!out.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
  }
}

DigestMd5::DigestMd5(const SaslUsers& users, std::string nonce, Service service)
    : users_(users), nonce_(std::move(nonce)), service_(service) {}

std::optional<std::string> DigestMd5::answer(std::string_view token) {
  const Step step = std::exchange(step_, Step::Refused);
  if (token.size() > kMaxToken) return std::nullopt;
  if (step == Step::Challenge) {
    step_ = Step::Response;
    return challenge();
  }
  if (step != Step::Response) return std::nullopt;
  const std::optional<Directives> given = parse_directives(token);
  return given ? check(*given) : std::nullopt;
}

std::string DigestMd5::challenge() const {
  return fmt::format("realm=\"{}\",nonce=\"{}\",charset=utf-8,algorithm=md5-sess", service_.host, nonce_);
}

// Who is nobody fails where a wrong password does. What a client would act as is not looked at: it is who it proves to
// be.
std::optional<std::string> DigestMd5::check(const Directives& given) {
  const auto value = [&](std::string_view name) {
    const auto at = given.find(name);
    return at == given.end() ? std::optional<std::string_view>() : at->second;
  };
  for (const std::string_view needed : {"username", "nonce", "cnonce", "digest-uri", "response"}) {
    if (!given.contains(needed)) return std::nullopt;
  }
  const std::string uri = fmt::format("{}/{}", service_.name, service_.host);
  if (value("realm") != service_.host || value("nonce") != nonce_ || value("nc").value_or(kFirst) != kFirst ||
      value("qop").value_or("auth") != "auth" || value("charset").value_or("utf-8") != "utf-8" ||
      lower(*value("digest-uri")) != lower(uri)) {
    return std::nullopt;
  }
  std::string user = java_text(*value("username"));
  const auto known = users_.passwords.find(user);
  const std::string_view password = known == users_.passwords.end() ? std::string_view() : known->second;
  const auto expected = digest_of(given, "AUTHENTICATE", user, service_.host, password);
  const auto proof = digest_of(given, "", user, service_.host, password);
  const bool proved = expected && proof && same(*expected, *value("response"));
  if (!proved || known == users_.passwords.end()) return std::nullopt;
  user_ = std::move(user);
  step_ = Step::Done;
  return "rspauth=" + *proof;
}

bool DigestMd5::is_super() const { return done() && std::ranges::find(users_.super, user_) != users_.super.end(); }

bool is_sasl_id(std::string_view id) {
  const size_t at = id.find('@');
  if (at == std::string_view::npos) return true;
  return id.find_first_of("/@", at + 1) == std::string_view::npos && std::ranges::count(id.substr(0, at), '/') <= 1;
}

}  // namespace witan::api::zookeeper
