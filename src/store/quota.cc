#include "store/quota.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "store/hidden_table.h"
#include "store/index.h"
#include "store/path.h"

namespace witan::store {
namespace {

constexpr std::string_view kLimits = "/zookeeper_limits";
constexpr std::string_view kStats = "/zookeeper_stats";

// "/zookeeper/quota/a/b/zookeeper_limits" -> "/a/b"; nullopt when it is none of these.
std::optional<std::string_view> subject_of(std::string_view path, std::string_view name) {
  if (!path.starts_with(kQuotaNode) || !path.ends_with(name)) return std::nullopt;
  path.remove_prefix(kQuotaNode.size());
  if (path.size() < name.size()) return std::nullopt;
  path.remove_suffix(name.size());
  if (!path.empty() && path[0] != '/') return std::nullopt;  // "/zookeeper/quotas/..."
  return path.empty() ? std::string_view("/") : path;
}

int64_t bytes_in(const Version* version) {
  return version == nullptr ? 0 : static_cast<int64_t>(version->value.size());
}

}  // namespace

Quotas::Limits parse_limits(std::string_view text) {
  Quotas::Limits out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(",;"), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = item.substr(0, equals);
    int64_t value = -1;
    std::from_chars(item.data() + equals + 1, item.data() + item.size(), value);
    if (name == "count") out.count = value;
    if (name == "bytes") out.bytes = value;
    if (name == "countHardLimit") out.hard_count = value;
    if (name == "byteHardLimit") out.hard_bytes = value;
  }
  return out;
}

const Quotas::Quota* Quotas::covering(std::string_view path, std::string_view* prefix) const {
  if (quotas_.empty()) return nullptr;
  for (;; path = parent_of(path)) {
    const auto it = quotas_.find(path);
    if (it != quotas_.end()) {
      if (prefix != nullptr) *prefix = it->first;
      return &it->second;
    }
    if (path == "/") return nullptr;
  }
}

Quotas::Quota* Quotas::find_covering(std::string_view path) {
  std::string_view prefix;
  return covering(path, &prefix) == nullptr ? nullptr : &quotas_.find(prefix)->second;
}

void Quotas::changed(std::string_view path, const Version* before, const Version* after) {
  if (quotas_.empty() || !is_node(path)) return;
  Quota* const quota = find_covering(path);
  if (quota == nullptr) return;
  quota->count += (after != nullptr ? 1 : 0) - (before != nullptr ? 1 : 0);
  quota->bytes += bytes_in(after) - bytes_in(before);
}

// What a deeper quota counts is not counted by those above it.
void Quotas::limits_changed(std::string_view path, const Version* version, const Index& index) {
  const auto subject = subject_of(path, kLimits);
  if (!subject) return;
  const auto known = quotas_.find(*subject);
  if (known != quotas_.end() && version != nullptr) {
    known->second.limits = parse_limits(version->value);
  } else if (known != quotas_.end()) {
    const Quota gone = known->second;
    quotas_.erase(known);
    count_above(*subject, gone.count, gone.bytes);
  } else if (version != nullptr) {
    const auto made = quotas_.emplace(std::string(*subject), Quota{.limits = parse_limits(version->value)}).first;
    count_below(*subject, index);
    count_above(*subject, -made->second.count, -made->second.bytes);
  }
}

void Quotas::count_above(std::string_view path, int64_t nodes, int64_t bytes) {
  if (path == "/") return;
  if (Quota* const above = find_covering(parent_of(path))) {
    above->count += nodes;
    above->bytes += bytes;
  }
}

// For the quota at `root` alone.
void Quotas::count_below(std::string_view root, const Index& index) {
  Quota& counted = quotas_.find(root)->second;
  const auto count = [&](std::string_view key, const Version* now) {
    if (now == nullptr || !is_node(key) || covering(key) != &counted) return;
    ++counted.count;
    counted.bytes += bytes_in(now);
  };
  if (root != "/") count(root, index.latest(root));
  const std::string below = root == "/" ? "/" : std::string(root) + '/';
  for (Index::Cursor at = index.lower_bound(below); !at.done() && at.key().view().starts_with(below); at.next()) {
    count(at.key(), at.chain().latest());
  }
}

std::optional<std::string> Quotas::stats(std::string_view path) const {
  const auto subject = subject_of(path, kStats);
  const auto it = subject ? quotas_.find(*subject) : quotas_.end();
  if (it == quotas_.end()) return std::nullopt;
  return fmt::format("count={},bytes={}", it->second.count, it->second.bytes);
}

void Quotas::rebuild(const HiddenTable& hidden, const Index& index) {
  quotas_.clear();
  for (const auto& [path, row] : hidden.rows()) {
    const auto subject = subject_of(path, kLimits);
    if (subject && row.version) {
      quotas_.emplace(std::string(*subject), Quota{.limits = parse_limits(row.version->value)});
    }
  }
  if (quotas_.empty()) return;
  for (Index::Cursor at = index.lower_bound("/"); !at.done() && at.key().view().starts_with('/'); at.next()) {
    changed(at.key(), nullptr, at.chain().latest());
  }
}

}  // namespace witan::store
