#include "api/etcd/member_urls.h"

#include <algorithm>

namespace witan::api::etcd {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host_and_port(std::string_view text) {
  if (text.empty() || text.find_first_of(" \t/?#\\<>\"") != std::string_view::npos) return false;
  if (text[0] == '[') {
    const size_t close = text.find(']');
    return close != std::string_view::npos && close + 1 < text.size() && text[close + 1] == ':' &&
           is_port(text.substr(close + 2));
  }
  const size_t colon = text.find(':');
  return colon != std::string_view::npos && is_port(text.substr(colon + 1));
}

bool is_member_url(std::string_view url) {
  const size_t mark = url.find("://");
  if (mark == std::string_view::npos) return false;
  const std::string_view scheme = url.substr(0, mark);
  if (scheme == "unix" || scheme == "unixs") return true;
  if (scheme != "http" && scheme != "https") return false;
  return is_host_and_port(url.substr(mark + 3));
}

}  // namespace

std::optional<std::vector<std::string>> checked_member_urls(std::vector<std::string> urls) {
  if (urls.empty()) return std::nullopt;
  for (std::string& url : urls) {
    url = std::string(trim(url));
    if (!is_member_url(url)) return std::nullopt;
  }
  std::ranges::sort(urls);
  return urls;
}

}  // namespace witan::api::etcd
