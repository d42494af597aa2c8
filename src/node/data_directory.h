// What a member's data directory consists of, and how an empty one becomes a member's: everything else first, the
// identity last, so that a directory without one was promised to nobody.
#pragma once

#include <memory>
#include <string>

#include "base/function.h"
#include "base/log.h"
#include "env/disk.h"
#include "node/identity.h"
#include "node/node.h"
#include "store/store.h"
#include "wal/log.h"

namespace witan::node {

// Where a directory is. Everything outlives the call it is given to; all calls block.
struct Ground {
  env::Disk& disk;
  LogSink* log = nullptr;
  uint64_t seed = 0;  // for everything random: identities, the log's generations
};

std::string log_directory(const Options& options);
std::string snapshot_directory(const Options& options);
wal::LogOptions log_options(const Options& options, uint64_t seed);

// Makes the directory if need be. Errors: Exists when another process holds it, Io.
Result<std::unique_ptr<env::DirectoryLock>> lock_directory(const Options& options, env::Disk& disk);

// Makes the locked directory that of `identity`, without a state: what an interrupted start left in it goes.
Result<> settle(const Options& options, const Ground& ground, const Identity& identity);

// Whether nothing is in the way of found_on_state(). Writes nothing. Errors: Invalid (an initial cluster of others),
// Exists (the directory is in use: of a member, or with files in it that are not ours).
Result<> check_vacant(const Options& options, env::Disk& disk);

// Makes a vacant directory that of the only member of a new cluster, whose state is `store`: the next start goes on
// from there, and members that join get the state as a snapshot. `check` sees the store as that start will read it, and
// has the last word. All or nothing, on stable storage when it returns. Requires that the store has applied nothing.
// Errors: as check_vacant(), of `check`, Io.
Result<Identity> found_on_state(const Options& options, const Ground& ground, std::unique_ptr<store::Store> store,
                                Function<Result<>(const store::Store&)> check);

}  // namespace witan::node
