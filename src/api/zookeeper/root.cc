#include "api/zookeeper/root.h"

namespace witan::api::zookeeper {
namespace {

constexpr std::string_view kHidden = "/zookeeper";

bool is_at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

std::string_view Root::to_store(std::string_view path, std::string& scratch) const {
  if (whole_ || is_at_or_below(path, kHidden)) return path;
  if (!path.starts_with('/')) return {};
  if (path == "/") return path_;
  scratch = path_;
  scratch += path;
  return scratch;
}

std::optional<std::string_view> Root::to_client(std::string_view path) const {
  if (whole_ || is_at_or_below(path, kHidden)) return path;
  if (!is_at_or_below(path, path_)) return std::nullopt;
  if (path.size() == path_.size()) return std::string_view("/");
  path.remove_prefix(path_.size());
  if (is_at_or_below(path, kHidden)) return std::nullopt;
  return path;
}

}  // namespace witan::api::zookeeper
