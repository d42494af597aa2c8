#include "store/store.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "store/authorize.h"
#include "store/batch_writer.h"
#include "store/node_txn.h"
#include "store/nodes.h"
#include "store/path.h"
#include "store/scan.h"
#include "store/state.h"
#include "store/txn.h"

namespace witan::store {
namespace {

// Applies one command. Each body is its own overload; refusals come first, in etcd's order.
class Applier {
 public:
  Applier(State& state, const Header& header, bool want_reply)
      : state_(state), header_(header), want_reply_(want_reply), writer_(state, header.stamp) {}

  Applied apply(const Body& body) {
    Applied out;
    out.reply.failure = std::visit([&](const auto& b) { return run(b, out.reply); }, body);
    CHECK(out.reply.failure.reason == Reason::None || !writer_.changed(), "a command failed half way");
    out.changes = writer_.commit();
    out.reply.revision = state_.revision;
    return out;
  }

 private:
  // Under a CORRUPT alarm nothing that goes through the log is done, except what repairs (reference 1.6).
  Failure refuse_corrupt() const {
    return {.reason = state_.alarms.active(AlarmKind::Corrupt) ? Reason::CorruptCluster : Reason::None};
  }
  // Under a NOSPACE alarm nothing grows; deletes, compactions and ends of leases make room.
  Failure refuse_growth() const {
    Failure failure = refuse_corrupt();
    if (failure.reason == Reason::None && state_.alarms.active(AlarmKind::NoSpace)) failure.reason = Reason::NoSpace;
    return failure;
  }
  Failure refuse_session() const {
    if (header_.session == LeaseId(0)) return {};
    if (!state_.leases.has(header_.session, LeaseKind::ZooKeeper)) return {.reason = Reason::SessionExpired};
    const bool current = state_.leases.find(header_.session)->generation == header_.attach_generation ||
                         planted(Bug::SessionMoveIgnored);
    return {.reason = current ? Reason::None : Reason::SessionMoved};
  }
  Failure refuse_access(Access access, const KeyRangeView& range) const {
    return {.reason = authorize(header_.principals, access, range) ? Reason::None : Reason::PermissionDenied};
  }

  Failure run(const Nothing&, Reply&) { return {}; }

  Failure run(const Put& put, Reply& reply) {
    Failure failure = refuse_growth();
    if (failure.reason == Reason::None) failure = refuse_access(Access::Write, {.begin = put.key, .single = true});
    if (failure.reason == Reason::None) failure = check_lease(state_, put);
    if (failure.reason == Reason::None) failure = check_put(state_, put);
    if (failure.reason != Reason::None) return failure;
    VersionRef previous = writer_.put(put);
    if (want_reply_) reply.result = PutResult{put.want_previous ? std::move(previous) : VersionRef()};
    return {};
  }

  Failure run(const DeleteRange& del, Reply& reply) {
    Failure failure = refuse_corrupt();
    if (failure.reason == Reason::None) failure = refuse_access(Access::Write, del.range);
    if (failure.reason != Reason::None) return failure;
    DeleteResult result;
    result.deleted = writer_.delete_range(del.range, del.want_previous && want_reply_ ? &result.previous : nullptr);
    if (want_reply_) reply.result = std::move(result);
    return {};
  }

  // Changes nothing; whoever proposes it wants it ordered among the writes.
  Failure run(const Range& range, Reply& reply) {
    Failure failure = refuse_access(Access::Read, range.range);
    if (failure.reason == Reason::None) failure = state_.readable(range.revision);
    if (failure.reason != Reason::None || !want_reply_) return failure;
    Scan scan(state_, range, range.revision > Revision(0) ? range.revision : state_.revision, nullptr);
    scan.step(SIZE_MAX);
    reply.result = scan.finish();
    return {};
  }

  Failure run(const Txn& txn, Reply& reply) {
    Failure failure = has_put(txn) ? refuse_growth() : refuse_corrupt();
    if (failure.reason != Reason::None) return failure;
    const TxnRun run(state_, txn, header_.principals);
    failure = run.check();
    if (failure.reason != Reason::None) return failure;
    TxnResult result = run.run(&writer_, want_reply_);
    if (want_reply_) reply.result = std::move(result);
    return {};
  }

