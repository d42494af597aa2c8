// Watch: what the client sees, guarantee by guarantee (reference 1.8).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/testing.h"

namespace witan::api::etcd {
namespace {

using namespace etcdserverpb;
using testing::TestApi;

// One Watch call and its responses, read as they come.
class Watching {
 public:
  explicit Watching(TestApi& api) : api_(api), call_(api.transport.open("/etcdserverpb.Watch/Watch")) {}

  void create(const WatchCreateRequest& create) {
    WatchRequest request;
    *request.mutable_create_request() = create;
    send(request);
  }
  // The usual watch; its `created` response is checked and taken.
  int64_t watch(const std::string& key, const std::string& end = "", int64_t start = 0) {
    WatchCreateRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_start_revision(start);
    return watch(request);
  }
  int64_t watch(const WatchCreateRequest& request) {
    create(request);
    const WatchResponse response = next();
    EXPECT_TRUE(response.created());
    EXPECT_FALSE(response.canceled());
    EXPECT_EQ(response.events_size(), 0);
    return response.watch_id();
  }
  void cancel(int64_t id) {
    WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    send(request);
  }
  void ask_progress() {
    WatchRequest request;
    request.mutable_progress_request();
    send(request);
  }
  void send(const WatchRequest& request) {
    api_.transport.message(call_, request.SerializeAsString());
    api_.loop.run();
  }

  bool quiet() { return api_.transport.at(call_).messages.empty(); }
  WatchResponse next() {
    const auto message = api_.transport.take(call_);
    api_.loop.run();
    WatchResponse response;
    EXPECT_TRUE(message.has_value()) << "no response";
    EXPECT_TRUE(response.ParseFromString(message.value_or(std::string("\xff"))));
    return response;
  }
  CallKey call() const { return call_; }

