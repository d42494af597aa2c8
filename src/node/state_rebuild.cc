// What the state does when the members' digests differ (core S7).
#include <algorithm>
#include <utility>

#include "node/state.h"

namespace witan::node {

Auditor::Remedies State::remedies() {
  return {.rebuild = [this] { rebuild(); },
          .hand_over =
              [this](raft::NodeId to) {
                logger_.error("this leader's state is not the majority's: handing over to {:x}", to.value);
                agreement_->transfer_leadership(to, [this](Result<> result) {
                  if (!result) logger_.warn("the hand-over failed: {}", result.error().message);
                });
              },
          .distrust = [this](const std::vector<raft::NodeId>& members) { distrust(members); }};
}

// Term, vote and log are sound and stay; only what was made of them is thrown away. Clients see nothing of it but a
// pause, and afterwards a gap (core F4).
void State::rebuild() {
  if (replacing() || stopped_) return;
  if (std::exchange(rebuilt_, true)) {
    return fatal(
        Error{Code::Corrupt,
              "the state of this member differs from the majority's again after it was rebuilt from its own "
              "snapshot and log: keep a copy of the data directory for the authors of this program, remove the "
              "member from the cluster, and add it again with an empty one"});
  }
  logger_.error("the state of this member at entry {} is not the majority's: rebuilding it from snapshot and log",
                applied_);
  snapshots_.abandon();
  rebuild_ = std::make_shared<Rebuild>();
  rebuild_->target = {.index = applied_, .term = applied_term_, .configuration = applied_configuration_};
  agreement_->when_durable(applied_, [this, rebuild = rebuild_] {
    if (rebuild != rebuild_) return;
    snapshots_.load([this, rebuild](Result<std::optional<LoadedSnapshot>> loaded) {
      if (rebuild != rebuild_) return;
      if (!loaded) return fatal(std::move(loaded.error()));
      rebuild->store = *loaded ? std::move((*loaded)->store) : std::make_unique<store::Store>();
      rebuild->reached = raft::Index(rebuild->store->applied_index());
      replay(rebuild);
    });
  });
}

void State::replay(const std::shared_ptr<Rebuild>& rebuild) {
  constexpr size_t kSliceBytes = size_t{256} << 10;
  if (rebuild->reached >= rebuild->target.index) {
    logger_.info("the state is rebuilt up to entry {}", rebuild->reached);
    raft::SnapshotMeta target = std::move(rebuild->target);
    std::unique_ptr<store::Store> store = std::move(rebuild->store);
    rebuild_.reset();
    return take_over(std::move(store), std::move(target));
  }
  agreement_->read_log(rebuild->reached + 1, rebuild->target.index, kSliceBytes,
                       [this, rebuild](const std::vector<raft::Entry>& entries) {
                         if (rebuild == rebuild_) replayed(rebuild, entries);
                       });
}

void State::replayed(const std::shared_ptr<Rebuild>& rebuild, const std::vector<raft::Entry>& entries) {
  if (entries.empty() || entries.front().index != rebuild->reached + 1) {
    return fatal(Error{Code::Corrupt, fmt::format("the state cannot be rebuilt: entry {} is not in the log any more",
                                                  rebuild->reached + 1)});
  }
  for (const raft::Entry& entry : entries) {
    if (entry.kind != raft::EntryKind::Command) {
      rebuild->store->advance(entry.index.value);
    } else if (const auto command = store::decode(entry.data.view())) {
      rebuild->store->apply(entry.index.value, *command, false);
    } else {
      return fatal(Error{Code::Corrupt, fmt::format("entry {} of the log cannot be applied: {}", entry.index,
                                                    command.error().message)});
    }
    rebuild->reached = entry.index;
  }
  replay(rebuild);
}

// Nobody can tell whose state is right: nothing more is written until an operator has decided (etcd's CORRUPT alarm).
void State::distrust(const std::vector<raft::NodeId>& members) {
  const std::vector<store::AlarmChange> alarms = store_->alarms();
  for (const raft::NodeId member : members) {
    const bool known = std::ranges::any_of(alarms, [&](const store::AlarmChange& alarm) {
      return alarm.kind == store::AlarmKind::Corrupt && alarm.member == member.value;
    });
    if (known) continue;
    logger_.error("raising CORRUPT for member {:x}", member.value);
    propose_upkeep(store::AlarmChange{.member = member.value, .kind = store::AlarmKind::Corrupt, .active = true});
  }
}

}  // namespace witan::node
