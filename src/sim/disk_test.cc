#include "sim/disk.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace witan::sim {
namespace {

constexpr uint64_t kSeeds = 200;  // enough that every fate of unsynced bytes comes up

class DiskTest : public testing::Test {
 protected:
  std::unique_ptr<env::File> create(Disk& disk, const std::string& path) {
    auto file = disk.open(path, env::OpenMode::Create);
    EXPECT_TRUE(file.has_value()) << path;
    return std::move(*file);
  }
  static void write(env::File& file, uint64_t at, std::string_view bytes) {
    EXPECT_TRUE(file.write_at(at, std::vector{bytes}).has_value());
  }
  // A file whose name and bytes are durable.
  std::unique_ptr<env::File> durable(Disk& disk, const std::string& path, std::string_view bytes) {
    auto file = create(disk, path);
    write(*file, 0, bytes);
    EXPECT_TRUE(file->sync().has_value());
    EXPECT_TRUE(disk.sync_directory("data").has_value());
    return file;
  }
  // All of it, or "gone".
  static std::string content(Disk& disk, const std::string& path) {
    auto file = disk.open(path, env::OpenMode::Read);
    if (!file) return "gone";
    std::string bytes(*(*file)->size(), '?');
    EXPECT_EQ(*(*file)->read_at(0, bytes), bytes.size());
    return bytes;
  }
  // What each of many power failures leaves of a file after `story`.
  template <class Story>
  std::set<std::string> fates(const std::string& path, Story story) {
    std::set<std::string> out;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      Disk disk(scheduler_, Rng(seed));
      story(disk);
      disk.lose_power();
      out.insert(content(disk, path));
    }
    return out;
  }

  Scheduler scheduler_{Rng(1), false};
  Disk disk_{scheduler_, Rng(1)};
};

// ---- Bytes --------------------------------------------------------------------------------------

TEST_F(DiskTest, ReadsSeeWritesAtOnce) {
  auto file = create(disk_, "data/a");
  EXPECT_TRUE(file->write_at(0, std::vector<std::string_view>{"he", "llo"}).has_value());
  write(*file, 7, "you");
  EXPECT_EQ(content(disk_, "data/a"), std::string("hello\0\0you", 10));
  EXPECT_TRUE(file->truncate(3).has_value());
  EXPECT_TRUE(file->allocate(2).has_value());  // it is larger already
  EXPECT_EQ(content(disk_, "data/a"), "hel");
  EXPECT_TRUE(file->allocate(5).has_value());
  EXPECT_EQ(content(disk_, "data/a"), std::string("hel\0\0", 5));
}

TEST_F(DiskTest, SyncedBytesSurviveEveryPowerFailure) {
  const auto left = fates("data/a", [this](Disk& disk) { durable(disk, "data/a", "synced"); });
  EXPECT_EQ(left, std::set<std::string>{"synced"});
}

TEST_F(DiskTest, UnsyncedBytesAreKeptOrLostOrTorn) {
  const std::string before(2000, 'a');
  const std::string after(2000, 'b');
  const auto left = fates("data/a", [&](Disk& disk) { write(*durable(disk, "data/a", before), 0, after); });
  EXPECT_TRUE(left.contains(before));
  EXPECT_TRUE(left.contains(after));
  bool prefix = false;     // the beginning was written, the end was not
  bool scattered = false;  // a later sector was written, an earlier one was not
  for (const std::string& bytes : left) {
    ASSERT_EQ(bytes.size(), 2000);
    ASSERT_EQ(bytes.find_first_not_of("ab"), std::string::npos) << "bytes that nobody wrote";
    prefix |= bytes.starts_with('b') && bytes.ends_with('a');
    scattered |= bytes.starts_with('a') && bytes.find('b') != std::string::npos;
  }
  EXPECT_TRUE(prefix);
  EXPECT_TRUE(scattered);
}

TEST_F(DiskTest, AnUnsyncedWriteMaySurviveOneBeforeIt) {
  const auto left = fates("data/a", [this](Disk& disk) {
    auto file = durable(disk, "data/a", "--");
    write(*file, 0, "1");
    write(*file, 1, "2");
  });
  EXPECT_EQ(left, (std::set<std::string>{"--", "1-", "-2", "12"}));
}

