// etcd's messages, as simulated clients write and read them: the words of verify on one side, protobuf on the other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/kv.h"
#include "verify/watch.h"

namespace witan::sim::etcd {

// ---- KV
std::string path_of(const verify::Operation& operation);
std::string encode(const verify::Operation& operation, bool serializable);
verify::Reply decode_reply(const verify::Operation& operation, std::string_view bytes);
std::string encode_compaction(int64_t revision);

// ---- Watch
struct WatchResponse {
  int64_t watch_id = 0;
  std::vector<verify::WatchMessage> messages;  // what one response says, as verify has it
};
std::string encode_watch(const verify::WatchAttachment& wanted, int64_t watch_id);
std::string encode_watch_cancel(int64_t watch_id);
std::string encode_progress_request();
WatchResponse decode_watch(std::string_view bytes, Instant at);

// ---- Lease
struct LeaseReply {
  int64_t id = 0;
  int64_t ttl_s = 0;
};
std::string encode_grant(int64_t id, int64_t ttl_s);
std::string encode_lease_id(int64_t id);  // of a revocation or a keep-alive
LeaseReply decode_grant(std::string_view bytes);
LeaseReply decode_keep_alive(std::string_view bytes);

// ---- Lock and Election
struct Held {
  std::string key;
  int64_t revision = 0;  // of a lock the header's, of an election the leader key's
  int64_t lease = 0;
  std::string name;
  std::string value;
};
std::string encode_lock(std::string_view name, int64_t lease);
Held decode_lock(std::string_view bytes);
std::string encode_unlock(std::string_view key);
std::string encode_campaign(std::string_view name, int64_t lease, std::string_view value);
Held decode_campaign(std::string_view bytes);
std::string encode_proclaim(const Held& leader, std::string_view value);
std::string encode_resign(const Held& leader);
std::string encode_observe(std::string_view name);
verify::KeyVersion decode_observed(std::string_view bytes);

// ---- Members and maintenance
struct MemberItem {
  uint64_t id = 0;
  bool learner = false;
  bool started = false;
  std::string peer_url;
};
std::string encode_member_list(bool linearizable);
std::vector<MemberItem> decode_members(std::string_view bytes);
std::string encode_member_add(std::string_view peer_url, bool learner);
std::string encode_member_id(uint64_t id);  // of a removal or a promotion
std::string encode_move_leader(uint64_t to);

}  // namespace witan::sim::etcd