 private:
  TestApi& api_;
  CallKey call_;
};

// "+k=v" and "-k", with @revision.
std::string show(const WatchResponse& response) {
  std::string out;
  for (const mvccpb::Event& event : response.events()) {
    if (!out.empty()) out += ' ';
    out +=
        event.type() == mvccpb::Event::PUT ? "+" + event.kv().key() + "=" + event.kv().value() : "-" + event.kv().key();
    out += "@" + std::to_string(event.kv().mod_revision());
    if (event.has_prev_kv()) out += "(" + event.prev_kv().value() + ")";
  }
  return out;
}

class Watch : public ::testing::Test {
 protected:
  TestApi api;
  Watching watching{api};
};

TEST_F(Watch, CreatedComesFirstWithTheRevisionOfTheStore) {
  api.put("x", "1");
  WatchCreateRequest request;
  request.set_key("k");
  request.set_start_revision(1);
  watching.create(request);
  const WatchResponse created = watching.next();
  EXPECT_TRUE(created.created());
  EXPECT_EQ(created.watch_id(), 0);  // the first id a server picks
  EXPECT_EQ(created.header().revision(), 2);
}

TEST_F(Watch, LiveEventsCarryWhatHappened) {
  watching.watch("k", "l");
  api.put("k1", "a");
  api.put("k1", "b");
  api.put("x", "not ours");
  api.erase("k1");
  WatchResponse response = watching.next();
  EXPECT_EQ(show(response), "+k1=a@2");
  EXPECT_EQ(response.header().revision(), 2);
  EXPECT_EQ(response.events(0).kv().version(), 1);
  EXPECT_EQ(show(watching.next()), "+k1=b@3");
  response = watching.next();
  EXPECT_EQ(show(response), "-k1@5");
  EXPECT_EQ(response.events(0).kv().version(), 0);
  EXPECT_EQ(response.events(0).kv().create_revision(), 0);
  EXPECT_TRUE(watching.quiet());
}

TEST_F(Watch, PreviousValuesComeWhenAsked) {
  WatchCreateRequest request;
  request.set_key("k");
  request.set_prev_kv(true);
  watching.watch(request);
  const std::string large(5000, 'L');
  api.put("k", "a");
  api.put("k", large);
  api.put("k", "small");
  api.put("k", large + "2");
  api.put("k", large);
  api.erase("k");
  EXPECT_EQ(show(watching.next()), "+k=a@2");
  EXPECT_EQ(show(watching.next()), "+k=" + large + "@3(a)");
  EXPECT_EQ(show(watching.next()), "+k=small@4(" + large + ")");
  EXPECT_EQ(show(watching.next()), "+k=" + large + "2@5(small)");
  EXPECT_EQ(show(watching.next()), "+k=" + large + "@6(" + large + "2)");
  EXPECT_EQ(show(watching.next()), "-k@7(" + large + ")");
}

TEST_F(Watch, AStartInThePastReadsHistoryAndGoesOnLive) {
  api.put("k", "a");
  api.put("k", "b");
  watching.watch("k", "", 2);
  api.put("k", "c");
  EXPECT_EQ(show(watching.next()), "+k=a@2 +k=b@3");
  EXPECT_EQ(show(watching.next()), "+k=c@4");
}

TEST_F(Watch, AStartInTheFutureWaitsForIt) {
  watching.watch("k", "", 4);
  api.put("k", "a");
  api.put("k", "b");
  EXPECT_TRUE(watching.quiet());
  watching.ask_progress();
  EXPECT_TRUE(watching.quiet());  // etcd #20221: no progress below the start
  api.put("k", "c");
  EXPECT_EQ(show(watching.next()), "+k=c@4");
  watching.ask_progress();
  EXPECT_EQ(watching.next().watch_id(), -1);
}

TEST_F(Watch, AStartThatIsCompactedIsCreatedAndThenCancelled) {
  for (int i = 0; i < 5; ++i) api.put("k", "v");
  api.client.apply(store::Compact{.revision = store::Revision(4)});
  const int64_t id = watching.watch("k", "", 3);
  const WatchResponse response = watching.next();
  EXPECT_TRUE(response.canceled());
  EXPECT_FALSE(response.created());
  EXPECT_EQ(response.watch_id(), id);
  EXPECT_EQ(response.compact_revision(), 4);
  EXPECT_EQ(response.cancel_reason(), "");
  api.put("k", "more");
  EXPECT_TRUE(watching.quiet());
}

TEST_F(Watch, AWatcherThatCompactionCancelledDoesNotHoldProgressBack) {
  for (int i = 0; i < 5; ++i) api.put("k", "v");
  api.client.apply(store::Compact{.revision = store::Revision(4)});
  const int64_t id = watching.watch("k", "", 3);
  watching.next();
  watching.ask_progress();
  EXPECT_TRUE(watching.quiet());  // there is nobody else on the stream
  watching.watch("k");
  watching.ask_progress();
  EXPECT_EQ(watching.next().watch_id(), -1);
  watching.cancel(id);  // and its id is free again
  EXPECT_TRUE(watching.next().canceled());
}

TEST_F(Watch, AStartAtTheCompactedRevisionIsServed) {
  for (const char* value : {"a", "b", "c"}) api.put("k", value);
  api.client.apply(store::Compact{.revision = store::Revision(3)});
  watching.watch("k", "", 3);
  EXPECT_EQ(show(watching.next()), "+k=b@3 +k=c@4");
}

TEST_F(Watch, WrongCreationsAreRefusedOneByOne) {
  const auto refused = [&](const WatchCreateRequest& request) {
    watching.create(request);
    const WatchResponse response = watching.next();
    EXPECT_TRUE(response.created() && response.canceled());
    EXPECT_EQ(response.watch_id(), -1);
    return response.cancel_reason();
  };
  WatchCreateRequest request;
  request.set_key("k");
  request.set_start_revision(-1);
  EXPECT_EQ(refused(request), "etcdserver: mvcc: required revision has been compacted");
  request.set_start_revision(0);
  request.set_range_end("k");
  EXPECT_EQ(refused(request), "mvcc: watcher range is empty");
  request.clear_range_end();
  request.set_watch_id(9);
  EXPECT_EQ(watching.watch(request), 9);
  EXPECT_EQ(refused(request), "mvcc: duplicate watch ID provided on the WatchStream");
}

TEST_F(Watch, AnEmptyKeyMeansEverythingFromTheSmallestOne) {
  WatchCreateRequest request;
  request.set_range_end(std::string("\0", 1));
  watching.watch(request);
  api.put("a", "1");
  api.put("\xff", "2");
  EXPECT_EQ(show(watching.next()), "+a=1@2");
  EXPECT_EQ(show(watching.next()), "+\xff=2@3");
}

TEST_F(Watch, IdsArePickedAroundThoseInUse) {
  WatchCreateRequest request;
  request.set_key("k");
  request.set_watch_id(1);
  EXPECT_EQ(watching.watch(request), 1);
  EXPECT_EQ(watching.watch("k"), 0);
  EXPECT_EQ(watching.watch("k"), 2);
}

TEST_F(Watch, ACancelledWatcherIsSilentAndItsIdFree) {
  const int64_t id = watching.watch("k");
  watching.cancel(id);
  const WatchResponse response = watching.next();
  EXPECT_TRUE(response.canceled());
  EXPECT_EQ(response.watch_id(), id);
  api.put("k", "v");
  watching.cancel(77);  // unknown: nothing is said
  EXPECT_TRUE(watching.quiet());
  EXPECT_EQ(api.service.watches().size(), 0u);
}

TEST_F(Watch, FiltersLeaveOutAndAnEmptyResponseIsNotSent) {
  WatchCreateRequest request;
  request.set_key("k");
  request.add_filters(WatchCreateRequest::NOPUT);
  watching.watch(request);
  api.put("k", "v");
  EXPECT_TRUE(watching.quiet());
  api.erase("k");
  EXPECT_EQ(show(watching.next()), "-k@3");
  request.set_filters(0, WatchCreateRequest::NODELETE);
  request.set_start_revision(1);
  watching.watch(request);
  EXPECT_EQ(show(watching.next()), "+k=v@2");
}

TEST_F(Watch, ARevisionIsNeverSplit) {
  watching.watch("k", "l");
  store::Txn txn;
  for (const char* key : {"k1", "k2", "k3"}) txn.success.push_back({store::Put{.key = key, .value = "v"}});
  api.client.apply(txn);
  api.loop.run();
  EXPECT_EQ(show(watching.next()), "+k1=v@2 +k2=v@2 +k3=v@2");
}

TEST_F(Watch, FragmentsSplitWhatIsTooLargeAndSaySo) {
  Options options;
  options.max_request_bytes = 4096;
  TestApi small(options);
  Watching fragmented(small);
  WatchCreateRequest request;
  request.set_key("k");
  request.set_range_end("l");
  request.set_fragment(true);
  fragmented.watch(request);
  store::Txn txn;
  const std::string value(300 << 10, 'v');
  for (const char* key : {"k1", "k2", "k3"}) txn.success.push_back({store::Put{.key = key, .value = value}});
  small.client.apply(txn);
  small.loop.run();
  std::vector<bool> more;
  std::string keys;
  while (!fragmented.quiet()) {
    const WatchResponse response = fragmented.next();
    EXPECT_LE(response.ByteSizeLong(), options.max_request_bytes + kMessageOverhead);
    more.push_back(response.fragment());
    for (const auto& event : response.events()) keys += event.kv().key();
  }
  EXPECT_EQ(keys, "k1k2k3");
  EXPECT_EQ(more, (std::vector<bool>{true, true, false}));
}

TEST_F(Watch, AGapIsReadFromHistory) {
  watching.watch("k");
  api.put("k", "a");
  api.client.begin_gap();
  api.client.apply(store::Put{.key = "k", .value = "b"});
  api.client.apply(store::Put{.key = "k", .value = "c"});
  api.client.end_gap();
  api.client.apply(store::Put{.key = "k", .value = "d"});
  api.loop.run();
  std::string seen;
  while (!watching.quiet()) seen += show(watching.next()) + " ";
  EXPECT_EQ(seen, "+k=a@2 +k=b@3 +k=c@4 +k=d@5 ");
}

TEST_F(Watch, AGapBelowTheCompactionCancels) {
  const int64_t id = watching.watch("k");
  api.client.begin_gap();
  for (int i = 0; i < 4; ++i) api.client.apply(store::Put{.key = "k", .value = "v"});
  api.client.apply(store::Compact{.revision = store::Revision(4)});
  api.client.end_gap();
  api.loop.run();
  const WatchResponse response = watching.next();
  EXPECT_TRUE(response.canceled());
  EXPECT_EQ(response.watch_id(), id);
  EXPECT_EQ(response.compact_revision(), 4);
}

TEST_F(Watch, ASlowClientIsBoundedAndLosesNothing) {
  Options options;
  options.watch_buffer_bytes = 4096;
  TestApi small(options);
  Watching slow(small);
  slow.watch("k");
  for (int i = 0; i < 500; ++i) small.put("k", std::to_string(i) + std::string(100, '.'));
  EXPECT_LT(small.transport.at(slow.call()).unread, 3 * options.watch_buffer_bytes);
  int expected = 0;
  while (!slow.quiet()) {
    const WatchResponse response = slow.next();
    for (const auto& event : response.events()) {
      EXPECT_EQ(std::stoi(event.kv().value()), expected++);
    }
    small.loop.run();
  }
  EXPECT_EQ(expected, 500);
}

TEST_F(Watch, HistoryThatCannotBeReadNowIsAskedForAgain) {
  api.put("k", "a");
  api.client.next_refusal = node::NotApplied{node::Refusal::Timeout, ""};
  watching.watch("k", "", 1);
  EXPECT_TRUE(watching.quiet());
  api.loop.advance(seconds(1));
  EXPECT_EQ(show(watching.next()), "+k=a@2");
}

TEST_F(Watch, ProgressIsToldWhenAllIsSent) {
  watching.watch("k");
  api.put("x", "1");
  watching.ask_progress();
  const WatchResponse response = watching.next();
  EXPECT_EQ(response.watch_id(), -1);
  EXPECT_EQ(response.header().revision(), 2);
  EXPECT_EQ(response.events_size(), 0);
}

TEST_F(Watch, ProgressIsNotToldWhileAWatcherReadsHistory) {
  api.put("k", "a");
  api.client.next_refusal = node::NotApplied{node::Refusal::Timeout, ""};
  watching.watch("k", "", 1);
  watching.ask_progress();
  EXPECT_TRUE(watching.quiet());  // etcd #15220
}

TEST_F(Watch, QuietWatchersHearOfProgressEveryInterval) {
  WatchCreateRequest request;
  request.set_key("k");
  request.set_progress_notify(true);
  const int64_t id = watching.watch(request);
  watching.watch("other");  // asked for nothing, hears nothing
  const Duration once = api.service.options().progress_interval * 11 / 10;
  api.loop.advance(once);
  const WatchResponse response = watching.next();
  EXPECT_EQ(response.watch_id(), id);
  EXPECT_EQ(response.header().revision(), 1);
  EXPECT_EQ(response.events_size(), 0);
  api.put("k", "v");
  watching.next();
  api.loop.advance(once);
  EXPECT_TRUE(watching.quiet());  // events were progress enough
  api.loop.advance(once);
  EXPECT_EQ(watching.next().header().revision(), 2);
}

TEST_F(Watch, ManyWatchersOfOneStreamKeepApart) {
  const int64_t a = watching.watch("a");
  const int64_t all = watching.watch("a", "z");
  api.put("a", "1");
  api.put("b", "2");
  std::vector<std::string> seen;
  while (!watching.quiet()) {
    const WatchResponse response = watching.next();
    seen.push_back(std::to_string(response.watch_id()) + show(response));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{std::to_string(a) + "+a=1@2", std::to_string(all) + "+a=1@2",
                                            std::to_string(all) + "+b=2@3"}));
}

TEST_F(Watch, TheEndOfAStreamLeavesNothingBehind) {
  WatchCreateRequest request;
  request.set_key("k");
  request.set_progress_notify(true);
  watching.watch(request);
  api.put("k", "a");
  watching.create([] {
    WatchCreateRequest past;
    past.set_key("k");
    past.set_start_revision(1);
    return past;
  }());
  api.transport.cancel(watching.call());
  api.put("k", "b");
  EXPECT_EQ(api.service.watches().size(), 0u);
  EXPECT_EQ(api.loop.timers(), 0u);
}

TEST_F(Watch, AClientThatClosesItsSideStillGetsEvents) {
  watching.watch("k");
  api.transport.half_close(watching.call());
  api.put("k", "v");
  EXPECT_EQ(show(watching.next()), "+k=v@2");
}

TEST_F(Watch, RequestsThatSayNothingAreIgnoredAndGarbageEndsTheStream) {
  watching.send(WatchRequest());
  EXPECT_TRUE(watching.quiet());
  EXPECT_FALSE(api.transport.at(watching.call()).status.has_value());
  api.transport.message(watching.call(), "\x0a\xff");
  EXPECT_EQ(*api.transport.at(watching.call()).status, status_of(Error::UnmarshalStream));
}

}  // namespace
}  // namespace witan::api::etcd