TEST_F(DiskTest, AnUnsyncedSizeMayBeLost) {
  const auto left =
      fates("data/a", [this](Disk& disk) { EXPECT_TRUE(durable(disk, "data/a", "abc")->truncate(1).has_value()); });
  EXPECT_EQ(left, (std::set<std::string>{"a", "abc"}));
}

TEST_F(DiskTest, AProcessThatDiesLosesNothing) {
  auto file = create(disk_, "data/a");
  write(*file, 0, "unsynced");
  file.reset();
  disk_.lose_process();
  EXPECT_EQ(content(disk_, "data/a"), "unsynced");
}

// ---- Names --------------------------------------------------------------------------------------

TEST_F(DiskTest, ANameNeedsASyncOfItsDirectory) {
  const auto made = [this](Disk& disk) {
    auto file = create(disk, "data/a");
    write(*file, 0, "x");
    EXPECT_TRUE(file->sync().has_value());
  };
  EXPECT_EQ(fates("data/a", made), (std::set<std::string>{"gone", "x"}));
  const auto removed = [&](Disk& disk) {
    durable(disk, "data/a", "x");
    EXPECT_TRUE(disk.remove("data/a").has_value());
  };
  EXPECT_EQ(fates("data/a", removed), (std::set<std::string>{"gone", "x"}));
  const auto removed_and_synced = [&](Disk& disk) {
    removed(disk);
    EXPECT_TRUE(disk.sync_directory("data").has_value());
  };
  EXPECT_EQ(fates("data/a", removed_and_synced), std::set<std::string>{"gone"});
}

TEST_F(DiskTest, ARenameIsWholeOrNotAtAll) {
  const auto renamed = [this](Disk& disk) {
    durable(disk, "data/a", "old");
    durable(disk, "data/a.tmp", "new");
    EXPECT_TRUE(disk.rename("data/a.tmp", "data/a").has_value());
  };
  EXPECT_EQ(fates("data/a", renamed), (std::set<std::string>{"old", "new"}));
  EXPECT_EQ(fates("data/a.tmp", renamed), (std::set<std::string>{"gone", "new"}));
  const auto renamed_and_synced = [&](Disk& disk) {
    renamed(disk);
    EXPECT_TRUE(disk.sync_directory("data").has_value());
  };
  EXPECT_EQ(fates("data/a", renamed_and_synced), std::set<std::string>{"new"});
  EXPECT_EQ(fates("data/a.tmp", renamed_and_synced), std::set<std::string>{"gone"});
}

TEST_F(DiskTest, AnotherDirectorysSyncIsNoUse) {
  const auto left = fates("data/wal/a", [this](Disk& disk) {
    auto file = create(disk, "data/wal/a");
    EXPECT_TRUE(disk.sync_directory("data").has_value());
    EXPECT_TRUE(disk.sync_directory("data/snap").has_value());
  });
  EXPECT_TRUE(left.contains("gone"));
}

TEST_F(DiskTest, WhatIsMissingOrTakenSaysSo) {
  create(disk_, "data/a");
  EXPECT_EQ(disk_.open("data/a", env::OpenMode::Create).error().code, Code::Exists);
  EXPECT_EQ(disk_.open("data/b", env::OpenMode::Read).error().code, Code::NotFound);
  EXPECT_EQ(disk_.rename("data/b", "data/c").error().code, Code::NotFound);
  EXPECT_EQ(disk_.remove("data/b").error().code, Code::NotFound);
}

TEST_F(DiskTest, ListsWhatLiesInADirectoryAndNotBelow) {
  for (const char* path : {"data/b", "data/a", "data/wal/c", "database"}) create(disk_, path);
  EXPECT_EQ(*disk_.list("data"), (std::vector<std::string>{"a", "b"}));
}

// ---- Power lost in the middle -------------------------------------------------------------------

