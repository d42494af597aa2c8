// Hostile bytes as a transaction log of ZooKeeper. Reading must end with an error or a whole tree: no crash, no memory
// beyond a few times the input. Checksums are made right in half of the runs, so that the fuzzer gets behind them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <zlib.h>

#include "base/check.h"
#include "migrate/zookeeper/directory.h"
#include "migrate/zookeeper/report.h"
#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr size_t kFileHead = 16;
constexpr size_t kRecordHead = 12;

// Makes checksums and ends of what looks like records right, and the zxids follow each other.
void repair(std::string& bytes) {
  int64_t zxid = 1;
  for (size_t at = kFileHead; at + kRecordHead <= bytes.size(); ++zxid) {
    Input length(std::string_view(bytes).substr(at + 8));
    const auto size = static_cast<size_t>(length.int32());
    if (size > bytes.size() || at + kRecordHead + size + 1 > bytes.size()) return;
    if (size >= 20) bytes.replace(at + kRecordHead + 12, 8, Bytes().int64(zxid).str());
    const auto* payload = reinterpret_cast<const Bytef*>(bytes.data() + at + kRecordHead);
    bytes.replace(at, 8, Bytes().int64(static_cast<int64_t>(adler32_z(1, payload, size))).str());
    at += kRecordHead + size + 1;
    bytes[at - 1] = 'B';
  }
}

// The first byte says whether the log is repaired, and whether digests count.
void run(std::string_view input) {
  if (input.empty()) return;
  const auto mode = static_cast<uint8_t>(input[0]);
  std::string bytes(input.substr(1));
  if (mode & 1) repair(bytes);
  FixedDisk disk;
  disk.put("d/snapshot.0", snapshot_file({.sessions = {{0x100, 4000}},
                                          .nodes = {{.path = ""}, {.path = "/a"}, {.path = "/a/b"}, {.path = "/c"}}}));
  disk.put("d/log.1", std::move(bytes));
  auto imported = read_directory(disk, {.data_dir = "d", .check_digests = (mode & 2) != 0});
  if (!imported) {
    CHECK(!imported.error().message.empty());
    return;
  }
  CHECK(imported->nodes.front().path == "/");
  for (const Node& node : imported->nodes) CHECK(node.acl < imported->acls.size());
  size_t written = 0;
  Function<void(std::string_view)> count = [&](std::string_view piece) { written += piece.size(); };
  write_json(*imported, count);
  CHECK(written > 0);
  check_takeover(*imported);
}

}  // namespace
}  // namespace witan::migrate::zookeeper

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::migrate::zookeeper::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
