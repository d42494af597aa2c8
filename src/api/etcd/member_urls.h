// The peer URLs that MemberAdd takes, judged as etcd judges them (client/pkg/types/urls.go).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace witan::api::etcd {

// Sorted and trimmed. Nothing when there is none, or one of them is no http(s) URL with host and port and nothing
// behind them; unix and unixs URLs pass.
std::optional<std::vector<std::string>> checked_member_urls(std::vector<std::string> urls);

}  // namespace witan::api::etcd
