// `witan import zookeeper DIR`.
#pragma once

#include <string_view>

#include "base/function.h"
#include "base/result.h"
#include "node/data_directory.h"
#include "server/command_line.h"

namespace witan::server {

// Reads the directory and, where there is a target, founds its data directory on that: durable and whole, or not at
// all. Then writes what was read and done, as text or JSON; nothing when there is an error. Memory: twice the tree.
Result<> import_zookeeper(const ImportZookeeper& what, const node::Ground& ground,
                          Function<void(std::string_view)>& write);

}  // namespace witan::server
