#include "raft/testing.h"

#include <algorithm>

#include "base/check.h"
#include "raft/quorum.h"

namespace witan::raft::testing {

// ---- Judge --------------------------------------------------------------------------------------

void Judge::leads(NodeId member, Term term) {
  const auto [at, first] = leaders_.emplace(term, member);
  if (!first && at->second != member)
    complain(fmt::format("term {} has two leaders: {} and {}", term, at->second, member));
}

void Judge::commits(NodeId member, Entry entry) {
  const uint64_t position = entry.index.value - 1;
  if (position > committed_.size()) {
    complain(
        fmt::format("{} committed {} although nobody committed {}", member, entry_text(entry), committed_.size() + 1));
  } else if (position == committed_.size()) {
    committed_.push_back(std::move(entry));
  } else if (committed_[position] != entry) {
    complain(fmt::format("{} committed {} where {} was committed", member, entry_text(entry),
                         entry_text(committed_[position])));
  }
}

void Judge::read_begins(uint64_t id) { reads_[id] = Index(committed_.size()); }

void Judge::read_ends(uint64_t id, Index index) {
  const auto at = reads_.find(id);
  if (at == reads_.end()) return complain(fmt::format("read {} ended twice or was never begun", id));
  if (index < at->second) complain(fmt::format("read {} sees only {} of {}", id, index, at->second));
  reads_.erase(at);
}

// ---- Image --------------------------------------------------------------------------------------

bool Image::has(Index index, Term term) const {
  if (index <= snapshot.index) return true;
  if (entries.empty() || index < entries.front().index || index > entries.back().index) return false;
  return entries[index - entries.front().index].term == term;
}

void Image::write(const Persist& persist) {
  if (persist.hard_state) hard_state = *persist.hard_state;
  if (persist.reset) {
    CHECK(!persist.cut_from && persist.reset->index <= snapshot.index);
    entries.clear();
    end = persist.reset->index;
  }
  if (persist.cut_from) {
    CHECK(*persist.cut_from <= end, "cuts at {} beyond {}", *persist.cut_from, end);
    while (!entries.empty() && entries.back().index >= *persist.cut_from) entries.pop_back();
    end = *persist.cut_from - 1;
  }
  for (const Entry& entry : persist.entries) {
    CHECK(entry.index == end + 1, "writes {} after {}", entry.index, end);
    entries.push_back(entry);
    end = entry.index;
  }
}

// ---- Cluster ------------------------------------------------------------------------------------

Cluster::Cluster(Options options, const std::vector<uint64_t>& voters, const std::vector<uint64_t>& blank,
                 uint64_t seed)
    : options_(options), rng_(seed) {
  for (const uint64_t id : voters) {
    Process& process = processes_[id];
    process.id = NodeId(id);
    process.image.snapshot.configuration = members(voters);
  }
  for (const uint64_t id : blank) processes_[id].id = NodeId(id);
  for (auto& [id, process] : processes_) start(process);
}

Process& Cluster::at(uint64_t id) {
  const auto at = processes_.find(id);
  CHECK(at != processes_.end(), "no member {}", id);
  return at->second;
}

std::vector<uint64_t> Cluster::ids() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, process] : processes_) ids.push_back(id);
  return ids;
}

void Cluster::start(Process& process) {
  Options options = options_;
  options.id = process.id;
  const Image& image = process.image;
  process.configurations = {{image.snapshot.index, image.snapshot.configuration}};
  process.delivered = image.snapshot.index;
  ++process.lives;
  process.raft.emplace(options,
                       Initial{.hard_state = image.hard_state,
                               .snapshot = image.snapshot,
                               .entries = image.entries,
                               .applied = image.snapshot.index},
                       now_, rng_.fork(fmt::format("{} {}", process.id, process.lives)), Logger());
}

void Cluster::step(uint64_t id, Event event) {
  Process& process = at(id);
  if (!process.raft) return;
  const Configuration before = process.raft->configuration();
  const Index commit_before = process.raft->commit_index();
  Output output = process.raft->step(now_, std::move(event));
  take(process, std::move(output), before, commit_before);
}

