#include "migrate/zookeeper/testing.h"

#include <algorithm>
#include <cstring>

#include <snappy.h>
#include <zlib.h>

#include "base/check.h"
#include "migrate/zookeeper/file_header.h"
#include "migrate/zookeeper/store_of.h"
#include "store/snapshot.h"

namespace witan::migrate::zookeeper {
namespace {

int64_t adler(std::string_view bytes) {
  return static_cast<int64_t>(adler32_z(1, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

class FixedFile final : public env::File {
 public:
  explicit FixedFile(const std::string& bytes) : bytes_(bytes) {}
  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    if (offset >= bytes_.size()) return size_t{0};
    const size_t n = std::min<size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, n);
    return n;
  }
  Result<> write_at(uint64_t, std::span<const std::string_view>) override { return fail(Code::Io, "only read"); }
  Result<> sync() override { return {}; }
  Result<> allocate(uint64_t) override { return fail(Code::Io, "only read"); }
  Result<> truncate(uint64_t) override { return fail(Code::Io, "only read"); }
  Result<uint64_t> size() override { return bytes_.size(); }

 private:
  const std::string& bytes_;
};

}  // namespace

Bytes& Bytes::int32(int32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out_.push_back(static_cast<char>(v >> shift));
  return *this;
}
Bytes& Bytes::int64(int64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8) out_.push_back(static_cast<char>(v >> shift));
  return *this;
}
Bytes& Bytes::boolean(bool v) {
  out_.push_back(v ? 1 : 0);
  return *this;
}
Bytes& Bytes::text(std::string_view v) { return int32(static_cast<int32_t>(v.size())).raw(v); }
Bytes& Bytes::raw(std::string_view v) {
  out_.append(v);
  return *this;
}
Bytes& Bytes::acl(const AclList& list) {
  int32(static_cast<int32_t>(list.size()));
  for (const Acl& acl : list) int32(acl.permissions).text(acl.scheme).text(acl.id);
  return *this;
}
Bytes& Bytes::stat(const Stat& stat) {
  int64(stat.czxid).int64(stat.mzxid).int64(stat.ctime_ms).int64(stat.mtime_ms);
  int32(stat.version).int32(stat.cversion).int32(stat.aversion);
  return int64(stat.ephemeral_owner).int64(stat.pzxid);
}

const AclList& open_acl() {
  static const AclList list = {Acl{31, "world", "anyone"}};
  return list;
}

std::string create_body(std::string_view path, std::string_view data, int32_t parent_cversion, bool ephemeral) {
  return Bytes().text(path).text(data).acl(open_acl()).boolean(ephemeral).int32(parent_cversion).str();
}
std::string path_body(std::string_view path) { return Bytes().text(path).str(); }
std::string set_data_body(std::string_view path, std::string_view data, int32_t version) {
  return Bytes().text(path).text(data).int32(version).str();
}
std::string multi_body(const std::vector<std::pair<Type, std::string>>& parts) {
  Bytes bytes;
  bytes.int32(static_cast<int32_t>(parts.size()));
  for (const auto& [type, body] : parts) bytes.int32(static_cast<int32_t>(type)).text(body);
  return bytes.str();
}

std::string payload(const Head& head, std::string_view body, std::optional<uint64_t> digest) {
  Bytes bytes;
  bytes.int64(head.session).int32(7).int64(head.zxid).int64(head.time_ms).int32(static_cast<int32_t>(head.type));
  bytes.raw(body);
  if (digest) bytes.int32(2).int64(static_cast<int64_t>(*digest));
  return bytes.str();
}

std::string record(std::string_view payload) { return Bytes().int64(adler(payload)).text(payload).raw("B").str(); }

std::string log_file(const std::vector<std::string>& payloads, size_t zeros) {
  Bytes bytes;
  bytes.int32(kLogMagic).int32(2).int64(0);
  for (const std::string& one : payloads) bytes.raw(record(one));
  return bytes.raw(std::string(zeros, '\0')).str();
}

std::string snapshot_file(const SnapshotContents& contents) {
  Bytes bytes;
  const auto seal = [&bytes] { bytes.int64(adler(bytes.str())).text("/"); };
  bytes.int32(kSnapshotMagic).int32(2).int64(-1);
  bytes.int32(static_cast<int32_t>(contents.sessions.size()));
  for (const Session& session : contents.sessions) bytes.int64(session.id).int32(session.timeout_ms);
  bytes.int32(static_cast<int32_t>(contents.acls.size()));
  for (const auto& [id, list] : contents.acls) bytes.int64(id).acl(list);
  for (const auto& line : contents.nodes) {
    bytes.text(line.path);
    line.data ? bytes.text(*line.data) : bytes.null();
    bytes.int64(line.acl).stat(line.stat);
  }
  bytes.text("/");
  seal();
  if (contents.digest) {
    bytes.int64(contents.digest->first).int32(2).int64(static_cast<int64_t>(contents.digest->second));
    seal();
  }
  if (contents.last_zxid) {
    bytes.int64(*contents.last_zxid);
    seal();
  }
  return bytes.str();
}

std::string gzipped(std::string_view bytes) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  std::string in(bytes);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string snappied(std::string_view bytes, size_t block) {
  Bytes out;
  out.raw(std::string_view("\x82SNAPPY\0", 8)).int32(1).int32(1);
  for (; !bytes.empty(); bytes.remove_prefix(std::min(block, bytes.size()))) {
    std::string packed;
    snappy::Compress(bytes.data(), std::min(block, bytes.size()), &packed);
    out.text(packed);
  }
  return out.str();
}

uint64_t digest_of(const std::string& path, const Node& node, int64_t owner) {
  Bytes bytes;
  bytes.raw(node.path == "/" ? "" : path).raw(node.data.view());
  const Stat& s = node.stat;
  bytes.int64(s.czxid).int64(s.mzxid).int64(s.pzxid).int64(s.ctime_ms).int64(s.mtime_ms);
  bytes.int32(s.version).int32(s.cversion).int32(s.aversion).int64(owner);
  return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.str().data()), bytes.str().size());
}

