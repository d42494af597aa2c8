// What members ask each other besides raft's messages: payloads of peer::Call, in protobuf's wire format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "node/client.h"
#include "node/membership.h"
#include "raft/raft.h"
#include "store/store.h"

namespace witan::node {

enum class CallKind : uint8_t {
  Forward = 1,    // commands for the leader to append
  ReadIndex = 2,  // the index a linearizable read must wait for
  RenewLeases = 3,
  LeaseTime = 4,
  ChangeMembers = 5,
  Publish = 6,     // a started member tells the leader its name, client URLs and directory UUID
  AskMembers = 7,  // the only call a joiner may make
  Digest = 8,      // what the state is at an entry (core S7)
  Rebuild = 9,     // the leader says that the state of whom it asks is not the majority's
};

// A refusal travels as code and text; nothing of what was asked was done.
Blob encode_refusal(const Error& error);

// Forward: the commands, and the term that the sender takes for the present one; reply: where they went in the log, or
// a refusal (core P1).
struct Forwarded {
  raft::Term term;
  std::vector<Blob> commands;
};
Blob encode_forward(raft::Term term, const std::vector<Blob>& commands);
Result<Forwarded> decode_forward(std::string_view bytes);
Blob encode_accepted(const raft::Accepted& accepted);
Result<raft::Accepted> decode_accepted(std::string_view bytes);

// ReadIndex: empty; reply: the index.
Blob encode_index(raft::Index index);
Result<raft::Index> decode_index(std::string_view bytes);

// RenewLeases: ids; reply: the TTL of each in milliseconds, 0 for one that does not exist.
struct LeaseName {
  store::LeaseId id;
  store::LeaseKind kind = store::LeaseKind::Etcd;
};
Blob encode_renewals(const std::vector<LeaseName>& leases);
Result<std::vector<LeaseName>> decode_renewals(std::string_view bytes);
Blob encode_ttls(const std::vector<int64_t>& ttls_ms);
Result<std::vector<int64_t>> decode_ttls(std::string_view bytes);

// LeaseTime: one lease as in RenewLeases; reply: found, granted, remaining (keys are read where they are asked for).
Blob encode_lease_time(const LeaseTime& time);
Result<LeaseTime> decode_lease_time(std::string_view bytes);

// ChangeMembers: the change; reply: the members after it, or why not.
Blob encode_change(const MemberChange& change);
Result<MemberChange> decode_change(std::string_view bytes);
using ChangeResult = std::expected<MembersChanged, MemberFailure>;
Blob encode_change_result(const ChangeResult& result);
Result<ChangeResult> decode_change_result(std::string_view bytes);

// Publish: the sender's record (its id is known from the connection); reply: empty, or a refusal.
// AskMembers: empty; reply: the cluster and its members.
struct MembersAnswer {
  uint64_t cluster_id = 0;
  std::string token;
  std::vector<MemberInfo> members;
};
Blob encode_members(const MembersAnswer& answer);
Result<MembersAnswer> decode_members(std::string_view bytes);

// Digest: an index as in ReadIndex's reply; reply: the digest there, if it is known. Rebuild: both empty.
struct DigestAnswer {
  uint32_t version = 0;
  std::optional<store::Digest> digest;
};
Blob encode_digest(const DigestAnswer& answer);
Result<DigestAnswer> decode_digest(std::string_view bytes);

}  // namespace witan::node
