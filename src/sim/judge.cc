// A world's judgement: what was recorded, given to the checkers.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/world.h"
#include "verify/node_watch.h"
#include "verify/wing_gong.h"

namespace witan::sim {
namespace {

// The search is exponential at worst; a few hundred calls of one key are plenty.
constexpr size_t kRegisterCalls = 150;

bool touches_register(const verify::Call& call) {
  if (const auto* put = std::get_if<verify::Put>(&call.operation)) return put->key == kRegister;
  if (const auto* erase = std::get_if<verify::Delete>(&call.operation)) return erase->begin == kRegister;
  if (const auto* range = std::get_if<verify::Range>(&call.operation)) return range->begin == kRegister;
  const auto& txn = std::get<verify::Txn>(call.operation);
  return !txn.when.empty() && txn.when.front().key == kRegister;
}

verify::RegisterCall register_call(const verify::Call& call) {
  verify::RegisterCall out{.action = {}, .invoked = call.invoked, .returned = call.returned, .outcome = call.outcome};
  if (const auto* put = std::get_if<verify::Put>(&call.operation)) {
    out.action = verify::RegisterWrite{put->value};
  } else if (std::holds_alternative<verify::Delete>(call.operation)) {
    out.action = verify::RegisterDelete{};
  } else if (std::holds_alternative<verify::Range>(call.operation)) {
    verify::RegisterRead read;
    const auto* reply = std::get_if<verify::RangeReply>(&call.reply.answer);
    if (reply != nullptr && !reply->kvs.empty()) read.value = reply->kvs.front().version.value;
    out.action = std::move(read);
  } else {
    const auto& txn = std::get<verify::Txn>(call.operation);
    verify::RegisterCompareAndSet swap;
    if (txn.when.front().target == verify::Compare::Target::Value) swap.expected = txn.when.front().text;
    swap.desired = std::get<verify::Put>(txn.then.front()).value;
    const auto* reply = std::get_if<verify::TxnReply>(&call.reply.answer);
    swap.swapped = reply != nullptr && reply->succeeded;
    out.action = std::move(swap);
  }
  return out;
}

// The first ones to return; of those under way then nothing is known.
std::vector<verify::RegisterCall> register_calls(const std::vector<verify::Call>& all) {
  std::vector<verify::RegisterCall> out;
  std::optional<Instant> cut;
  for (const verify::Call& call : all) {
    if (!touches_register(call) || (cut && call.invoked >= *cut)) continue;
    out.push_back(register_call(call));
    if (cut) out.back().outcome = verify::Outcome::Unknown;
    if (out.size() == kRegisterCalls) cut = call.returned;
  }
  return out;
}

std::vector<verify::Violation> check_observations(const History& history, const verify::Truth& truth) {
  verify::Findings findings;
  for (const auto& [stream, seen] : history.observations) {
    int64_t last = 0;
    for (const Observation& one : seen) {
      if (one.mod_revision < last) {
        findings.add("observe", fmt::format("{} told revision {} after {}", stream, one.mod_revision, last));
      }
      last = one.mod_revision;
      const bool exists = truth.has(one.mod_revision) &&
                          std::ranges::any_of(truth.changes(one.mod_revision), [&](const verify::Change& change) {
                            return change.after && change.after->value == one.value;
                          });
      if (!exists) {
        findings.add("observe", fmt::format("{} told of {} at revision {}, where nobody wrote it", stream,
                                            verify::printable(one.value), one.mod_revision));
      }
    }
  }
  return findings.take();
}

// Whoever is told that it holds a lock has the key by which it holds it (Jepsen, etcd #11456).
std::vector<verify::Violation> check_grants(const History& history, const verify::Truth& truth) {
  verify::Findings findings;
  for (const Grant& grant : history.grants) {
    if (!truth.has(grant.revision) || truth.at(grant.key, grant.revision)) continue;
    findings.add("granted", fmt::format("{} was granted at revision {}, where it does not exist",
                                        verify::printable(grant.key), grant.revision));
  }
  return findings.take();
}

}  // namespace

std::vector<verify::Violation> World::judge() {
  std::vector<verify::Violation> out = observer_.take_violations();
  const auto add = [&](std::vector<verify::Violation> more) {
    for (verify::Violation& violation : more) out.push_back(std::move(violation));
  };
  const verify::Truth& truth = observer_.truth();
  add(verify::check_linearizability(
      truth, history_.calls,
      {.lease_ends = observer_.lease_end_revisions(),
       .internal_prefixes = {std::string(kLockPrefix), std::string(kElectionPrefix), std::string(kNodeRoot)}}));
  const verify::RegisterJudgement judged = verify::check_register(register_calls(history_.calls));
  if (judged.verdict == verify::Verdict::Undecided) count("undecided register histories");
  add(judged.violations);
  for (const auto& [name, attachments] : history_.watches) {
    for (const verify::WatchAttachment& attachment : attachments) add(verify::check_watch(truth, attachment));
    add(verify::check_resumption(truth, attachments));
  }
  for (verify::LeaseHistory& lease : history_.leases) {
    const auto end = observer_.lease_ends().find(lease.id);
    if (end != observer_.lease_ends().end()) lease.ended = end->second.when;
    lease.granted = observer_.leases_ever().contains(lease.id);
    add(verify::check_lease(lease, {.max_drift_per_mille = kMaxDrift,
                                    .grace = seconds(3) + 10 * plan_.election,
                                    .end_of_faults = end_of_faults_,
                                    .end_of_world = scheduler_.now()}));
  }
  add(judge_sessions());
  for (const auto& [queue, holds] : history_.holds) add(verify::check_mutex(holds, history_.fenced_writes[queue]));
  add(check_observations(history_, truth));
  add(check_grants(history_, truth));
  add(check_members());
  return out;
}

// ZooKeeper's promises. What revisions of nodes come from is judged here, and not as calls of etcd's clients.
std::vector<verify::Violation> World::judge_sessions() {
  const verify::Nodes nodes(observer_.truth());
  std::vector<verify::Violation> out = verify::check_session_log(nodes, observer_.session_log());
  const auto add = [&](std::vector<verify::Violation> more) {
    for (verify::Violation& violation : more) out.push_back(std::move(violation));
  };
  for (const verify::SessionHistory& session : history_.sessions) {
    add(verify::check_session(nodes, observer_.session_log(), session,
                              {.max_drift_per_mille = kMaxDrift,
                               .grace = seconds(4) + 10 * plan_.election,
                               .end_of_faults = end_of_faults_,
                               .end_of_world = scheduler_.now()}));
    add(verify::check_node_watches(nodes, session));
  }
  return out;
}

// Members check themselves and each other; what they find is a bug of theirs unless the world damaged something.
std::vector<verify::Violation> World::check_members() {
  verify::Findings findings;
  for (const auto& [machine, member] : members_) {
    for (const Error& error : member->complaints()) {
      findings.add("self-check", fmt::format("m{} ended itself: {}", machine, error.message));
    }
  }
  for (const auto& [kind, n] : journal_.kinds()) {
    if (kind.contains("not the majority's")) findings.add("self-check", fmt::format("{} times: {}", n, kind));
  }
  return findings.take();
}

void World::count_everything() {
  count("calls", history_.calls.size());
  for (const verify::Call& call : history_.calls) {
    count(fmt::format("calls {}", verify::outcome_name(call.outcome)));
  }
  for (const auto& [name, attachments] : history_.watches) {
    count("watch attachments", attachments.size());
    for (const verify::WatchAttachment& attachment : attachments) {
      for (const verify::WatchMessage& message : attachment.messages) {
        count("watch messages");
        count("watch events", message.events.size());
        if (message.kind == verify::WatchMessage::Kind::Progress) count("progress notifications");
        if (message.compact_revision > 0) count("path: watch canceled by compaction");
      }
    }
  }
  for (const verify::LeaseHistory& lease : history_.leases) {
    count("leases");
    count("lease renewals", lease.renewals.size());
  }
  for (const auto& [id, end] : observer_.lease_ends()) count(end.expired ? "leases expired" : "leases revoked");
  for (const verify::SessionHistory& session : history_.sessions) {
    count("sessions");
    for (const verify::SessionConnection& connection : session.connections) {
      count("session connections");
      count("session requests", connection.requests.size());
      if (connection.refused) count("path: session expired");
      for (const auto& heard : connection.heard) {
        count(std::holds_alternative<verify::NodeEvent>(heard) ? "node events" : "session answers");
      }
    }
  }
  for (const auto& [queue, holds] : history_.holds) count("locks and leads held", holds.size());
  for (const auto& [queue, writes] : history_.fenced_writes) count("fenced writes", writes.size());
  for (const auto& [stream, seen] : history_.observations) count("observations", seen.size());
  count("revisions", static_cast<uint64_t>(observer_.truth().revision()));
  count("entries", observer_.ledger().highest().index);
  count("elections", observer_.elections());
  count("disks examined", observer_.examinations());
  count("path: snapshot installed", observer_.snapshots_installed());
  count("configurations committed", observer_.configurations());
  for (const auto& [machine, member] : members_) {
    count("lives of members", member->lives());
    count("path: write torn", member->disk().torn_writes());
  }
  for (const auto& [kind, n] : journal_.kinds()) count("log: " + kind, n);
}

}  // namespace witan::sim
