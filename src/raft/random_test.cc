// Whole clusters under random trouble: whatever is lost, late, repeated, cut off or restarted, the promises of thesis
// figure 3.2 hold, and when the trouble ends the cluster goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "raft/testing.h"

namespace witan::raft::testing {
namespace {

Options tight_options() {
  Options options;
  options.max_append_bytes = 200;  // a few entries
  options.max_inflight_messages = 3;
  options.max_inflight_bytes = 500;
  options.max_uncommitted_bytes = 1500;
  options.max_tail_bytes = 250;  // followers that lag need the disk
  return options;
}

class Trouble {
 public:
  explicit Trouble(uint64_t seed) : rng_(seed), cluster_(tight_options(), {1, 2, 3}, {4, 5}, seed + 1) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      one_thing();
      if (i % 64 == 0) cluster_.compare_logs();
    }
  }

  // Everything heals; a new command must reach everybody who belongs to the cluster.
  void recover() {
    cluster_.heal();
    for (const uint64_t id : cluster_.ids()) cluster_.restart(id);
    const std::string last = "the last word";
    for (int i = 0; i < 400; ++i) {
      cluster_.advance(milliseconds(50));
      cluster_.settle();
      const uint64_t leader = cluster_.leader();
      if (leader == 0 || !cluster_.raft(leader).standing().leading) continue;
      if (!proposed_) cluster_.propose(leader, last);
      proposed_ = proposed_ || cluster_.last_proposed->has_value();
      if (proposed_ && everybody_has(last, leader)) return;
      // Its leader may have lost the command together with its leadership.
      if (i % 100 == 99) proposed_ = false;
    }
    std::string state = "the cluster did not recover";
    for (const uint64_t id : cluster_.ids()) state += fmt::format("\n{}: {}", id, cluster_.raft(id).describe());
    cluster_.judge().complain(std::move(state));
  }

  Cluster& cluster() { return cluster_; }

 private:
  uint64_t anybody() { return 1 + rng_.below(5); }
  uint64_t somebody() { return rng_.chance(4, 5) && cluster_.leader() != 0 ? cluster_.leader() : anybody(); }

  void one_thing() {
    const uint64_t dice = rng_.below(1000);
    if (dice < 560) return message();
    if (dice < 740) return static_cast<void>(cluster_.write_one(anybody()));
    if (dice < 810) return cluster_.advance(milliseconds(rng_.between(1, 120)));
    if (dice < 890) return cluster_.propose(somebody(), fmt::format("command {}", ++number_));
    if (dice < 930) return cluster_.read(somebody(), ++number_);
    if (dice < 945) return disk_traffic();
    if (dice < 957) return cluster_.snapshot(anybody(), rng_.below(6));
    if (dice < 967) return applied();
    if (dice < 976) return network();
    if (dice < 984) return life();
    if (dice < 992) return membership();
    leadership();
  }

  void message() {
    if (cluster_.messages().empty()) return;
    // Mostly in order, sometimes overtaking, lost or twice.
    const size_t position = rng_.chance(3, 4) ? 0 : rng_.below(cluster_.messages().size());
    if (rng_.chance(1, 25)) return cluster_.lose(position);
    if (rng_.chance(1, 25)) cluster_.repeat(position);
    cluster_.deliver(position);
  }

  void disk_traffic() {
    if (!cluster_.fetches().empty()) cluster_.answer_fetch(rng_.below(cluster_.fetches().size()));
    if (!cluster_.transfers().empty()) {
      cluster_.deliver_snapshot(rng_.below(cluster_.transfers().size()), rng_.chance(3, 4));
    }
  }

  void applied() {
    const uint64_t id = anybody();
    if (cluster_.at(id).raft) cluster_.step(id, Applied{cluster_.at(id).delivered});
  }

  void network() {
    const uint64_t dice = rng_.below(4);
    if (dice == 0) return cluster_.isolate(anybody());
    if (dice == 1) {
      const uint64_t a = anybody();
      const uint64_t b = anybody();
      if (a != b) cluster_.cut(a, b);
      return;
    }
    if (dice == 2) return cluster_.step(somebody(), Unreachable{NodeId(anybody())});
    cluster_.heal();
  }

  void life() {
    const uint64_t id = anybody();
    if (rng_.chance(1, 3)) cluster_.crash(id, rng_.below(4));
    for (const uint64_t down : cluster_.ids()) {
      if (rng_.chance(1, 2)) cluster_.restart(down);
    }
  }

  void membership() {
    Configuration target;
    for (uint64_t id = 1; id <= 5; ++id) {
      if (rng_.chance(1, 4)) continue;
      target.members.push_back({.id = NodeId(id), .incoming = rng_.chance(1, 4) ? Suffrage::Learner : Suffrage::Voter});
    }
    cluster_.step(somebody(), ProposeMembership{.target = target, .only_in = {}});
  }

  void leadership() {
    if (rng_.chance(1, 2)) return cluster_.step(somebody(), StepDown{"because"});
    cluster_.step(somebody(), TransferLeadership{NodeId(rng_.below(6))});
  }

  bool everybody_has(const std::string& text, uint64_t leader) {
    if (cluster_.judge().committed().empty() || cluster_.raft(leader).configuration().joint) return false;
    const auto& committed = cluster_.judge().committed();
    const auto at = std::ranges::find_if(committed, [&](const Entry& entry) { return entry.data.view() == text; });
    if (at == committed.end()) return false;
    return std::ranges::all_of(cluster_.raft(leader).configuration().members, [&](const Member& member) {
      return cluster_.at(member.id.value).delivered >= at->index;
    });
  }

  Rng rng_;
  Cluster cluster_;
  uint64_t number_ = 0;
  bool proposed_ = false;
};

class RandomTrouble : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomTrouble, KeepsThePromisesAndRecovers) {
  size_t committed = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    const uint64_t seed = GetParam() * 1000 + i;
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Trouble trouble(seed);
    trouble.run(2500);
    committed += trouble.cluster().judge().committed().size();
    trouble.recover();
    ASSERT_THAT(trouble.cluster().judge().complaints(), ::testing::ElementsAre());
  }
  // Trouble that stops everything proves nothing.
  EXPECT_GT(committed, 50U * 15);
}

// WITAN_SEEDS=1000 turns a couple of seconds into a soak.
uint64_t batches() {
  const char* wanted = std::getenv("WITAN_SEEDS");
  return wanted == nullptr ? 6 : std::strtoull(wanted, nullptr, 10) / 50;
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTrouble, ::testing::Range<uint64_t>(1, 1 + batches()));

}  // namespace
}  // namespace witan::raft::testing