TEST_F(DiskTest, PowerIsLostInTheMiddleOfTheWork) {
  auto file = durable(disk_, "data/a", "1");
  bool told = false;
  disk_.lose_power_after(3, [&] { told = true; });
  write(*file, 1, "2");
  EXPECT_TRUE(file->sync().has_value());
  EXPECT_FALSE(file->write_at(2, std::vector<std::string_view>{"3"}).has_value());
  // The program goes on for a moment and reaches nothing any more.
  EXPECT_FALSE(file->sync().has_value());
  EXPECT_FALSE(disk_.open("data/b", env::OpenMode::Create).has_value());
  EXPECT_FALSE(disk_.sync_directory("data").has_value());
  EXPECT_FALSE(told) << "inside the call";
  scheduler_.step(scheduler_.now());
  EXPECT_TRUE(told);
  disk_.power_on();
  EXPECT_EQ(content(disk_, "data/a"), "12");
  create(disk_, "data/b");
}

TEST_F(DiskTest, HandlesOfAFormerLifeChangeNothing) {
  auto file = durable(disk_, "data/a", "1");
  disk_.lose_power();
  write(*file, 0, "2");
  EXPECT_TRUE(file->truncate(0).has_value());
  EXPECT_TRUE(file->sync().has_value());
  EXPECT_EQ(content(disk_, "data/a"), "1");
}

// ---- Full, rotten, locked -----------------------------------------------------------------------

TEST_F(DiskTest, AFullDiskTakesWhatNeedsNoSpace) {
  auto file = durable(disk_, "data/a", "abc");
  disk_.set_full(true);
  EXPECT_EQ(disk_.open("data/b", env::OpenMode::Create).error().code, Code::Io);
  EXPECT_EQ(file->allocate(10).error().code, Code::Io);
  EXPECT_EQ(file->write_at(2, std::vector<std::string_view>{"cd"}).error().code, Code::Io);
  write(*file, 0, "x");
  EXPECT_TRUE(file->sync().has_value());
  EXPECT_EQ(content(disk_, "data/a"), "xbc");
  disk_.set_full(false);
  write(*file, 3, "d");
  EXPECT_EQ(content(disk_, "data/a"), "xbcd");
}

TEST_F(DiskTest, RotTurnsOneDurableBit) {
  EXPECT_EQ(disk_.rot("data/log/"), std::nullopt) << "there is nothing that could rot";
  create(disk_, "data/unsynced");
  durable(disk_, "data/a", std::string(64, '\0'));
  EXPECT_EQ(disk_.rot("data/log/"), "data/a");
  int bits = 0;
  for (const char byte : content(disk_, "data/a")) bits += __builtin_popcount(static_cast<unsigned char>(byte));
  EXPECT_EQ(bits, 1);
}

// Seed 7010192: what a turned bit does to the last batch of a log looks as if its sync had never returned, and entries
// that a quorum had are gone.
TEST_F(DiskTest, RotSparesTheLastSyncOfALog) {
  auto log = durable(disk_, "data/log", std::string(4, '\0'));
  write(*log, 4, std::string(60, '\0'));
  ASSERT_TRUE(log->sync().has_value());
  int turned = 0;
  for (int i = 0; i < 500; ++i) turned += disk_.rot("data/log").has_value() ? 1 : 0;
  EXPECT_GT(turned, 0);
  EXPECT_EQ(content(disk_, "data/log").find_first_not_of('\0', 4), std::string::npos);
}

TEST_F(DiskTest, ALockIsHeldByOneUntilItGoesOrItsProcessDies) {
  auto lock = disk_.lock("data");
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(disk_.lock("data").error().code, Code::Exists);
  EXPECT_TRUE(disk_.lock("other").has_value());
  lock->reset();
  auto again = disk_.lock("data");
  ASSERT_TRUE(again.has_value());
  disk_.lose_process();
  auto next = disk_.lock("data");
  ASSERT_TRUE(next.has_value());
  again->reset();  // of the dead process: not the present holder's
  EXPECT_EQ(disk_.lock("data").error().code, Code::Exists);
}

TEST_F(DiskTest, ADurableImageHasWhatIsSureAndNothingElse) {
  auto file = durable(disk_, "data/a", "sure");
  write(*file, 0, "SURE");
  create(disk_, "data/b");
  const auto image = disk_.durable_image(scheduler_);
  EXPECT_EQ(content(*image, "data/a"), "sure");
  EXPECT_EQ(content(*image, "data/b"), "gone");
  EXPECT_EQ(content(disk_, "data/a"), "SURE") << "looking changes nothing";
}

}  // namespace
}  // namespace witan::sim
