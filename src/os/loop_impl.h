// The inside of Loop that the other files of this room share. Includes Asio: never include it from a header of another
// room.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "os/loop.h"

namespace witan::os {

// Something that wants to hear of the end of the turn: a connection with bytes to send.
class TurnEnd {
 public:
  virtual ~TurnEnd() = default;
  virtual void on_turn_end() = 0;
};

// Asynchronous edges carry an id, never a pointer: what was destroyed meanwhile is not found and nothing happens.
using StreamId = uint64_t;

struct Loop::Impl {
  explicit Impl(std::string loop_name) : name(std::move(loop_name)) {}

  // Every entry from Asio into our code holds one of these.
  class Turn {
   public:
    explicit Turn(Impl& loop) : loop_(loop) { loop_.in_turn = true; }
    ~Turn() { loop_.end_turn(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Impl& loop_;
  };

  void check_thread() const;
  void end_turn();
  void drain();
  void arm();
  void run_timers();

  // ---- Streams, on the loop's thread
  StreamId add_stream(TurnEnd& stream) {
    streams.emplace(++last_stream, &stream);
    return last_stream;
  }
  void remove_stream(StreamId id) { streams.erase(id); }
  TurnEnd* find_stream(StreamId id) const {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : found->second;
  }
  // on_turn_end() will be called once; outside a turn, at the end of an extra one.
  void want_turn_end(StreamId id);

  const std::string name;
  std::atomic<std::thread::id> runner{};  // the thread inside run(), or none

  std::mutex mutex;
  std::vector<Task> inbox;     // guarded by mutex
  bool closed = false;         // guarded by mutex; what is posted from now on is dropped
  std::vector<Task> draining;  // loop thread only; swapped with inbox so that both keep their memory

  std::map<std::pair<Instant, env::TimerId>, Task> timers;
  absl::flat_hash_map<env::TimerId, Instant> timer_times;
  env::TimerId last_timer = 0;
  Instant armed = Instant::never();  // when the alarm rings; never later than the first timer

  absl::flat_hash_map<StreamId, TurnEnd*> streams;
  StreamId last_stream = 0;
  std::vector<StreamId> dirty;      // want on_turn_end
  std::vector<StreamId> finishing;  // end_turn's own, swapped with dirty
  bool in_turn = false;
  bool extra_turn = false;  // one is on its way

  // Last, so that it is destroyed first: handlers that never ran own connections, which say goodbye to the maps above.
  // Hint 1: one thread runs it, so what it posts to itself takes no lock.
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  boost::asio::steady_timer alarm{context};
};

}  // namespace witan::os
