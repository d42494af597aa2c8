// A member as a process: threads, files and sockets around a node and its APIs.
#pragma once

#include "base/log.h"
#include "node/node.h"
#include "server/config.h"

namespace witan::server {

// What a member is told of what the process was told.
node::Options node_options(const Config& config);

// Runs until SIGTERM, SIGINT or something that cannot be survived, and gives the process's exit code. A second signal
// ends the process at once. Requires: check(config) was fine, and no other call is going on in this process.
int serve(const Config& config, LogSink& log);

}  // namespace witan::server
