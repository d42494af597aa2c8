// The AdminServer's commands: what each needs to know, and its answer as JSON with ZooKeeper's names.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/zookeeper/operators.h"

namespace witan::api::zookeeper {

struct AdminCommand {
  std::string_view name;                   // "server_stats"
  std::span<const std::string_view> also;  // "srvr"
  Wanted wanted;
  bool when_not_serving = false;
};

// Null when there is none of this name.
const AdminCommand* find_admin_command(std::string_view name);
// All of them, sorted by name.
std::span<const AdminCommand> admin_commands();

// Whole JSON objects.
std::string admin_answer(const AdminCommand& command, const Facts& facts, const Report& report);
std::string admin_error(std::string_view command, std::string_view error);

}  // namespace witan::api::zookeeper
