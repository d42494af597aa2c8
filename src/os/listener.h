// Accepting connections. For this room only.
#pragma once

#include <memory>
#include <vector>

#include "env/network.h"
#include "os/network.h"

namespace witan::os {

// Requires: at least one target, all of them os::Loop. `options` must outlive the listener and its connections.
Result<std::unique_ptr<env::Listener>> make_listener(const env::Address& address,
                                                     std::vector<env::AcceptTarget> targets,
                                                     const NetworkOptions& options);

}  // namespace witan::os
