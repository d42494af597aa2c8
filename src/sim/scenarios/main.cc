// The stories with a deliberate bug: `sim_test --bug NAME`, in a build of the preset `planted`.
#include <gtest/gtest.h>

#include <cstring>

#include <fmt/format.h>

#include "base/planted.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc == 3 && std::strcmp(argv[1], "--bug") == 0) {
    const auto bug = witan::parse_bug(argv[2]);
    if (!bug) {
      fmt::print(stderr, "no bug is called {}; witan-sim --list-bugs shows them\n", argv[2]);
      return 2;
    }
    witan::plant(*bug);
  }
  return RUN_ALL_TESTS();
}
