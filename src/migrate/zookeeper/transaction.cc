#include "migrate/zookeeper/transaction.h"

#include <utility>

#include <fmt/format.h>

namespace witan::migrate::zookeeper {
namespace {

constexpr size_t kDigestSize = 12;

Blob read_data(Input& in) {
  const auto data = in.buffer();
  return data ? Blob(*data) : Blob();
}

// A node's path, as far as a tree needs it to be one: which characters are allowed is up to whoever takes the nodes.
std::string read_path(Input& in) {
  std::string path(in.string());
  if (!in.ok()) return path;
  const bool parts = path.starts_with('/') && path.find("//") == std::string::npos;
  if (!parts || (path.size() > 1 && path.ends_with('/'))) in.refuse(fmt::format("'{}' is no path", path));
  return path;
}

// A path that can come and go.
std::string read_child_path(Input& in) {
  std::string path = read_path(in);
  if (path == "/") in.refuse("the root is created or deleted");
  return path;
}

// Digests of transactions come behind what is told apart here, so lengths decide.
bool only_digest_left(Input& in) { return in.peek(kDigestSize + 1).size() == kDigestSize; }

Operation read_create(Input& in, Type type) {
  Create create{.path = read_child_path(in), .data = read_data(in), .acl = read_acl(in)};
  if (type == Type::CreateTtl || type == Type::CreateContainer) {
    create.kind = type == Type::CreateTtl ? Kind::Ttl : Kind::Container;
    create.parent_cversion = in.int32();
    if (type == Type::CreateTtl) create.ttl_ms = in.int64();
    if (create.ttl_ms < 0) in.refuse(fmt::format("a TTL of {} ms", create.ttl_ms));
    return {type, std::move(create)};
  }
  if (in.boolean()) create.kind = Kind::Ephemeral;
  // Logs before ZooKeeper 3.4 end here.
  if (in.ok() && !in.at_end() && !only_digest_left(in)) create.parent_cversion = in.int32();
  return {type, std::move(create)};
}

// A digest's first number, its version, is 2 or more, and so many paths do not fit into its other 8 bytes.
bool closes_without_paths(Input& in) {
  if (in.at_end()) return true;
  const std::string_view rest = in.peek(kDigestSize + 1);
  if (rest.size() != kDigestSize) return false;
  Input count(rest);
  return count.int32() >= 2;
}

Operation read_close_session(Input& in) {
  CloseSession close;
  if (!closes_without_paths(in)) {
    const int32_t count = in.int32();
    if (count < -1) in.refuse(fmt::format("{} paths", count));
    for (int32_t i = 0; i < count && in.ok(); ++i) close.paths.push_back(read_child_path(in));
  }
  return {Type::CloseSession, std::move(close)};
}

// Everything but a multi.
Operation read_operation(Input& in, Type type) {
  switch (type) {
    case Type::Create:
    case Type::Create2:
    case Type::CreateContainer:
    case Type::CreateTtl: return read_create(in, type);
    case Type::Delete:
    case Type::DeleteContainer: return {type, Delete{read_child_path(in)}};
    case Type::SetData:
    case Type::Reconfig: return {type, SetData{.path = read_path(in), .data = read_data(in), .version = in.int32()}};
    case Type::SetAcl: return {type, SetAcl{.path = read_path(in), .acl = read_acl(in), .version = in.int32()}};
    case Type::Check:
      read_path(in);
      in.int32();
      return {type, Nothing()};
    case Type::CreateSession: return {type, CreateSession{in.int32()}};
    case Type::CloseSession: return read_close_session(in);
    case Type::Error: in.int32(); return {type, Nothing()};
    case Type::Multi: break;
  }
  in.refuse(fmt::format("transactions of type {} are not known", static_cast<int32_t>(type)));
  return {};
}

bool may_stand_in_multi(Type type) {
  switch (type) {
    case Type::Multi:
    case Type::CreateSession:
    case Type::CloseSession:
    case Type::SetAcl:
    case Type::Reconfig: return false;
    default: return true;
  }
}

// A refused multi is left without operations. What a refused part carries means nothing: ZooKeeper may write the
// original request there as well as an error's number.
std::vector<Operation> read_multi(Input& in) {
  std::vector<Operation> operations;
  const int32_t count = in.int32();
  if (count < -1) in.refuse(fmt::format("{} parts", count));
  bool refused = false;
  for (int32_t i = 0; i < count && in.ok(); ++i) {
    const auto type = static_cast<Type>(in.int32());
    const uint64_t start = in.offset() + sizeof(int32_t);
    const std::string_view data = in.string();
    if (!in.ok()) break;
    if (type == Type::Error) {
      refused = true;
      continue;
    }
    if (!may_stand_in_multi(type)) in.refuse(fmt::format("a part of type {} in a multi", static_cast<int32_t>(type)));
    if (refused) continue;
    Input part(data, start);
    Operation operation = read_operation(part, type);
    if (!part.ok()) in.refuse(part.fault().what);
    if (part.ok() && !part.at_end()) in.refuse("a part of a multi goes on behind its end");
    operations.push_back(std::move(operation));
  }
  if (refused) operations.clear();
  return operations;
}

}  // namespace

std::string_view type_name(Type type) {
  switch (type) {
    case Type::Error: return "error";
    case Type::CreateSession: return "createSession";
    case Type::CloseSession: return "closeSession";
    case Type::Create: return "create";
    case Type::Delete: return "delete";
    case Type::SetData: return "setData";
    case Type::SetAcl: return "setACL";
    case Type::Check: return "check";
    case Type::Multi: return "multi";
    case Type::Create2: return "create2";
    case Type::Reconfig: return "reconfig";
    case Type::CreateContainer: return "createContainer";
    case Type::DeleteContainer: return "deleteContainer";
    case Type::CreateTtl: return "createTTL";
  }
  return {};
}

std::optional<AclList> read_acl(Input& in) {
  const int32_t count = in.int32();
  if (!in.ok() || count == -1) return {};
  if (count < 0) in.refuse(fmt::format("{} ACLs", count));
  AclList list;
  for (int32_t i = 0; i < count && in.ok(); ++i) {
    Acl acl{.permissions = in.int32()};
    acl.scheme = in.string();
    acl.id = in.string();
    list.push_back(std::move(acl));
  }
  return list;
}

Decoded<Transaction> decode_transaction(std::string_view payload, uint64_t offset) {
  Input in(payload, offset);
  Transaction transaction{.session = in.int64()};
  in.int32();  // the client's number for its request
  transaction.zxid = in.int64();
  transaction.time_ms = in.int64();
  transaction.type = static_cast<Type>(in.int32());
  if (in.ok() && transaction.zxid <= 0) in.refuse(fmt::format("a zxid of {}", transaction.zxid));
  if (transaction.type == Type::Multi) {
    transaction.operations = read_multi(in);
  } else {
    transaction.operations.push_back(read_operation(in, transaction.type));
  }
  if (only_digest_left(in)) {
    transaction.digest.emplace();
    transaction.digest->version = in.int32();
    transaction.digest->digest = static_cast<uint64_t>(in.int64());
  }
  // Behind an error the original request may stand, see read_multi().
  const bool whole = in.at_end() || transaction.type == Type::Error;
  if (in.ok() && !whole) in.refuse(fmt::format("a {} goes on behind its end", type_name(transaction.type)));
  if (!in.ok()) return std::unexpected(in.fault());
  return transaction;
}

}  // namespace witan::migrate::zookeeper