  Failure run(const Compact& compact, Reply&) {
    Failure failure = refuse_corrupt();
    if (failure.reason != Reason::None) return failure;
    if (compact.revision <= state_.compacted)
      return {.reason = Reason::RevisionCompacted, .compacted = state_.compacted};
    if (compact.revision > state_.revision) return {.reason = Reason::RevisionInFuture};
    state_.compacted = compact.revision;
    return {};
  }

  Failure run(const LeaseGrant& grant, Reply& reply) {
    Failure failure = refuse_growth();
    if (failure.reason != Reason::None) return failure;
    if (grant.ttl_ms > LeaseTable::kMaxTtlMs) return {.reason = Reason::LeaseTtlTooLarge};
    if (grant.id != LeaseId(0) && state_.leases.find(grant.id) != nullptr) return {.reason = Reason::LeaseExists};
    const LeaseId id = grant.id == LeaseId(0) ? state_.leases.allocate() : grant.id;
    const int64_t least = grant.kind == LeaseKind::Etcd ? state_.settings.min_lease_ttl_ms : 1;
    const int64_t ttl_ms = std::max(grant.ttl_ms, least);
    const uint64_t generation = grant.kind == LeaseKind::ZooKeeper ? 1 : 0;
    state_.leases.insert(id, {.kind = grant.kind, .ttl_ms = ttl_ms, .generation = generation});
    // Always: every member learns of new leases from it.
    reply.result = LeaseGrantResult{.id = id, .ttl_ms = ttl_ms, .generation = generation};
    return {};
  }

  // Everything the lease owns at this entry goes in one revision, sorted (core L4).
  Failure run(const LeaseRevoke& revoke, Reply&) {
    Failure failure = refuse_corrupt();
    if (failure.reason != Reason::None) return failure;
    if (!state_.leases.has(revoke.id, revoke.kind)) return {.reason = Reason::LeaseNotFound};
    // Attached again since whoever wants its end looked: it lives on (core L5).
    if (revoke.generation != 0 && revoke.generation != state_.leases.find(revoke.id)->generation) {
      return {.reason = Reason::SessionMoved};
    }
    for (const Blob& key : state_.leases.keys(revoke.id)) {
      // A session's are nodes; an etcd lease may own a key that only looks like a hidden one.
      if (revoke.kind == LeaseKind::ZooKeeper) {
        writer_.delete_node(key);
      } else {
        writer_.delete_range({.begin = key, .single = true}, nullptr);
      }
    }
    state_.leases.erase(revoke.id);
    return {};
  }

  Failure run(const SessionOpen& open, Reply& reply) {
    const Failure failure = refuse_growth();
    if (failure.reason != Reason::None) return failure;
    const LeaseId id = state_.leases.allocate_session(open.member_number, open.salt);
    const int64_t ttl_ms = std::clamp<int64_t>(open.ttl_ms, 1, LeaseTable::kMaxTtlMs);
    state_.leases.insert(id, {.kind = LeaseKind::ZooKeeper, .ttl_ms = ttl_ms, .generation = 1});
    reply.result = LeaseGrantResult{.id = id, .ttl_ms = ttl_ms, .generation = 1};
    return {};
  }

  Failure run(const SessionAttach& attach, Reply& reply) {
    const Failure failure = refuse_corrupt();
    if (failure.reason != Reason::None) return failure;
    if (!state_.leases.has(attach.id, LeaseKind::ZooKeeper)) return {.reason = Reason::SessionExpired};
    const uint64_t generation = state_.leases.reattach(attach.id, attach.ttl_ms);
    reply.result =
        LeaseGrantResult{.id = attach.id, .ttl_ms = state_.leases.find(attach.id)->ttl_ms, .generation = generation};
    return {};
  }

