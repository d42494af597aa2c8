#include "node/auditor.h"

#include <algorithm>
#include <utility>

#include "node/calls.h"

namespace witan::node {
namespace {

constexpr size_t kMaxAsked = 16;       // questions that wait for an entry; the leader asks one at a time
constexpr int kSplitsBeforeAlarm = 5;  // members that are down may still tip the scales

}  // namespace

Auditor::Auditor(raft::NodeId self, Duration patience, Remedies remedies, Logger logger)
    : self_(self), patience_(patience), remedies_(std::move(remedies)), logger_(std::move(logger)) {}

// ---- What every member does ---------------------------------------------------------------------

void Auditor::applied(raft::Index index, const store::Digest& digest) {
  log_.note(index, digest);
  while (!asked_.empty() && asked_.begin()->first <= index) {
    auto question = asked_.extract(asked_.begin());
    const auto known = log_.at(question.key());
    question.mapped()(encode_digest(DigestAnswer{.version = store::kDigestVersion, .digest = known}));
  }
}

void Auditor::replaced(raft::Index index, const store::Digest& digest) {
  log_.forget();
  applied(index, digest);
}

void Auditor::answer_digest(peer::Call call, peer::Responder respond) {
  const auto index = decode_index(call.payload.view());
  if (!index) return respond(encode_refusal(index.error()));
  if (*index > log_.newest() && asked_.size() < kMaxAsked) {
    asked_.emplace(*index, std::move(respond));
    return;
  }
  respond(encode_digest(DigestAnswer{.version = store::kDigestVersion, .digest = log_.at(*index)}));
}

void Auditor::answer_rebuild(peer::Responder respond) {
  respond(Blob(""));
  remedies_.rebuild();
}

// ---- What the leader does -----------------------------------------------------------------------

void Auditor::compare(const raft::Configuration& configuration) {
  if (round_ || configuration.joint || configuration.members.size() < 2) return;
  const auto mine = log_.at(log_.newest());
  if (!mine) return;
  round_ = Round{.number = ++last_round_, .index = log_.newest(), .configuration = configuration, .reports = {}};
  round_->reports.push_back({self_, configuration.is_voter(self_), *mine});
  round_->missing = configuration.members.size() - 1;
  for (const raft::Member& member : configuration.members) {
    if (member.id == self_) continue;
    agreement_->call(member.id, CallKind::Digest, peer::Lane::Control, encode_index(round_->index), patience_,
                     [this, number = round_->number, from = member.id](const Result<Blob>& reply) {
                       on_reply(number, from, reply);
                     });
  }
}

void Auditor::follow() {
  round_.reset();
  splits_ = 0;
}

void Auditor::stop() {
  follow();
  asked_.clear();
}

void Auditor::on_reply(uint64_t round, raft::NodeId from, const Result<Blob>& reply) {
  if (!round_ || round_->number != round) return;
  if (reply) {
    const auto answer = decode_digest(reply->view());
    if (answer && answer->digest && answer->version == store::kDigestVersion) {
      round_->reports.push_back({from, round_->configuration.is_voter(from), *answer->digest});
    }
  }
  if (--round_->missing == 0) conclude();
}

void Auditor::conclude() {
  const Round round = std::move(*round_);
  round_.reset();
  const auto voters = static_cast<size_t>(std::ranges::count_if(
      round.configuration.members, [&](const raft::Member& m) { return round.configuration.is_voter(m.id); }));
  const Judgement judgement = judge(round.reports, voters);
  splits_ = judgement.split ? splits_ + 1 : 0;
  if (judgement.split) {
    logger_.error("at entry {} the members' states differ, and none has a majority", round.index);
    const bool all = round.reports.size() == round.configuration.members.size();
    if (!all && splits_ < kSplitsBeforeAlarm) return;
    std::vector<raft::NodeId> members;
    for (const raft::Member& member : round.configuration.members) members.push_back(member.id);
    return remedies_.distrust(members);
  }
  for (const raft::NodeId member : judgement.minority) {
    logger_.error("at entry {} the state of member {:x} is not the majority's", round.index, member.value);
  }
  if (std::ranges::find(judgement.minority, self_) != judgement.minority.end()) {
    // Whoever is handed the lead finds the same and has this member rebuild. A learner cannot take it.
    const auto heir =
        std::ranges::find_if(judgement.majority, [&](raft::NodeId id) { return round.configuration.is_voter(id); });
    return remedies_.hand_over(*heir);
  }
  for (const raft::NodeId member : judgement.minority) accuse(member);
}

void Auditor::accuse(raft::NodeId member) {
  agreement_->call(member, CallKind::Rebuild, peer::Lane::Control, Blob(""), patience_,
                   [this, member](const Result<Blob>& reply) {
                     if (!reply) logger_.warn("member {:x} was not told: {}", member.value, reply.error().message);
                   });
}

}  // namespace witan::node
