// A question to somebody whose id is not known yet: one connection, one call, over.
#pragma once

#include <memory>
#include <string>

#include "peer/attempt.h"
#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"

namespace witan::peer {

class Joiner final : public Mortal, private Link::Owner {
 public:
  // `over` is called once, never inside the constructor; destruction means never.
  Joiner(Context& context, const env::Address& to, Call call, Duration timeout, Function<void(CallResult)> over);
  ~Joiner() override;
  void check(Instant now);

 private:
  void on_attempted(Attempted outcome);
  void on_frame(const Frame& frame) override;
  void on_lost(std::string_view why) override;
  void fail_with(std::string message);
  void finish(CallResult result);

  Context& context_;
  const std::string address_;
  Call call_;
  Function<void(CallResult)> over_;
  std::unique_ptr<Attempt> attempt_;
  std::unique_ptr<Link> link_;
  bool sent_ = false;
  env::TimerId deadline_ = 0;
};

}  // namespace witan::peer
