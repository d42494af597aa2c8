#include "migrate/zookeeper/directory.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "migrate/zookeeper/files.h"
#include "migrate/zookeeper/log.h"
#include "migrate/zookeeper/snapshot.h"
#include "migrate/zookeeper/source.h"
#include "migrate/zookeeper/tree.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr size_t kReadAhead = 256 << 10;
constexpr int kEpochShift = 32;

constexpr std::string_view kElsewhere =
    "Take the directory of another member of the ensemble, or a backup; nothing was imported.";

std::unexpected<Error> corrupt(std::string_view path, uint64_t offset, std::string_view what) {
  return fail(Code::Corrupt, fmt::format("{}, byte {}: {}. {}", path, offset, what, kElsewhere));
}

std::unexpected<Error> explain(std::string_view path, const Problem& found) {
  if (found.code != Code::Corrupt) return fail(found.code, fmt::format("{}: {}", path, found.what));
  return corrupt(path, found.offset, found.what);
}

// ZooKeeper numbers without a gap; a new leader begins anew at 1 in the lower half and counts the upper half up.
bool follows(int64_t zxid, int64_t before) {
  if (zxid == before + 1) return true;
  const bool first_of_epoch = (zxid & 0xffffffff) == 1;
  return first_of_epoch && (zxid >> kEpochShift) > (before >> kEpochShift);
}

class Reading {
 public:
  Reading(env::Disk& disk, const Options& options) : disk_(disk), options_(options) {}
  Result<Imported> run();

 private:
  Result<> find_files();
  Result<> load_snapshot();
  // False where the file is no valid snapshot, which is noted.
  Result<bool> try_snapshot(const DataFile& file);
  Result<> replay_logs();
  Result<> replay_log(const DataFile& file, bool newest);
  Result<> replay(const DataFile& file, uint64_t offset, const Transaction& transaction);
  Result<> finish_log(const DataFile& file, LogReader& log);
  void count(const Transaction& transaction);
  Result<> check_snapshot_digest(const Transaction& transaction, std::string_view path, uint64_t offset);
  Result<> check_digest(const Transaction& transaction, std::string_view path, uint64_t offset);
  void begin_proof(const SnapshotTrailer& trailer);
  Result<> end_proof();

  env::Disk& disk_;
  const Options& options_;
  Listing data_;
  Listing logs_;
  Report report_;
  std::unique_ptr<Tree> tree_;
  int64_t last_zxid_ = 0;
  bool replaying_ = false;  // the first transaction behind the snapshot was reached
  // The snapshot's digest, until the replay is where it was taken; before that the tree may be in a state that no
  // server was ever in.
  std::optional<SnapshotDigest> target_;
  // Why the snapshot's digest was not right. A server may write it a moment late or early, beside what it applies just
  // then, so the next transaction's digest has the last word.
  std::optional<Error> doubt_;
};

Result<> Reading::find_files() {
  auto data = list_files(disk_, options_.data_dir);
  if (!data) return std::unexpected(data.error());
  data_ = std::move(*data);
  logs_ = data_;
  if (!options_.data_log_dir.empty()) {
    auto logs = list_files(disk_, options_.data_log_dir);
    if (!logs) return std::unexpected(logs.error());
    logs_ = std::move(*logs);
    if (logs_.directory != data_.directory && !data_.logs.empty()) {
      return fail(Code::Corrupt, fmt::format("{} is a transaction log, and dataLogDir is {}. Name the two directories "
                                             "as zoo.cfg does, or only the one that has everything.",
                                             data_.logs.front().path, options_.data_log_dir));
    }
  }
  for (const std::string& path : data_.strangers) {
    report_.notes.push_back(fmt::format("{} was not read: ZooKeeper gives no file such a name.", path));
  }
  if (data_.snapshots.empty() && logs_.logs.empty()) {
    return fail(Code::NotFound, fmt::format("{} has no snapshot and no transaction log of ZooKeeper. Name zoo.cfg's "
                                            "dataDir, or its version-2.",
                                            data_.directory));
  }
  return {};
}

