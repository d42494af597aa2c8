#include "api/zookeeper/identities.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "api/zookeeper/digest_auth.h"
#include "api/zookeeper/digest_md5.h"
#include "api/zookeeper/path.h"
#include "store/acl.h"

namespace witan::api::zookeeper {
namespace {

constexpr std::string_view kDigest = "digest";
constexpr std::string_view kIp = "ip";
constexpr std::string_view kSasl = "sasl";

// "digest:user:hash" -> "digest", "user:hash".
std::pair<std::string_view, std::string_view> split(std::string_view principal) {
  const size_t colon = principal.find(':');
  return {principal.substr(0, colon), principal.substr(colon + 1)};
}

std::optional<uint32_t> number(std::string_view text, int base) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const size_t dot = part == 3 ? text.size() : text.find('.');
    if (dot == std::string_view::npos) return false;
    const auto value = number(text.substr(0, dot), 10);
    if (!value || *value > 255 || dot > 3) return false;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return true;
}

// Groups of hexadecimal digits; `groups` counts them. An IPv4 address may stand for the last two.
bool read_groups(std::string_view text, int& groups) {
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && is_ipv4(group)) {
      groups += 2;
      return true;
    }
    if (group.size() > 4 || !number(group, 16)) return false;
    ++groups;
    if (last) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;
  }
  return true;
}

bool is_ipv6(std::string_view text) {
  int groups = 0;
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) return !text.empty() && read_groups(text, groups) && groups == 8;
  return read_groups(text.substr(0, gap), groups) && read_groups(text.substr(gap + 2), groups) && groups < 8;
}

}  // namespace

std::string_view host_of(std::string_view remote) {
  std::string_view host = remote.substr(0, remote.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

bool is_ip_pattern(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const bool v4 = is_ipv4(address);
  if (!v4 && !is_ipv6(address)) return false;
  if (slash == std::string_view::npos) return true;
  const auto bits = number(text.substr(slash + 1), 10);
  return bits && *bits <= (v4 ? 32u : 128u);
}

Identities::Identities(std::string_view remote, bool sasl_ids) : address_(host_of(remote)), sasl_ids_(sasl_ids) {
  add("ip:" + address_);
}

void Identities::add(std::string principal) {
  if (std::ranges::find(views_, principal) != views_.end()) return;
  views_.push_back(principals_.emplace_back(std::move(principal)));
}

bool Identities::prove(std::string_view scheme, JuteText proof, std::string_view super_digest, size_t limit) {
  if (scheme == kIp) return true;  // it is known already
  if (scheme != kDigest || views_.size() >= limit) return false;
  std::string id = digest_id(proof.value_or(std::string_view()));
  if (!super_digest.empty() && id == super_digest) add(std::string(store::kSuperPrincipal));
  add("digest:" + std::move(id));
  return true;
}

void Identities::prove_sasl(std::string_view user, bool is_super) {
  add(fmt::format("{}:{}", kSasl, user));
  if (is_super) add(std::string(store::kSuperPrincipal));
}

std::vector<ClientInfo> Identities::list() const {
  std::vector<ClientInfo> out;
  for (const std::string_view principal : views_) {
    const auto [scheme, id] = split(principal);
    out.push_back({.scheme = scheme, .user = scheme == kDigest ? id.substr(0, id.find(':')) : id});
  }
  return out;
}

std::optional<std::string> Identities::lower_acl(const AclList& acl) const {
  if (acl.empty()) return std::nullopt;
  std::deque<std::string> texts;  // ids that are not UTF-8 are kept as Java reads them
  std::vector<store::AclEntry> entries;
  for (const Acl& entry : acl) {
    const auto permissions = static_cast<uint32_t>(entry.perms);
    if (entry.scheme == "auth") {
      const size_t before = entries.size();
      for (const std::string_view principal : views_) {
        const auto [scheme, id] = split(principal);
        // Being a superuser is no identity that an access list could name.
        const bool named = scheme == kDigest || (scheme == kSasl && sasl_ids_);
        if (named) entries.push_back({.permissions = permissions, .scheme = scheme, .id = id});
      }
      if (entries.size() == before) return std::nullopt;
      continue;
    }
    const bool known = (entry.scheme == "world" && entry.id == "anyone") ||
                       (entry.scheme == kDigest && is_digest_id(entry.id)) ||
                       (entry.scheme == kIp && is_ip_pattern(entry.id)) ||
                       (entry.scheme == kSasl && sasl_ids_ && is_sasl_id(entry.id));
    if (!known) return std::nullopt;
    entries.push_back({.permissions = permissions,
                       .scheme = entry.scheme,
                       .id = std::string_view(texts.emplace_back(java_text(entry.id)))});
  }
  return store::encode_acl(entries);
}

}  // namespace witan::api::zookeeper
