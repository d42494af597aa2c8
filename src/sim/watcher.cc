// A client with a few watches on one stream, resumed after every break where the events it has end.
#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sim/etcd.h"
#include "sim/workload.h"

namespace witan::sim {
namespace {

using Kind = verify::WatchMessage::Kind;

class Watcher final : public Workload {
 public:
  Watcher(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : Workload(ground, machine, fmt::format("watcher{}", number), history, std::move(rng)) {}

  void start() override {
    const uint64_t watches = 1 + rng_.below(3);
    for (uint64_t i = 0; i < watches; ++i) begin_watch();
    connect();
    restless();
  }
  std::string unsettled(const verify::Truth& truth) const override;
  void finish() override {
    for (const auto& [id, watch] : watches_) attachment(watch).lived_to_the_end = true;
  }

 private:
  struct Watch {
    std::string name;
    int64_t next = 0;  // revision to go on from; 0: nothing was heard yet
  };

  void begin_watch();
  void connect();
  void attach(int64_t id);
  void on_response(const etcd::WatchResponse& response);
  void on_message(int64_t id, const verify::WatchMessage& message);
  void lost();
  void restless();
  verify::WatchAttachment& attachment(const Watch& watch) { return history_.watches[watch.name].back(); }

  std::map<int64_t, Watch> watches_;  // by the id on the stream
  std::map<int64_t, bool> attached_;  // asked for on this stream
  int64_t last_id_ = 0;
  uint64_t names_ = 0;
  Channel::StreamKey stream_ = 0;
};

std::string Watcher::unsettled(const verify::Truth& truth) const {
  for (const auto& [id, watch] : watches_) {
    const verify::WatchAttachment& now_attached = history_.watches.at(watch.name).back();
    if (now_attached.messages.empty()) return watch.name + ": to be created";
    for (int64_t revision = std::max<int64_t>(watch.next, 2); revision <= truth.revision(); ++revision) {
      const bool concerned = std::ranges::any_of(truth.changes(revision), [&](const verify::Change& change) {
        const bool filtered = change.after ? now_attached.no_put : now_attached.no_delete;
        return !filtered && verify::in_range(change.key, now_attached.begin, now_attached.end);
      });
      if (!concerned) continue;
      return fmt::format("{}: the event of revision {}, {} m{}", watch.name, revision,
                         channel_.connected() ? "from" : "not connected to", channel_.server());
    }
  }
  return "";
}

void Watcher::begin_watch() {
  verify::WatchAttachment wanted;
  wanted.begin = std::string(kKeyPrefix);
  wanted.end = "k0";
  if (rng_.chance(1, 4)) wanted = {.begin = std::string(1, '\0'), .end = std::string(1, '\0')};
  if (rng_.chance(1, 4)) wanted = {.begin = fmt::format("{}{}", kKeyPrefix, rng_.below(ground_.plan.keys)), .end = {}};
  if (rng_.chance(1, 4)) wanted.start_revision = rng_.between(1, 40);
  wanted.prev_kv = rng_.chance(1, 2);
  wanted.no_put = rng_.chance(1, 10);
  wanted.no_delete = !wanted.no_put && rng_.chance(1, 10);
  wanted.fragment = rng_.chance(1, 4);
  wanted.progress_notify = rng_.chance(1, 2);
  const Watch watch{.name = fmt::format("{}/{}", name_, ++names_), .next = wanted.start_revision};
  history_.watches[watch.name].push_back(std::move(wanted));
  watches_.emplace(++last_id_, watch);
}

void Watcher::connect() {
  attached_.clear();
  stream_ = channel_.open(
      "/etcdserverpb.Watch/Watch", [this](std::string_view bytes) { on_response(etcd::decode_watch(bytes, now())); },
      [this](const RpcResult&) { lost(); });
  for (const auto& [id, watch] : watches_) attach(id);
}

void Watcher::attach(int64_t id) {
  attached_[id] = true;
  channel_.send(stream_, etcd::encode_watch(attachment(watches_.at(id)), id));
}

void Watcher::on_response(const etcd::WatchResponse& response) {
  for (const verify::WatchMessage& message : response.messages) {
    if (response.watch_id != -1) {
      on_message(response.watch_id, message);
      continue;
    }
    for (const auto& [id, asked] : std::map(attached_)) {
      // Progress of the whole stream says nothing about a watch that does not exist yet.
      if (watches_.contains(id) && !attachment(watches_.at(id)).messages.empty()) on_message(id, message);
    }
  }
}

void Watcher::on_message(int64_t id, const verify::WatchMessage& message) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;  // canceled by this client
  Watch& watch = found->second;
  verify::WatchAttachment& now_attached = attachment(watch);
  now_attached.messages.push_back(message);
  switch (message.kind) {
    case Kind::Created:
      if (watch.next == 0) watch.next = message.header_revision + 1;
      break;
    case Kind::Events:
      if (!message.more_fragments) watch.next = message.events.back().now.mod_revision + 1;
      break;
    case Kind::Progress: watch.next = std::max(watch.next, message.header_revision + 1); break;
    case Kind::Canceled: {
      verify::WatchAttachment again = now_attached;
      again.messages.clear();
      if (message.compact_revision > 0) watch.next = message.compact_revision;
      again.start_revision = watch.next;
      history_.watches[watch.name].push_back(std::move(again));
      const Watch moved = watch;
      watches_.erase(found);
      watches_.emplace(++last_id_, moved);
      attach(last_id_);
    }
  }
}

// The stream broke: every watch goes on where its events end, wherever the next connection leads.
void Watcher::lost() {
  for (auto& [id, watch] : watches_) {
    verify::WatchAttachment again = attachment(watch);
    if (again.messages.empty() && again.start_revision == watch.next) continue;
    again.messages.clear();
    again.start_revision = watch.next;
    history_.watches[watch.name].push_back(std::move(again));
  }
  later(milliseconds(1), milliseconds(200), [this] { connect(); });
}

// Now and then it asks how far the server is, gives a watch up, or begins another.
void Watcher::restless() {
  later(milliseconds(100), seconds(3), [this] {
    if (stopping_) return;
    if (rng_.chance(1, 2)) channel_.send(stream_, etcd::encode_progress_request());
    if (rng_.chance(1, 6) && !watches_.empty()) {
      const auto gone = watches_.begin();
      channel_.send(stream_, etcd::encode_watch_cancel(gone->first));
      watches_.erase(gone);
      begin_watch();
      attach(last_id_);
    }
    restless();
  });
}

}  // namespace

std::unique_ptr<Workload> make_watcher(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<Watcher>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
