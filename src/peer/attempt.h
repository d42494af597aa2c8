// One attempt to reach a member: connect, say Hello, hear Welcome.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "base/function.h"
#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"

namespace witan::peer {

// What came of it: a link whose owner is to be set, or why there is none.
struct Established {
  std::unique_ptr<Link> link;
  Hello hello;
};
using Attempted = std::expected<Established, std::string>;

class Attempt final : public Mortal, private Link::Owner {
 public:
  // `done` is called once, never inside the constructor; destroying or burying the attempt before means never.
  Attempt(Context& context, const env::Address& address, Greeting greeting, Function<void(Attempted)> done);
  ~Attempt() override;

 private:
  void on_connected(Result<std::unique_ptr<env::Connection>> connection);
  void on_frame(const Frame& frame) override;
  void on_lost(std::string_view why) override;
  void on_welcome(std::string_view payload);
  void finish(Attempted outcome);

  Context& context_;
  Greeting greeting_;
  Function<void(Attempted)> done_;
  std::unique_ptr<Link> link_;
  env::TimerId deadline_ = 0;
  Guard guard_;
};

}  // namespace witan::peer
