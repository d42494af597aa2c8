// /zookeeper/config: the cluster's members in ZooKeeper's words (core T4), and what a reconfig says about them.
//
// A member is "server.N=host:port:0:participant;host:port" to clients: N its number, the first port where members reach
// it, the last part where clients do, and "observer" a learner. Members here have no second port, for elections: in its
// place stands what a reconfig named there, or 0, since ZooKeeper's own parser refuses two equal ports.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include "api/zookeeper/codes.h"
#include "api/zookeeper/records.h"
#include "base/blob.h"
#include "base/time.h"
#include "node/client.h"
#include "store/command.h"

namespace witan::api::zookeeper {

// What a loop knows of it.
class ConfigNode {
 public:
  // Takes the members of `version`, unless it knows newer ones. True: they are a change that watchers must hear of. The
  // first time they are not.
  bool take(std::span<const node::MemberInfo> members, uint64_t version, WallTime changed);
  // Completes what a read has found in the store, where this node has an access list and children but no data.
  void show(store::NodeReadsResult::Item& item) const;

 private:
  Blob text_;  // null: nothing is known
  uint64_t version_ = 0;
  WallTime changed_;
};

// As clients read it: a line for each member in the order of their numbers, and "version=" in hexadecimal without a
// line end.
std::string config_text(std::span<const node::MemberInfo> members, uint64_t version);

// What the request wants, and of which version. BadArguments or MarshallingError: it does not parse, as ZooKeeper would
// say it. A list of new members is all there is to it, whoever else is said to join or leave.
std::expected<node::ReplaceMembers, ErrorCode> lower(const ReconfigRequest& request);

}  // namespace witan::api::zookeeper
