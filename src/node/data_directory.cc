#include "node/data_directory.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/rng.h"
#include "node/bootstrap.h"
#include "node/snapshots.h"
#include "store/snapshot.h"
#include "wal/snapshot_files.h"

namespace witan::node {
namespace {

constexpr raft::Term kFirstTerm(1);
constexpr raft::Index kMembership(1);
// A state that nobody proposed stands for an entry of its own: a log that has only the membership is behind it, and is
// given the state instead of the entries that follow.
constexpr raft::Index kState(2);
constexpr size_t kPieceBytes = size_t{1} << 20;

// A founder's log begins with the membership, the same entry on every member: it is the only record there is (core M2).
Result<> found_log(const Options& options, const Ground& ground, const Identity& identity) {
  auto opened =
      wal::Log::open(ground.disk, log_directory(options), log_options(options, ground.seed), Logger(ground.log, "log"));
  if (!opened) return std::unexpected(opened.error());
  if (identity.initial_configuration.empty()) return {};
  const raft::Entry membership{.term = kFirstTerm,
                               .index = kMembership,
                               .kind = raft::EntryKind::Membership,
                               .data = Blob(identity.initial_configuration)};
  return opened->log->append(wal::Batch{.hard_state = raft::HardState{kFirstTerm, raft::kNobody, kMembership},
                                        .cut_from = {},
                                        .entries = std::span(&membership, 1),
                                        .restart_after = {}});
}

// What an interrupted start left behind. Nobody was promised anything: the identity is written last.
Result<> clear_leftovers(const Options& options, env::Disk& disk) {
  for (const std::string& directory : {log_directory(options), snapshot_directory(options)}) {
    const auto names = disk.list(directory);
    if (!names && names.error().code == Code::NotFound) continue;
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
      if (auto removed = disk.remove(directory + "/" + name); !removed) return removed;
    }
  }
  return {};
}

Result<> write_state(wal::SnapshotFiles& files, const raft::SnapshotMeta& meta, store::Store& store) {
  auto writer = files.write(meta);
  if (!writer) return std::unexpected(writer.error());
  store::SnapshotEncoder encoder(store);
  std::string piece;
  for (bool more = true; more;) {
    piece.clear();
    more = encoder.next(kPieceBytes, piece);
    if (auto appended = (*writer)->append(piece); !appended) return appended;
  }
  const auto finished = (*writer)->finish();
  if (!finished) return std::unexpected(finished.error());
  return {};
}

// The log is empty and goes on behind the state, whose entry nobody can ask for.
Result<> begin_log_after(const Options& options, const Ground& ground, raft::Index index) {
  auto opened =
      wal::Log::open(ground.disk, log_directory(options), log_options(options, ground.seed), Logger(ground.log, "log"));
  if (!opened) return std::unexpected(opened.error());
  return opened->log->append(wal::Batch{.hard_state = raft::HardState{kFirstTerm, raft::kNobody, index},
                                        .cut_from = {},
                                        .entries = {},
                                        .restart_after = index});
}

}  // namespace

std::string log_directory(const Options& options) { return options.data_dir + "/log"; }
std::string snapshot_directory(const Options& options) { return options.data_dir + "/snapshots"; }

wal::LogOptions log_options(const Options& options, uint64_t seed) {
  wal::LogOptions log;
  log.segment_bytes = options.log_segment_bytes;
  log.seed = Rng(seed).fork("log").next();
  return log;
}

Result<std::unique_ptr<env::DirectoryLock>> lock_directory(const Options& options, env::Disk& disk) {
  if (auto made = disk.make_directory(options.data_dir); !made) return std::unexpected(made.error());
  return disk.lock(options.data_dir);
}

Result<> settle(const Options& options, const Ground& ground, const Identity& identity) {
  if (auto cleared = clear_leftovers(options, ground.disk); !cleared) return cleared;
  if (auto founded = found_log(options, ground, identity); !founded) return founded;
  return write_identity(ground.disk, options.data_dir, identity);
}

Result<> check_vacant(const Options& options, env::Disk& disk) {
  if (options.join_existing || options.initial_cluster.size() != 1) {
    return fail(Code::Invalid,
                "a state is founded by one member alone: name it alone in --initial-cluster, start it, and "
                "let the others join it (etcdctl member add)");
  }
  const auto names = disk.list(options.data_dir);
  if (!names && names.error().code == Code::NotFound) return {};
  if (!names) return std::unexpected(names.error());
  // What an interrupted start or import may have left.
  constexpr std::array<std::string_view, 4> kOurs = {"identity.tmp", "lock", "log", "snapshots"};
  for (const std::string& name : *names) {
    if (name == "identity") {
      return fail(Code::Exists,
                  fmt::format("the data directory {} is a member's already; name one that is empty", options.data_dir));
    }
    if (std::ranges::find(kOurs, name) == kOurs.end()) {
      return fail(Code::Exists, fmt::format("the data directory {} is not empty, it has {} in it; name one that is",
                                            options.data_dir, name));
    }
  }
  return {};
}

Result<Identity> found_on_state(const Options& options, const Ground& ground, std::unique_ptr<store::Store> store,
                                Function<Result<>(const store::Store&)> check) {
  if (auto vacant = check_vacant(options, ground.disk); !vacant) return std::unexpected(vacant.error());
  Rng rng = Rng(ground.seed).fork("uuid");
  auto identity = found_cluster(options, make_uuid(rng));
  if (!identity) return identity;
  auto configuration = raft::decode_configuration(identity->initial_configuration);
  if (!configuration) return std::unexpected(configuration.error());

  const auto lock = lock_directory(options, ground.disk);
  if (!lock) return std::unexpected(lock.error());
  // Once more: somebody may have come before the lock.
  if (auto vacant = check_vacant(options, ground.disk); !vacant) return std::unexpected(vacant.error());
  if (auto cleared = clear_leftovers(options, ground.disk); !cleared) return std::unexpected(cleared.error());
  auto files = wal::SnapshotFiles::open(ground.disk, snapshot_directory(options), Logger(ground.log, "snapshot"));
  if (!files) return std::unexpected(files.error());

  store->advance(kState.value);
  const store::Digest digest = store->digest();
  const raft::SnapshotMeta meta{.index = kState, .term = kFirstTerm, .configuration = std::move(*configuration)};
  if (auto written = write_state(**files, meta, *store); !written) return std::unexpected(written.error());
  store.reset();  // the memory is needed for the one that is read
  const auto loaded = load_newest(**files);
  if (!loaded) return std::unexpected(loaded.error());
  CHECK(loaded->has_value() && (*loaded)->store->digest() == digest, "what was written is not what is read");
  if (auto checked = check(*(*loaded)->store); !checked) return std::unexpected(checked.error());

  if (auto begun = begin_log_after(options, ground, kState); !begun) return std::unexpected(begun.error());
  if (auto written = write_identity(ground.disk, options.data_dir, *identity); !written) {
    return std::unexpected(written.error());
  }
  return identity;
}

}  // namespace witan::node
