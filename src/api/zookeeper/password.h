// The password of a session: what a client shows to take its session up again.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "api/zookeeper/records.h"

namespace witan::api::zookeeper {

// A function of the id alone, the same as ZooKeeper's, so that sessions of an imported ZooKeeper go on. It guards
// against mistakes, not against attackers.
std::array<char, kPasswordBytes> session_password(int64_t session_id);
// False for null and for any other length too.
bool is_session_password(int64_t session_id, JuteText shown);

}  // namespace witan::api::zookeeper
