// What was read, for people and for programs.
#pragma once

#include <string>
#include <string_view>

#include "base/function.h"
#include "migrate/zookeeper/imported.h"

namespace witan::migrate::zookeeper {

// Whole lines.
std::string describe(const Imported& imported);

// One JSON object, in pieces, a node a line: the report and everything that was read. Zxids and session ids are text in
// hexadecimal ("0x1f"), as ZooKeeper prints them; data is base64, null where it is null; cversion is the one clients
// see.
void write_json(const Imported& imported, Function<void(std::string_view)>& write);

}  // namespace witan::migrate::zookeeper