uint64_t digest_of(const std::vector<Node>& nodes) {
  uint64_t sum = 0;
  for (const Node& node : nodes) {
    if (!node.path.starts_with("/zookeeper/")) sum += digest_of(node.path, node, node.stat.ephemeral_owner);
  }
  return sum;
}

void check_takeover(Imported& imported) {
  const auto store = make_store(imported);
  if (!store) {
    CHECK(!store.error().message.empty());
    return;
  }
  store::SnapshotEncoder encoder(**store);
  std::string bytes;
  while (encoder.next(size_t{1} << 20, bytes)) {
  }
  store::SnapshotDecoder decoder;
  const auto fed = decoder.feed(bytes);
  CHECK(fed, "{}", fed.error().message);
  const auto again = decoder.finish();
  CHECK(again, "{}", again.error().message);
  CHECK((*again)->digest() == (*store)->digest());
  // A tree that no ZooKeeper could have may be found to differ; that is all that may come of it.
  (void)compare(**again, imported);
}

Result<size_t> StringSource::read(std::span<char> out) {
  const size_t n = std::min({rest_.size(), out.size(), piece_});
  std::memcpy(out.data(), rest_.data(), n);
  rest_.remove_prefix(n);
  return n;
}

Result<std::unique_ptr<env::File>> FixedDisk::open(const std::string& path, env::OpenMode mode) {
  if (mode != env::OpenMode::Read) return refused();
  const auto file = files_.find(path);
  if (file == files_.end()) return fail(Code::NotFound, path + ": not there");
  return std::make_unique<FixedFile>(file->second);
}

Result<std::vector<std::string>> FixedDisk::list(const std::string& directory) {
  std::vector<std::string> names;
  const std::string prefix = directory + "/";
  for (const auto& [path, bytes] : files_) {
    if (!path.starts_with(prefix)) continue;
    const std::string rest = path.substr(prefix.size());
    const std::string name = rest.substr(0, rest.find('/'));
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  if (names.empty()) return fail(Code::NotFound, directory + ": not there");
  return names;
}

}  // namespace witan::migrate::zookeeper
