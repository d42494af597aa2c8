// Hostile bytes as a snapshot of ZooKeeper, plain or compressed. Reading must end with an error or a whole tree: no
// crash, no memory beyond a few times what was unpacked. The seal of half of the plain ones is made right, so that the
// fuzzer gets behind it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <zlib.h>

#include "base/check.h"
#include "migrate/zookeeper/directory.h"
#include "migrate/zookeeper/report.h"
#include "migrate/zookeeper/snapshot.h"
#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr size_t kSealSize = 13;

// What the bytes are takes their own end for a seal.
void repair(std::string& bytes) {
  if (bytes.size() < kSealSize) return;
  bytes.resize(bytes.size() - kSealSize);
  const auto* start = reinterpret_cast<const Bytef*>(bytes.data());
  bytes += Bytes().int64(static_cast<int64_t>(adler32_z(1, start, bytes.size()))).text("/").str();
}

// Bits of the first byte: repaired, gzip, snappy, with a log behind it.
void run(std::string_view input) {
  if (input.empty()) return;
  const auto mode = static_cast<uint8_t>(input[0]);
  std::string bytes(input.substr(1));
  if (mode & 1) repair(bytes);
  FixedDisk disk;
  const std::string name = mode & 2 ? "d/snapshot.3.gz" : mode & 4 ? "d/snapshot.3.snappy" : "d/snapshot.3";
  disk.put(name, std::move(bytes));
  if (mode & 8) {
    const std::string body = create_body("/a/b", "data", 2, true);
    disk.put("d/log.4", log_file({payload({.zxid = 4, .type = Type::Create}, body),
                                  payload({.zxid = 5, .type = Type::Delete}, path_body("/a")),
                                  payload({.zxid = 6, .type = Type::CloseSession}, "")}));
  }
  auto imported = read_directory(disk, {.data_dir = "d", .check_digests = (mode & 16) != 0});
  if (!imported) {
    CHECK(!imported.error().message.empty());
    return;
  }
  CHECK(imported->nodes.front().path == "/");
  for (size_t i = 0; i < imported->nodes.size(); ++i) {
    CHECK(imported->nodes[i].acl < imported->acls.size());
    CHECK(i == 0 || imported->nodes[i - 1].path < imported->nodes[i].path);
  }
  CHECK(!describe(*imported).empty());
  check_takeover(*imported);
}

}  // namespace
}  // namespace witan::migrate::zookeeper

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::migrate::zookeeper::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