void Cluster::take(Process& process, Output output, const Configuration& before, Index commit_before) {
  trace_output(process, output);
  for (Envelope& envelope : output.messages) messages_.push_back(std::move(envelope));
  if (output.standing && output.standing->role == Role::Leader) {
    judge_.leads(process.id, output.standing->term);
    if (!output.standing->leading) check_completeness(process);
  }
  if (process.raft->standing().role == Role::Leader && process.raft->commit_index() > commit_before) {
    check_durable(process, before);
  }
  if (output.install) {
    process.delivered = output.install->index;
    process.configurations = {{output.install->index, output.install->configuration}};
  }
  commit(process, std::move(output.committed));
  for (const ReadReady& ready : output.reads) {
    judge_.read_ends(ready.id, ready.index);
    reads_ready.push_back(ready);
  }
  for (const uint64_t read : output.reads_failed) reads_failed.push_back(read);
  if (output.proposed) last_proposed = output.proposed;
  for (const Fetch& fetch : output.fetches) fetches_.emplace_back(process.id, fetch);
  for (const NodeId to : output.send_snapshot) {
    const Term term = process.raft->standing().term;
    transfers_.push_back({.from = process.id, .to = to, .term = term, .meta = process.image.snapshot});
  }
  if (output.persist) process.writes.push_back(std::move(*output.persist));
}

void Cluster::commit(Process& process, std::vector<Entry> entries) {
  for (Entry& entry : entries) {
    if (entry.index != process.delivered + 1) {
      judge_.complain(fmt::format("{} was handed {} after {}", process.id, entry.index, process.delivered));
    }
    process.delivered = entry.index;
    if (entry.kind == EntryKind::Membership) {
      process.configurations.emplace_back(entry.index, decode_configuration(entry.data).value());
    }
    judge_.commits(process.id, std::move(entry));
  }
}

// Thesis 3.6.2: what a leader commits is on the disks of a quorum. The configuration may have changed in this step.
void Cluster::check_durable(const Process& leader, const Configuration& before) {
  const Index commit = leader.raft->commit_index();
  const Term term = leader.raft->term_at(commit).value();
  const auto on_disk = [&](NodeId id) { return processes_.at(id.value).image.has(commit, term) ? 1 : 0; };
  if (Quorum(before).agreed(on_disk) == 0 && Quorum(leader.raft->configuration()).agreed(on_disk) == 0) {
    judge_.complain(fmt::format("{} committed {}/{}, which no quorum has on disk", leader.id, term, commit));
  }
}

// Thesis 3.6.3: a leader has every committed entry.
void Cluster::check_completeness(Process& process) {
  for (const Entry& entry : judge_.committed()) {
    if (entry.index < process.raft->first_index()) continue;
    if (process.raft->term_at(entry.index) == entry.term) continue;
    judge_.complain(
        fmt::format("{} leads term {} without {}", process.id, process.raft->standing().term, entry_text(entry)));
    return;
  }
}

void Cluster::compare_logs() {
  for (const auto& [a, left] : processes_) {
    for (const auto& [b, right] : processes_) {
      if (a >= b || !left.raft || !right.raft) continue;
      const Index low = std::max(left.raft->first_index(), right.raft->first_index());
      bool equal = false;
      for (Index i = std::min(left.raft->last_index(), right.raft->last_index()); i >= low && i.value > 0; i = i - 1) {
        const bool same = left.raft->term_at(i) == right.raft->term_at(i);
        if (equal && !same) judge_.complain(fmt::format("the logs of {} and {} agree after {} but not there", a, b, i));
        equal = equal || same;
      }
    }
  }
}

void Cluster::propose(uint64_t id, const std::string& text) {
  step(id, Propose{.commands = {Blob(text)}, .only_in = {}});
}

void Cluster::read(uint64_t id, uint64_t read) {
  judge_.read_begins(read);
  step(id, ReadIndex{.id = read});
}

void Cluster::wake(uint64_t id) {
  if (!at(id).raft) return;
  const Instant deadline = raft(id).next_deadline();
  if (deadline == Instant::never()) return;
  now_ = std::max(now_, deadline);
  step(id, Wake{});
}

void Cluster::advance(Duration duration) {
  now_ = now_ + duration;
  for (auto& [id, process] : processes_) {
    if (process.raft && process.raft->next_deadline() <= now_) step(id, Wake{});
  }
}

void Cluster::campaign(uint64_t id) {
  wake(id);
  settle();
}

