// How an empty data directory becomes a member's: by founding a cluster or by joining one.
#pragma once

#include "node/identity.h"
#include "node/node.h"

namespace witan::node {

// Errors: Invalid, naming what in the options is wrong. Writes nothing.
Result<Identity> found_cluster(const Options& options, const std::string& directory_uuid);

// Asks the members named in the initial cluster, in turn, until one knows this member's peer URL; a few rounds.
void join_cluster(const Options& options, const World& world, std::string directory_uuid,
                  Function<void(Result<Identity>)> done);

// 128 random bits in the usual form.
std::string make_uuid(Rng& rng);

}  // namespace witan::node
