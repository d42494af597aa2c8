// The numbers of ZooKeeper's protocol. All of them are on the wire and never change their meaning.
#pragma once

#include <cstdint>
#include <optional>

namespace witan::api::zookeeper {

enum class OpCode : int32_t {
  CloseSession = -11,
  Error = -1,  // in a multi's answer, an operation that failed
  Create = 1,
  Delete = 2,
  Exists = 3,
  GetData = 4,
  SetData = 5,
  GetAcl = 6,
  SetAcl = 7,
  GetChildren = 8,
  Sync = 9,
  Ping = 11,
  GetChildren2 = 12,
  Check = 13,  // only inside a multi
  Multi = 14,
  Create2 = 15,
  Reconfig = 16,
  CheckWatches = 17,
  RemoveWatches = 18,
  CreateContainer = 19,
  DeleteContainer = 20,
  CreateTtl = 21,
  MultiRead = 22,
  Auth = 100,
  SetWatches = 101,
  Sasl = 102,
  GetEphemerals = 103,
  GetAllChildrenNumber = 104,
  SetWatches2 = 105,
  AddWatch = 106,
  WhoAmI = 107,
};

// Xids that mean something. Others are the client's own count.
inline constexpr int32_t kNotificationXid = -1;
inline constexpr int32_t kPingXid = -2;  // of the answer to any ping, whatever xid it was asked with
inline constexpr int32_t kAuthXid = -4;
inline constexpr int32_t kSetWatchesXid = -8;

// Java's client throws on a code it does not know, so there are no others.
enum class ErrorCode : int32_t {
  Ok = 0,
  SystemError = -1,
  RuntimeInconsistency = -2,
  DataInconsistency = -3,
  ConnectionLoss = -4,  // only clients say it
  MarshallingError = -5,
  Unimplemented = -6,
  OperationTimeout = -7,  // only clients say it
  BadArguments = -8,
  UnknownSession = -12,
  NewConfigNoQuorum = -13,
  ReconfigInProgress = -14,
  ApiError = -100,
  NoNode = -101,
  NoAuth = -102,
  BadVersion = -103,
  NoChildrenForEphemerals = -108,
  NodeExists = -110,
  NotEmpty = -111,
  SessionExpired = -112,
  InvalidCallback = -113,
  InvalidAcl = -114,
  AuthFailed = -115,
  SessionMoved = -118,
  NotReadOnly = -119,
  EphemeralOnLocalSession = -120,
  NoWatcher = -121,
  RequestTimeout = -122,
  ReconfigDisabled = -123,
  SessionClosedRequireSaslAuth = -124,
  QuotaExceeded = -125,
  ThrottledOp = -127,
};

enum class EventType : int32_t { NodeCreated = 1, NodeDeleted = 2, NodeDataChanged = 3, NodeChildrenChanged = 4 };

// Of the connection, as an event tells it.
enum class KeeperState : int32_t {
  Disconnected = 0,
  SyncConnected = 3,
  AuthFailed = 4,
  ConnectedReadOnly = 5,
  SaslAuthenticated = 6,
  Closed = 7,
  Expired = -112,
};

enum class WatcherType : int32_t { Children = 1, Data = 2, Any = 3, Persistent = 4, PersistentRecursive = 5 };
std::optional<WatcherType> watcher_type(int32_t number);

enum class AddWatchMode : int32_t { Persistent = 0, PersistentRecursive = 1 };
std::optional<AddWatchMode> add_watch_mode(int32_t number);

// The bits of an ACL.
inline constexpr int32_t kPermRead = 1;
inline constexpr int32_t kPermWrite = 2;
inline constexpr int32_t kPermCreate = 4;
inline constexpr int32_t kPermDelete = 8;
inline constexpr int32_t kPermAdmin = 16;
inline constexpr int32_t kPermAll = 31;

// The flags of a create.
enum class CreateMode : int32_t {
  Persistent = 0,
  Ephemeral = 1,
  PersistentSequential = 2,
  EphemeralSequential = 3,
  Container = 4,
  Ttl = 5,
  TtlSequential = 6,
};
std::optional<CreateMode> create_mode(int32_t flags);
constexpr bool is_ephemeral(CreateMode m) { return m == CreateMode::Ephemeral || m == CreateMode::EphemeralSequential; }
constexpr bool is_sequential(CreateMode m) {
  return m == CreateMode::PersistentSequential || m == CreateMode::EphemeralSequential ||
         m == CreateMode::TtlSequential;
}
constexpr bool is_ttl(CreateMode m) { return m == CreateMode::Ttl || m == CreateMode::TtlSequential; }

// A TTL is kept in 40 bits beside the mark that says it is one: 34.8 years.
inline constexpr int64_t kMaxTtlMs = 0xff'ffff'ffff;

// What a node is made as. At most one of ephemeral, container and ttl_ms != 0 holds.
struct CreateKind {
  bool ephemeral = false;
  bool sequential = false;
  bool container = false;
  int64_t ttl_ms = 0;  // 0: none
};
// What the opcode and the flags of a create make together; `ttl_ms` is -1 for opcodes that carry none. Nullopt: the
// flags are unknown or the TTL does not go with them (BADARGUMENTS). The opcode alone makes a container: the flag with
// another opcode makes an ordinary node, and createContainer makes a container with whatever flags.
std::optional<CreateKind> create_kind(OpCode op, int32_t flags, int64_t ttl_ms);

}  // namespace witan::api::zookeeper
