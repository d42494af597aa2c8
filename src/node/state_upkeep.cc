// What the state does on its own: compaction, alarms, snapshots, copies for clients.
#include <algorithm>
#include <utility>

#include "node/state.h"

namespace witan::node {

namespace {
constexpr Duration kUpkeepEvery = milliseconds(100);
}

void State::upkeep() {
  upkeep_timer_ = loop_.call_at(loop_.now() + kUpkeepEvery, [this] { upkeep(); });
  if (stopped_ || consensus_ == nullptr) return;
  expire(loop_.now());
  maybe_snapshot();
  if (!standing_.leading || installing_ || compaction_proposed_ || loop_.now() < next_history_check_) return;
  next_history_check_ = loop_.now() + seconds(1);
  // Core S3: by time and by bytes, whichever comes first, judged by the entries' stamps.
  store::Revision target = store_->revision_to_fit(store_->settings().history_bytes);
  if (options_.auto_compaction > Duration::zero()) {
    const auto span_ms = std::chrono::duration_cast<milliseconds>(options_.auto_compaction).count();
    // In steps of a twentieth of the span: compacting second by second would write more than it frees.
    const store::Revision aged = store_->revision_as_of(WallTime{loop_.wall().ms - span_ms});
    const store::Revision aged_step = store_->revision_as_of(WallTime{loop_.wall().ms - span_ms - span_ms / 20});
    if (aged_step > store_->compacted()) target = std::max(target, aged);
  }
  if (target <= store_->compacted() || target <= store::Revision(1)) return;
  compaction_proposed_ = true;
  propose_upkeep(store::Compact{target});
}

void State::propose_upkeep(const store::Body& body) {
  consensus_->propose_in(standing_.term, store::encode(store::Command{.header = {}, .body = body}),
                         [this](raft::ProposeResult result) {
                           if (!result) compaction_proposed_ = false;
                         });
}

// Frees in slices what a compaction has hidden.
void State::compact_physically() {
  compaction_proposed_ = false;
  if (std::exchange(compacting_, true)) return;
  work_on({[this] {
             constexpr size_t kSlice = 2048;
             if (store_->compact_step(kSlice)) return false;
             compacting_ = false;
             return true;
           },
           {}});
}

// Core S3: NOSPACE is raised when live data passes the quota and goes by itself when a tenth is free again.
void State::raise_alarms() {
  const int64_t quota = store_->settings().memory_quota_bytes;
  if (!standing_.leading || quota <= 0) return;
  const std::vector<store::AlarmChange> alarms = store_->alarms();
  const auto mine = std::ranges::find_if(alarms, [&](const store::AlarmChange& alarm) {
    return alarm.kind == store::AlarmKind::NoSpace && alarm.member == options_.self.value;
  });
  const bool active = mine != alarms.end();
  const store::Usage usage = store_->usage();
  const int64_t bytes = usage.data_bytes + usage.history_bytes;
  const bool wanted = active ? bytes > quota - quota / 10 : bytes > quota;
  if (wanted == active) {
    alarm_proposed_ = false;
    return;
  }
  if (std::exchange(alarm_proposed_, true)) return;
  logger_.warn("the data take {} bytes of a quota of {}: {} NOSPACE", bytes, quota, wanted ? "raising" : "clearing");
  propose_upkeep(
      store::AlarmChange{.member = options_.self.value, .kind = store::AlarmKind::NoSpace, .active = wanted});
}

void State::maybe_snapshot() {
  if (stopped_ || installing_ || snapshots_.writing() || entries_since_snapshot_ == 0) return;
  const uint64_t by_bytes = options_.snapshot_bytes != 0
                                ? options_.snapshot_bytes
                                : std::max<uint64_t>(uint64_t{64} << 20, snapshots_.newest_bytes());
  if (entries_since_snapshot_ < options_.snapshot_entries && bytes_since_snapshot_ < by_bytes) return;
  // Core S4: never above what this member has on its own disk.
  if (applied_ > consensus_->durable_index()) return;
  const raft::SnapshotMeta meta{.index = applied_, .term = applied_term_, .configuration = applied_configuration_};
  entries_since_snapshot_ = 0;
  bytes_since_snapshot_ = 0;
  snapshots_.write(*store_, meta, [this, index = meta.index](Result<uint64_t> bytes) {
    if (!bytes) return fatal(std::move(bytes.error()));
    // Core D3: only now may the log before it go, but for what members a little behind still want.
    uint64_t keep_from = index.value > options_.keep_entries ? index.value - options_.keep_entries : 0;
    if (const auto needed = snapshots_.needed_after()) keep_from = std::min(keep_from, needed->value);
    if (keep_from > 0) consensus_->compact(raft::Index(keep_from));
  });
}

// ---- Copies of the state for clients ------------------------------------------------------------

namespace {

// The client's end. Lives on the port's loop; the encoder stays on the state's.
class Copy final : public SnapshotStream {
 public:
  Copy(Port& port, std::shared_ptr<Port*> alive, uint64_t id, int64_t bytes)
      : port_(port), alive_(std::move(alive)), id_(id), remaining_(bytes) {}
  ~Copy() override {
    if (*alive_ != nullptr) port_.submit(StateTask([id = id_](State& state) { state.close_snapshot(id); }));
  }
  void next(size_t max_bytes, Function<void(Answer<Blob>)> done) override {
    port_.submit(StateTask([port = port_.id(), id = id_, max_bytes, done = std::move(done)](State& state) mutable {
      state.read_snapshot(port, id, max_bytes, std::move(done));
    }));
    remaining_ = std::max<int64_t>(remaining_ - static_cast<int64_t>(max_bytes), 0);
  }
  int64_t remaining() const override { return remaining_; }

 private:
  Port& port_;
  std::shared_ptr<Port*> alive_;
  const uint64_t id_;
  int64_t remaining_;
};

}  // namespace

std::unique_ptr<SnapshotStream> State::open_snapshot(PortId port) {
  const uint64_t id = ++next_copy_;
  copies_.emplace(id, std::make_unique<store::SnapshotEncoder>(*store_));
  Outlet& outlet = outlets_[port];
  return std::make_unique<Copy>(*outlet.port, outlet.self, id, store_->usage().data_bytes);
}

void State::read_snapshot(PortId port, uint64_t id, size_t max_bytes, Function<void(Answer<Blob>)> done) {
  const auto it = copies_.find(id);
  Answer<Blob> piece = std::unexpected(NotApplied{Refusal::LeaderChanged, "the state was replaced by a snapshot"});
  if (it != copies_.end()) {
    std::string bytes;
    const bool more = it->second->next(max_bytes, bytes);
    if (!more && bytes.empty()) {
      piece = Blob("");
    } else {
      piece = Blob(bytes);
    }
  }
  deliver(port, Task([done = std::move(done), piece = std::move(piece)]() mutable { done(std::move(piece)); }));
}

}  // namespace witan::node
