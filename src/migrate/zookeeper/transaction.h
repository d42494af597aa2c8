// One record of a ZooKeeper transaction log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/blob.h"
#include "migrate/zookeeper/imported.h"
#include "migrate/zookeeper/input.h"

namespace witan::migrate::zookeeper {

enum class Type : int32_t {
  Error = -1,  // a write that was refused
  CreateSession = -10,
  CloseSession = -11,
  Create = 1,
  Delete = 2,
  SetData = 5,
  SetAcl = 7,
  Check = 13,
  Multi = 14,
  Create2 = 15,
  Reconfig = 16,
  CreateContainer = 19,
  DeleteContainer = 20,
  CreateTtl = 21,
};
// As in ZooKeeper's documentation ("create2"); empty when there is no such type.
std::string_view type_name(Type type);

struct Create {
  std::string path;
  Blob data;
  std::optional<AclList> acl;  // nothing: open to the world
  Kind kind = Kind::Ordinary;
  int64_t ttl_ms = 0;
  int32_t parent_cversion = -1;  // what the parent's becomes; -1 (logs before ZooKeeper 3.4): one more than it is
};
struct Delete {
  std::string path;
};
struct SetData {
  std::string path;
  Blob data;
  int32_t version = 0;  // the new one
};
struct SetAcl {
  std::string path;
  std::optional<AclList> acl;
  int32_t version = 0;  // the new one
};
struct CreateSession {
  int32_t timeout_ms = 0;
};
struct CloseSession {
  std::vector<std::string> paths;  // of its ephemeral nodes; logs before ZooKeeper 3.6 do not say them
};
struct Nothing {};  // a check that held, or a write that was refused

struct Operation {
  Type type = Type::Error;
  std::variant<Nothing, Create, Delete, SetData, SetAcl, CreateSession, CloseSession> body;
};

// The digest of the whole tree after a transaction.
struct TreeDigestClaim {
  int32_t version = 0;
  uint64_t digest = 0;
};

struct Transaction {
  int64_t session = 0;
  int64_t zxid = 0;
  int64_t time_ms = 0;
  Type type = Type::Error;
  std::vector<Operation> operations;  // of a multi any number, none if it was refused; of everything else one
  std::optional<TreeDigestClaim> digest;
};

// Every byte of `payload` is understood, or it is a Problem; `offset` is where it stands in its file.
Decoded<Transaction> decode_transaction(std::string_view payload, uint64_t offset);

// How ACLs stand in logs and in snapshots; nothing for null.
std::optional<AclList> read_acl(Input& in);

}  // namespace witan::migrate::zookeeper