  // The session first: what it owns and may do is nobody else's affair (core L4, L5).
  Failure run(const NodeTxn& txn, Reply& reply) {
    Failure failure = refuse_session();
    if (failure.reason == Reason::None) failure = grows(txn) ? refuse_growth() : refuse_corrupt();
    if (failure.reason != Reason::None) return failure;
    NodeTxnRun run(state_, txn, header_);
    failure = run.plan();
    if (failure.reason != Reason::None) return failure;
    NodeTxnResult result = run.run(writer_, want_reply_);
    if (want_reply_) reply.result = std::move(result);
    return {};
  }

  // Asked of a member, never of the log (Store::read_nodes); there it does nothing.
  Failure run(const NodeReads&, Reply&) { return {}; }

  Failure run(const LeaseCheckpoint& checkpoint, Reply&) {
    for (const LeaseCheckpoint::Item& item : checkpoint.items) state_.leases.checkpoint(item.id, item.remaining_ms);
    return {};
  }

  Failure run(const AlarmChange& change, Reply& reply) {
    reply.result = AlarmResult{state_.alarms.apply(change)};
    return {};
  }

  Failure run(const SettingsChange& change, Reply&) {
    Settings& settings = state_.settings;
    if (change.memory_quota_bytes != 0) settings.memory_quota_bytes = std::max<int64_t>(change.memory_quota_bytes, -1);
    if (change.history_bytes > 0) settings.history_bytes = change.history_bytes;
    if (change.min_lease_ttl_ms > 0) {
      settings.min_lease_ttl_ms = std::min<int64_t>(change.min_lease_ttl_ms, LeaseTable::kMaxTtlMs);
    }
    if (change.enforce_node_quotas != 0) settings.enforce_node_quotas = change.enforce_node_quotas > 0;
    return {};
  }

