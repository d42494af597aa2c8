#include "sim/observer.h"

#include <utility>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "raft/types.h"
#include "store/command.h"
#include "wal/log.h"
#include "wal/snapshot_files.h"

namespace witan::sim {
namespace {

// Of so many commits, one makes the world look at all disks.
constexpr uint64_t kExamineEvery = 100;
constexpr uint64_t kExamineFirst = 3;  // and of so many first ones of a leader

verify::Digest digest_of(const store::Store& store) {
  const store::Digest digest = store.digest();
  return {.high = digest.high, .low = digest.low};
}

uint64_t content_of(const raft::Entry& entry) {
  return uint64_t{crc32c(entry.data.view())} << 32 ^ entry.data.size() << 2 ^ static_cast<uint64_t>(entry.kind);
}

std::optional<verify::Version> version_of(const store::VersionRef& version) {
  if (!version) return std::nullopt;
  return verify::Version{.value = std::string(version->value.view()),
                         .create_revision = version->create_revision.value,
                         .mod_revision = version->mod_revision.value,
                         .version = version->version,
                         .lease = version->lease.value};
}

std::vector<verify::Change> changes_of(const store::ChangeBatch& batch) {
  std::vector<verify::Change> out;
  for (const store::Change& change : batch.changes) {
    out.push_back({.key = std::string(change.key.view()),
                   .before = version_of(change.before),
                   .after = version_of(change.after)});
  }
  return out;
}

}  // namespace

class Observer::MemberWitness final : public node::Witness {
 public:
  MemberWitness(Observer& observer, MachineId machine) : observer_(observer), machine_(machine) {}
  void applied(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes) override {
    observer_.applied(machine_, entry, store, changes);
  }
  void replaced(raft::Index index, const store::Store& store) override { observer_.replaced(machine_, index, store); }
  void standing(const raft::Standing& standing) override { observer_.standing(machine_, standing); }
  void configuration(const raft::Configuration& configuration) override {
    observer_.in_force_[machine_] = configuration;
  }

