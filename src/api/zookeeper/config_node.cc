#include "api/zookeeper/config_node.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "env/network.h"

namespace witan::api::zookeeper {
namespace {

using node::JoiningMember;
using node::MemberInfo;

constexpr size_t kMostMembers = 254;  // that a cluster can ever have (core M1)

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  return text.substr(0, text.find_last_not_of(kBlank) + 1);
}

// The pieces between any of `separators`, trimmed, without the empty ones.
std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
    if (!trim(piece).empty()) out.push_back(trim(piece));
  }
  return out;
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

bool read_port(std::string_view text, uint16_t& port) { return read_number(text, port) && port != 0; }

bool is_port(std::string_view text) {
  uint16_t port = 0;
  return read_port(text, port);
}

bool is_host(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_word(std::string_view text, std::string_view word) {
  return std::ranges::equal(text, word, {},
                            [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
}

// At colons, but not at those of "[::1]".
std::vector<std::string_view> split_at_colons(std::string_view text) {
  std::vector<std::string_view> out;
  const size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  while (colon != std::string_view::npos) {
    out.push_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
    colon = text.find(':');
  }
  out.push_back(text);
  return out;
}

// "host:port:port", several of them with '|' between, ":participant" or ":observer" behind the last. The second port is
// only kept, that of the address which the member's record has first (they are sorted there).
bool read_servers(std::string_view text, JoiningMember& out) {
  const std::vector<std::string_view> servers = split(text, "|");
  for (const std::string_view& server : servers) {
    const std::vector<std::string_view> parts = split_at_colons(server);
    const bool says_role = parts.size() == 4 && &server == &servers.back();
    uint16_t port = 0;
    uint16_t election = 0;
    if ((parts.size() != 3 && !says_role) || !is_host(parts[0]) || !read_port(parts[1], port) ||
        !read_number(parts[2], election)) {
      return false;
    }
    if (says_role) {
      out.learner = is_word(parts[3], "observer");
      if (!out.learner && !is_word(parts[3], "participant")) return false;
    }
    std::string url = fmt::format("{}:{}", parts[0], parts[1]);
    if (std::ranges::all_of(out.peer_urls, [&](const std::string& other) { return url < other; })) {
      out.election_port = election == port ? uint16_t{0} : election;
    }
    out.peer_urls.push_back(std::move(url));
  }
  return !servers.empty();
}

// "host:port", or a port alone: of every address.
bool read_client(std::string_view text, JoiningMember& out) {
  const std::vector<std::string_view> parts = split_at_colons(text);
  if (parts.size() > 2 || !is_host(parts[0]) || !is_port(parts.back())) return false;
  out.zookeeper = parts.size() == 2 ? std::string(text) : fmt::format("0.0.0.0:{}", text);
  return true;
}

std::expected<JoiningMember, ErrorCode> read_joiner(std::string_view key, std::string_view value) {
  JoiningMember out;
  constexpr std::string_view kServer = "server.";
  if (!key.starts_with(kServer)) return std::unexpected(ErrorCode::BadArguments);
  // What is no number is an exception that ZooKeeper does not foresee.
  if (!read_number(key.substr(kServer.size()), out.number)) return std::unexpected(ErrorCode::MarshallingError);
  const size_t semicolon = value.find(';');
  if (semicolon == std::string_view::npos || !read_servers(value.substr(0, semicolon), out) ||
      !read_client(value.substr(semicolon + 1), out)) {
    return std::unexpected(ErrorCode::BadArguments);
  }
  return out;
}

std::expected<std::vector<JoiningMember>, ErrorCode> read_joiners(std::string_view text) {
  std::vector<JoiningMember> out;
  for (const std::string_view line : split(text, ",\n")) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || out.size() == kMostMembers) return std::unexpected(ErrorCode::BadArguments);
    const std::string_view key = trim(line.substr(0, equals));
    if (key == "version") continue;  // what a client has read, and sends back with changes
    auto joiner = read_joiner(key, trim(line.substr(equals + 1)));
    if (!joiner) return std::unexpected(joiner.error());
    out.push_back(std::move(*joiner));
  }
  return out;
}

std::expected<std::vector<uint32_t>, ErrorCode> read_leavers(std::string_view text) {
  std::vector<uint32_t> out;
  for (const std::string_view piece : split(text, ",")) {
    int64_t number = 0;
    if (!read_number(piece, number)) return std::unexpected(ErrorCode::MarshallingError);
    // Numbers of nobody are no mistake.
    if (number > 0 && number <= int64_t{kMostMembers}) out.push_back(static_cast<uint32_t>(number));
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// "host:port" of a URL.
std::string address_of(const std::string& url) {
  const auto address = env::parse_address(url);
  return address ? address->text() : url;
}

}  // namespace

bool ConfigNode::take(std::span<const MemberInfo> members, uint64_t version, WallTime changed) {
  if (!text_.is_null() && version < version_) return false;
  Blob text(config_text(members, version));
  const bool is_change = !text_.is_null() && text.view() != text_.view();
  text_ = std::move(text);
  version_ = version;
  changed_ = changed;
  return is_change;
}

// ZooKeeper writes this node past all its counting, which leaves a Stat that says nothing but when it was written.
void ConfigNode::show(store::NodeReadsResult::Item& item) const {
  if (item.reason != store::Reason::None || text_.is_null()) return;
  item.value = text_;
  item.stat.modified = store::Revision(static_cast<int64_t>(version_));
  item.stat.modified_at = changed_;
  item.stat.version = -1;
  item.stat.data_bytes = static_cast<int64_t>(text_.size());
}

std::string config_text(std::span<const MemberInfo> members, uint64_t version) {
  std::vector<const MemberInfo*> sorted;
  for (const MemberInfo& member : members) {
    if (!member.peer_urls.empty()) sorted.push_back(&member);
  }
  std::ranges::sort(sorted, {}, [](const MemberInfo* member) { return member->number; });
  std::string out;
  for (const MemberInfo* member : sorted) {
    // One address of each: ZooKeeper's clients understand more only where they are told to.
    fmt::format_to(std::back_inserter(out), "server.{}={}:{}:{}", member->number, address_of(member->peer_urls.front()),
                   member->election_port, member->is_learner ? "observer" : "participant");
    if (!member->zookeeper.empty()) out += ";" + member->zookeeper;
    out += '\n';
  }
  return out + fmt::format("version={:x}", version);
}

std::expected<node::ReplaceMembers, ErrorCode> lower(const ReconfigRequest& request) {
  node::ReplaceMembers out;
  out.whole = request.new_members.has_value();
  auto joining = read_joiners(out.whole ? *request.new_members : request.joining_servers.value_or(std::string_view()));
  if (!joining) return std::unexpected(joining.error());
  out.joining = std::move(*joining);
  if (out.whole) {
    if (std::ranges::all_of(out.joining, &JoiningMember::learner)) return std::unexpected(ErrorCode::MarshallingError);
  } else {
    auto leaving = read_leavers(request.leaving_servers.value_or(std::string_view()));
    if (!leaving) return std::unexpected(leaving.error());
    out.leaving = std::move(*leaving);
  }
  if (request.config_id != -1) out.expected_version = static_cast<uint64_t>(request.config_id);
  return out;
}

}  // namespace witan::api::zookeeper
