// Sees what every member of a world applies, and keeps the one history that they must agree on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "node/witness.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "verify/ledger.h"
#include "verify/session.h"
#include "verify/truth.h"

namespace witan::sim {

struct LeaseEnd {
  Instant when;
  bool expired = false;  // the leader's doing, not a client's
};

class Observer {
 public:
  // Machines are the numbers members are told apart by; the group knows them by ids.
  class Machines {
   public:
    virtual ~Machines() = default;
    // 0: nobody has that id.
    virtual MachineId machine_of(uint64_t member_id) const = 0;
    virtual const Disk* disk_of(MachineId machine) const = 0;
    virtual std::vector<MachineId> machines() const = 0;
  };

  // Told of what happens as it happens, within the member's own call: whoever reacts does so in an event of its own.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void standing(MachineId machine, const raft::Standing& standing) = 0;
    // One more entry is known to be committed.
    virtual void committed() = 0;
  };

  Observer(Scheduler& scheduler, const Machines& machines, Rng rng);
  ~Observer();
  node::Witness& at(MachineId machine);
  // At most one; null: nobody.
  void listen(Listener* listener) { listener_ = listener; }

  const verify::Ledger& ledger() const { return ledger_; }
  // What was found since the last call.
  std::vector<verify::Violation> take_violations();
  const verify::Truth& truth() const { return truth_; }
  const std::set<int64_t>& lease_end_revisions() const { return lease_end_revisions_; }
  const std::map<int64_t, LeaseEnd>& lease_ends() const { return lease_ends_; }
  const std::set<int64_t>& leases_ever() const { return leases_ever_; }
  // What concerns ZooKeeper's sessions, in the order of the log. They are among the leases above, too.
  const std::vector<verify::SessionEntry>& session_log() const { return session_log_; }
  // How far the machine's state is, in its present life.
  uint64_t applied_by(MachineId machine) const;
  // The machine that was last seen to lead, of the highest term; 0: none yet.
  MachineId leader() const { return leader_; }
  uint64_t term() const { return term_; }
  // Of the committed configuration.
  std::set<MachineId> voters() const;
  // No change of the members is under way, as far as the leader's log says.
  bool settled() const { return !quorums().empty(); }

  // Looks at every disk as it would be after a power failure now (core D2, S4, thesis 3.8).
  void examine_disks();

  uint64_t elections() const { return elections_; }
  uint64_t examinations() const { return examinations_; }
  uint64_t snapshots_installed() const { return installed_; }
  uint64_t configurations() const { return committed_configurations_.size(); }

 private:
  class MemberWitness;

  void applied(MachineId machine, const raft::Entry& entry, const store::Store& store,
               const store::ChangeBatchPtr& changes);
  void replaced(MachineId machine, raft::Index index, const store::Store& store);
  void standing(MachineId machine, const raft::Standing& standing);
  void commit(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes);
  void note_command(const raft::Entry& entry, const store::Store& store, const store::ChangeBatchPtr& changes);
  void note_session(const store::Command& command, const store::Store& store, bool changed);
  std::optional<verify::LogImage> image_of(MachineId machine, const Disk& disk);
  static std::optional<verify::LogImage> read_image(MachineId machine, Disk& image, bool may_lack_log);
  std::vector<std::set<uint64_t>> quorums() const;

  Scheduler& scheduler_;
  const Machines& machines_;
  Rng rng_;
  Listener* listener_ = nullptr;
  verify::Ledger ledger_;
  verify::Truth truth_;
  verify::Findings findings_;
  std::map<MachineId, std::unique_ptr<MemberWitness>> witnesses_;
  std::map<MachineId, uint64_t> applied_;
  std::set<int64_t> lease_end_revisions_;
  std::map<int64_t, LeaseEnd> lease_ends_;
  std::set<int64_t> leases_ever_;
  std::vector<verify::SessionEntry> session_log_;
  std::set<std::tuple<uint64_t, uint64_t, uint64_t>> origins_;  // member, incarnation, request
  std::vector<raft::Configuration> committed_configurations_;
  std::map<MachineId, raft::Configuration> in_force_;  // as each machine has it
  MachineId leader_ = 0;
  uint64_t term_ = 0;
  uint64_t committed_term_ = 0;  // of the newest entry
  uint64_t elections_ = 0;
  uint64_t examinations_ = 0;
  uint64_t installed_ = 0;
};

}  // namespace witan::sim
