// Proposals of this member's clients between submission and outcome (core P1, P2).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "node/client.h"
#include "node/halves.h"
#include "node/port.h"

namespace witan::node {

class Waiters {
 public:
  struct Waiter {
    PortId port = 0;
    Function<void(Outcome)> done;
    bool maybe_appended = false;  // it left this member, or stands in the log: a time-out is not a refusal
    bool lost_connection = false;
    store::LeaseId session;  // whose command it is, and as which generation of it; 0: nobody's
    uint64_t generation = 0;
    Ticket ticket = 0;
    std::vector<ReadRequest> then;  // reads that come after it
  };

  // The request's number, unique in this process. Numbers rise, and so do deadlines.
  uint64_t add(PortId port, Function<void(Outcome)> done, Instant deadline);
  // Ends the wait; nullopt when it has ended before.
  std::optional<Waiter> take(uint64_t request);
  Waiter* find(uint64_t request);
  size_t size() const { return size_; }
  // Of sessions, oldest first.
  std::vector<uint64_t> of_sessions() const;

  // Certainly not in the log: kept here until there is a leader to send it to.
  void park(Proposal proposal);
  std::vector<Proposal> take_parked();

  // `requests` stand in the log from where.first on, in order, if term where.term wins.
  void placed(std::vector<uint64_t> requests, const raft::Accepted& where);
  // The committed entry at `index` is of `term`: requests placed there in another term are certainly not applied (P2).
  void committed(raft::Index index, raft::Term term, std::vector<uint64_t>& displaced);
  // A snapshot took the place of entries up to `index`: nobody will see what became of requests placed there.
  void skipped(raft::Index index, std::vector<uint64_t>& unseen);

  // The oldest request whose deadline has passed; call until nullopt.
  std::optional<uint64_t> expired(Instant now) const;
  // The oldest request; for stopping.
  std::optional<uint64_t> oldest() const;

 private:
  struct Slot {
    Instant deadline;
    std::optional<Waiter> waiter;
  };
  struct Placed {
    raft::Accepted where;
    std::vector<uint64_t> requests;
  };
  void trim();

  std::deque<Slot> slots_;  // request first_ + i is slots_[i]
  uint64_t first_ = 1;
  size_t size_ = 0;
  std::vector<Proposal> parked_;
  std::multimap<raft::Index, Placed> placed_;  // by first index
};

}  // namespace witan::node
