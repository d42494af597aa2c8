#include "os/disk.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace witan::os {
namespace {

using env::OpenMode;
using testing::HasSubstr;

class DiskTest : public testing::Test {
 protected:
  DiskTest() {
    std::string name = testing::TempDir() + "witan-disk-XXXXXX";
    root_ = ::mkdtemp(name.data());
  }
  ~DiskTest() override { std::filesystem::remove_all(root_); }

  std::string at(const std::string& name) const { return root_ + "/" + name; }
  static Result<> write(env::File& file, uint64_t offset, std::string_view bytes) {
    return file.write_at(offset, std::span(&bytes, 1));
  }
  static std::string read(env::File& file, uint64_t offset, size_t n) {
    std::string out(n, '?');
    const auto got = file.read_at(offset, out);
    EXPECT_TRUE(got) << got.error().message;
    out.resize(got.value_or(0));
    return out;
  }

  std::string root_;
  Disk disk_;
};

TEST_F(DiskTest, ManyPiecesAreWrittenInOrderWhateverTheirNumberAndSize) {
  auto file = disk_.open(at("f"), OpenMode::Create);
  ASSERT_TRUE(file);
  std::vector<std::string> owned;
  std::string all;
  for (int i = 0; i < 3000; ++i) owned.push_back(std::string(i % 7 == 0 ? 0 : i % 50, static_cast<char>('a' + i % 26)));
  std::vector<std::string_view> pieces;
  for (const std::string& piece : owned) {
    pieces.push_back(piece);
    all += piece;
  }
  ASSERT_TRUE((*file)->write_at(5, pieces));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(*(*file)->size(), 5 + all.size());
  EXPECT_EQ(read(**file, 5, all.size() + 10), all);
  EXPECT_EQ(read(**file, 0, 5), std::string(5, '\0'));
  EXPECT_TRUE((*file)->write_at(0, {}));
}

TEST_F(DiskTest, AllocatedSpaceReadsAsZerosAndKeepsWhatWasWritten) {
  auto file = disk_.open(at("f"), OpenMode::Create);
  ASSERT_TRUE(write(**file, 0, "head"));
  ASSERT_TRUE((*file)->allocate(10000));
  EXPECT_EQ(*(*file)->size(), 10000u);
  EXPECT_EQ(read(**file, 0, 10000), "head" + std::string(9996, '\0'));
  ASSERT_TRUE((*file)->allocate(100));
  EXPECT_EQ(*(*file)->size(), 10000u);
  ASSERT_TRUE((*file)->truncate(2));
  EXPECT_EQ(read(**file, 0, 100), "he");
  struct stat status{};
  ASSERT_EQ(::stat(at("f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(DiskTest, OpenModesMeanWhatTheySay) {
  EXPECT_EQ(disk_.open(at("f"), OpenMode::Read).error().code, Code::NotFound);
  EXPECT_EQ(disk_.open(at("f"), OpenMode::ReadWrite).error().code, Code::NotFound);
  ASSERT_TRUE(disk_.open(at("f"), OpenMode::Create));
  EXPECT_EQ(disk_.open(at("f"), OpenMode::Create).error().code, Code::Exists);
  auto reader = disk_.open(at("f"), OpenMode::Read);
  ASSERT_TRUE(reader);
  const auto refused = write(**reader, 77, "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Io);
  EXPECT_THAT(refused.error().message, testing::AllOf(HasSubstr(at("f")), HasSubstr("offset 77")));
}

TEST_F(DiskTest, DirectoriesAreMadeWithParentsAndListedSorted) {
  ASSERT_TRUE(disk_.make_directory(at("a/b/c")));
  ASSERT_TRUE(disk_.make_directory(at("a/b/c")));
  for (const char* name : {"z", "m", "aa"}) ASSERT_TRUE(disk_.open(at("a/b/c/") + name, OpenMode::Create));
  EXPECT_EQ(*disk_.list(at("a/b/c")), (std::vector<std::string>{"aa", "m", "z"}));
  ASSERT_TRUE(disk_.rename(at("a/b/c/z"), at("a/b/c/aa")));
  ASSERT_TRUE(disk_.remove(at("a/b/c/m")));
  ASSERT_TRUE(disk_.sync_directory(at("a/b/c")));
  EXPECT_EQ(*disk_.list(at("a/b/c")), (std::vector<std::string>{"aa"}));
  EXPECT_EQ(disk_.list(at("nowhere")).error().code, Code::NotFound);
  EXPECT_EQ(disk_.remove(at("nowhere")).error().code, Code::NotFound);
  EXPECT_EQ(disk_.rename(at("nowhere"), at("x")).error().code, Code::NotFound);
  EXPECT_FALSE(disk_.make_directory(at("a/b/c/aa")));
  EXPECT_FALSE(disk_.make_directory(at("a/b/c/aa/d")));
}

TEST_F(DiskTest, ALockedDirectoryIsRefusedToOthersWithTheReason) {
  auto lock = disk_.lock(root_);
  ASSERT_TRUE(lock);
  Disk other;
  const auto refused = other.lock(root_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Exists);
  EXPECT_THAT(refused.error().message, HasSubstr("in use by another witan process"));
  EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(::getpid())));
  lock->reset();
  EXPECT_TRUE(other.lock(root_));
}

TEST_F(DiskTest, AFileSizeLimitIsAnErrorWithTheOffsetNotASignal) {
  auto file = disk_.open(at("f"), OpenMode::Create);
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    // Half of it fits: the rest must be reported, not forgotten.
    const auto result = write(**file, 900, std::string(200, 'x'));
    ::_exit(!result && result.error().message.find("offset 1000") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(DiskTest, AFullDiskSaysWhatToDo) {
  auto full = disk_.open("/dev/full", OpenMode::ReadWrite);
  if (!full) GTEST_SKIP() << "no /dev/full here";
  const auto result = write(**full, 0, "x");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::Io);
  EXPECT_THAT(result.error().message, HasSubstr("the disk is full: free space"));
}

}  // namespace
}  // namespace witan::os
