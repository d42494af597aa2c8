// What ZooKeeper's operators are told about a member that its configuration and its machine decide.
#pragma once

#include <memory>

#include "api/zookeeper/operators.h"
#include "base/time.h"
#include "os/machine.h"
#include "server/config.h"

namespace witan::server {

// Of every loop.
api::zookeeper::Options zookeeper_options(const Config& config);

// Requires: config was checked, and ZooKeeper's clients are served. `started` is a time of the loops' clock, `written`
// when this program was made.
std::shared_ptr<const api::zookeeper::Facts> zookeeper_facts(const Config& config, const os::Host& host,
                                                             WallTime written, Instant started);

}  // namespace witan::server