bool Cluster::write_one(uint64_t id) {
  Process& process = at(id);
  if (process.writes.empty()) return false;
  Persist persist = std::move(process.writes.front());
  process.writes.pop_front();
  const HardState before = process.image.hard_state;
  process.image.write(persist);
  if (tracing) {
    std::string line = fmt::format("{} wrote #{}", id, persist.ticket.number);
    if (persist.reset) line += fmt::format(" reset={}/{}", persist.reset->term, persist.reset->index);
    if (persist.cut_from) line += fmt::format(" cut={}", *persist.cut_from);
    for (const Entry& entry : persist.entries) line += " " + entry_text(entry);
    const HardState& after = process.image.hard_state;
    if (after.term != before.term || after.vote != before.vote) {
      line += fmt::format(" term={} vote={}", after.term, after.vote);
    }
    say(std::move(line));
  }
  for (Envelope& envelope : persist.then_send) messages_.push_back(std::move(envelope));
  step(id, Persisted{persist.ticket});
  return true;
}

bool Cluster::is_cut(const Envelope& envelope) const {
  return cuts_.contains(
      {std::min(envelope.from.value, envelope.to.value), std::max(envelope.from.value, envelope.to.value)});
}

void Cluster::deliver(size_t position) {
  Envelope envelope = std::move(messages_[position]);
  messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(position));
  const bool lost = is_cut(envelope) || !at(envelope.to.value).raft;
  say(fmt::format("{}>{} {}{}", envelope.from, envelope.to, describe(envelope.message), lost ? " (lost)" : ""));
  if (!lost) step(envelope.to.value, Receive{std::move(envelope)});
}

void Cluster::lose(size_t position) {
  const Envelope& envelope = messages_[position];
  say(fmt::format("{}>{} {} (lost)", envelope.from, envelope.to, describe(envelope.message)));
  messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(position));
}

void Cluster::repeat(size_t position) { messages_.push_back(messages_[position]); }

void Cluster::settle() {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& [id, process] : processes_) {
      while (process.raft && !process.disk_held && write_one(id)) moved = true;
    }
    for (; !messages_.empty(); moved = true) deliver(0);
    for (; !fetches_.empty(); moved = true) answer_fetch(0);
    for (; !hold_snapshots && !transfers_.empty(); moved = true) deliver_snapshot(0, true);
  }
}

void Cluster::answer_fetch(size_t position) {
  const auto [owner, fetch] = fetches_[position];
  fetches_.erase(fetches_.begin() + static_cast<std::ptrdiff_t>(position));
  Fetched fetched{.peer = fetch.peer, .entries = {}};
  size_t bytes = 0;
  for (const Entry& entry : at(owner.value).image.entries) {
    if (entry.index < fetch.from || entry.index > fetch.to) continue;
    if (fetched.entries.empty() && entry.index != fetch.from) break;
    bytes += entry.data.size();
    if (!fetched.entries.empty() && bytes > fetch.max_bytes) break;
    fetched.entries.push_back(entry);
  }
  say(fmt::format("{} read back {} entries from {} for {}", owner, fetched.entries.size(), fetch.from, fetch.peer));
  step(owner.value, std::move(fetched));
}

void Cluster::deliver_snapshot(size_t position, bool arrives) {
  const SnapshotTransfer transfer = transfers_[position];
  transfers_.erase(transfers_.begin() + static_cast<std::ptrdiff_t>(position));
  Process& to = at(transfer.to.value);
  arrives = arrives && to.raft && !is_cut({transfer.from, transfer.to, TimeoutNow{}});
  say(fmt::format("{}>{} snapshot {}/{}{}", transfer.from, transfer.to, transfer.meta.term, transfer.meta.index,
                  arrives ? "" : " (lost)"));
  if (arrives) {
    if (transfer.meta.index > to.image.snapshot.index) to.image.snapshot = transfer.meta;
    step(transfer.to.value, SnapshotReceived{.from = transfer.from, .term = transfer.term, .meta = transfer.meta});
  }
  step(transfer.from.value, SnapshotSent{.to = transfer.to, .delivered = arrives});
}

void Cluster::crash(uint64_t id, size_t writes_that_survive) {
  Process& process = at(id);
  if (!process.raft) return;
  say(fmt::format("{} crashes", id));
  process.raft.reset();
  for (size_t i = 0; i < writes_that_survive && i < process.writes.size(); ++i) process.image.write(process.writes[i]);
  process.writes.clear();
  std::erase_if(fetches_, [&](const auto& fetch) { return fetch.first == process.id; });
  std::erase_if(transfers_, [&](const auto& transfer) { return transfer.from == process.id; });
}

