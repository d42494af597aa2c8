// Hostile calls into the handlers of the etcd API, over a real store. The input is a little program: open a call of
// some method, send it some bytes, read, cancel, let time pass, open a gap. Besides not crashing: what a call promised
// is kept to its end, and when every call is gone nothing of it is left.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "api/etcd/service.h"
#include "api/etcd/testing.h"
#include "base/check.h"
#include "base/fuzz_input.h"

namespace witan::api::etcd {
namespace {

class Program {
 public:
  explicit Program(std::string_view bytes) : input_(bytes), api_(small()) {
    api_.client.history_changes = 3;
    api_.transport.low_water = 200;
    for (const char* key : {"a", "b", "l/1", "e/1"}) api_.put(key, "value");
    api_.client.apply(store::LeaseGrant{.id = store::LeaseId(5), .ttl_ms = 60'000});
  }

  void run() {
    for (int steps = 0; !input_.empty() && steps < 300; ++steps) step();
    for (const CallKey call : calls_) api_.transport.cancel(call);
    api_.loop.advance(seconds(1));
    CHECK(api_.service.watches().size() == 0, "{} watches outlive their calls", api_.service.watches().size());
    CHECK(api_.loop.timers() == 0, "{} timers outlive their calls", api_.loop.timers());
  }

 private:
  static Options small() {
    Options options;
    options.max_request_bytes = 4096;
    options.watch_buffer_bytes = 500;
    options.max_txn_operations = 8;
    return options;
  }

  CallKey some_call() { return calls_[input_.byte() % calls_.size()]; }

  void step() {
    const uint8_t what = input_.byte();
    if (what < 100 || calls_.empty()) {
      const auto all = methods();
      calls_.push_back(api_.transport.open(all[input_.byte() % all.size()].path));
      return api_.transport.message(calls_.back(), input_.bytes(input_.byte()));
    }
    switch (what % 9) {
      case 0: return api_.transport.message(some_call(), input_.bytes(input_.byte()));
      case 1: return api_.transport.half_close(some_call());
      case 2: return api_.transport.cancel(some_call());
      case 3: api_.transport.take(some_call()); return;
      case 4: api_.loop.step(); return;
      case 5: return api_.loop.advance(milliseconds(input_.byte() * 1000));
      case 6: gap(); return;
      case 7: api_.client.next_refusal = node::NotApplied{node::Refusal::Timeout, ""}; return;
      default: return api_.loop.run();
    }
  }

  void gap() {
    if (gap_) {
      api_.client.end_gap();
    } else {
      api_.client.begin_gap();
    }
    gap_ = !gap_;
  }

  FuzzInput input_;
  testing::TestApi api_;
  std::vector<CallKey> calls_;
  bool gap_ = false;
};

}  // namespace
}  // namespace witan::api::etcd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::api::etcd::Program({reinterpret_cast<const char*>(data), size}).run();
  return 0;
}
