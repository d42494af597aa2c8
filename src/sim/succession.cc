#include "sim/succession.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/nemesis.h"
#include "sim/world.h"

namespace witan::sim {
namespace {

constexpr Duration kShortStall = milliseconds(300);  // a disk that hung works again so soon after the next one rose
constexpr Duration kLongestStall = seconds(8);

}  // namespace

Succession::Succession(World& world, Operator& keeper, Nemesis& nemesis, Rng rng)
    : world_(world), keeper_(keeper), nemesis_(nemesis), rng_(std::move(rng)) {
  world_.observer().listen(this);
}
Succession::~Succession() { world_.observer().listen(nullptr); }

// ---- A row of reigns ----------------------------------------------------------------------------

void Succession::begin() {
  // Some rows have a custom of their own, so that one moment follows the other often enough.
  custom_.reset();
  if (rng_.chance(2, 3)) custom_ = {static_cast<Moment>(rng_.below(4)), static_cast<Moment>(rng_.below(4))};
  peaceful_ = rng_.chance(1, 4);
  begin(2 + rng_.below(8));
}

void Succession::begin_with_heir() {
  custom_ = {Moment::Later, Moment::Later};
  peaceful_ = true;
  begin(2);
}

void Succession::begin(size_t reigns) {
  const MachineId leader = world_.leader();
  if (left_ > 0 || may_be_out() == 0 || !world_.wanted(leader)) return;
  left_ = reigns;
  world_.count("fault: short reigns");
  arrange(leader);
}

void Succession::stop() {
  if (left_ > 0) finish();
}

void Succession::finish() {
  left_ = 0;
  asked_late_ = 0;
  move_on();
  while (!out_.empty()) let_in_oldest();
  world_.tell_clients();
}

void Succession::move_on() {
  ++moves_;
  giving_away_ = falls_ = 0;
  if (std::exchange(slowed_, false)) world_.network().set_slowness(1);
}

template <class What>
void Succession::unless_moved(Duration span, What task) {
  world_.scheduler().after(span, [this, moves = moves_, task] {
    if (left_ > 0 && moves_ == moves) task();
  });
}

size_t Succession::may_be_out() const {
  const size_t voters = world_.observer().voters().size();
  return voters == 0 ? 0 : (voters - 1) / 2;
}

bool Succession::out(MachineId machine) const { return std::ranges::find(out_, machine, &Out::machine) != out_.end(); }

// By its own doing, or by a blow.
void Succession::arrange(MachineId leader) {
  move_on();
  if (!rng_.chance(peaceful_ ? 9 : 1, 10)) return fall(leader, false);
  std::vector<MachineId> heirs;
  for (const MachineId machine : world_.observer().voters()) {
    if (machine != leader && world_.wanted(machine) && !out(machine)) heirs.push_back(machine);
  }
  if (heirs.empty()) return fall(leader, false);
  giving_away_ = leader;
  nemesis_.say("is to hand over", leader);
  // On slow lines more is under way when the heir campaigns.
  slowed_ = rng_.chance(1, 2);
  if (slowed_) world_.network().set_slowness(rng_.between(2, 50));
  keeper_.move_leader(heirs[rng_.below(heirs.size())]);
  unless_moved(world_.plan().election / 2, [this, leader] { fall(leader, false); });
}

// The one moment at which two members may believe to lead although nobody was silent for long: somebody campaigns by
// the leader's leave, and the leader does not hear of it.
void Succession::usurped(MachineId candidate) {
  const MachineId leader = giving_away_;
  // The longer the votes take, the more the old leader does meanwhile.
  if (rng_.chance(1, 2)) {
    world_.member(candidate).pace().stall_until(world_.scheduler().now() + Duration(rng_.between(0, 60'000'000)));
  }
  fall(leader, true);
}

Succession::Fall Succession::draw_fall(bool by_heir) {
  const uint64_t dice = rng_.below(20);
  if (by_heir) return dice < 14 ? Fall::Deaf : dice < 17 ? Fall::Paused : Fall::CutOff;
  if (dice < 10) return Fall::CutOff;
  if (dice < 12) return Fall::Deaf;
  if (dice < 14) return Fall::Mute;
  return dice < 16 ? Fall::Paused : Fall::Crashed;
}

void Succession::fall(MachineId leader, bool by_heir) {
  move_on();
  if (left_ <= 1 || !world_.wanted(leader) || may_be_out() == 0) return finish();
  --left_;
  // The others must be able to go on, so whoever is out longest comes back.
  while (out_.size() >= may_be_out()) let_in_oldest();
  Out one{.machine = leader, .fall = draw_fall(by_heir)};
  Member& member = world_.member(leader);
  if (one.fall == Fall::Crashed) {
    nemesis_.crash(leader);
  } else if (one.fall == Fall::Paused) {
    member.pause(std::min<Duration>(4 * world_.plan().election, seconds(6)));
  } else {
    cut(one, true);
    one.stalled = rng_.chance(1, 3);
    if (one.stalled) member.pace().stall_until(world_.scheduler().now() + kLongestStall);
  }
  nemesis_.say(by_heir ? "fell to its heir" : "fell", leader);
  out_.push_back(one);
  last_out_ = leader;
  take_sides(leader);
  // Back before it must know that it does not lead any more: what it missed arrives all at once.
  if (by_heir && rng_.chance(1, 2)) {
    asked_late_ = leader;
    late_commits_ = 1 + rng_.below(6);
  } else if (rng_.chance(1, by_heir ? 2 : 6)) {
    world_.scheduler().after(Duration(rng_.between(0, world_.plan().election.count())), [this, leader] {
      if (out(leader)) let_in(leader);
    });
  }
  unless_moved(4 * world_.plan().election + seconds(2), [this] { finish(); });
}

// ---- Whoever comes after ------------------------------------------------------------------------

void Succession::standing(MachineId machine, const raft::Standing& standing) {
  if (left_ == 0) return;
  // Not within the member's own call, but before anything it said has arrived anywhere.
  if (standing.role == raft::Role::Candidate && giving_away_ != 0 && machine != giving_away_) {
    unless_moved(Duration(0), [this, machine] { usurped(machine); });
  }
  if (standing.role != raft::Role::Leader || standing.term.value <= term_) return;
  term_ = standing.term.value;
  world_.scheduler().after(Duration(0), [this, machine, term = term_] {
    if (left_ > 0 && term_ == term) risen(machine);
  });
}

Succession::Moment Succession::draw_moment() {
  if (custom_ && rng_.chance(3, 4)) return (*custom_)[left_ % 2];
  return static_cast<Moment>(rng_.below(4));
}

void Succession::risen(MachineId leader) {
  move_on();
  if (!world_.wanted(leader)) return finish();
  const std::deque<Out> before = out_;
  for (const Out& one : before) {
    if (one.machine == leader) let_in(leader);
    if (one.stalled) end_of_stall(one.machine);
    if (one.machine != leader && one.machine != asked_late_ && rng_.chance(1, peaceful_ ? 10 : 4)) let_in(one.machine);
  }
  const Duration election = world_.plan().election;
  // Before something else happens, its predecessor is asked.
  if (asked_late_ != 0) return unless_moved(election, [this, leader] { arrange(leader); });
  if (rng_.chance(1, 4)) {
    trade_places(leader);
  } else if (!peaceful_ || rng_.chance(1, 4)) {
    strike_bystanders(leader);
  }
  switch (draw_moment()) {
    case Moment::AtOnce: return arrange(leader);
    case Moment::Soon: return unless_moved(Duration(rng_.between(0, 50'000'000)), [this, leader] { arrange(leader); });
    case Moment::Commit:
      falls_ = leader;
      commits_ = 1 + rng_.below(3);
      return unless_moved(4 * election, [this, leader] { arrange(leader); });
    case Moment::Later:
      return unless_moved(Duration(rng_.between(0, 2 * election.count())), [this, leader] { arrange(leader); });
  }
}

// The first that a leader commits is what the members did not all see begin.
void Succession::committed() {
  if (asked_late_ != 0 && world_.observer().leader() != asked_late_ && --late_commits_ == 0) {
    ask_late(std::exchange(asked_late_, 0));
  }
  if (falls_ == 0 || --commits_ > 0) return;
  unless_moved(Duration(0), [this, leader = falls_] { fall(leader, false); });
  falls_ = 0;
}

// Clients turn to a leader that does not know yet what its heir has done, and then it hears what was on its way.
void Succession::ask_late(MachineId old) {
  world_.scheduler().after(Duration(rng_.below(20'000'000)), [this, old] {
    for (const auto& workload : world_.workloads()) {
      if (out(old) && rng_.chance(1, 2)) turn(*workload, {&world_.member(old)});
    }
  });
  world_.scheduler().after(Duration(rng_.between(20'000'000, 100'000'000)), [this, old] {
    if (out(old)) let_in(old);
  });
}

// Those who made it leader are not spared.
void Succession::strike_bystanders(MachineId leader) {
  for (const MachineId machine : world_.observer().voters()) {
    if (machine == leader || !world_.wanted(machine) || out(machine)) continue;
    const uint64_t dice = rng_.below(10);
    if (dice < 3) {
      nemesis_.crash(machine);
    } else if (dice < 4) {
      world_.member(machine).pace().stall_until(world_.scheduler().now() + Duration(rng_.between(0, 2'000'000'000)));
    }
  }
}

// Who voted for the new leader is gone, and who was out makes up its quorum.
void Succession::trade_places(MachineId leader) {
  while (!out_.empty()) let_in_oldest();
  std::vector<MachineId> voted;
  for (const MachineId machine : world_.observer().voters()) {
    if (machine != leader && machine != last_out_ && world_.wanted(machine)) voted.push_back(machine);
  }
  while (!voted.empty() && out_.size() < may_be_out()) {
    const auto one = voted.begin() + static_cast<ptrdiff_t>(rng_.below(voted.size()));
    out_.push_back({.machine = *one, .fall = Fall::CutOff});
    cut(out_.back(), true);
    nemesis_.say("gives way to those it took over from", *one);
    voted.erase(one);
  }
}

void Succession::cut(const Out& one, bool off) {
  Network& network = world_.network();
  const auto turn = [&](MachineId from, MachineId to) { off ? network.block(from, to) : network.unblock(from, to); };
  for (const MachineId other : world_.members()) {
    if (other == one.machine) continue;
    if (one.fall != Fall::Mute) turn(other, one.machine);
    if (one.fall != Fall::Deaf) turn(one.machine, other);
  }
}

void Succession::let_in_oldest() { let_in(out_.front().machine); }

void Succession::let_in(MachineId machine) {
  const auto found = std::ranges::find(out_, machine, &Out::machine);
  if (found == out_.end()) return;
  const Out one = *found;
  out_.erase(found);
  if (!world_.wanted(machine)) return;
  Member& member = world_.member(machine);
  if (one.fall == Fall::Paused) {
    member.end_pause();
  } else if (one.fall == Fall::Crashed) {
    if (!member.running()) member.start();
  } else {
    join(machine);
    if (one.stalled) end_of_stall(machine);
  }
}

// Some lines come back later than others, so that of what was under way the old may come after the new.
void Succession::join(MachineId machine) {
  if (rng_.chance(1, 2)) return cut({.machine = machine, .fall = Fall::CutOff}, false);
  Network& network = world_.network();
  for (const MachineId other : world_.members()) {
    if (other == machine) continue;
    for (const auto& [from, to] : {std::pair(other, machine), std::pair(machine, other)}) {
      if (!network.blocked(from, to)) continue;
      world_.scheduler().after(Duration(rng_.below(100'000'000)), [&network, from, to] { network.unblock(from, to); });
    }
  }
}

// A disk that hung has much to do afterwards.
void Succession::end_of_stall(MachineId machine) {
  DiskPace& pace = world_.member(machine).pace();
  const Instant soon = world_.scheduler().now() + Duration(rng_.between(0, kShortStall.count()));
  if (pace.stalled_until() <= soon) return;
  pace.stall_until(soon);
  if (!rng_.chance(1, 2)) return;
  pace.set_slowness(rng_.between(3, 60));
  world_.scheduler().after(Duration(rng_.between(100'000'000, 1'000'000'000)), [&pace] { pace.set_slowness(1); });
}

void Succession::turn(Workload& workload, const std::vector<const Member*>& members) {
  workload.set_members(members);
  workload.reconnect();
}

// Some clients turn to the one that fell, some to others; the rest stay where they are.
void Succession::take_sides(MachineId old) {
  std::vector<const Member*> others;
  for (const MachineId machine : world_.members()) {
    if (machine != old) others.push_back(&world_.member(machine));
  }
  if (others.empty()) return;
  for (const auto& workload : world_.workloads()) {
    const uint64_t dice = rng_.below(4);
    if (dice >= 2) continue;
    turn(*workload, dice == 0 ? std::vector<const Member*>{&world_.member(old)} : others);
  }
}

}  // namespace witan::sim
