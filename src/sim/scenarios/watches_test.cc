// Stories about watches that lose events, repeat them, or are told too much. What each watch hears is judged at the end
// of every story: order, completeness below the last event, atomicity, contents, progress.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

using Kind = verify::WatchMessage::Kind;

// A member that misses a little needs a snapshot.
void forgetful(Plan& plan) {
  plan.snapshot_entries = 10;
  plan.keep_entries = 0;
  plan.inflight_messages = 1;
  plan.append_bytes = 1;
}

verify::WatchAttachment from(int64_t start_revision) {
  return {.begin = "fill/",
          .end = "fill0",
          .start_revision = start_revision,
          .prev_kv = true,
          .progress_notify = true,
          .messages = {}};
}

size_t deletions(const Watch& watch) {
  size_t sum = 0;
  for (const auto& message : watch.heard().messages) {
    sum += static_cast<size_t>(std::ranges::count_if(message.events, &verify::WatchEvent::deleted));
  }
  return sum;
}

int64_t last_progress(const Watch& watch) {
  int64_t last = 0;
  for (const auto& message : watch.heard().messages) {
    if (message.kind == Kind::Progress) last = message.header_revision;
  }
  return last;
}

// etcd #18089, #19179: the compacted revision itself was a deletion, and a watch from there on did not hear of it.
TEST(Watches, ADeletionAtTheCompactedRevisionIsHeardOf) {
  Scenario world;
  Client client = world.client(world.follower());
  client.fill(5);
  const int64_t revision = client.erase("fill/3").revision();
  client.fill(3);
  client.compact(revision).expect_ok();
  world.run_for(seconds(2));  // what is removed in the background is removed
  Watch at = client.watch(from(revision));
  at.expect_events(4);
  EXPECT_EQ(deletions(at), 1);
  Watch below = client.watch(from(revision - 1));
  below.expect(Kind::Canceled);
  EXPECT_EQ(below.heard().messages.back().compact_revision, revision);
  world.lose_all_power();
  Watch again = world.client(world.follower()).watch(from(revision));
  again.expect_events(4);
  EXPECT_EQ(deletions(again), 1);
}

// etcd #15271: a member was cut off so long that it needed a snapshot; its watchers then were told again what they had.
TEST(Watches, AnInstalledSnapshotRepeatsAndLosesNothing) {
  Scenario world(3, forgetful);
  const MachineId late = world.follower();
  Client client = world.client(world.leader());
  Client there = world.client(late);
  client.fill(10);
  Watch past = there.watch(from(2));
  past.expect_events(10);  // so that nothing of it is news to the next one
  Watch present = there.watch(from(0));
  present.expect(Kind::Created);
  client.fill(5);
  past.expect_events(15);
  present.expect_events(5);
  world.isolate(late);
  client.fill(40);
  client.erase("fill/7").expect_ok();
  EXPECT_EQ(past.events(), 15);
  world.heal_network();
  past.expect_events(56);
  present.expect_events(46);
  world.wait_for(late);
  EXPECT_GT(world.world().observer().snapshots_installed(), 0U) << "the story needs one";
  client.fill(5);
  present.expect_events(51);
  world.run_for(seconds(3));
  EXPECT_EQ(past.events(), 61);
  EXPECT_EQ(present.events(), 51);
}

// The same when what was missed is compacted by then: the watch ends and says from where it could go on.
TEST(Watches, AWatchThatMissedWhatIsCompactedSaysSo) {
  Scenario world(3, forgetful);
  const MachineId late = world.follower();
  Client client = world.client(world.leader());
  Watch watch = world.client(late).watch(from(0));
  watch.expect(Kind::Created);
  client.fill(5);
  watch.expect_events(5);
  world.isolate(late);
  client.fill(40);
  const int64_t revision = client.erase("fill/7").revision();
  client.compact(revision).expect_ok();
  client.fill(15);
  world.heal_network();
  watch.expect(Kind::Canceled);
  EXPECT_EQ(watch.heard().messages.back().compact_revision, revision);
  EXPECT_LE(watch.events(), 6U) << "at most one append was under way";
  world.client(late).watch(from(revision)).expect_events(16);
}

// etcd #20221, #20281: after a snapshot a watch of the future was told of the past.
TEST(Watches, AWatchOfTheFutureHearsNothingBeforeItAfterASnapshot) {
  Scenario world(3, forgetful);
  const MachineId late = world.follower();
  Client client = world.client(world.leader());
  Client there = world.client(late);
  client.fill(5);  // up to revision 6
  Watch watch = there.watch(from(60));
  watch.expect(Kind::Created);
  world.isolate(late);
  client.fill(43);  // up to revision 49
  world.heal_network();
  world.wait_for(late);
  EXPECT_GT(world.world().observer().snapshots_installed(), 0U) << "the story needs one";
  watch.ask_progress();
  world.run_for(seconds(5));
  EXPECT_EQ(watch.events(), 0);
  EXPECT_EQ(last_progress(watch), 0) << "it has not begun";
  client.fill(15);  // up to revision 64
  watch.expect_events(5);
  world.run_for(seconds(1));
  EXPECT_EQ(watch.events(), 5);
}