  State& state_;
  const Header& header_;
  const bool want_reply_;
  BatchWriter writer_;
};

}  // namespace

Store::Store(const Settings& settings) : state_(std::make_unique<State>(settings)) {}
Store::~Store() = default;

Applied Store::apply(uint64_t index, const Command& command, bool want_reply) {
  advance(index);
  state_->largest_stamp = std::max(state_->largest_stamp, command.header.stamp);
  return Applier(*state_, command.header, want_reply).apply(command.body);
}

void Store::advance(uint64_t index) {
  if (!planted(Bug::NonIdempotentReplay)) {
    CHECK(index > state_->applied_index, "entry {} after {}", index, state_->applied_index);
  }
  state_->applied_index = index;
}

uint64_t Store::applied_index() const { return state_->applied_index; }
Revision Store::revision() const { return state_->revision; }
Revision Store::compacted() const { return state_->compacted; }
WallTime Store::largest_stamp() const { return state_->largest_stamp; }
const Settings& Store::settings() const { return state_->settings; }
std::vector<AlarmChange> Store::alarms() const { return state_->alarms.rows(); }

Usage Store::usage() const {
  const State& s = *state_;
  Usage usage;
  usage.keys = s.index.live();
  usage.directories = s.directories.rows().size();
  usage.leases = s.leases.rows().size();
  usage.sessions = s.leases.sessions();
  usage.session_keys = s.leases.session_keys();
  usage.data_bytes = s.data_bytes + s.hidden.memory_bytes() + s.node_rows.memory_bytes();
  usage.history_bytes = s.history.bytes_after(s.compacted);
  usage.memory_bytes = usage.data_bytes + s.history.bytes() + s.directories.memory_bytes() + s.leases.memory_bytes();
  return usage;
}

Digest Store::digest() const {
  const State& s = *state_;
  DigestSum sum = s.digest;
  sum.add(RowHash(RowHash::Kind::Position)
              .number(s.revision.value)
              .number(s.largest_stamp.ms)
              .number(s.leases.allocated())
              .value());
  RowHash settings(RowHash::Kind::Settings);
  settings.number(s.settings.memory_quota_bytes).number(s.settings.history_bytes).number(s.settings.min_lease_ttl_ms);
  if (s.settings.enforce_node_quotas) settings.number(uint64_t{1});  // as in states older than it
  sum.add(settings.value());
  return sum.value();
}

// ---- Reading ------------------------------------------------------------------------------------

VersionRef Store::get(std::string_view key) const { return VersionChain::share(state_->index.latest(key)); }

Outcome<RangeResult> Store::range(const Range& range) const {
  const Failure failure = state_->readable(range.revision);
  if (failure.reason != Reason::None) return std::unexpected(failure);
  Scan scan(*state_, range, range.revision > Revision(0) ? range.revision : state_->revision, nullptr);
  scan.step(SIZE_MAX);
  return scan.finish();
}

Outcome<RangeReader> Store::start_range(const Range& range) const {
  const Failure failure = state_->readable(range.revision);
  if (failure.reason != Reason::None) return std::unexpected(failure);
  auto scan =
      std::make_unique<Scan>(*state_, range, range.revision > Revision(0) ? range.revision : state_->revision, nullptr);
  scan->make_independent(state_->pins);
  return RangeReader(std::move(scan));
}

size_t Store::work_of(const Range& range) const {
  if (range.range.single) return 1;
  const bool present = range.revision <= Revision(0) || range.revision == state_->revision;
  if (range.count_only && present) return 1;
  const size_t keys = state_->index.count_live(range.range.begin, range.range.end.empty() ? nullptr : &range.range.end);
  const bool cut = present && range.limit > 0 && range.order == SortOrder::None && range.min_mod == Revision(0) &&
                   range.max_mod == Revision(0) && range.min_create == Revision(0) && range.max_create == Revision(0);
  return cut ? std::min(keys, static_cast<size_t>(range.limit) + 1) : keys;
}

Reply Store::read(const Txn& txn) const {
  Reply reply;
  reply.revision = state_->revision;
  const TxnRun run(*state_, txn, {});
  reply.failure = run.check();
  if (reply.failure.reason == Reason::None) reply.result = run.run(nullptr, true);
  return reply;
}

RangeReader::RangeReader(std::unique_ptr<Scan> scan) : scan_(std::move(scan)) {}
RangeReader::RangeReader(RangeReader&&) noexcept = default;
RangeReader& RangeReader::operator=(RangeReader&&) noexcept = default;
RangeReader::~RangeReader() = default;
bool RangeReader::step(size_t budget) { return scan_->step(budget); }
bool RangeReader::done() const { return scan_->done(); }
bool RangeReader::streams() const { return scan_->streams(); }
std::vector<KeyVersion> RangeReader::take_items() { return scan_->take_items(); }
RangeResult RangeReader::finish() { return scan_->finish(); }
Revision RangeReader::read_at() const { return scan_->at(); }

// ---- History ------------------------------------------------------------------------------------

Outcome<HistorySlice> Store::history(Revision from, std::span<const KeyRange> ranges, size_t max_changes,
                                     size_t max_bytes) const {
  if (from < state_->compacted) {
    return std::unexpected(Failure{.reason = Reason::RevisionCompacted, .compacted = state_->compacted});
  }
  return state_->history.slice(from, state_->compacted, ranges, max_changes, max_bytes);
}

Revision Store::revision_as_of(WallTime stamp) const { return state_->history.as_of(stamp, state_->compacted); }
Revision Store::revision_to_fit(int64_t bytes) const { return state_->history.to_fit(bytes, state_->compacted); }

// ---- Leases and directories ---------------------------------------------------------------------

std::optional<LeaseInfo> Store::lease(LeaseId id) const { return state_->leases.info(id); }
std::vector<LeaseInfo> Store::leases(std::optional<LeaseId> after, size_t limit) const {
  return state_->leases.list(after, limit);
}
std::vector<Blob> Store::lease_keys(LeaseId id) const { return state_->leases.keys(id); }

bool Store::node_exists(std::string_view path) const { return state_->directories.node_exists(path); }

int64_t Store::node_count() const {
  const State& s = *state_;
  const Nodes nodes(s.index, s.directories, s.hidden, s.node_rows);
  return 1 + s.directories.nodes() + 1 + nodes.descendants(kHiddenRoot);
}
Directory Store::directory(std::string_view path) const { return state_->directories.of(path); }
Store::Children Store::children(std::string_view path, std::string_view after, size_t limit) const {
  return state_->directories.children(path, after, limit);
}

}  // namespace witan::store
