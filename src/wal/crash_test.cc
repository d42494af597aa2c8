// Every state that a power failure may leave of a small log, at every point of its life (docs/formats/wal.md, crash
// table).
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "wal/log.h"
#include "wal/snapshot_files.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

using raft::Entry;
using raft::HardState;
using raft::Index;
using raft::NodeId;
using raft::Term;

constexpr LogOptions kOptions{.segment_bytes = 4096, .seed = 11};

// One call to the log, with what it is expected to have done when it succeeded.
struct Step {
  std::function<Result<>(Log&)> act;
  ModelLog after;
  Index snapshot;  // the newest snapshot from then on; durable before the step
};

class Story {
 public:
  void append(uint64_t term, uint64_t from, uint64_t to, size_t size) {
    std::vector<Entry> list;
    for (uint64_t i = from; i <= to; ++i) {
      list.push_back(make_entry(term, i, std::string(size, static_cast<char>('a' + (i * 7 + term) % 26))));
    }
    const HardState hard_state{Term(term), NodeId(term % 3), Index(from - 1)};
    std::optional<Index> cut;
    if (Index(from) <= model_.last()) cut = Index(from);
    Batch batch{.hard_state = hard_state, .cut_from = cut, .entries = list};
    model_.apply(batch);
    add([=](Log& log) { return log.append({.hard_state = hard_state, .cut_from = cut, .entries = list}); });
  }
  void restart(uint64_t after) {
    snapshot_ = Index(after);
    model_.apply({.restart_after = snapshot_});
    add([after](Log& log) { return log.append({.restart_after = Index(after)}); });
  }
  void compact(uint64_t index) {
    snapshot_ = Index(index);
    if (snapshot_ > model_.last()) model_.compact(snapshot_);
    add([index](Log& log) { return log.compact(Index(index)); });
  }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  void add(std::function<Result<>(Log&)> act) { steps_.push_back({std::move(act), model_, snapshot_}); }

  std::vector<Step> steps_;
  ModelLog model_;
  Index snapshot_;
};

bool same(const Log::Opened& opened, const ModelLog& model, Index snapshot) {
  ModelLog expected = model;
  if (expected.last() < snapshot) expected.compact(snapshot);
  // The entry at the snapshot's index is there unless its segment went.
  if (opened.log->first_index() > snapshot + 1) return false;
  const Index from = std::max(snapshot, opened.log->first_index());
  return opened.hard_state == expected.hard_state && opened.entries == expected.since(from) &&
         opened.log->last_index() == expected.last();
}

// Opens what is left after a failure in step `step` (or before the log was made: -1), and checks that it is the state
// before that step or the one after it, and that the log can go on.
void check_survivor(MemoryDisk& disk, const Story& story, int step) {
  const ModelLog before = step <= 0 ? ModelLog() : story.steps()[step - 1].after;
  const ModelLog after = step < 0 ? ModelLog() : story.steps()[step].after;
  LogOptions options = kOptions;
  options.snapshot_index = step < 0 ? Index(0) : story.steps()[step].snapshot;
  {
    auto opened = Log::open(disk, "wal", options, {});
    ASSERT_TRUE(opened) << opened.error().message;
    const bool is_after = same(*opened, after, options.snapshot_index);
    ASSERT_TRUE(is_after || same(*opened, before, options.snapshot_index)) << "neither before nor after the step";
    // A second failure right after opening changes nothing: what was returned is durable.
    MemoryDisk again = disk.copy();
    Rng rng(1);
    disk.after_power_failure(rng, [&](MemoryDisk& survivor) {
      auto reopened = Log::open(survivor, "wal", options, {});
      ASSERT_TRUE(reopened) << reopened.error().message;
      ASSERT_TRUE(same(*reopened, is_after ? after : before, options.snapshot_index));
    });
    // The log goes on behind whatever was torn.
    const uint64_t next = opened->log->last_index().value + 1;
    const std::vector<Entry> more{make_entry(99, next, "more"), make_entry(99, next + 1, std::string(900, 'm'))};
    ASSERT_TRUE(opened->log->append({.entries = more}));
    std::vector<Entry> expected = opened->entries;
    expected.insert(expected.end(), more.begin(), more.end());
    opened->log.reset();
    auto reopened = Log::open(disk, "wal", options, {});
    ASSERT_TRUE(reopened) << reopened.error().message;
    ASSERT_EQ(reopened->entries, expected);
  }
}

// Tells the story on a new disk that loses power at operation `end`. Returns the step in which that was; nullopt when
// the story was over before.
std::optional<int> tell(const Story& story, MemoryDisk& disk, uint64_t end) {
  disk.fail_at(end, true, "power failure");
  auto opened = Log::open(disk, "wal", kOptions, {});
  if (!opened) return -1;
  for (size_t i = 0; i < story.steps().size(); ++i) {
    if (!story.steps()[i].act(*opened->log)) return static_cast<int>(i);
  }
  return std::nullopt;
}

uint64_t check_all_failures(const Story& story) {
  uint64_t survivors = 0;
  Rng rng(5);
  for (uint64_t end = 0;; ++end) {
    MemoryDisk disk;
    const auto step = tell(story, disk, end);
    if (!step) return survivors;
    disk.after_power_failure(rng, [&](MemoryDisk& survivor) {
      if (testing::Test::HasFatalFailure()) return;
      SCOPED_TRACE("operation " + std::to_string(end) + ", step " + std::to_string(*step));
      ++survivors;
      check_survivor(survivor, story, *step);
    });
    if (testing::Test::HasFatalFailure()) return survivors;
  }
}

