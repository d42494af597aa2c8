// From ZooKeeper's requests to the store's operations, and from the store's results to ZooKeeper's replies. What the
// request and the connection alone decide is decided here; everything else where the operation is applied (core C3).
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/identities.h"
#include "api/zookeeper/records.h"
#include "api/zookeeper/replies.h"
#include "api/zookeeper/root.h"
#include "store/command.h"

namespace witan::api::zookeeper {

// Makes operations, and owns the texts they need beyond the request's.
class Lowering {
 public:
  Lowering(const Root& root, const Identities& identities) : root_(root), identities_(identities) {}

  store::NodeOperation lower(const CreateRequest& request);
  store::NodeOperation lower(const DeleteRequest& request);
  store::NodeOperation lower(const SetDataRequest& request);
  store::NodeOperation lower(const SetAclRequest& request);
  store::NodeOperation lower(const CheckRequest& request);
  store::NodeTxn lower(const MultiRequest& request);
  std::string_view path(std::string_view of_client);

 private:
  const Root& root_;
  const Identities& identities_;
  std::deque<std::string> texts_;
};

// What an operation of a multi is answered as: Create, Create2, Delete, SetData or Check.
OpCode answer_of(const WriteOp& op);

// Of a node as ZooKeeper's Stat.
Stat stat_of(const store::NodeStat& stat);

// What a client is told of an access list: without the right to administer it, no hashes.
class AclAnswer {
 public:
  AclAnswer(std::string_view acl, bool is_admin);
  std::span<const Acl> acl() const { return acl_; }

 private:
  std::deque<std::string> masked_;
  std::vector<Acl> acl_;
};

// The answers of a multi that was done: `parts` is answer_of() each operation.
std::vector<MultiResult> multi_results(std::span<const OpCode> parts, const store::NodeTxnResult& result,
                                       const Root& root);
// And of one that failed.
std::vector<MultiResult> failed_multi(size_t parts, const store::Failure& failure);

}  // namespace witan::api::zookeeper
