// One Raft value in a test that plays everybody else: it hands in what the others say and looks at what comes out.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "raft/raft.h"
#include "raft/testing.h"

namespace witan::raft::testing {

class Solo {
 public:
  // Member 1 of `voters`, on an empty disk or on what `initial` says. Its disk is at once done unless `slow_disk`.
  explicit Solo(const std::vector<uint64_t>& voters = {1, 2, 3}, Options options = {})
      : Solo(Initial{.hard_state = {}, .snapshot = {.configuration = members(voters)}, .entries = {}, .applied = {}},
             options) {}
  Solo(Initial initial, Options options) : raft(with_id(options), std::move(initial), Instant{1}, Rng(7), Logger()) {}

  Output step(Event event) {
    Output output = raft.step(now, std::move(event));
    take(output);
    if (!slow_disk) write_all();
    return output;
  }
  Output receive(uint64_t from, Message message) {
    return step(Receive{{.from = NodeId(from), .to = NodeId(1), .message = std::move(message)}});
  }
  Output wake() {
    CHECK(raft.next_deadline() != Instant::never(), "nothing to wait for");
    now = std::max(now, raft.next_deadline());
    return step(Wake{});
  }
  Output propose(const std::string& text) { return step(Propose{.commands = {Blob(text)}, .only_in = {}}); }

  bool write_one() {
    if (writes.empty()) return false;
    const Persist persist = std::move(writes.front());
    writes.pop_front();
    sent.insert(sent.end(), persist.then_send.begin(), persist.then_send.end());
    take(raft.step(now, Persisted{persist.ticket}));
    return true;
  }
  void write_all() {
    while (write_one()) {
    }
  }

  // Leader of the next term, with its first entry not yet anywhere else.
  void lead() {
    wake();
    const Term term = raft.standing().term;
    for (const Member& member : raft.configuration().members) {
      if (member.id == NodeId(1)) continue;
      if (raft.standing().role == Role::PreCandidate) {
        receive(member.id.value, VoteReply{.term = term + 1, .pre = true, .granted = true});
      }
    }
    for (const Member& member : raft.configuration().members) {
      if (member.id == NodeId(1) || raft.standing().role == Role::Leader) continue;
      receive(member.id.value, VoteReply{.term = term + 1, .pre = false, .granted = true});
    }
    CHECK(raft.standing().role == Role::Leader, "not elected");
  }
  // The same, and `peer` has everything.
  void lead_with(uint64_t peer) {
    lead();
    accept(peer);
  }
  // `peer` acknowledges the whole log.
  Output accept(uint64_t peer) { return accept(peer, raft.last_index()); }
  Output accept(uint64_t peer, Index match) {
    return receive(peer, AppendReply{.term = raft.standing().term, .accepted = true, .match = match});
  }

  // What was sent to a peer since the last call, immediately or after a write.
  template <class M>
  std::vector<M> take_sent(uint64_t to) {
    std::vector<M> found;
    std::vector<Envelope> others;
    for (Envelope& envelope : sent) {
      if (envelope.to == NodeId(to) && std::holds_alternative<M>(envelope.message)) {
        found.push_back(std::get<M>(std::move(envelope.message)));
      } else {
        others.push_back(std::move(envelope));
      }
    }
    sent = std::move(others);
    return found;
  }
  std::vector<std::string> take_sent_texts() {
    std::vector<std::string> texts;
    for (const Envelope& envelope : std::exchange(sent, {})) {
      texts.push_back(fmt::format("{} {}", envelope.to, describe(envelope.message)));
    }
    return texts;
  }

  Raft raft;
  Instant now{1};
  bool slow_disk = false;
  std::deque<Persist> writes;    // waiting, when the disk is slow
  std::vector<Envelope> sent;    // in order
  std::vector<Entry> committed;  // handed out so far
  std::vector<ReadReady> reads;
  std::vector<uint64_t> reads_failed;

 private:
  static Options with_id(Options options) {
    options.id = NodeId(1);
    return options;
  }
  void take(const Output& output) {
    sent.insert(sent.end(), output.messages.begin(), output.messages.end());
    committed.insert(committed.end(), output.committed.begin(), output.committed.end());
    reads.insert(reads.end(), output.reads.begin(), output.reads.end());
    reads_failed.insert(reads_failed.end(), output.reads_failed.begin(), output.reads_failed.end());
    if (output.persist) writes.push_back(*output.persist);
  }
};

// Why a proposal was refused; nullopt: it was not.
inline std::optional<Code> refusal(const Output& output) {
  CHECK(output.proposed.has_value(), "nothing was proposed");
  return *output.proposed ? std::nullopt : std::optional(output.proposed->error().code);
}

// Entries of the given terms, the first one at `first`.
inline std::vector<Entry> entries_of(uint64_t first, const std::vector<uint64_t>& terms) {
  std::vector<Entry> entries;
  for (const uint64_t term : terms) {
    const uint64_t index = first + entries.size();
    entries.push_back({.term = Term(term),
                       .index = Index(index),
                       .kind = EntryKind::Command,
                       .data = Blob(fmt::format("{}.{}", term, index))});
  }
  return entries;
}

inline Initial on_disk(uint64_t term, const std::vector<uint64_t>& terms,
                       const std::vector<uint64_t>& voters = {1, 2, 3}) {
  return {.hard_state = {.term = Term(term), .vote = kNobody, .commit = Index(0)},
          .snapshot = {.configuration = members(voters)},
          .entries = entries_of(1, terms),
          .applied = Index(0)};
}

}  // namespace witan::raft::testing
