// A member for this room's tests: Peers, and a Handler that writes down what it is told.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "peer/peer.h"
#include "peer/testing.h"

namespace witan::peer::testing {

inline constexpr uint64_t kCluster = 0xc1;

// Log lines, for tests that read them.
class Lines final : public LogSink {
 public:
  bool enabled(LogLevel) const override { return true; }
  void write(LogLevel, std::string_view, std::string_view message) override { lines.emplace_back(message); }
  size_t count(std::string_view part) const {
    size_t n = 0;
    for (const std::string& line : lines) n += line.find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  std::vector<std::string> lines;
};

class Member final : public Handler {
 public:
  Member(FakeLoop& loop, FakeNetwork& network, uint64_t number, Options options = {})
      : id(number), address{.host = "127.0.0.1", .port = static_cast<uint16_t>(1000 + number)} {
    if (options.self.cluster_id == 0) options.self.cluster_id = kCluster;
    options.self.member = raft::NodeId(id);
    if (options.self.directory_uuid.empty()) options.self.directory_uuid = fmt::format("dir-{}", id);
    peers = std::make_unique<Peers>(options, loop, network, Rng(id), *this, Logger(&lines, "peer"));
    listening = peers->listen(address).has_value();
  }

  PeerRecord record() const { return {.id = raft::NodeId(id), .addresses = {address}}; }
  void knows(std::initializer_list<const Member*> others) {
    std::vector<PeerRecord> records;
    for (const Member* other : others) records.push_back(other->record());
    peers->set_members(std::move(records));
  }

  // A heartbeat goes by the control lane, an append by the bulk lane.
  void heartbeat(const Member& to, uint64_t round) { send(to, raft::Heartbeat{.term = raft::Term(1), .round = round}); }
  void append(const Member& to, uint64_t index, size_t bytes = 0) {
    raft::AppendRequest message{.term = raft::Term(1), .prev_index = raft::Index(index - 1)};
    message.entries.push_back(
        {.term = raft::Term(1), .index = raft::Index(index), .data = Blob(std::string(bytes, 'e'))});
    send(to, std::move(message));
  }
  void send(const Member& to, raft::Message message) {
    peers->send({.from = raft::NodeId(id), .to = raft::NodeId(to.id), .message = std::move(message)});
  }

  void on_message(raft::Envelope envelope) override {
    from = envelope.from;
    if (const auto* beat = std::get_if<raft::Heartbeat>(&envelope.message)) rounds.push_back(beat->round);
    if (const auto* append = std::get_if<raft::AppendRequest>(&envelope.message)) {
      for (const raft::Entry& entry : append->entries) indexes.push_back(entry.index.value);
    }
    if (const auto* reply = std::get_if<raft::HeartbeatReply>(&envelope.message)) answered.push_back(reply->round);
    if (const auto* reply = std::get_if<raft::AppendReply>(&envelope.message)) matched.push_back(reply->match.value);
  }
  void on_call(raft::NodeId caller, Call call, Responder respond) override {
    from = caller;
    calls.push_back(std::move(call));
    if (answer_calls) {
      respond(calls.back().payload);
    } else {
      responders.push_back(std::move(respond));
    }
  }
  void on_unreachable(raft::NodeId to) override { unreachable.push_back(to.value); }
  std::unique_ptr<SnapshotSink> on_snapshot(raft::NodeId sender, raft::Term term, raft::SnapshotMeta meta,
                                            uint64_t size) override {
    from = sender;
    snapshot_term = term;
    snapshot_index = meta.index;
    return make_sink ? make_sink(size) : nullptr;
  }

  const uint64_t id;
  const env::Address address;
  Lines lines;
  bool listening = false;
  raft::NodeId from;
  std::vector<uint64_t> rounds, indexes, answered, matched, unreachable;
  std::vector<Call> calls;
  std::vector<Responder> responders;
  bool answer_calls = true;
  raft::Term snapshot_term;
  raft::Index snapshot_index;
  Function<std::unique_ptr<SnapshotSink>(uint64_t size)> make_sink;
  std::unique_ptr<Peers> peers;  // last: its end calls nothing above
};

}  // namespace witan::peer::testing
