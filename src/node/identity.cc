#include "node/identity.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/crc32c.h"

namespace witan::node {
namespace {

constexpr std::string_view kMagic = "WITANID1";
constexpr size_t kLargest = size_t{1} << 20;

Result<Identity> damaged(const std::string& path) {
  return fail(Code::Corrupt, fmt::format("{} is damaged; restore the directory, or remove this member from the cluster "
                                         "and add it again with an empty one",
                                         path));
}

}  // namespace

Result<std::optional<Identity>> read_identity(env::Disk& disk, const std::string& directory) {
  const std::string path = directory + "/identity";
  auto names = disk.list(directory);
  if (!names) {
    if (names.error().code == Code::NotFound) return std::optional<Identity>();
    return std::unexpected(names.error());
  }
  if (std::find(names->begin(), names->end(), "identity") == names->end()) return std::optional<Identity>();
  auto file = disk.open(path, env::OpenMode::Read);
  if (!file) return std::unexpected(file.error());
  const auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  if (*size < kMagic.size() + 4 || *size > kLargest) return std::unexpected(damaged(path).error());
  std::string bytes(*size, '\0');
  const auto read = (*file)->read_at(0, bytes);
  if (!read) return std::unexpected(read.error());
  const std::string_view body = std::string_view(bytes).substr(kMagic.size() + 4);
  if (*read != *size || !bytes.starts_with(kMagic) || get_fixed32(bytes.data() + kMagic.size()) != crc32c(body)) {
    return std::unexpected(damaged(path).error());
  }
  Identity identity;
  FieldReader r(body);
  while (r.next()) {
    switch (r.field()) {
      case 1: identity.cluster_id = r.fixed64(); break;
      case 2: identity.member = raft::NodeId(r.fixed64()); break;
      case 3: identity.directory_uuid = r.bytes(); break;
      case 4: identity.token = r.bytes(); break;
      case 5: identity.initial_configuration = r.bytes(); break;
      case 6: identity.known_members = r.bytes(); break;
      case 7: identity.name = r.bytes(); break;
      default: break;
    }
  }
  if (!r.ok()) return std::unexpected(damaged(path).error());
  return std::optional<Identity>(std::move(identity));
}

Result<> write_identity(env::Disk& disk, const std::string& directory, const Identity& identity) {
  std::string body;
  FieldWriter w(body);
  w.fixed64(1, identity.cluster_id);
  w.fixed64(2, identity.member.value);
  w.bytes(3, identity.directory_uuid);
  w.bytes(4, identity.token);
  w.bytes(5, identity.initial_configuration);
  w.bytes(6, identity.known_members);
  w.bytes(7, identity.name);
  std::string head(kMagic);
  put_fixed32(head, crc32c(body));

  const std::string temporary = directory + "/identity.tmp";
  (void)disk.remove(temporary);  // left by a crash; if it stays, creating it fails and says so
  auto file = disk.open(temporary, env::OpenMode::Create);
  if (!file) return std::unexpected(file.error());
  const std::string_view pieces[] = {head, body};
  if (auto written = (*file)->write_at(0, pieces); !written) return written;
  if (auto synced = (*file)->sync(); !synced) return synced;
  if (auto renamed = disk.rename(temporary, directory + "/identity"); !renamed) return renamed;
  return disk.sync_directory(directory);
}

Result<> check_owner(const Identity& identity, const std::string& directory, const std::string& name,
                     const std::optional<std::string>& token) {
  if (!identity.name.empty() && identity.name != name) {
    return fail(Code::Invalid, fmt::format("the data directory {} is member {}'s, and this is {}: give --name {}, or "
                                           "this member a --data-dir of its own",
                                           directory, identity.name, name, identity.name));
  }
  if (token && *token != identity.token) {
    return fail(Code::Invalid,
                fmt::format("the data directory {} belongs to the cluster with the token '{}', not '{}': "
                            "correct --initial-cluster-token or --data-dir",
                            directory, identity.token, *token));
  }
  return {};
}

}  // namespace witan::node
