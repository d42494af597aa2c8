// Watches against a slow model: random histories, compactions, gaps, slow readers, cancellations and restarts, under
// many seeds. The model knows every event that ever was; each watcher must get exactly its share, once, in order, no
// revision split, and progress never ahead of events.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/testing.h"
#include "base/rng.h"

namespace witan::api::etcd {
namespace {

using namespace etcdserverpb;
using testing::TestApi;

struct ModelEvent {
  int64_t revision = 0;
  std::string key;
  bool put = false;
  std::string value;
  std::string before;  // previous value; meaningful when existed
  bool existed = false;
};

struct ModelWatcher {
  std::string begin, end;  // end empty: unbounded
  bool no_put = false, no_delete = false, previous = false;
  int64_t start = 0;  // first revision wanted
  size_t next = 0;    // index of the next event in the log that it has not seen
  bool created = false;
  bool ended = false;
  int64_t seen = 0;  // revision of the last response
};

class Model {
 public:
  explicit Model(uint64_t seed)
      : rng_(seed), api_(options(seed)), call_(api_.transport.open("/etcdserverpb.Watch/Watch")) {
    api_.client.history_changes = 1 + rng_.below(8);
    api_.transport.low_water = 600;
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) step();
    if (gap_) api_.client.end_gap();
    settle();
  }

 private:
  static Options options(uint64_t seed) {
    Options options;
    options.watch_buffer_bytes = 1500;
    options.seed = seed;
    return options;
  }

  void step() {
    switch (rng_.below(14)) {
      case 0:
      case 1:
      case 2: return write();
      case 3: return create();
      case 4: return rng_.chance(1, 3) ? cancel() : read();
      case 5: return rng_.chance(1, 6) ? compact() : read();
      case 6: return rng_.chance(1, 4) ? toggle_gap() : read();
      case 7: return progress();
      case 8:
        if (rng_.chance(1, 10)) api_.client.next_refusal = node::NotApplied{node::Refusal::Timeout, ""};
        if (rng_.chance(1, 3)) api_.loop.advance(milliseconds(150));
        return;
      case 9: return read();
      default: api_.loop.step();
    }
  }

  std::string key() { return std::string(1, static_cast<char>('a' + rng_.below(5))); }

  void write() {
    store::Txn txn;
    std::map<std::string, std::optional<std::string>> changes;
    const uint64_t count = rng_.chance(1, 4) ? 1 + rng_.below(4) : 1;
    for (uint64_t i = 0; i < count; ++i) {
      changes[key()] = rng_.chance(1, 4)
                           ? std::nullopt
                           : std::optional(std::string(rng_.below(700), 'v') + std::to_string(rng_.next()));
    }
    for (const auto& [k, v] : changes) {
      if (v) {
        txn.success.push_back({store::Put{.key = k, .value = *v}});
      } else {
        txn.success.push_back({store::DeleteRange{.range = {.begin = k, .single = true}}});
      }
    }
    const int64_t before = api_.client.store().revision().value;
    api_.client.apply(txn);
    const int64_t revision = api_.client.store().revision().value;
    if (revision == before) return;  // deleted nothing
    for (const auto& [k, v] : changes) {
      const auto old = state_.find(k);
      const bool existed = old != state_.end();
      if (!v && !existed) continue;
      log_.push_back({.revision = revision,
                      .key = k,
                      .put = v.has_value(),
                      .value = v.value_or(""),
                      .before = existed ? old->second : "",
                      .existed = existed});
      if (v) {
        state_[k] = *v;
      } else {
        state_.erase(k);
      }
    }
  }

  void create() {
    if (watchers_.size() > 12) return;
    ModelWatcher watcher;
    WatchCreateRequest request;
    watcher.begin = key();
    request.set_key(watcher.begin);
    watcher.end = watcher.begin + std::string(1, '\0');
    if (rng_.chance(1, 2)) {
      watcher.end = rng_.chance(1, 3) ? "" : std::string(1, static_cast<char>(watcher.begin[0] + 1 + rng_.below(4)));
      request.set_range_end(watcher.end.empty() ? std::string(1, '\0') : watcher.end);
    }
    watcher.no_put = rng_.chance(1, 6);
    watcher.no_delete = rng_.chance(1, 6);
    if (watcher.no_put) request.add_filters(WatchCreateRequest::NOPUT);
    if (watcher.no_delete) request.add_filters(WatchCreateRequest::NODELETE);
    watcher.previous = rng_.chance(1, 2);
    request.set_prev_kv(watcher.previous);
    request.set_progress_notify(rng_.chance(1, 2));
    const int64_t present = api_.client.revision().value;
    if (rng_.chance(2, 3)) {
      request.set_start_revision(std::max<int64_t>(1, rng_.between(present - 8, present + 3)));
      watcher.start = request.start_revision();
    } else {
      watcher.start = present + 1;
    }
    request.set_watch_id(++last_id_);
    while (watcher.next < log_.size() && log_[watcher.next].revision < watcher.start) ++watcher.next;
    watchers_[last_id_] = watcher;
    WatchRequest message;
    *message.mutable_create_request() = request;
    api_.transport.message(call_, message.SerializeAsString());
  }

