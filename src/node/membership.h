// Member records: what the group knows of each member, kept inside raft's configuration (core M1, M2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "node/client.h"
#include "peer/peer.h"
#include "raft/raft.h"

namespace witan::node {

// The opaque `info` of a raft::Member.
struct MemberRecord {
  uint32_t number = 0;         // 1-254, never given twice
  std::string directory_uuid;  // of the data directory that first spoke under this id; empty until then
  std::string name;            // empty until the member has started once
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  std::string zookeeper;  // "host:port" where ZooKeeper's clients find it; empty: nowhere
  // Said to be for elections, behind the first of peer_urls; 0: nobody named one. Nothing listens there.
  uint16_t election_port = 0;

  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

Blob encode(const MemberRecord& record);
Result<MemberRecord> decode_member(std::string_view bytes);
MemberRecord record_of(const raft::Member& member);  // CHECKs that the info decodes: it was written by encode()

// etcd's rule: the first eight bytes of the SHA-1 of the sorted peer URLs, the cluster token and, for members added
// to a running cluster, the time in seconds. Computed once and stored (core M1).
uint64_t make_member_id(std::vector<std::string> peer_urls, std::string_view token, int64_t added_at_s);
// Of the initial members' ids, big-endian, sorted.
uint64_t make_cluster_id(std::vector<uint64_t> member_ids, std::string_view token);

struct InitialMember {
  std::string name;
  std::string peer_url;
  uint32_t number = 0;  // of all or of none; none: numbers follow the order of the names
  bool learner = false;
};
// The configuration every initial member starts from; equal inputs give equal bytes on every member.
raft::Configuration initial_configuration(const std::vector<InitialMember>& members, std::string_view token);

std::vector<MemberInfo> list_members(const raft::Configuration& configuration);
std::vector<peer::PeerRecord> peer_records(const raft::Configuration& configuration);

// What a change of members needs to know besides the configuration.
struct ChangeContext {
  WallTime now;
  std::string token;
  std::vector<raft::Progress> progress;  // of the leader's followers
  raft::NodeId self;                     // the leader
  raft::Index last_index;
  size_t max_learners = 1;
  bool reachable = true;  // by members that would be added
};
struct PlannedChange {
  raft::Configuration target;
  raft::NodeId subject;
};
// The configuration a change leads to, or why it is refused. Decides nothing about consensus.
std::expected<PlannedChange, MemberFailure> plan_change(const raft::Configuration& now, const MemberChange& change,
                                                        const ChangeContext& context);

}  // namespace witan::node
