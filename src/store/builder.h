// A store made at once from what another service held, instead of command by command.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/blob.h"
#include "base/result.h"
#include "store/command.h"
#include "store/store.h"

namespace witan::store {

// One node as ZooKeeper's clients see it.
struct BuiltNode {
  std::string_view path;
  Blob value;     // null is not empty; stat.data_bytes is not looked at
  NodeStat stat;  // modified 0: nobody ever wrote it, which only the root and the base of the hidden table may say
  Blob acl;       // see store/acl.h
  NodeKind kind = NodeKind::Ordinary;
  int64_t ttl_ms = 0;  // of a Ttl
};

// Everything that is put in happened at revisions below `revision`, and history begins there. Every error is Invalid, a
// clause that names the node; then only destruction is left.
class StoreBuilder {
 public:
  explicit StoreBuilder(Revision revision);
  ~StoreBuilder();
  StoreBuilder(const StoreBuilder&) = delete;
  StoreBuilder& operator=(const StoreBuilder&) = delete;

  Result<> add_session(LeaseId id, int64_t ttl_ms);
  // Sessions come before what they own, parents before their children. /zookeeper/config is none of them: it follows
  // from the members.
  Result<> add_node(BuiltNode node);
  // Once, at the end. The store has applied nothing yet.
  Result<std::unique_ptr<Store>> finish();

 private:
  struct Progress;
  std::unique_ptr<Progress> progress_;
};

}  // namespace witan::store
