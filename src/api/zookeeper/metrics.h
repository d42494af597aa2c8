// The gauges and counters that `mntr` and the AdminServer's `monitor` show, under ZooKeeper's names.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "api/zookeeper/operators.h"

namespace witan::api::zookeeper {

struct Metric {
  std::string_view name;  // "znode_count"; mntr puts zk_ before it
  std::variant<std::string, int64_t, double> value;
};

// Only what is measured. In ZooKeeper's order where it has one.
std::vector<Metric> metrics(const Facts& facts, const Report& report);

// As Java writes a double, rounded to four digits: "0.0", "1.0185".
std::string java_double(double value);

}  // namespace witan::api::zookeeper
