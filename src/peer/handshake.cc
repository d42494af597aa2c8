#include "peer/handshake.h"

#include <algorithm>

#include <fmt/format.h>

namespace witan::peer {
namespace {

std::optional<std::string> refuse_protocol(const Hello& here, const Hello& there) {
  if (std::max(here.min_protocol, there.min_protocol) <= std::min(here.max_protocol, there.max_protocol)) return {};
  return fmt::format(
      "member {:x} speaks peer protocol {} to {} and member {:x} {} to {}: run versions of witan that have one in "
      "common",
      here.member.value, here.min_protocol, here.max_protocol, there.member.value, there.min_protocol,
      there.max_protocol);
}

std::optional<std::string> refuse_directory(const Hello& there, const PeerRecord* record) {
  if (record == nullptr || record->directory_uuid.empty() || record->directory_uuid == there.directory_uuid) return {};
  return fmt::format(
      "member {:x} comes with data directory {} but joined the cluster with {}: a replaced directory has forgotten its "
      "votes; "
      "start it on its old directory, or remove the member and add it again",
      there.member.value, there.directory_uuid.empty() ? "(none)" : there.directory_uuid, record->directory_uuid);
}

}  // namespace

std::optional<std::string> refuse_caller(const Hello& self, const Greeting& caller, const PeerRecord* record,
                                         bool removed) {
  const Hello& there = caller.hello;
  if (auto why = refuse_protocol(self, there)) return why;
  if (caller.purpose == Purpose::Join) {
    if (there.cluster_id == 0 && there.member == raft::kNobody) return {};
    return fmt::format("member {:x} asks to join but says that it belongs to cluster {:x}", there.member.value,
                       there.cluster_id);
  }
  if (there.cluster_id != self.cluster_id) {
    return fmt::format(
        "member {:x} belongs to cluster {:x} and member {:x} to cluster {:x}: check the peer addresses of both; a "
        "member changes "
        "its cluster only with an empty data directory",
        self.member.value, self.cluster_id, there.member.value, there.cluster_id);
  }
  if (there.target != self.member) {
    return fmt::format("member {:x} was called at an address where member {:x} answers: correct it with member update",
                       there.target.value, self.member.value);
  }
  if (there.member == self.member) {
    return fmt::format("two processes say that they are member {:x}: stop the one that should not run",
                       self.member.value);
  }
  if (removed) {
    return fmt::format(
        "member {:x} is not a member of cluster {:x} any more: it was removed; a removed member returns through member "
        "add with an empty data directory",
        there.member.value, self.cluster_id);
  }
  if (there.member == raft::kNobody) return "a member without an id";
  return refuse_directory(there, record);
}

std::optional<std::string> refuse_callee(const Greeting& said, const Hello& answer, const PeerRecord* record) {
  if (auto why = refuse_protocol(said.hello, answer)) return why;
  if (said.purpose == Purpose::Join) return {};
  if (answer.cluster_id != said.hello.cluster_id) {
    return fmt::format(
        "a member of cluster {:x} answers where member {:x} of cluster {:x} was called: correct the address with "
        "member update",
        answer.cluster_id, said.hello.target.value, said.hello.cluster_id);
  }
  if (answer.member != said.hello.target) {
    return fmt::format("member {:x} answers where member {:x} was called: correct the address with member update",
                       answer.member.value, said.hello.target.value);
  }
  return refuse_directory(answer, record);
}

}  // namespace witan::peer
