// What the clients of a world did and were told, for the checkers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "verify/lease.h"
#include "verify/linearizability.h"
#include "verify/mutex.h"
#include "verify/session.h"
#include "verify/watch.h"

namespace witan::sim {

struct Observation {  // of an election's observer
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  std::string value;
};

struct Grant {  // of a lock: the key that holds it, as of the answer's revision
  std::string key;
  int64_t revision = 0;
};

struct History {
  std::vector<verify::Call> calls;
  std::map<std::string, std::vector<verify::WatchAttachment>> watches;  // by the client's name for the watch, in order
  std::deque<verify::LeaseHistory> leases;                              // stay where they are while others are added
  std::deque<verify::SessionHistory> sessions;                          // likewise
  std::map<std::string, std::vector<verify::Hold>> holds;               // by lock or election
  std::map<std::string, std::vector<verify::FencedWrite>> fenced_writes;
  std::vector<Grant> grants;
  std::map<std::string, std::vector<Observation>> observations;  // by observer's stream
};

}  // namespace witan::sim
