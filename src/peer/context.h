// What the parts of this room share.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/rng.h"
#include "env/loop.h"
#include "env/network.h"
#include "peer/guard.h"
#include "peer/peer.h"

namespace witan::peer {

// Something that may be in the middle of a callback when it is no longer wanted.
class Mortal {
 public:
  virtual ~Mortal() = default;
};

// Destroys objects in a later turn of the loop, when nothing of theirs is on the stack.
class Graveyard {
 public:
  explicit Graveyard(env::Loop& loop) : loop_(loop) {}
  void bury(std::unique_ptr<Mortal> object);

 private:
  env::Loop& loop_;
  std::vector<std::unique_ptr<Mortal>> buried_;
  Guard guard_;
};

// Says a recurring complaint when it changes, and otherwise once a minute.
class Complaint {
 public:
  bool worth_saying(std::string_view text, Instant now);

 private:
  std::string last_;
  Instant said_;
};

struct Context {
  Options options;
  env::Loop& loop;
  env::Network& network;
  Rng rng;
  Handler& handler;
  Logger log;
  std::map<raft::NodeId, PeerRecord> members = {};  // without this member itself
  std::set<raft::NodeId> removed = {};              // members no more
  Function<void(const Hello&)> hello = {};
  Graveyard graveyard = Graveyard(loop);
  Guard guard = {};

  const PeerRecord* find(raft::NodeId id) const {
    const auto at = members.find(id);
    return at == members.end() ? nullptr : &at->second;
  }
};

}  // namespace witan::peer
