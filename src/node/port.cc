#include "node/port.h"

#include <utility>

#include "node/state.h"

namespace witan::node {

Port::Port(env::Loop& loop, env::Loop& state_loop, State& state, uint64_t cluster_id, MemberId member_id,
           size_t max_request_bytes)
    : loop_(loop), state_loop_(state_loop), state_(state), cluster_id_(cluster_id), member_id_(member_id),
      max_request_bytes_(max_request_bytes) {}

Port::~Port() { *self_ = nullptr; }

void Port::submit(Submission submission) {
  outgoing_.push_back(std::move(submission));
  if (std::exchange(flush_posted_, true)) return;
  loop_.post([this, self = self_] {
    if (*self == nullptr) return;
    flush_posted_ = false;
    std::vector<Submission> batch = std::exchange(outgoing_, {});
    outgoing_.reserve(batch.size());
    state_loop_.post(
        [&state = state_, id = id_, batch = std::move(batch)]() mutable { state.submit(id, std::move(batch)); });
  });
}

void Port::receive(std::vector<Delivery> deliveries) {
  const auto end_run = [this] {
    if (run_.empty()) return;
    revision_ = run_.back()->revision;
    if (listener_ != nullptr) listener_->on_changes(run_);
    run_.clear();
  };
  for (Delivery& delivery : deliveries) {
    if (auto* news = std::get_if<News>(&delivery)) {
      backlog_->bytes.fetch_sub(news->bytes, std::memory_order_relaxed);
      run_.push_back(std::move(news->batch));
      continue;
    }
    end_run();
    if (auto* reply = std::get_if<ProposalReply>(&delivery)) {
      reply->done(std::move(reply->outcome));
    } else if (auto* read = std::get_if<ReadReply>(&delivery)) {
      read->done(std::move(read->answer));
    } else if (auto* task = std::get_if<Task>(&delivery)) {
      (*task)();
    } else if (auto* gap = std::get_if<Gap>(&delivery)) {
      revision_ = std::max(revision_, gap->to);
      if (listener_ != nullptr) listener_->on_gap(gap->from, gap->to);
    } else if (auto* view = std::get_if<View>(&delivery)) {
      view_ = *view;
      if (listener_ != nullptr) listener_->on_view(view_);
    } else if (auto* attached = std::get_if<Attached>(&delivery)) {
      revision_ = attached->revision;
      view_ = attached->view;
      if (listener_ != nullptr) listener_->on_view(view_);
    } else if (const auto* news = std::get_if<SessionNews>(&delivery)) {
      if (listener_ != nullptr) listener_->on_session(*news);
    } else if (listener_ != nullptr) {
      listener_->on_stop();
    }
  }
  end_run();
}

void Port::listen(Listener& listener) {
  listener_ = &listener;
  submit(StateTask([id = id_](State& state) { state.attach(id); }));
}

void Port::propose(const store::Body& body, Function<void(Outcome)> done) {
  Blob command = store::encode(store::Command{.header = {}, .body = body});
  if (command.size() > max_request_bytes_) {
    return loop_.post([done = std::move(done)]() mutable {
      done(NotApplied{Refusal::TooLarge, "the command exceeds the limit of a request"});
    });
  }
  submit(ProposalRequest{std::move(command), std::move(done)});
}

void Port::read(const store::Body& body, Consistency consistency, Function<void(Answer<Done>)> done) {
  submit(ReadRequest{store::encode(store::Command{.header = {}, .body = body}), consistency, std::move(done)});
}

namespace {

Blob encode_for(const Caller& caller, const store::Body& body) {
  store::Command command{.header = {}, .body = body};
  command.header.session = caller.session;
  command.header.attach_generation = caller.generation;
  command.header.principals = caller.principals;
  return store::encode(command);
}

}  // namespace

Ticket Port::propose_as(const Caller& caller, const store::Body& body, Function<void(Outcome)> done) {
  Blob command = encode_for(caller, body);
  if (command.size() > max_request_bytes_) {
    // In its place among the others, which may already be on their way.
    submit(ProposalRequest{.command = {},
                           .done = std::move(done),
                           .session = caller.session,
                           .generation = caller.generation,
                           .ticket = 0,
                           .too_large = true});
    return 0;
  }
  submit(ProposalRequest{std::move(command), std::move(done), caller.session, caller.generation, ++last_ticket_});
  return last_ticket_;
}

void Port::read_as(const Caller& caller, const store::Body& body, Ticket after, Function<void(Answer<Done>)> done) {
  submit(ReadRequest{encode_for(caller, body), Consistency::Local, std::move(done), after});
}

// An answer computed on the state's loop, on its way to `done` on this one, behind everything posted before it.
template <class Callback, class Value>
static void answer(State& state, PortId id, Callback done, Value value) {
  state.deliver(id, Task([done = std::move(done), value = std::move(value)]() mutable { done(std::move(value)); }));
}

void Port::history(HistoryRequest request, Function<void(Answer<History>)> done) {
  submit(StateTask([id = id_, request = std::move(request), done = std::move(done)](State& state) mutable {
    constexpr size_t kLookAt = 20'000;
    constexpr size_t kSliceBytes = size_t{4} << 20;
    History history;
    history.revision = state.store().revision();
    history.term = state.current_standing().term.value;
    auto slice = state.store().history(request.from, request.ranges, kLookAt, kSliceBytes);
    if (!slice) {
      history.was_compacted = true;
      history.compacted = state.store().compacted();
    } else {
      history.batches = std::move(slice->batches);
      history.through = slice->through;
      if (history.batches.size() > request.max_batches) {
        history.batches.resize(request.max_batches);
        history.through = history.batches.back()->revision;
      }
      history.caught_up = history.through >= slice->current;
    }
    answer(state, id, std::move(done), Answer<History>(std::move(history)));
  }));
}

void Port::sync(Function<void(Answer<store::Revision>)> done) {
  submit(StateTask([id = id_, done = std::move(done)](State& state) mutable {
    state.reads().ask([&state, id, done = std::move(done)](Answer<raft::Index> ready) mutable {
      using Synced = Answer<store::Revision>;
      answer(state, id, std::move(done),
             ready ? Synced(state.store().revision()) : Synced(std::unexpected(std::move(ready.error()))));
    });
  }));
}

void Port::renew_sessions(std::vector<store::LeaseId> ids, Function<void(Answer<std::vector<store::LeaseId>>)> done) {
  submit(StateTask([id = id_, ids = std::move(ids), done = std::move(done)](State& state) mutable {
    std::vector<LeaseName> names;
    names.reserve(ids.size());
    for (const store::LeaseId lease : ids) names.push_back({lease, store::LeaseKind::ZooKeeper});
    state.leases().renew(std::move(names), [&state, id, ids = std::move(ids),
                                            done = std::move(done)](Answer<std::vector<int64_t>> ttls) mutable {
      using Ended = Answer<std::vector<store::LeaseId>>;
      if (!ttls) return answer(state, id, std::move(done), Ended(std::unexpected(std::move(ttls.error()))));
      std::vector<store::LeaseId> ended;
      for (size_t i = 0; i < ids.size(); ++i) {
        if ((*ttls)[i] == 0) ended.push_back(ids[i]);
      }
      answer(state, id, std::move(done), Ended(std::move(ended)));
    });
  }));
}

void Port::renew_lease(store::LeaseId lease, store::LeaseKind kind, Function<void(Answer<LeaseRenewal>)> done) {
  submit(StateTask([id = id_, name = LeaseName{lease, kind}, done = std::move(done)](State& state) mutable {
    state.leases().renew(name, [&state, id, done = std::move(done)](Answer<LeaseRenewal> renewal) mutable {
      answer(state, id, std::move(done), std::move(renewal));
    });
  }));
}

void Port::lease_time(store::LeaseId lease, bool with_keys, Function<void(Answer<LeaseTime>)> done) {
  submit(StateTask([id = id_, lease, with_keys, done = std::move(done)](State& state) mutable {
    const LeaseName name{lease, store::LeaseKind::Etcd};
    state.leases().time(name, [&state, id, lease, with_keys, done = std::move(done)](Answer<LeaseTime> time) mutable {
      if (!time || !time->found || !with_keys) return answer(state, id, std::move(done), std::move(time));
      // The leader told the time; the keys are as of a linearizable read here.
      state.reads().ask(
          [&state, id, lease, time = std::move(*time), done = std::move(done)](Answer<raft::Index> ready) mutable {
            if (!ready) return answer(state, id, std::move(done), Answer<LeaseTime>(std::unexpected(ready.error())));
            time.keys = state.store().lease_keys(lease);
            answer(state, id, std::move(done), Answer<LeaseTime>(std::move(time)));
          });
    });
  }));
}

void Port::leases(store::LeaseKind kind, Function<void(Answer<std::vector<store::LeaseId>>)> done) {
  submit(StateTask([id = id_, kind, done = std::move(done)](State& state) mutable {
    state.reads().ask([&state, id, kind, done = std::move(done)](Answer<raft::Index> ready) mutable {
      using Ids = Answer<std::vector<store::LeaseId>>;
      if (!ready) return answer(state, id, std::move(done), Ids(std::unexpected(std::move(ready.error()))));
      std::vector<store::LeaseId> ids;
      std::optional<store::LeaseId> after;
      for (auto some = state.store().leases(after, 1000); !some.empty(); some = state.store().leases(after, 1000)) {
        for (const store::LeaseInfo& lease : some) {
          if (lease.kind == kind) ids.push_back(lease.id);
        }
        after = some.back().id;
      }
      answer(state, id, std::move(done), Ids(std::move(ids)));
    });
  }));
}

void Port::members(Consistency consistency, Function<void(Answer<std::vector<MemberInfo>>)> done) {
  using Members = Answer<std::vector<MemberInfo>>;
  submit(StateTask([id = id_, consistency, done = std::move(done)](State& state) mutable {
    if (consistency == Consistency::Local) {
      return answer(state, id, std::move(done), Members(list_members(state.configuration())));
    }
    state.reads().ask([&state, id, done = std::move(done)](Answer<raft::Index> ready) mutable {
      if (!ready) return answer(state, id, std::move(done), Members(std::unexpected(std::move(ready.error()))));
      answer(state, id, std::move(done), Members(list_members(state.configuration())));
    });
  }));
}

void Port::settled_members(Function<void(Answer<std::vector<MemberInfo>>)> done) {
  submit(StateTask([id = id_, done = std::move(done)](State& state) mutable {
    answer(state, id, std::move(done), Answer<std::vector<MemberInfo>>(list_members(state.settled_members())));
  }));
}

void Port::change_members(MemberChange change, Function<void(ChangeResult)> done) {
  submit(StateTask([id = id_, change = std::move(change), done = std::move(done)](State& state) mutable {
    state.agreement().change_members(change, [&state, id, done = std::move(done)](Result<ChangeResult> result) mutable {
      if (result) return answer(state, id, std::move(done), std::move(*result));
      const bool untouched = result.error().code == Code::NotLeader;
      answer(state, id, std::move(done),
             ChangeResult(std::unexpected(untouched ? MemberFailure::NoLeader : MemberFailure::Timeout)));
    });
  }));
}

void Port::move_leader(MemberId to, Function<void(Result<>)> done) {
  submit(StateTask([id = id_, to, done = std::move(done)](State& state) mutable {
    state.agreement().transfer_leadership(raft::NodeId(to),
                                          [&state, id, done = std::move(done)](Result<> result) mutable {
                                            answer(state, id, std::move(done), std::move(result));
                                          });
  }));
}

void Port::status(Function<void(Status)> done) {
  submit(StateTask([id = id_, done = std::move(done)](State& state) mutable {
    answer(state, id, std::move(done), state.status());
  }));
}

void Port::census(bool with_sessions, Function<void(Census)> done) {
  submit(StateTask([id = id_, with_sessions, done = std::move(done)](State& state) mutable {
    Census census = state.census(with_sessions);
    if (!state.current_standing().leading) return answer(state, id, std::move(done), std::move(census));
    state.agreement().describe_leading([&state, id, done = std::move(done),
                                        census = std::move(census)](std::optional<Census::Leading> leading) mutable {
      census.leading = leading;
      answer(state, id, std::move(done), std::move(census));
    });
  }));
}

void Port::hash_kv(store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done) {
  submit(StateTask([id = id_, revision, done = std::move(done)](State& state) mutable {
    state.hash_kv(id, revision, std::move(done));
  }));
}

void Port::snapshot(Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done) {
  submit(StateTask(
      [id = id_, done = std::move(done)](State& state) mutable { state.open_snapshot(id, std::move(done)); }));
}

}  // namespace witan::node