TEST(LogCrash, SmallBatchesInOneSegment) {
  Story story;
  story.append(1, 1, 1, 10);
  story.append(1, 2, 4, 20);
  story.append(2, 5, 5, 0);
  story.append(2, 6, 6, 150);
  EXPECT_GT(check_all_failures(story), 500u);
}

TEST(LogCrash, CutsOfAnotherTermsEntries) {
  Story story;
  story.append(1, 1, 5, 10);
  story.append(2, 3, 4, 30);
  story.append(3, 3, 6, 5);
  story.append(4, 1, 1, 12);
  EXPECT_GT(check_all_failures(story), 400u);
}

TEST(LogCrash, NewSegments) {
  Story story;
  for (uint64_t i = 1; i <= 9; ++i) story.append(1, i, i, 1300);
  story.append(2, 10, 10, 9000);  // a segment of its own size
  story.append(2, 11, 11, 10);
  EXPECT_GT(check_all_failures(story), 1500u);
}

TEST(LogCrash, CompactionAndRecycledSegments) {
  Story story;
  for (uint64_t i = 1; i <= 9; ++i) story.append(1, i, i, 1300);
  story.compact(6);
  for (uint64_t i = 10; i <= 16; ++i) story.append(2, i, i, 1300);
  story.compact(16);
  story.append(3, 17, 17, 1300);
  story.append(3, 18, 18, 700);
  EXPECT_GT(check_all_failures(story), 1500u);
}

TEST(LogCrash, SnapshotsThatReplaceTheLog) {
  Story story;
  for (uint64_t i = 1; i <= 4; ++i) story.append(1, i, i, 1300);
  story.restart(50);
  story.append(2, 51, 52, 100);
  story.compact(50);
  story.compact(80);
  story.append(3, 81, 81, 1300);
  story.append(3, 82, 82, 1300);
  story.restart(81);
  story.append(4, 82, 82, 20);
  EXPECT_GT(check_all_failures(story), 800u);
}

TEST(LogCrash, WhatAKilledProcessWroteIsSyncedBeforeItIsBelieved) {
  MemoryDisk disk;
  const std::vector<Entry> entry{make_entry(1, 1, "first")};
  {
    auto opened = Log::open(disk, "wal", kOptions, {});
    disk.fail_at(disk.operations() + 1, true, "killed");  // written, not synced
    ASSERT_FALSE(opened->log->append({.entries = entry}));
  }
  disk.heal();  // the kernel still has the pages
  ASSERT_EQ(Log::open(disk, "wal", kOptions, {})->entries, entry);
  Rng rng(1);
  disk.after_power_failure(
      rng, [&](MemoryDisk& survivor) { EXPECT_EQ(Log::open(survivor, "wal", kOptions, {})->entries, entry); });
}

// ---- Snapshot files

raft::SnapshotMeta meta(uint64_t index) {
  raft::SnapshotMeta out{.index = Index(index), .term = Term(3), .configuration = {}};
  out.configuration.members.push_back({.id = NodeId(1), .incoming = raft::Suffrage::Voter, .info = Blob("n1")});
  return out;
}

Result<> write_snapshot(MemoryDisk& disk, uint64_t index, std::string_view state) {
  auto files = SnapshotFiles::open(disk, "snap", {});
  if (!files) return std::unexpected(files.error());
  auto writer = (*files)->write(meta(index));
  if (!writer) return std::unexpected(writer.error());
  if (auto written = (*writer)->append(state); !written) return written;
  if (auto finished = (*writer)->finish(); !finished) return std::unexpected(finished.error());
  return (*files)->remove_before(Index(index));
}

std::string state_of(MemoryDisk& disk, Index index) {
  auto files = SnapshotFiles::open(disk, "snap", {});
  auto reader = (*files)->read(index);
  EXPECT_TRUE(reader) << reader.error().message;
  std::string out;
  for (;;) {
    const auto piece = (*reader)->next();
    EXPECT_TRUE(piece) << piece.error().message;
    if (!piece || piece->empty()) return out;
    out += *piece;
  }
}

TEST(SnapshotCrash, ThereIsAlwaysTheOldOneOrTheNewOneWhole) {
  const std::string old_state = "the old state";
  const std::string new_state = "the new state, which is longer";
  Rng rng(6);
  uint64_t survivors = 0;
  for (uint64_t end = 0;; ++end) {
    MemoryDisk disk;
    ASSERT_TRUE(write_snapshot(disk, 10, old_state));
    const uint64_t done = disk.operations();
    disk.fail_at(done + end, true, "power failure");
    const bool finished = write_snapshot(disk, 20, new_state).has_value();
    disk.after_power_failure(rng, [&](MemoryDisk& survivor) {
      ++survivors;
      auto files = SnapshotFiles::open(survivor, "snap", {});
      ASSERT_TRUE(files) << files.error().message;
      const auto newest = (*files)->newest();
      ASSERT_TRUE(newest) << newest.error().message;
      ASSERT_TRUE(newest->has_value());
      const Index index = (*newest)->meta.index;
      ASSERT_TRUE(index == Index(20) || (!finished && index == Index(10)));
      ASSERT_EQ(state_of(survivor, index), index == Index(20) ? new_state : old_state);
      for (const std::string& path : survivor.paths()) EXPECT_FALSE(path.ends_with(".tmp")) << path;
    });
    if (finished) break;
  }
  EXPECT_GT(survivors, 100u);
}

}  // namespace
}  // namespace witan::wal
