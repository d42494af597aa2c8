// From our errors to ZooKeeper's codes, in one table for each kind of them.
#pragma once

#include <optional>

#include "api/zookeeper/codes.h"
#include "node/client.h"
#include "store/command.h"

namespace witan::api::zookeeper {

// SystemError for reasons that no request of this API can meet.
ErrorCode error_of(store::Reason reason);
// Nullopt: nobody can say what became of the change, or ask anybody: the connection is lost.
std::optional<ErrorCode> error_of(node::MemberFailure failure);

}  // namespace witan::api::zookeeper