void Cluster::restart(uint64_t id) {
  Process& process = at(id);
  if (process.raft) return;
  say(fmt::format("{} starts", id));
  start(process);
  step(id, Wake{});
}

void Cluster::snapshot(uint64_t id, uint64_t keep) {
  Process& process = at(id);
  if (!process.raft) return;
  Image& image = process.image;
  const Index index = std::min(process.delivered, process.raft->durable_index());
  if (index <= image.snapshot.index) return;
  const auto after =
      std::ranges::upper_bound(process.configurations, index, {}, &std::pair<Index, Configuration>::first);
  image.snapshot = {index, process.raft->term_at(index).value(), std::prev(after)->second};
  if (index.value <= keep) return;
  const Index compacted = index - keep;
  std::erase_if(image.entries, [&](const Entry& entry) { return entry.index <= compacted; });
  say(fmt::format("{} has a snapshot at {} and keeps the log after {}", id, index, compacted));
  step(id, Compact{compacted});
}

void Cluster::cut(uint64_t a, uint64_t b) { cuts_.emplace(std::min(a, b), std::max(a, b)); }

void Cluster::isolate(uint64_t id) {
  for (const auto& [other, process] : processes_) {
    if (other != id) cut(id, other);
  }
}

uint64_t Cluster::leader() const {
  uint64_t leader = 0;
  Term term;
  for (const auto& [id, process] : processes_) {
    if (!process.raft || process.raft->standing().role != Role::Leader || process.raft->standing().term <= term)
      continue;
    leader = id;
    term = process.raft->standing().term;
  }
  return leader;
}

void Cluster::trace_output(const Process& process, const Output& output) {
  if (!tracing) return;
  const NodeId id = process.id;
  if (output.proposed && *output.proposed) {
    say(fmt::format("{} accepts {}..{} in term {}", id, (*output.proposed)->first, (*output.proposed)->last,
                    (*output.proposed)->term));
  } else if (output.proposed) {
    say(fmt::format("{} refuses: {}: {}", id, code_name(output.proposed->error().code),
                    output.proposed->error().message));
  }
  if (output.transfer_refused) say(fmt::format("{} refuses: {}", id, output.transfer_refused->message));
  if (output.standing) {
    say(fmt::format("{} is {}{} in term {}, leader {}", id, role_name(output.standing->role),
                    output.standing->leading ? " and leads" : "", output.standing->term, output.standing->leader));
  }
  if (output.configuration) say(fmt::format("{} goes by {}", id, describe(*output.configuration)));
  if (output.install) say(fmt::format("{} installs snapshot {}/{}", id, output.install->term, output.install->index));
  for (const NodeId to : output.send_snapshot) say(fmt::format("{} starts a snapshot for {}", id, to));
  if (!output.committed.empty()) {
    const size_t count = output.committed.size();
    std::string line = fmt::format("{} commits {}", id, entry_text(output.committed.front()));
    if (count == 2) line += ", ";
    if (count > 2) line += " ... ";
    say(count == 1 ? line : line + entry_text(output.committed.back()));
  }
  for (const ReadReady& ready : output.reads) say(fmt::format("{} serves read {} at {}", id, ready.id, ready.index));
  for (const uint64_t read : output.reads_failed) say(fmt::format("{} fails read {}", id, read));
}

std::string entry_text(const Entry& entry) {
  std::string text = fmt::format("{}/{}", entry.term, entry.index);
  if (entry.kind == EntryKind::Empty) return text + " empty";
  if (entry.kind == EntryKind::Membership)
    return text + " {" + describe(decode_configuration(entry.data).value()) + "}";
  return text + " \"" + std::string(entry.data.view()) + "\"";
}

Configuration members(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& learners) {
  Configuration configuration;
  for (const uint64_t id : voters) configuration.members.push_back({.id = NodeId(id), .incoming = Suffrage::Voter});
  for (const uint64_t id : learners) configuration.members.push_back({.id = NodeId(id), .incoming = Suffrage::Learner});
  std::ranges::sort(configuration.members, {}, &Member::id);
  return configuration;
}

}  // namespace witan::raft::testing