 private:
  Observer& observer_;
  const MachineId machine_;
};

Observer::Observer(Scheduler& scheduler, const Machines& machines, Rng rng)
    : scheduler_(scheduler), machines_(machines), rng_(std::move(rng)) {}
Observer::~Observer() = default;

node::Witness& Observer::at(MachineId machine) {
  auto& witness = witnesses_[machine];
  if (!witness) witness = std::make_unique<MemberWitness>(*this, machine);
  return *witness;
}

uint64_t Observer::applied_by(MachineId machine) const {
  const auto found = applied_.find(machine);
  return found == applied_.end() ? 0 : found->second;
}

// ---- What members say ---------------------------------------------------------------------------

void Observer::standing(MachineId machine, const raft::Standing& standing) {
  if (listener_ != nullptr) listener_->standing(machine, standing);
  if (standing.role != raft::Role::Leader) return;
  ledger_.leads(machine, standing.term.value, scheduler_.now());
  if (standing.term.value <= term_) return;
  term_ = standing.term.value;
  leader_ = machine;
  ++elections_;
}

void Observer::replaced(MachineId machine, raft::Index index, const store::Store& store) {
  const auto before = applied_.find(machine);
  const bool new_life = before == applied_.end() || index.value <= before->second;
  applied_[machine] = index.value;
  if (new_life) return ledger_.restarted(machine, index.value, scheduler_.now());
  ++installed_;
  ledger_.installed(machine, index.value, digest_of(store), scheduler_.now());
}

void Observer::applied(MachineId machine, const raft::Entry& entry, const store::Store& store,
                       const store::ChangeBatchPtr& changes) {
  const bool first = entry.index.value > ledger_.highest().index;
  applied_[machine] = entry.index.value;
  ledger_.applied(machine, entry.index.value, entry.term.value, content_of(entry), digest_of(store), scheduler_.now());
  scheduler_.fold(entry.index.value * 16 + machine);
  if (first) commit(entry, store, changes);
}

// Nobody had applied it before: this is the moment at which it became known to be committed.
void Observer::commit(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes) {
  if (changes && changes->revision.value == truth_.revision() + 1) {
    truth_.append(changes->revision.value, changes_of(*changes), scheduler_.now());
  } else if (changes) {
    findings_.add("agreement", fmt::format("entry {} made revision {} after revision {}", entry.index,
                                           changes->revision, truth_.revision()));
  }
  if (entry.kind == raft::EntryKind::Command) note_command(entry, store, changes);
  if (entry.kind == raft::EntryKind::Membership) {
    if (auto configuration = raft::decode_configuration(entry.data.view())) {
      committed_configurations_.push_back(std::move(*configuration));
    }
  }
  if (listener_ != nullptr) listener_->committed();
  // The first that a leader commits rests on the words of members that may have had other things to write.
  const bool first = std::exchange(committed_term_, entry.term.value) < entry.term.value;
  if (!rng_.chance(1, first ? kExamineFirst : kExamineEvery)) return;
  examine_disks();
}

void Observer::note_command(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes) {
  const auto command = store::decode(entry.data.view());
  if (!command) return;
  // Nothing is proposed twice unless it is certainly not applied (core P2).
  const store::Origin& origin = command->header.origin;
  if (origin.member != 0 && !origins_.emplace(origin.member, origin.incarnation, origin.request).second) {
    findings_.add("twice", fmt::format("request {} of m{} is in the log a second time, at entry {}", origin.request,
                                       machines_.machine_of(origin.member), entry.index));
  }
  note_session(*command, store, changes != nullptr);
  if (const auto* grant = std::get_if<store::LeaseGrant>(&command->body)) {
    leases_ever_.insert(grant->id.value);
  } else if (const auto* revoke = std::get_if<store::LeaseRevoke>(&command->body)) {
    // A session that was attached again meanwhile lives on.
    if (!leases_ever_.contains(revoke->id.value) || store.lease(revoke->id)) return;
    const bool expired = command->header.origin.member == 0;
    lease_ends_.try_emplace(revoke->id.value, LeaseEnd{.when = scheduler_.now(), .expired = expired});
    if (changes) lease_end_revisions_.insert(changes->revision.value);
  } else if (const auto* compact = std::get_if<store::Compact>(&command->body)) {
    if (compact->revision.value > truth_.compacted_by(scheduler_.now()) &&
        compact->revision.value <= truth_.revision()) {
      truth_.compact(compact->revision.value, scheduler_.now());
    }
  }
}

namespace {

verify::NodeOp op_of(const store::NodeOperation& operation) {
  using Kind = verify::NodeOp::Kind;
  if (const auto* create = std::get_if<store::CreateNode>(&operation.what)) {
    return {.kind = Kind::Create,
            .path = std::string(create->path),
            .value = std::string(create->value),
            .ephemeral = create->ephemeral,
            .sequential = create->sequential};
  }
  if (const auto* gone = std::get_if<store::DeleteNode>(&operation.what)) {
    return {.kind = Kind::Delete, .path = std::string(gone->path), .value = {}, .expected = gone->expected};
  }
  if (const auto* set = std::get_if<store::SetNode>(&operation.what)) {
    return {
        .kind = Kind::Set, .path = std::string(set->path), .value = std::string(set->value), .expected = set->expected};
  }
  const auto* check = std::get_if<store::CheckNode>(&operation.what);
  if (check == nullptr) return {.kind = Kind::Check, .path = "an operation that no client of a world asks for"};
  return {.kind = Kind::Check, .path = std::string(check->path), .value = {}, .expected = check->expected};
}

}  // namespace

void Observer::note_session(const store::Command& command, const store::Store& store, bool changed) {
  using What = verify::SessionEntry::What;
  verify::SessionEntry entry{.after = truth_.revision(), .changed = changed, .when = scheduler_.now()};
  if (const auto* txn = std::get_if<store::NodeTxn>(&command.body)) {
    entry.what = What::Write;
    entry.session = command.header.session.value;
    entry.generation = command.header.attach_generation;
    for (const store::NodeOperation& operation : txn->operations) entry.ops.push_back(op_of(operation));
  } else if (std::holds_alternative<store::SessionOpen>(command.body)) {
    entry.what = What::Open;
    // Its id was found by apply: the one that nobody knew.
    for (const store::LeaseInfo& lease : store.leases(std::nullopt, SIZE_MAX)) {
      if (lease.kind != store::LeaseKind::ZooKeeper || !leases_ever_.insert(lease.id.value).second) continue;
      entry.session = lease.id.value;
      entry.generation = lease.generation;
    }
    if (entry.session == 0) return;
  } else if (const auto* attach = std::get_if<store::SessionAttach>(&command.body)) {
    const auto lease = store.lease(attach->id);
    if (!lease) return;
    entry.what = What::Attach;
    entry.session = attach->id.value;
    entry.generation = lease->generation;
  } else if (const auto* revoke = std::get_if<store::LeaseRevoke>(&command.body)) {
    if (revoke->kind != store::LeaseKind::ZooKeeper) return;
    entry.what = What::End;
    entry.session = revoke->id.value;
    entry.generation = revoke->generation;
    entry.ended = !store.lease(revoke->id) && !lease_ends_.contains(revoke->id.value);
  } else {
    return;
  }
  session_log_.push_back(std::move(entry));
}

std::vector<verify::Violation> Observer::take_violations() {
  std::vector<verify::Violation> out = ledger_.take_violations();
  for (verify::Violation& violation : findings_.take()) out.push_back(std::move(violation));
  return out;
}

// ---- What disks say -----------------------------------------------------------------------------

// A copy that the world damaged was made all the same: members keep their promise by writing it.
std::optional<verify::LogImage> Observer::image_of(MachineId machine, const Disk& disk) {
  const bool damaged = disk.before_rot() != nullptr;
  auto image = read_image(machine, *disk.durable_image(scheduler_), !damaged);
  if (!image && damaged) image = read_image(machine, *disk.before_rot()->durable_image(scheduler_), true);
  return image;
}

// With `may_lack_log` a snapshot without a log that can be read is an image, too.
std::optional<verify::LogImage> Observer::read_image(MachineId machine, Disk& image, bool may_lack_log) {
  if (image.empty()) return std::nullopt;
  verify::LogImage out{.member = machine, .snapshot_index = 0, .snapshot_term = {}, .entries = {}};
  auto files = wal::SnapshotFiles::open(image, "data/snapshots", Logger());
  if (!files) return std::nullopt;
  wal::LogOptions options;
  options.segment_bytes = 4096;
  options.may_create = false;
  if (const auto newest = (*files)->newest(); newest && *newest) {
    out.snapshot_index = (*newest)->meta.index.value;
    out.snapshot_term = (*newest)->meta.term.value;
    options.snapshot_index = (*newest)->meta.index;
  }
  auto opened = wal::Log::open(image, "data/log", options, Logger());
  if (!opened) return may_lack_log && out.snapshot_index > 0 ? std::optional(std::move(out)) : std::nullopt;
  for (const raft::Entry& entry : opened->entries) {
    out.entries.push_back({.index = entry.index.value, .term = entry.term.value, .content_hash = content_of(entry)});
  }
  return out;
}

// Who must have what is committed. While a change is under way it could be the old voters or the new ones: nothing is
// said then.
std::vector<std::set<uint64_t>> Observer::quorums() const {
  const auto in_force = in_force_.find(leader_);
  if (committed_configurations_.empty() || in_force == in_force_.end()) return {};
  const auto voters_of = [&](const raft::Configuration& configuration) {
    std::set<uint64_t> out;
    for (const raft::Member& member : configuration.members) {
      if (member.incoming == raft::Suffrage::Voter) out.insert(machines_.machine_of(member.id.value));
    }
    return out;
  };
  const raft::Configuration& committed = committed_configurations_.back();
  if (committed.joint || in_force->second.joint) return {};
  if (voters_of(committed) != voters_of(in_force->second)) return {};
  return {voters_of(committed)};
}

std::set<MachineId> Observer::voters() const {
  std::set<MachineId> out;
  if (committed_configurations_.empty()) return out;
  for (const raft::Member& member : committed_configurations_.back().members) {
    if (member.incoming == raft::Suffrage::Voter) out.insert(machines_.machine_of(member.id.value));
  }
  return out;
}

void Observer::examine_disks() {
  ++examinations_;
  std::vector<verify::LogImage> images;
  for (const MachineId machine : machines_.machines()) {
    const Disk* disk = machines_.disk_of(machine);
    if (disk == nullptr) continue;
    if (auto image = image_of(machine, *disk)) images.push_back(std::move(*image));
  }
  ledger_.check_images(images);
  const auto voters = quorums();
  if (!voters.empty()) ledger_.check_durable(ledger_.highest().index, images, voters);
}

}  // namespace witan::sim
