// Who may talk to whom: the judgement of a Hello on both ends (core M1). Pure.
#pragma once

#include <optional>
#include <string>

#include "peer/codec.h"
#include "peer/peer.h"

namespace witan::peer {

// What the member that was called says to a caller it does not take: a sentence for the caller's operator.
// `record` is the membership's of the caller, null when there is none; `removed` tells that there was one. Who was
// never a member here is taken: it may be of a membership that this member has not heard of yet (core M1).
std::optional<std::string> refuse_caller(const Hello& self, const Greeting& caller, const PeerRecord* record,
                                         bool removed);

// Why the caller hangs up on the member that answered.
std::optional<std::string> refuse_callee(const Greeting& said, const Hello& answer, const PeerRecord* record);

}  // namespace witan::peer
