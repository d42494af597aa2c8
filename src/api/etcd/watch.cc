#include <algorithm>
#include <memory>
#include <utility>

#include "api/etcd/handlers.h"
#include "api/etcd/lower.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/watch_stream.h"
#include "base/coding.h"
#include "base/planted.h"

namespace witan::api::etcd {
namespace {

constexpr int64_t kInvalidId = -1;
constexpr Duration kRetryAfter = milliseconds(100);
// A catch-up response is cut at a revision's end when it has grown to this.
constexpr size_t kCatchUpBytes = size_t{1} << 20;
// etcd's, not ours: a client may have to hold a response whole.
constexpr size_t kCatchUpRevisions = 1000;

size_t response_size(std::span<const EventRef> events, bool with_previous) {
  size_t size = 64;  // header and the rest
  for (const EventRef& ref : events) size += ref.events->event(ref.change, with_previous).size();
  return size;
}

}  // namespace

std::unique_ptr<StreamHandler> watch_watch(Service& service, CallKey call) {
  return std::make_unique<WatchStream>(service, call);
}

WatchStream::WatchStream(Service& service, CallKey call) : service_(service), call_(call) {
  // One jitter for the stream, as in etcd: clients that connect together do not all hear at the same time.
  const Duration base = std::max<Duration>(service.options().progress_interval, milliseconds(100));
  progress_interval_ = base + Duration(service.rng().below(static_cast<uint64_t>(base.count() / 10 + 1)));
}

WatchStream::~WatchStream() {
  for (auto& [id, watcher] : watchers_) service_.watches().detach(std::exchange(watcher.ticket, 0));
  service_.loop().cancel(retry_);
  service_.loop().cancel(progress_timer_);
}

// ---- requests -----------------------------------------------------------------------------------

void WatchStream::on_message(std::string_view message) {
  etcdserverpb::WatchRequest request;
  if (!service_.parse_stream(call_, message, request)) return;
  switch (request.request_union_case()) {
    case etcdserverpb::WatchRequest::kCreateRequest: return create(request.create_request());
    case etcdserverpb::WatchRequest::kCancelRequest: return cancel(request.cancel_request().watch_id());
    case etcdserverpb::WatchRequest::kProgressRequest: return progress_all();
    case etcdserverpb::WatchRequest::REQUEST_UNION_NOT_SET: return;
  }
}

void WatchStream::create(const etcdserverpb::WatchCreateRequest& request) {
  if (request.start_revision() < 0) return refuse(text_of(Error::Compacted));
  const std::string_view from_key("\0", 1);
  store::KeyRange range{request.key().empty() ? std::string(from_key) : request.key(), request.range_end()};
  if (range.end.empty()) {
    range = store::KeyRange::single(range.begin);
  } else if (range.end == from_key) {
    range.end.clear();
  } else if (range.begin >= range.end) {
    return refuse("mvcc: watcher range is empty");
  }
  const int64_t id = request.watch_id() != 0 ? request.watch_id() : pick_id();
  if (watchers_.contains(id)) return refuse("mvcc: duplicate watch ID provided on the WatchStream");
  if (watchers_.size() >= service_.options().max_watches_per_stream) return refuse("etcdserver: too many watches");

  Watcher& watcher = watchers_[id];
  watcher.id = id;
  watcher.serial = ++last_serial_;
  watcher.range = std::move(range);
  for (const int filter : request.filters()) {
    if (filter == etcdserverpb::WatchCreateRequest::NOPUT) watcher.no_put = true;
    if (filter == etcdserverpb::WatchCreateRequest::NODELETE) watcher.no_delete = true;
  }
  watcher.previous = request.prev_kv();
  watcher.fragment = request.fragment();
  watcher.progress = request.progress_notify();
  serials_[watcher.serial] = id;

  etcdserverpb::WatchResponse created = control(id);
  created.set_created(true);
  send_control(created);
  if (watcher.progress) arm_progress();
  start(watcher, store::Revision(request.start_revision()));
}

// Below or at the present: history first. Otherwise live at once; a start in the future just waits. Before the member
// has told this loop where it stands (present 0) nothing is known to lie in the future.
void WatchStream::start(Watcher& watcher, store::Revision start_revision) {
  const store::Revision present = service_.watches().revision();
  watcher.start = start_revision;
  if (start_revision.value == 0) return go_live(watcher, present + 1);
  if (present.value != 0 && start_revision > present) return go_live(watcher, start_revision);
  fall_behind(watcher, start_revision);
  catch_up();
}

int64_t WatchStream::pick_id() {
  while (watchers_.contains(next_id_)) ++next_id_;
  return next_id_++;
}

void WatchStream::refuse(std::string_view reason) {
  etcdserverpb::WatchResponse response = control(kInvalidId);
  response.set_created(true);
  response.set_canceled(true);
  response.set_cancel_reason(std::string(reason));
  send_control(response);
}

void WatchStream::cancel(int64_t id) {
  const auto it = watchers_.find(id);
  if (it == watchers_.end()) return;
  service_.watches().detach(std::exchange(it->second.ticket, 0));
  serials_.erase(it->second.serial);
  watchers_.erase(it);
  etcdserverpb::WatchResponse response = control(id);
  response.set_canceled(true);
  send_control(response);
}

// Answered only when every watcher has been sent everything up to the present (etcd #15220, #20221). Those that
// compaction has cancelled wait for nothing; in etcd they silence progress until the client cancels them too.
void WatchStream::progress_all() {
  const store::Revision present = service_.watches().revision();
  bool any = false;
  for (const auto& [id, watcher] : watchers_) {
    if (watcher.state == State::Dead) continue;
    if (!is_synced(watcher, present)) return;
    any = true;
  }
  if (any) send_control(control(kInvalidId));
}

// ---- positions ----------------------------------------------------------------------------------

WatchStream::Watcher* WatchStream::find(uint64_t serial) {
  const auto it = serials_.find(serial);
  return it == serials_.end() ? nullptr : &watchers_.at(it->second);
}

bool WatchStream::congested() const {
  return service_.transport().pending(call_) > service_.options().watch_buffer_bytes;
}

void WatchStream::go_live(Watcher& watcher, store::Revision first) {
  watcher.state = State::Live;
  watcher.next = first;
  watcher.ticket = service_.watches().attach(watcher.range, first, *this, watcher.serial);
}

void WatchStream::fall_behind(Watcher& watcher, store::Revision from) {
  service_.watches().detach(std::exchange(watcher.ticket, 0));
  watcher.state = State::Behind;
  watcher.next = from;
  behind_.push_back(watcher.serial);
}

void WatchStream::on_events(uint64_t serial, std::span<const EventRef> events) {
  Watcher* watcher = find(serial);
  if (watcher == nullptr) return;
  if (congested()) return fall_behind(*watcher, events.front().revision());
  wanted_.clear();
  for (const EventRef& ref : events) {
    if (wants(*watcher, ref.get())) wanted_.push_back(ref);
  }
  if (wanted_.empty()) return;
  send_events(*watcher, wanted_, service_.header(wanted_.back().revision(), service_.client().view().term));
}

void WatchStream::on_detached(uint64_t serial, store::Revision from) {
  Watcher* watcher = find(serial);
  if (watcher == nullptr) return;
  watcher->ticket = 0;
  fall_behind(*watcher, from);
  catch_up();
}

// Reads the next slice for the watcher whose turn it is, unless the client has enough to read already.
void WatchStream::catch_up() {
  while (!reading_ && retry_ == 0 && !behind_.empty() && !congested()) {
    Watcher* watcher = find(behind_.front());
    behind_.pop_front();
    if (watcher == nullptr || watcher->state != State::Behind) continue;
    watcher->state = State::Reading;
    reading_ = true;
    node::HistoryRequest request{.ranges = {watcher->range}, .from = watcher->next, .max_batches = kCatchUpRevisions};
    service_.client().history(std::move(request),
                              [&service = service_, call = call_, serial = watcher->serial](const auto& answer) {
                                auto* self = static_cast<WatchStream*>(service.transport().handler(call));
                                if (self != nullptr) self->on_history(serial, answer);
                              });
  }
}

void WatchStream::on_history(uint64_t serial, const node::Answer<node::History>& answer) {
  reading_ = false;
  Watcher* watcher = find(serial);
  if (watcher == nullptr || watcher->state != State::Reading) return catch_up();  // cancelled meanwhile
  if (!answer) {
    if (answer.error().refusal == node::Refusal::Stopping) return service_.fail(call_, Error::Stopped);
    fall_behind(*watcher, watcher->next);
    return retry_later();
  }
  if (answer->was_compacted) {
    send_compacted(*watcher, *answer);
    return catch_up();
  }
  send_history(*watcher, *answer);
  watcher->next = std::max(watcher->next, answer->through + 1);
  // `through` is the loop's revision exactly when nothing between the two can be missing (core F3).
  if (answer->caught_up && answer->through >= service_.watches().revision()) {
    go_live(*watcher, watcher->next);
  } else {
    fall_behind(*watcher, watcher->next);
  }
  catch_up();
}

void WatchStream::retry_later() {
  if (retry_ != 0) return;
  retry_ = service_.loop().call_at(service_.loop().now() + kRetryAfter, [this] {
    retry_ = 0;
    catch_up();
  });
}

void WatchStream::send_history(Watcher& watcher, const node::History& history) {
  std::vector<BatchEvents> batches;
  batches.reserve(history.batches.size());
  const Header header = service_.header(std::max(history.revision, history.through), history.term);
  wanted_.clear();
  size_t bytes = 0;
  for (const store::ChangeBatchPtr& batch : history.batches) {
    BatchEvents& events = batches.emplace_back(batch);
    if (batch->revision < watcher.next) continue;
    if (bytes >= kCatchUpBytes) {
      send_events(watcher, wanted_, header);
      wanted_.clear();
      bytes = 0;
    }
    for (uint32_t i = 0; i < batch->changes.size(); ++i) {
      const store::Change& change = batch->changes[i];
      if (!watcher.range.contains(change.key) || !wants(watcher, change)) continue;
      wanted_.push_back({&events, i});
      bytes += events.event(i, watcher.previous).size();
    }
  }
  if (!wanted_.empty()) send_events(watcher, wanted_, header);
}

// Two responses: it was created already, now it ends. etcd's header has no revision here.
void WatchStream::send_compacted(Watcher& watcher, const node::History& history) {
  watcher.state = State::Dead;
  etcdserverpb::WatchResponse response = control(watcher.id);
  response.mutable_header()->set_revision(0);
  response.set_canceled(true);
  response.set_compact_revision(history.compacted.value);
  send_control(response);
}

// ---- responses ----------------------------------------------------------------------------------

bool WatchStream::wants(const Watcher& watcher, const store::Change& change) const {
  return change.after ? !watcher.no_put : !watcher.no_delete;
}

void WatchStream::send_events(Watcher& watcher, std::span<const EventRef> events, const Header& header) {
  watcher.quiet = false;
  const size_t limit = service_.options().max_request_bytes + kMessageOverhead;
  if (!watcher.fragment || events.size() < 2 || response_size(events, watcher.previous) < limit) {
    return send_response(watcher, events, header, false);
  }
  size_t first = 0;
  while (first < events.size()) {
    size_t last = first + 1;  // a piece has one event at least, whatever its size
    size_t size = response_size(events.subspan(first, 1), watcher.previous);
    while (last < events.size()) {
      size += events[last].events->event(events[last].change, watcher.previous).size();
      if (size >= limit) break;
      ++last;
    }
    send_response(watcher, events.subspan(first, last - first), header, last < events.size());
    first = last;
  }
}

void WatchStream::send_response(const Watcher& watcher, std::span<const EventRef> events, const Header& header,
                                bool more) {
  std::string front;
  put_header(front, header);
  FieldWriter fields(front);
  fields.sint(2, watcher.id);
  if (more) fields.uint(7, 1);
  Chain message;
  message.append(front);
  for (const EventRef& ref : events) ref.events->event(ref.change, watcher.previous).append_to(message);
  service_.transport().send(call_, std::move(message));
}

etcdserverpb::WatchResponse WatchStream::control(int64_t id) const {
  etcdserverpb::WatchResponse response;
  fill(*response.mutable_header(), service_.header(service_.watches().revision(), service_.client().view().term));
  response.set_watch_id(id);
  return response;
}

void WatchStream::send_control(const etcdserverpb::WatchResponse& response) { service_.send(call_, response); }

// ---- progress -----------------------------------------------------------------------------------

bool WatchStream::is_synced(const Watcher& watcher, store::Revision present) {
  const bool live = watcher.state == State::Live;
  const bool behind = watcher.state == State::Behind || watcher.state == State::Reading;
  return (live || (behind && planted(Bug::ProgressAheadOfEvents))) && present >= watcher.start;
}

void WatchStream::arm_progress() {
  if (progress_timer_ != 0) return;
  progress_timer_ = service_.loop().call_at(service_.loop().now() + progress_interval_, [this] { on_progress_tick(); });
}

// Through the same queue as events (core F5): what is live has been sent everything up to the present.
void WatchStream::on_progress_tick() {
  progress_timer_ = 0;
  const store::Revision present = service_.watches().revision();
  bool wanted = false;
  for (auto& [id, watcher] : watchers_) {
    if (!watcher.progress) continue;
    wanted = true;
    const bool due = watcher.quiet && is_synced(watcher, present);
    watcher.quiet = true;
    if (due) send_control(control(id));
  }
  if (wanted) arm_progress();
}

}  // namespace witan::api::etcd
