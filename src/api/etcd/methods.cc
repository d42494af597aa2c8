#include <algorithm>
#include <array>

#include "api/etcd/handlers.h"

namespace witan::api::etcd {
namespace {

constexpr Method unary(std::string_view path, UnaryHandler handler, bool for_learners = false) {
  return {.path = path, .unary = handler, .for_learners = for_learners};
}
constexpr Method stream(std::string_view path, StreamOpener opener, bool for_learners = false) {
  return {.path = path, .open = opener, .streaming = true, .for_learners = for_learners};
}
// One request and one answer, but with something to remember in between.
constexpr Method waiting(std::string_view path, StreamOpener opener) { return {.path = path, .open = opener}; }
constexpr Method no_auth(std::string_view path) { return unary(path, auth_not_implemented); }

// Sorted by path when the program is compiled.
constexpr auto kMethods = [] {
  std::array methods = {
      unary("/etcdserverpb.KV/Range", kv_range, true),
      stream("/etcdserverpb.KV/RangeStream", kv_range_stream),
      unary("/etcdserverpb.KV/Put", kv_put),
      unary("/etcdserverpb.KV/DeleteRange", kv_delete_range),
      unary("/etcdserverpb.KV/Txn", kv_txn),
      unary("/etcdserverpb.KV/Compact", kv_compact),
      stream("/etcdserverpb.Watch/Watch", watch_watch),
      unary("/etcdserverpb.Lease/LeaseGrant", lease_grant),
      unary("/etcdserverpb.Lease/LeaseRevoke", lease_revoke),
      stream("/etcdserverpb.Lease/LeaseKeepAlive", lease_keep_alive),
      unary("/etcdserverpb.Lease/LeaseTimeToLive", lease_time_to_live),
      unary("/etcdserverpb.Lease/LeaseLeases", lease_leases),
      unary("/etcdserverpb.Cluster/MemberAdd", cluster_member_add),
      unary("/etcdserverpb.Cluster/MemberRemove", cluster_member_remove),
      unary("/etcdserverpb.Cluster/MemberUpdate", cluster_member_update),
      unary("/etcdserverpb.Cluster/MemberList", cluster_member_list),
      unary("/etcdserverpb.Cluster/MemberPromote", cluster_member_promote),
      unary("/etcdserverpb.Maintenance/Alarm", maintenance_alarm),
      unary("/etcdserverpb.Maintenance/Status", maintenance_status, true),
      unary("/etcdserverpb.Maintenance/Defragment", maintenance_defragment),
      unary("/etcdserverpb.Maintenance/Hash", maintenance_hash),
      unary("/etcdserverpb.Maintenance/HashKV", maintenance_hash_kv),
      stream("/etcdserverpb.Maintenance/Snapshot", maintenance_snapshot, true),
      unary("/etcdserverpb.Maintenance/MoveLeader", maintenance_move_leader),
      unary("/etcdserverpb.Maintenance/Downgrade", maintenance_downgrade),
      unary("/etcdserverpb.Auth/AuthStatus", auth_status),
      unary("/etcdserverpb.Auth/Authenticate", auth_authenticate),
      unary("/etcdserverpb.Auth/AuthDisable", auth_disable),
      no_auth("/etcdserverpb.Auth/AuthEnable"),
      no_auth("/etcdserverpb.Auth/UserAdd"),
      no_auth("/etcdserverpb.Auth/UserGet"),
      no_auth("/etcdserverpb.Auth/UserList"),
      no_auth("/etcdserverpb.Auth/UserDelete"),
      no_auth("/etcdserverpb.Auth/UserChangePassword"),
      no_auth("/etcdserverpb.Auth/UserGrantRole"),
      no_auth("/etcdserverpb.Auth/UserRevokeRole"),
      no_auth("/etcdserverpb.Auth/RoleAdd"),
      no_auth("/etcdserverpb.Auth/RoleGet"),
      no_auth("/etcdserverpb.Auth/RoleList"),
      no_auth("/etcdserverpb.Auth/RoleDelete"),
      no_auth("/etcdserverpb.Auth/RoleGrantPermission"),
      no_auth("/etcdserverpb.Auth/RoleRevokePermission"),
      waiting("/v3lockpb.Lock/Lock", lock_lock),
      unary("/v3lockpb.Lock/Unlock", lock_unlock),
      waiting("/v3electionpb.Election/Campaign", election_campaign),
      unary("/v3electionpb.Election/Proclaim", election_proclaim),
      unary("/v3electionpb.Election/Leader", election_leader),
      stream("/v3electionpb.Election/Observe", election_observe),
      unary("/v3electionpb.Election/Resign", election_resign),
      unary("/grpc.health.v1.Health/Check", health_check),
      stream("/grpc.health.v1.Health/Watch", health_watch),
  };
  std::ranges::sort(methods, {}, &Method::path);
  return methods;
}();

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view path) {
  const auto it = std::ranges::lower_bound(kMethods, path, {}, &Method::path);
  return it != kMethods.end() && it->path == path ? &*it : nullptr;
}

Status unknown_method(std::string_view path) {
  using enum wire::GrpcStatus;
  if (path.starts_with('/')) path.remove_prefix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {Unimplemented, "malformed method name: \"" + std::string(path) + "\""};
  const std::string service(path.substr(0, slash));
  const bool known = std::ranges::any_of(kMethods, [&](const Method& m) {
    return m.path.size() > service.size() + 2 && m.path.substr(1, service.size()) == service &&
           m.path[service.size() + 1] == '/';
  });
  if (!known) return {Unimplemented, "unknown service " + service};
  return {Unimplemented, "unknown method " + std::string(path.substr(slash + 1)) + " for service " + service};
}

}  // namespace witan::api::etcd
