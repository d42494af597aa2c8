#include "os/machine.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "os/loop.h"

namespace witan::os {
namespace {

TEST(MachineTest, CountsFilesAndBytesOffTheLoopThatAsks) {
  const std::filesystem::path root =
      std::filesystem::temp_directory_path() / ("witan-machine-test-" + std::to_string(getpid()));
  std::filesystem::create_directories(root / "log" / "below");
  std::ofstream(root / "log" / "a") << std::string(1000, 'x');
  std::ofstream(root / "log" / "b") << std::string(234, 'x');
  std::ofstream(root / "log" / "below" / "c") << "not counted";

  Loop loop("test");
  env::MachineFacts before, after;
  {
    Machine machine(loop, {.log = root / "log", .snapshots = root / "missing"});
    const auto caller = std::this_thread::get_id();
    const std::ifstream* more = nullptr;
    loop.post([&] {
      machine.look(loop, [&](env::MachineFacts facts) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        before = facts;
        more = new std::ifstream("/dev/null");
        machine.look(loop, [&](env::MachineFacts again) {
          after = again;
          loop.stop();
        });
      });
    });
    loop.run();
    delete more;
  }
  EXPECT_EQ(before.log_bytes, 1234);
  EXPECT_EQ(before.snapshot_bytes, -1) << "not known";
  EXPECT_GT(before.open_files, 3);
  EXPECT_EQ(after.open_files, before.open_files + 1);
  EXPECT_GE(before.max_files, before.open_files);
  std::filesystem::remove_all(root);
}

TEST(MachineTest, KnowsItsHost) {
  const Host host = describe_host();
  EXPECT_EQ(host.system, "Linux");
  EXPECT_FALSE(host.name.empty());
  EXPECT_EQ(host.directory, std::filesystem::current_path());
  EXPECT_GT(program_written().ms, 1'600'000'000'000);
}

}  // namespace
}  // namespace witan::os
