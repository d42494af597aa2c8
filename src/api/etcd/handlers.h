// Every handler, by service. One .cc a service.
#pragma once

#include <memory>
#include <string_view>

#include "api/etcd/call.h"
#include "api/etcd/service.h"

namespace witan::api::etcd {

// KV
void kv_range(Service& service, CallKey call, std::string_view message);
std::unique_ptr<StreamHandler> kv_range_stream(Service& service, CallKey call);
void kv_put(Service& service, CallKey call, std::string_view message);
void kv_delete_range(Service& service, CallKey call, std::string_view message);
void kv_txn(Service& service, CallKey call, std::string_view message);
void kv_compact(Service& service, CallKey call, std::string_view message);

// Watch
std::unique_ptr<StreamHandler> watch_watch(Service& service, CallKey call);

// Lease
void lease_grant(Service& service, CallKey call, std::string_view message);
void lease_revoke(Service& service, CallKey call, std::string_view message);
void lease_time_to_live(Service& service, CallKey call, std::string_view message);
void lease_leases(Service& service, CallKey call, std::string_view message);
std::unique_ptr<StreamHandler> lease_keep_alive(Service& service, CallKey call);

// Cluster
void cluster_member_add(Service& service, CallKey call, std::string_view message);
void cluster_member_remove(Service& service, CallKey call, std::string_view message);
void cluster_member_update(Service& service, CallKey call, std::string_view message);
void cluster_member_list(Service& service, CallKey call, std::string_view message);
void cluster_member_promote(Service& service, CallKey call, std::string_view message);

// Maintenance
void maintenance_alarm(Service& service, CallKey call, std::string_view message);
void maintenance_status(Service& service, CallKey call, std::string_view message);
void maintenance_defragment(Service& service, CallKey call, std::string_view message);
void maintenance_hash(Service& service, CallKey call, std::string_view message);
void maintenance_hash_kv(Service& service, CallKey call, std::string_view message);
std::unique_ptr<StreamHandler> maintenance_snapshot(Service& service, CallKey call);
void maintenance_move_leader(Service& service, CallKey call, std::string_view message);
void maintenance_downgrade(Service& service, CallKey call, std::string_view message);

// Auth: off, and honest about it
void auth_status(Service& service, CallKey call, std::string_view message);
void auth_authenticate(Service& service, CallKey call, std::string_view message);
void auth_disable(Service& service, CallKey call, std::string_view message);
void auth_not_implemented(Service& service, CallKey call, std::string_view message);

// v3lockpb.Lock
std::unique_ptr<StreamHandler> lock_lock(Service& service, CallKey call);
void lock_unlock(Service& service, CallKey call, std::string_view message);

// v3electionpb.Election
std::unique_ptr<StreamHandler> election_campaign(Service& service, CallKey call);
void election_proclaim(Service& service, CallKey call, std::string_view message);
void election_leader(Service& service, CallKey call, std::string_view message);
std::unique_ptr<StreamHandler> election_observe(Service& service, CallKey call);
void election_resign(Service& service, CallKey call, std::string_view message);

// grpc.health.v1.Health
void health_check(Service& service, CallKey call, std::string_view message);
std::unique_ptr<StreamHandler> health_watch(Service& service, CallKey call);

}  // namespace witan::api::etcd
