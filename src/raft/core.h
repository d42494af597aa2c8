// Inside of Raft: the state of one member and the handlers, one file a verb. Only the room's own files include this.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "raft/log.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"

namespace witan::raft {

// ---- Roles (thesis figure 3.3, and 9.6 for the pre-candidate) -----------------------------------

struct Votes {
  std::vector<std::pair<NodeId, bool>> cast;  // each member once

  void record(NodeId from, bool granted);
  std::optional<bool> of(NodeId id) const;
};

struct FollowerRole {
  NodeId leader;     // kNobody: not known
  Instant heard;     // when the leader last spoke; means nothing without one
  Instant deadline;  // campaign then
};

struct PreCandidateRole {
  Votes votes;
  Instant deadline;
};

struct CandidateRole {
  Votes votes;  // our own is in it only once it is on disk
  Instant deadline;
};

struct Transfer {
  NodeId to;
  Instant deadline;   // give up then (thesis 3.10)
  bool told = false;  // TimeoutNow was sent
};

struct LeaderRole {
  Index first;              // the empty entry that began the term
  std::vector<Peer> peers;  // everybody else in the configuration, sorted by id
  Instant heartbeat_at;
  Instant check_at;        // look then whether a quorum was heard (thesis 6.2)
  size_t uncommitted = 0;  // cost of the entries in (commit, last]
  std::optional<Transfer> transfer;

  struct Read {
    uint64_t id;
    Index index;
    uint64_t round;  // confirmed by a quorum's answers to this round or a later one
  };
  std::vector<uint64_t> parked;  // reads from before this term's first commit
  std::deque<Read> reads;        // in the order of round
  uint64_t round = 0;            // the last one started

  Peer* find(NodeId id);
};

using AnyRole = std::variant<FollowerRole, PreCandidateRole, CandidateRole, LeaderRole>;

// ---- What was given to the disk and is not known to be there yet --------------------------------

struct InFlight {
  Ticket ticket;
  Index durable;  // what is durable when it completes; a later cut lowers it (the ABA race)
  Term term;
  NodeId vote;
};

struct ConfigurationAt {
  Index index;
  Configuration configuration;
};

Term term_of(const Message& message);

// ---- The member ---------------------------------------------------------------------------------

struct Raft::Core {
  Core(Options options, Initial initial, Instant now, Rng rng, Logger logger);

  // core.cc
  Output step(Instant now, Event event);
  Instant next_deadline() const;
  Standing standing() const;
  bool configuration_committed() const { return configurations_.back().index <= log_.commit(); }
  const Configuration& configuration() const { return configurations_.back().configuration; }
  void on(const Wake&);
  void on(Receive& event);
  void on(const Persisted& event);
  void on(const Applied& event);
  void on(const Compact& event);
  void settle();
  void save();
  void hand_out();
  void send(NodeId to, Message message) { out_.messages.push_back({options_.id, to, std::move(message)}); }
  // Sent when everything decided so far is on disk.
  void send_after_save(NodeId to, Message message) { after_save_.push_back({options_.id, to, std::move(message)}); }
  bool hard_state_durable() const { return durable_term_ == term_ && durable_vote_ == vote_; }

  // election.cc
  void become_follower(Term term, NodeId leader);
  void become_leader();
  void campaign_softly();
  void campaign(bool transfer);
  void count_votes();
  void ask_for_votes(const VoteRequest& request);
  void on_message(NodeId from, const VoteRequest& request);
  void on_message(NodeId from, const VoteReply& reply);
  void on_message(NodeId from, const TimeoutNow& order);
  void on(const StepDown& event);
  void on(const TransferLeadership& event);
  void continue_transfer();
  Peer* best_successor();
  void check_quorum();
  bool can_campaign() const;
  bool leader_is_live() const;
  bool catch_up_with_term(NodeId from, const Message& message);
  void answer_old_term(NodeId from, const Message& message);
  Instant election_deadline();
  LeaderRole* leader() { return std::get_if<LeaderRole>(&role_); }
  const LeaderRole* leader() const { return std::get_if<LeaderRole>(&role_); }
  FollowerRole* follower() { return std::get_if<FollowerRole>(&role_); }

  // replication.cc
  void on(Propose& event);
  std::optional<Error> refuse_proposal(std::optional<Term> only_in) const;
  void append_own(EntryKind kind, Blob data);
  void advance_commit();
  bool follow(NodeId leader);
  void on_message(NodeId from, AppendRequest& request);
  void on_message(NodeId from, const AppendReply& reply);
  void on_message(NodeId from, const Heartbeat& heartbeat);
  void on_message(NodeId from, const HeartbeatReply& reply);
  void accept(NodeId from, AppendRequest& request);
  void refuse_append(NodeId from, const AppendRequest& request);
  void acknowledge(NodeId to, Index match);
  void on_accepted(Peer& peer, Index match);
  void on_refused(Peer& peer, const AppendReply& reply);
  void on(Fetched& event);
  void on(const Unreachable& event);
  void replicate();
  void replicate_to(Peer& peer);
  void send_entries(Peer& peer, std::vector<Entry> entries);
  void tell_commit(Peer& peer);
  void heartbeat(bool voters_only);
  void heartbeat_on_timer();
  void retry_lost_appends(Peer& peer);

  // membership.cc
  void on(ProposeMembership& event);
  void append_configuration(const Configuration& next);
  void adopt_configuration(Index index, Configuration configuration);
  void cut_log(Index from);
  void configuration_changed();
  void update_peers();
  void forget_told_peers();
  void finish_joint_change();
  void leave_if_removed();

  // reads.cc
  void on(const ReadIndex& event);
  void start_read_round();
  void unpark_reads();
  void confirm_reads();
  void fail_reads();

  // snapshot.cc
  void begin_snapshot(Peer& peer);
  void on(const SnapshotSent& event);
  void on(SnapshotReceived& event);
  void on_message(NodeId from, const SnapshotReply& reply);

  // describe.cc
  std::string describe() const;

  Options options_;
  Rng rng_;
  Logger logger_;
  Instant now_;  // of the event being handled

  Term term_;
  NodeId vote_;
  std::optional<SnapshotMeta> reset_;  // the disk has yet to hear that the log goes on after this
  Log log_;                            // made after reset_, which its making may set
  AnyRole role_;
  // Ascending by index. The first is committed, the last is in force; what a cut undoes is taken off the end.
  std::vector<ConfigurationAt> configurations_;
  Quorum quorum_;  // of the one in force

  std::deque<InFlight> in_flight_;  // in the order of their numbers
  uint64_t last_ticket_ = 0;
  Term durable_term_;  // what is certainly on disk
  NodeId durable_vote_;
  HardState saved_;  // given to a Persist
  std::vector<Envelope> after_save_;

  Output out_;
  Standing reported_;
  bool configuration_moved_ = false;
};

}  // namespace witan::raft