Result<bool> Reading::try_snapshot(const DataFile& file) {
  auto opened = disk_.open(file.path, env::OpenMode::Read);
  if (!opened) return std::unexpected(opened.error());
  FileSource plain(**opened);
  std::unique_ptr<Source> unpacked;
  if (file.packing == Packing::Gzip) unpacked = std::make_unique<GzipSource>(plain);
  if (file.packing == Packing::Snappy) unpacked = std::make_unique<SnappySource>(plain);
  Input in(unpacked ? *unpacked : plain, kReadAhead);
  tree_ = std::make_unique<Tree>();
  const auto trailer = read_snapshot(in, *tree_);
  if (!trailer) {
    if (trailer.error().code != Code::Corrupt) return explain(file.path, trailer.error());
    report_.notes.push_back(
        fmt::format("{} is no valid snapshot and was passed over, as ZooKeeper does: byte {}{}: {}.", file.path,
                    trailer.error().offset, unpacked ? " (unpacked)" : "", trailer.error().what));
    return false;
  }
  report_.snapshot = file.path;
  report_.snapshot_zxid = last_zxid_ = file.zxid;
  report_.snapshot_nodes = tree_->size();
  report_.snapshot_sessions = tree_->sessions();
  begin_proof(*trailer);
  return true;
}

Result<> Reading::load_snapshot() {
  if (data_.snapshots.empty()) {
    return fail(Code::Corrupt,
                fmt::format("{} is there, but {} has no snapshot, so how the tree began is not known. Name "
                            "the right dataDir; a server that runs without a snapshot writes one when it is "
                            "started once more.",
                            logs_.logs.front().path, data_.directory));
  }
  for (const DataFile& file : data_.snapshots) {
    const Result<bool> valid = try_snapshot(file);
    if (!valid) return std::unexpected(valid.error());
    if (*valid) return {};
  }
  return fail(Code::Corrupt,
              fmt::format("{} has no valid snapshot. {} {}", data_.directory, report_.notes.back(), kElsewhere));
}

void Reading::begin_proof(const SnapshotTrailer& trailer) {
  if (!options_.check_digests || !trailer.digest) return;
  const SnapshotDigest& digest = *trailer.digest;
  if (digest.claim.version != kDigestVersion) {
    report_.notes.push_back(
        fmt::format("The snapshot has a digest of version {}, which is not known here and was not "
                    "compared.",
                    digest.claim.version));
    return;
  }
  // A new leader writes a snapshot under a zxid that no transaction has. Nothing is fuzzy about it, and its digest is
  // that of the transaction before.
  if (digest.zxid < report_.snapshot_zxid) return;
  target_ = digest;
  if (digest.zxid > report_.snapshot_zxid) return;
  target_.reset();
  if (tree_->matches(digest.claim.digest)) {
    report_.snapshot_digest_compared = true;
    report_.proven_zxid = digest.zxid;
  } else {
    doubt_ = corrupt(report_.snapshot, 0,
                     fmt::format("the digest of the tree at zxid 0x{:x} is not the one that the snapshot "
                                 "says",
                                 digest.zxid))
                 .error();
  }
}

Result<> Reading::check_snapshot_digest(const Transaction& transaction, std::string_view path, uint64_t offset) {
  if (transaction.zxid < target_->zxid) return {};
  if (transaction.zxid > target_->zxid) {
    return corrupt(path, offset,
                   fmt::format("{} holds changes up to zxid 0x{:x}, and no log has that transaction", report_.snapshot,
                               target_->zxid));
  }
  if (tree_->matches(target_->claim.digest)) {
    report_.snapshot_digest_compared = true;
    report_.proven_zxid = transaction.zxid;
  } else {
    doubt_ = corrupt(path, offset,
                     fmt::format("after zxid 0x{:x} the digest of the tree is not the one that {} says",
                                 transaction.zxid, report_.snapshot))
                 .error();
  }
  target_.reset();
  return {};
}

Result<> Reading::check_digest(const Transaction& transaction, std::string_view path, uint64_t offset) {
  if (!options_.check_digests) return {};
  if (target_) return check_snapshot_digest(transaction, path, offset);
  if (!transaction.digest || transaction.digest->version != kDigestVersion) return {};
  if (!tree_->matches(transaction.digest->digest)) {
    if (doubt_) return std::unexpected(*doubt_);
    return corrupt(path, offset,
                   fmt::format("after zxid 0x{:x} ({}) the digest of the tree is not the one that the record "
                               "says",
                               transaction.zxid, type_name(transaction.type)));
  }
  doubt_.reset();
  ++report_.digests_compared;
  report_.proven_zxid = transaction.zxid;
  return {};
}

Result<> Reading::end_proof() {
  if (doubt_) return std::unexpected(*doubt_);
  if (!target_) return {};
  return fail(Code::Corrupt,
              fmt::format("{} holds changes up to zxid 0x{:x}, and the logs in {} end at 0x{:x}: without the "
                          "rest it is no state that the server was ever in. Name dataLogDir if zoo.cfg has "
                          "one. {}",
                          report_.snapshot, target_->zxid, logs_.directory, last_zxid_, kElsewhere));
}

