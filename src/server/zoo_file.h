// ZooKeeper's configuration file, zoo.cfg, and the properties that ZooKeeper is started with.
#pragma once

#include <span>
#include <string>

#include "base/function.h"
#include "base/result.h"
#include "server/config.h"

namespace witan::server {

// Reads zoo.cfg and the files it names (dynamicConfigFile, myid) into `config`, in which everything but ZooKeeper's API
// and the members' port is off afterwards; the data is kept in dataDir/witan. `defined` are "name=value", as of -D; the
// file wins over them, as in ZooKeeper. What has no effect here, and what nobody knows, is told in config.warnings.
// Errors: Invalid or Io, one sentence with file and line: what is missing or malformed, and what asks for protection
// that is not there.
Result<> apply_zoo_file(Config& config, const std::string& path, std::span<const std::string> defined,
                        Function<Result<std::string>(const std::string& path)>& read_file);

}  // namespace witan::server
