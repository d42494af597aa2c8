#include "migrate/zookeeper/snapshot.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "migrate/zookeeper/file_header.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr std::string_view kEnd = "/";   // stands where a node's path would
constexpr size_t kSealSize = 8 + 4 + 1;  // checksum, length and text of kEnd
constexpr size_t kLastZxidSize = 8 + kSealSize;

void read_sessions(Input& in, Tree& tree) {
  const int32_t count = in.int32();
  if (count < 0) in.refuse(fmt::format("{} sessions", count));
  for (int32_t i = 0; i < count && in.ok(); ++i) {
    Session session{.id = in.int64()};
    session.timeout_ms = in.int32();
    if (in.ok()) tree.put_session(session);
  }
}

void read_acls(Input& in, Tree& tree) {
  const int32_t count = in.int32();
  if (count < 0) in.refuse(fmt::format("{} lists of ACLs", count));
  for (int32_t i = 0; i < count && in.ok(); ++i) {
    const int64_t id = in.int64();
    std::optional<AclList> list = read_acl(in);
    if (in.ok() && !list) in.refuse("a list of ACLs that is null");
    if (in.ok()) tree.define_acl(id, std::move(*list));
  }
}

Stat read_stat(Input& in) {
  Stat stat;
  for (int64_t* field : {&stat.czxid, &stat.mzxid, &stat.ctime_ms, &stat.mtime_ms}) *field = in.int64();
  for (int32_t* field : {&stat.version, &stat.cversion, &stat.aversion}) *field = in.int32();
  for (int64_t* field : {&stat.ephemeral_owner, &stat.pzxid}) *field = in.int64();
  return stat;
}

void read_nodes(Input& in, Tree& tree) {
  while (in.ok()) {
    const std::optional<std::string_view> read = in.buffer();
    if (!in.ok()) return;
    if (!read) return in.refuse("a path that is null");
    if (*read == kEnd) break;
    const std::string path(*read);
    SnapshotNode node{.path = path};
    if (const auto data = in.buffer()) node.data = Blob(*data);
    node.acl_id = in.int64();
    node.stat = read_stat(in);
    if (!in.ok()) return;
    if (auto put = tree.put_node(std::move(node)); !put) return in.refuse(put.error());
  }
  if (in.ok() && !tree.has_root()) in.refuse("no node is the root");
}

// Every seal is over all bytes before it, earlier seals included.
void check_seal(Input& in) {
  const uint32_t right = in.checksum();
  const int64_t written = in.int64();
  if (in.ok() && written != static_cast<int64_t>(right)) in.refuse("the checksum is wrong");
  if (in.ok() && in.string() != kEnd) in.refuse("the end of a checksum is not where it belongs");
}

SnapshotDigest read_digest(Input& in) {
  SnapshotDigest digest{.zxid = in.int64()};
  digest.claim.version = in.int32();
  // The first version, in no release, wrote text.
  if (digest.claim.version < kDigestVersion) {
    in.string();
  } else {
    digest.claim.digest = static_cast<uint64_t>(in.int64());
  }
  check_seal(in);
  return digest;
}

}  // namespace

Decoded<SnapshotTrailer> read_snapshot(Input& in, Tree& tree) {
  read_file_header(in, kSnapshotMagic);
  read_sessions(in, tree);
  read_acls(in, tree);
  read_nodes(in, tree);
  check_seal(in);
  SnapshotTrailer trailer;
  // Both parts can be switched off, so lengths tell them apart.
  const auto only_last_zxid_left = [&] { return in.peek(kLastZxidSize + 1).size() == kLastZxidSize; };
  if (in.ok() && !in.at_end() && !only_last_zxid_left()) trailer.digest = read_digest(in);
  if (in.ok() && !in.at_end()) {
    trailer.last_zxid = in.int64();
    check_seal(in);
  }
  if (in.ok() && !in.at_end()) in.refuse("more bytes than a snapshot has");
  if (!in.ok()) return std::unexpected(in.fault());
  return trailer;
}

}  // namespace witan::migrate::zookeeper
