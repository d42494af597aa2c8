// What the state does on its own: compaction, alarms, snapshots, copies for clients.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "node/state.h"

namespace witan::node {

namespace {
constexpr Duration kUpkeepEvery = milliseconds(100);
constexpr Duration kCompareEvery = seconds(1);
}  // namespace

void State::upkeep() {
  upkeep_timer_ = loop_.call_at(loop_.now() + kUpkeepEvery, [this] { upkeep(); });
  if (stopped_) return;
  expire(loop_.now());
  // A connection to the leader may have come back without anything else having changed.
  if (standing_.leader != raft::kNobody) retry_parked();
  maybe_snapshot();
  if (standing_.leading && loop_.now() >= next_comparison_) {
    next_comparison_ = loop_.now() + kCompareEvery;
    auditor_.compare(configuration_);
  }
  remove_idle_nodes();
  if (!standing_.leading || replacing() || compaction_proposed_ || loop_.now() < next_history_check_) return;
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

// Containers that had children, and TTL nodes whose time is over. Whether it still is so is judged at apply, by the
// entry's stamp.
void State::remove_idle_nodes() {
  constexpr size_t kAtOnce = 100;
  constexpr size_t kLookAt = 2'000;
  if (!standing_.leading || replacing() || (idle_after_.empty() && loop_.now() < next_idle_scan_)) return;
  if (idle_after_.empty()) next_idle_scan_ = loop_.now() + options_.idle_scan;
  for (const std::string& path : store_->idle_nodes(loop_.wall(), idle_after_, kAtOnce, kLookAt)) {
    store::NodeTxn txn;
    txn.operations.push_back({store::DeleteNode{.path = path, .only_if_idle = true}});
    agreement_->propose_in(standing_.term, store::encode(store::Command{.header = {}, .body = std::move(txn)}),
                           [](raft::ProposeResult) {});  // what is not removed now is found again
  }
}

void State::propose_upkeep(const store::Body& body) {
  agreement_->propose_in(standing_.term, store::encode(store::Command{.header = {}, .body = body}),
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
  if (stopped_ || replacing() || snapshots_.writing() || entries_since_snapshot_ == 0) return;
  const uint64_t by_bytes = options_.snapshot_bytes != 0
                                ? options_.snapshot_bytes
                                : std::max<uint64_t>(uint64_t{64} << 20, snapshots_.newest_bytes());
  if (entries_since_snapshot_ < options_.snapshot_entries && bytes_since_snapshot_ < by_bytes) return;
  const raft::SnapshotMeta meta{.index = applied_, .term = applied_term_, .configuration = applied_configuration_};
  entries_since_snapshot_ = 0;
  bytes_since_snapshot_ = 0;
  if (planted(Bug::NonIdempotentReplay)) {
    // The index of now, the content of when the log has it all.
    return agreement_->when_durable(applied_, [this, meta] {
      if (stopped_ || replacing() || snapshots_.writing()) return;
      write_snapshot(meta);
      snapshots_.durable(meta.index);
    });
  }
  write_snapshot(meta);
  agreement_->when_durable(applied_, [this, index = applied_] {
    snapshots_.durable(index);
    if (planted(Bug::LogCutBeforeSnapshotDurable)) agreement_->compact(index);
  });
}

void State::write_snapshot(const raft::SnapshotMeta& meta) {
  snapshots_.write(*store_, meta, [this, index = meta.index](Result<uint64_t> bytes) {
    if (!bytes) return fatal(std::move(bytes.error()));
    // Core D3: only now may the log before it go, but for what members a little behind still want.
    const uint64_t keep_from = index.value > options_.keep_entries ? index.value - options_.keep_entries : 0;
    if (keep_from > 0) agreement_->compact(raft::Index(keep_from));
  });
}

// ---- Copies of the state for clients ------------------------------------------------------------

namespace {

// The client's end. Lives on the port's loop; the encoder stays on the state's.
class Copy final : public SnapshotStream {
 public:
  Copy(Port& port, std::shared_ptr<Port*> alive, uint64_t id, uint64_t bytes)
      : port_(port), alive_(std::move(alive)), id_(id), remaining_(std::make_shared<uint64_t>(bytes)) {}
  ~Copy() override {
    if (*alive_ != nullptr) port_.submit(StateTask([id = id_](State& state) { state.close_snapshot(id); }));
  }
  void next(size_t max_bytes, Function<void(Answer<Blob>)> done) override {
    // The answer may come when this is gone already.
    auto counted = [remaining = remaining_, done = std::move(done)](Answer<Blob> piece) mutable {
      if (piece) *remaining -= piece->size();
      done(std::move(piece));
    };
    port_.submit(StateTask([port = port_.id(), id = id_, max_bytes, done = std::move(counted)](State& state) mutable {
      state.read_snapshot(port, id, max_bytes, std::move(done));
    }));
  }
  uint64_t remaining() const override { return *remaining_; }

 private:
  Port& port_;
  std::shared_ptr<Port*> alive_;
  const uint64_t id_;
  std::shared_ptr<uint64_t> remaining_;
};

NotApplied replaced() { return NotApplied{Refusal::LeaderChanged, "a snapshot replaced the state"}; }

}  // namespace

// Clients are told how much is to come, so the copy is measured first, in slices as everything long.
void State::open_snapshot(PortId port, Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done) {
  using Opened = Answer<std::unique_ptr<SnapshotStream>>;
  const auto reply = [this, port, done = std::make_shared<decltype(done)>(std::move(done))](Opened opened) {
    deliver(port, Task([done, opened = std::move(opened)]() mutable { (*done)(std::move(opened)); }));
  };
  const auto measure = [this, port, reply](std::unique_ptr<store::SnapshotEncoder>& encoder) {
    constexpr size_t kSlice = size_t{128} << 10;
    if (!encoder->measure(kSlice)) return false;
    const uint64_t id = ++next_copy_;
    const uint64_t bytes = encoder->size();
    copies_.emplace(id, std::move(encoder));
    Outlet& outlet = outlets_[port];
    reply(std::make_unique<Copy>(*outlet.port, outlet.self, id, bytes));
    return true;
  };
  // What the encoder is to copy is what is there now: the first slice cannot wait.
  auto encoder = std::make_unique<store::SnapshotEncoder>(*store_);
  if (measure(encoder)) return;
  work_on({[measure, encoder = std::move(encoder)]() mutable { return measure(encoder); },
           [reply] { reply(std::unexpected(replaced())); }});
}

void State::read_snapshot(PortId port, uint64_t id, size_t max_bytes, Function<void(Answer<Blob>)> done) {
  const auto reply = [this, port, done = std::make_shared<decltype(done)>(std::move(done))](Answer<Blob> piece) {
    deliver(port, Task([done, piece = std::move(piece)]() mutable { (*done)(std::move(piece)); }));
  };
  if (!copies_.contains(id)) return reply(std::unexpected(replaced()));
  work_on({[this, id, max_bytes, reply] {
             const auto it = copies_.find(id);
             if (it == copies_.end()) return true;  // the client has closed it
             std::string bytes;
             const bool more = it->second->next(max_bytes, bytes);
             if (more && bytes.empty()) return false;
             reply(Blob(bytes));
             return true;
           },
           [reply] { reply(std::unexpected(replaced())); }});
}

}  // namespace witan::node
