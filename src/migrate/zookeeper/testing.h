// ZooKeeper's files made by hand, and a disk that holds them. For tests and fuzzers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "env/disk.h"
#include "migrate/zookeeper/imported.h"
#include "migrate/zookeeper/input.h"
#include "migrate/zookeeper/transaction.h"

namespace witan::migrate::zookeeper {

// Appends what ZooKeeper's serialization makes of values.
class Bytes {
 public:
  Bytes& int32(int32_t v);
  Bytes& int64(int64_t v);
  Bytes& boolean(bool v);
  Bytes& text(std::string_view v);
  Bytes& null() { return int32(-1); }
  Bytes& raw(std::string_view v);
  Bytes& acl(const AclList& list);
  Bytes& stat(const Stat& stat);
  const std::string& str() const { return out_; }

 private:
  std::string out_;
};

const AclList& open_acl();

// Bodies of transactions, without header and digest.
std::string create_body(std::string_view path, std::string_view data, int32_t parent_cversion, bool ephemeral = false);
std::string path_body(std::string_view path);  // delete, deleteContainer
std::string set_data_body(std::string_view path, std::string_view data, int32_t version);
std::string multi_body(const std::vector<std::pair<Type, std::string>>& parts);

struct Head {
  int64_t zxid = 0;
  Type type = Type::Error;
  int64_t session = 0x100;
  int64_t time_ms = 0;
};
// The payload of a record.
std::string payload(const Head& head, std::string_view body, std::optional<uint64_t> digest = {});
// A record with checksum, length and end.
std::string record(std::string_view payload);
std::string log_file(const std::vector<std::string>& payloads, size_t zeros = 1024);

struct SnapshotContents {
  std::vector<Session> sessions;
  std::vector<std::pair<int64_t, AclList>> acls;
  struct Line {
    std::string path;  // "" is the root
    std::optional<std::string> data = "";
    int64_t acl = -1;
    Stat stat;
  };
  std::vector<Line> nodes;
  std::optional<std::pair<int64_t, uint64_t>> digest;  // zxid and sum
  std::optional<int64_t> last_zxid;
};
std::string snapshot_file(const SnapshotContents& contents);
std::string gzipped(std::string_view bytes);
std::string snappied(std::string_view bytes, size_t block = 32 << 10);

// ZooKeeper's digest of a node and of a tree, from nothing but the definition; `path` is in the server's encoding.
uint64_t digest_of(const std::string& path, const Node& node, int64_t owner);
uint64_t digest_of(const std::vector<Node>& nodes);

// Dies when a tree that make_store() takes makes a store that cannot be written as a snapshot and read again.
void check_takeover(Imported& imported);

class StringSource final : public Source {
 public:
  // Gives out at most `piece` bytes at once.
  explicit StringSource(std::string_view bytes, size_t piece = SIZE_MAX) : rest_(bytes), piece_(piece) {}
  Result<size_t> read(std::span<char> out) override;

 private:
  std::string_view rest_;
  size_t piece_;
};

// Files that are only read. Everything else fails with Io.
class FixedDisk final : public env::Disk {
 public:
  void put(const std::string& path, std::string bytes) { files_[path] = std::move(bytes); }
  std::string& bytes(const std::string& path) { return files_.at(path); }

  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<> make_directory(const std::string&) override { return refused(); }
  Result<> rename(const std::string&, const std::string&) override { return refused(); }
  Result<> remove(const std::string&) override { return refused(); }
  Result<> sync_directory(const std::string&) override { return refused(); }
  Result<std::unique_ptr<env::DirectoryLock>> lock(const std::string&) override { return refused(); }

 private:
  static std::unexpected<Error> refused() { return fail(Code::Io, "this disk is only read"); }
  std::map<std::string, std::string> files_;
};

}  // namespace witan::migrate::zookeeper
