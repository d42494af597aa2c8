// Who a data directory belongs to: written once, atomically, before the directory is used (core M1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"

namespace witan::node {

struct Identity {
  uint64_t cluster_id = 0;
  raft::NodeId member;
  std::string name;  // as of when the directory was made
  std::string directory_uuid;
  std::string token;
  // Founders only: the configuration that becomes the first entry of everybody's log. Empty for a member that joined.
  std::string initial_configuration;
  // Joiners only: the members they were told of (encode_members), believed until the log says more.
  std::string known_members;

  friend bool operator==(const Identity&, const Identity&) = default;
};

// nullopt: the directory has none, it is new. Errors: Corrupt, Io.
Result<std::optional<Identity>> read_identity(env::Disk& disk, const std::string& directory);
// Durable when it returns; all or nothing. Requires that the directory exists.
Result<> write_identity(env::Disk& disk, const std::string& directory, const Identity& identity);

// Refuses a start with the directory of somebody else: of another member, or, if a token is given, of another cluster.
Result<> check_owner(const Identity& identity, const std::string& directory, const std::string& name,
                     const std::optional<std::string>& token);

}  // namespace witan::node