  void cancel() {
    if (watchers_.empty()) return;
    const int64_t id = static_cast<int64_t>(1 + rng_.below(static_cast<uint64_t>(last_id_)));
    WatchRequest message;
    message.mutable_cancel_request()->set_watch_id(id);
    api_.transport.message(call_, message.SerializeAsString());
    cancelled_[id] = true;
  }

  void compact() {
    const int64_t revision = rng_.between(1, api_.client.store().revision().value);
    api_.client.apply(store::Compact{.revision = store::Revision(revision)});
    compacted_ = api_.client.store().compacted().value;
  }

  void toggle_gap() {
    if (!gap_) {
      api_.client.begin_gap();
    } else {
      api_.client.end_gap();
    }
    gap_ = !gap_;
  }

  void progress() {
    WatchRequest message;
    message.mutable_progress_request();
    api_.transport.message(call_, message.SerializeAsString());
  }

  void read() {
    const auto message = api_.transport.take(call_);
    if (!message) return;
    WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(*message));
    if (response.watch_id() == -1) {
      for (auto& [id, watcher] : watchers_) check_progress(watcher, response.header().revision());
      return;
    }
    const auto it = watchers_.find(response.watch_id());
    ASSERT_NE(it, watchers_.end()) << "a response for watcher " << response.watch_id() << ", which is not there";
    ModelWatcher& watcher = it->second;
    if (response.created()) {
      ASSERT_FALSE(watcher.created);
      watcher.created = true;
      return;
    }
    ASSERT_TRUE(watcher.created) << "an event before the creation";
    if (response.canceled()) return end(it, response);
    if (response.events_size() == 0) return check_progress(watcher, response.header().revision());
    check_events(watcher, response);
  }

  void end(std::map<int64_t, ModelWatcher>::iterator it, const WatchResponse& response) {
    if (response.compact_revision() != 0) {
      // Only a watcher that still wanted something below the compaction may be cut.
      ASSERT_LE(response.compact_revision(), compacted_);
      ASSERT_FALSE(it->second.ended);
      it->second.ended = true;
      return;
    }
    ASSERT_TRUE(cancelled_[it->first]);
    watchers_.erase(it);
  }

  bool concerns(const ModelWatcher& watcher, const ModelEvent& event) const {
    if (event.put ? watcher.no_put : watcher.no_delete) return false;
    return event.key >= watcher.begin && (watcher.end.empty() || event.key < watcher.end);
  }

  // The next event that the watcher must get; null when it has all.
  const ModelEvent* expected(ModelWatcher& watcher) {
    while (watcher.next < log_.size()) {
      const ModelEvent& event = log_[watcher.next];
      if (event.revision >= watcher.start && concerns(watcher, event)) return &event;
      ++watcher.next;
    }
    return nullptr;
  }

  void check_events(ModelWatcher& watcher, const WatchResponse& response) {
    int64_t last = 0;
    for (const mvccpb::Event& event : response.events()) {
      const ModelEvent* want = expected(watcher);
      ASSERT_NE(want, nullptr) << "an event that never was";
      ASSERT_EQ(event.kv().mod_revision(), want->revision);
      ASSERT_EQ(event.kv().key(), want->key);
      ASSERT_EQ(event.type() == mvccpb::Event::PUT, want->put);
      ASSERT_EQ(event.kv().value(), want->value);
      if (event.has_prev_kv()) {
        ASSERT_TRUE(watcher.previous && want->existed);
        ASSERT_EQ(event.prev_kv().value(), want->before);
      } else if (watcher.previous && want->existed) {
        ASSERT_LE(want->revision, compacted_) << "only compaction may hide a previous value";
      }
      ++watcher.next;
      last = want->revision;
    }
    ASSERT_GE(response.header().revision(), last);
    const ModelEvent* rest = expected(watcher);
    ASSERT_TRUE(rest == nullptr || rest->revision > last) << "revision " << last << " was split";
  }

  // Everything up to `revision` must have been sent before (etcd #15220).
  void check_progress(ModelWatcher& watcher, int64_t revision) {
    if (watcher.ended || !watcher.created) return;
    const ModelEvent* rest = expected(watcher);
    ASSERT_TRUE(rest == nullptr || rest->revision > revision)
        << "progress to " << revision << " before the event of " << rest->revision;
    ASSERT_GE(revision, watcher.seen);
    watcher.seen = revision;
  }

  // Reads until nothing more comes; then every watcher must have all of its events.
  void settle() {
    for (int round = 0; round < 3; ++round) {
      api_.loop.advance(seconds(1));
      while (!api_.transport.at(call_).messages.empty()) {
        read();
        if (::testing::Test::HasFatalFailure()) return;
        api_.loop.run();
      }
    }
    for (auto& [id, watcher] : watchers_) {
      if (watcher.ended) continue;
      const ModelEvent* rest = expected(watcher);
      ASSERT_EQ(rest, nullptr) << "watcher " << id << " never got revision " << rest->revision;
    }
  }

  Rng rng_;
  TestApi api_;
  CallKey call_;
  std::map<std::string, std::string> state_;
  std::vector<ModelEvent> log_;
  std::map<int64_t, ModelWatcher> watchers_;
  std::map<int64_t, bool> cancelled_;
  int64_t last_id_ = 0;
  int64_t compacted_ = -1;
  bool gap_ = false;
};

TEST(WatchModel, EveryWatcherGetsItsEventsOnceInOrder) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model(seed).run(800);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace witan::api::etcd