void Reading::count(const Transaction& transaction) {
  ++report_.transactions[std::string(type_name(transaction.type))];
  if (transaction.type != Type::Multi) return;
  for (const Operation& operation : transaction.operations) {
    ++report_.transactions[fmt::format("multi/{}", type_name(operation.type))];
  }
}

Result<> Reading::replay(const DataFile& file, uint64_t offset, const Transaction& transaction) {
  LogRead& read = report_.logs.back();
  read.last_zxid = transaction.zxid;
  if (!replaying_ && transaction.zxid <= report_.snapshot_zxid) {
    ++read.skipped;
    return {};
  }
  replaying_ = true;
  if (transaction.zxid > last_zxid_ && !follows(transaction.zxid, last_zxid_)) {
    return corrupt(file.path, offset,
                   fmt::format("transactions are missing: zxid 0x{:x} follows 0x{:x}, which {} ends with",
                               transaction.zxid, last_zxid_,
                               read.transactions > 0 || report_.logs.size() > 1 ? "the log before" : report_.snapshot));
  }
  // ZooKeeper replays a repeated one again, and stays where it was.
  last_zxid_ = std::max(last_zxid_, transaction.zxid);
  ++read.transactions;
  count(transaction);
  tree_->replay(transaction);
  return check_digest(transaction, file.path, offset);
}

Result<> Reading::finish_log(const DataFile& file, LogReader& log) {
  const auto end = log.end();
  if (!end) return explain(file.path, end.error());
  if (end->torn) {
    report_.notes.push_back(
        fmt::format("{} ends in a record that was not written to its end, at byte {}: the log is read up "
                    "to there, as ZooKeeper does.",
                    file.path, end->offset));
  }
  if (end->more_bytes) {
    report_.notes.push_back(
        fmt::format("{} has bytes behind the end of its log at byte {}. ZooKeeper does not read them; a "
                    "crash can leave them, and so can damage.",
                    file.path, end->offset));
  }
  return {};
}

Result<> Reading::replay_log(const DataFile& file, bool newest) {
  auto opened = disk_.open(file.path, env::OpenMode::Read);
  if (!opened) return std::unexpected(opened.error());
  FileSource plain(**opened);
  Input in(plain, kReadAhead);
  report_.logs.push_back({.path = file.path});
  if (newest && in.at_end()) {
    report_.notes.push_back(fmt::format("{} is empty: the server stopped right after it was made.", file.path));
    return {};
  }
  LogReader log(in);
  if (auto begun = log.open(); !begun) return explain(file.path, begun.error());
  while (true) {
    auto next = log.next();
    if (!next) return explain(file.path, next.error());
    if (!*next) return finish_log(file, log);
    if (auto done = replay(file, log.record_offset(), **next); !done) return done;
  }
}

// From the newest log that can hold the transaction behind the snapshot.
Result<> Reading::replay_logs() {
  const std::vector<DataFile>& logs = logs_.logs;
  auto first = std::ranges::upper_bound(logs, report_.snapshot_zxid, {}, &DataFile::zxid);
  if (first != logs.begin()) --first;
  if (first == logs.end()) {
    report_.notes.push_back(
        fmt::format("{} has no transaction log: whatever was written after the snapshot is not there. "
                    "Name dataLogDir if zoo.cfg has one.",
                    logs_.directory));
  }
  for (; first != logs.end(); ++first) {
    if (auto done = replay_log(*first, std::next(first) == logs.end()); !done) return done;
  }
  return {};
}

Result<Imported> Reading::run() {
  if (auto done = find_files(); !done) return std::unexpected(done.error());
  if (auto done = load_snapshot(); !done) return std::unexpected(done.error());
  if (auto done = replay_logs(); !done) return std::unexpected(done.error());
  if (auto done = end_proof(); !done) return std::unexpected(done.error());
  auto imported = std::move(*tree_).finish(last_zxid_);
  if (!imported) {
    return fail(Code::Corrupt, fmt::format("{} with the logs behind it makes no whole tree: {}. {}", report_.snapshot,
                                           imported.error(), kElsewhere));
  }
  report_.dead_ephemerals = imported->report.dead_ephemerals;
  imported->report = std::move(report_);
  return std::move(*imported);
}

}  // namespace

Result<Imported> read_directory(env::Disk& disk, const Options& options) { return Reading(disk, options).run(); }

}  // namespace witan::migrate::zookeeper
