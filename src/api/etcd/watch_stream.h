// One Watch call: its watchers, where each of them stands, and the order of what is sent (reference 1.8).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "api/etcd/call.h"
#include "api/etcd/service.h"
#include "api/etcd/watch_hub.h"

namespace etcdserverpb {
class WatchCreateRequest;
class WatchResponse;
}  // namespace etcdserverpb

namespace witan::api::etcd {

// A watcher is live (attached to the hub), behind (waiting to read history), reading, or dead (cancelled by compaction
// but known until the client cancels it). Its position is `next`: every event before it was sent, none from it on.
// Whatever happens to it - a slow client, a gap, an error - it goes back to being behind at that position, so nothing
// is lost, repeated or reordered.
class WatchStream final : public StreamHandler, private ChangeSink {
 public:
  WatchStream(Service& service, CallKey call);
  ~WatchStream() override;

  void on_message(std::string_view message) override;
  void on_writable() override { catch_up(); }

 private:
  enum class State : uint8_t { Live, Behind, Reading, Dead };
  struct Watcher {
    int64_t id = 0;
    uint64_t serial = 0;  // never used again, unlike ids
    store::KeyRange range;
    bool no_put = false;
    bool no_delete = false;
    bool previous = false;
    bool fragment = false;
    bool progress = false;
    bool quiet = true;  // nothing was sent since the last progress tick
    State state = State::Dead;
    WatchHub::Ticket ticket = 0;  // when live
    store::Revision start;        // as asked for; 0: the present
    store::Revision next;         // live: the first revision wanted
  };

  // ChangeSink; tokens are serials.
  void on_events(uint64_t serial, std::span<const EventRef> events) override;
  void on_detached(uint64_t serial, store::Revision from) override;

  void create(const etcdserverpb::WatchCreateRequest& request);
  void refuse(std::string_view reason);
  void cancel(int64_t id);
  void progress_all();
  int64_t pick_id();
  void start(Watcher& watcher, store::Revision start_revision);

  void go_live(Watcher& watcher, store::Revision first);
  void fall_behind(Watcher& watcher, store::Revision from);
  void catch_up();
  void on_history(uint64_t serial, const node::Answer<node::History>& answer);
  void retry_later();
  void send_history(Watcher& watcher, const node::History& history);
  void send_compacted(Watcher& watcher, const node::History& history);

  bool wants(const Watcher& watcher, const store::Change& change) const;
  void send_events(Watcher& watcher, std::span<const EventRef> events, const Header& header);
  void send_response(const Watcher& watcher, std::span<const EventRef> events, const Header& header, bool more);
  void send_control(const etcdserverpb::WatchResponse& response);
  etcdserverpb::WatchResponse control(int64_t id) const;
  bool congested() const;

  Watcher* find(uint64_t serial);
  // Whether it was sent all that it wants up to `present`.
  static bool is_synced(const Watcher& watcher, store::Revision present);
  void arm_progress();
  void on_progress_tick();

  Service& service_;
  const CallKey call_;
  std::map<int64_t, Watcher> watchers_;  // by watch id
  std::map<uint64_t, int64_t> serials_;  // serial -> watch id
  int64_t next_id_ = 0;
  uint64_t last_serial_ = 0;
  std::deque<uint64_t> behind_;  // serials, in the order of their turns; may hold some that are gone
  bool reading_ = false;         // one read of history at a time
  env::TimerId retry_ = 0;
  env::TimerId progress_timer_ = 0;
  Duration progress_interval_;
  std::vector<EventRef> wanted_;  // scratch
};

}  // namespace witan::api::etcd