// etcd #15220: a watch that still read history was told that it had everything. One that asks while it catches up hears
// of no revision whose events are still to come.
TEST(Watches, ProgressNeverRunsAheadOfEvents) {
  for (const size_t buffer : {size_t{1}, size_t{2000}, size_t{64} << 10}) {
    Scenario world(3, [&](Plan& plan) {
      plan.watch_buffer_bytes = buffer;
      plan.network.buffer_bytes = 1000;
      plan.network.most_delay = milliseconds(3);
    });
    Client writer = world.client(world.leader());
    Client client = world.client(world.follower());
    writer.fill(300);
    Watch watch = client.watch(from(2));
    watch.expect(Kind::Created);
    for (int i = 0; i < 20; ++i) {
      watch.ask_progress();
      writer.put("fill/0", "busy " + std::to_string(i));
      world.run_for(milliseconds(2));
    }
    watch.expect_events(320);
    watch.ask_progress();
    EXPECT_TRUE(world.run_until([&] { return last_progress(watch) == 321; }));
  }
}

// etcd #17529: the streams of a slow client were full when a watch was to hear that compaction had overtaken it, and it
// never heard anything again. Here the client does not read at all meanwhile.
TEST(Watches, AStarvedWatchHearsThatItWasOvertaken) {
  Scenario world(3, [](Plan& plan) {
    plan.watch_buffer_bytes = 1000;
    plan.network.buffer_bytes = 1000;
  });
  Client writer = world.client(world.leader());
  Client client = world.client(world.follower());
  std::vector<Watch> watches;
  for (int i = 0; i < 10; ++i) watches.push_back(client.watch(from(0)));
  for (Watch& watch : watches) watch.expect(Kind::Created);
  client.channel().pause(seconds(5));
  for (int round = 0; round < 5; ++round) {
    int64_t revision = 0;
    for (int i = 0; i < 20; ++i) {
      const std::string value = std::to_string(round * 100 + i) + std::string(8000, 'x');
      revision = writer.put("fill/0", value).revision();
    }
    writer.compact(revision).expect_ok();
    world.run_for(milliseconds(200));
  }
  for (Watch& watch : watches) {
    EXPECT_TRUE(world.run_until([&] {
      return watch.events() == 100 ||
             (!watch.heard().messages.empty() && watch.heard().messages.back().kind == Kind::Canceled);
    })) << watch.events();
  }
  EXPECT_TRUE(std::ranges::any_of(watches, [](const Watch& watch) {
    return watch.heard().messages.back().kind == Kind::Canceled;
  })) << "nobody was starved";
  // The stream still works.
  Watch fresh = client.watch(from(0));
  fresh.expect(Kind::Created);
  writer.fill(3);
  fresh.expect_events(3);
}

// A slow client and no compaction: it loses nothing, and while it is behind its watch is not told that it is not,
// although the time for that comes several times (etcd #15220 again).
TEST(Watches, AStarvedWatchLosesNothing) {
  Scenario world(3, [](Plan& plan) {
    plan.watch_buffer_bytes = 1;
    plan.network.buffer_bytes = 1000;
  });
  Client writer = world.client(world.leader());
  Client client = world.client(world.follower());
  Watch watch = client.watch(from(0));
  watch.expect(Kind::Created);
  client.channel().pause(seconds(10));
  for (int i = 0; i < 100; ++i) writer.put("fill/0", std::to_string(i) + std::string(8000, 'x')).expect_ok();
  watch.expect_events(100);
}

// Seed 70013048: a world was taken to be at rest while a put whose client had given it up was on its way. It came to
// pass after the watchers had left, who were held to have missed it.
TEST(Watches, NothingIsOnItsWayToThemWhenAWorldRests) {
  Scenario world;
  Client client = world.client(world.leader());
  client.put("a", "1").expect_ok();
  world.run_for(seconds(1));
  client.patience(milliseconds(0)).put("a", "2").expect_unknown();
  const auto& ledger = world.world().observer().ledger();
  const uint64_t given_up_at = ledger.highest().index;
  EXPECT_FALSE(world.world().come_to_rest(seconds(60)));
  const uint64_t rested_at = ledger.highest().index;
  EXPECT_GT(rested_at, given_up_at);
  world.run_for(seconds(1));
  EXPECT_EQ(ledger.highest().index, rested_at);
}

}  // namespace
}  // namespace witan::sim
