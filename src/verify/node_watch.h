// What ZooKeeper's watches promise, on each connection of a session:
//
//   watch-missed   once an answer or an event tells of a zxid, every event up to it has come: of a one-shot watch its
//                  first one, of a persistent one each
//   watch-twice    a one-shot watch fires once; no event comes twice
//   watch-invented an event is one that the truth has, for somebody who watches there
//   watch-again    watches that are set again are told what changed since, where ZooKeeper's protocol tells it
#pragma once

#include <vector>

#include "verify/session.h"

namespace witan::verify {

std::vector<Violation> check_node_watches(const Nodes& nodes, const SessionHistory& session);

}  // namespace witan::verify
