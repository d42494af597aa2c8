// Locks by the recipe of ephemeral sequential nodes: whoever has the lowest number holds it, everybody else watches the
// one before its own. Holders guard what they write by a check of their own node.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/node_workload.h"

namespace witan::sim {
namespace {

class NodeLockClient final : public NodeWorkload {
 public:
  NodeLockClient(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : NodeWorkload(ground, machine, fmt::format("nodelock{}", number), history, std::move(rng)), number_(number),
        queue_(fmt::format("{}/lock{}", kNodeRoot, number % 2)),
        guarded_(fmt::format("{}/guarded{}", kNodeRoot, number % 2)) {
    client_.on_event([this](const verify::NodeEvent& event) {
      if (event.path != before_ || event.type != verify::NodeEvent::Type::Deleted) return;
      before_.clear();
      look();
    });
  }

 private:
  // ---- Its place ----------------------------------------------------------------------------------
  void opened() override {
    const auto nobody = [](const Reply*) {};
    client_.ask(write(create(std::string(kNodeRoot), value())), nobody);
    client_.ask(write(create(queue_, value())), nobody);
    client_.ask(write(create(guarded_, value())), [this](const Reply*) { enter(); });
  }
  void lost() override {
    record();
    before_.clear();
  }
  void enter() {
    if (stopping_ || !client_.has_session()) return;
    later(milliseconds(10), milliseconds(400), [this] {
      if (stopping_ || !client_.has_session()) return;
      // Its own mark makes it known again when the answer is lost.
      mark_ = fmt::format("x{}.{}-", number_, ++entered_);
      verify::NodeOp op = create(queue_ + "/" + mark_, value());
      op.ephemeral = op.sequential = true;
      client_.ask(write(std::move(op)), [this](const Reply* reply) {
        // What may still be on its way cannot be told from what never was.
        if (reply == nullptr || reply->error != verify::NodeError::Ok) return give_up();
        look();
      });
    });
  }
  void give_up() {
    record();
    if (client_.has_session()) leave();
  }
  static std::string number_in(const std::string& name) { return name.substr(name.size() - 10); }

  void look() {
    if (!client_.has_session()) return;
    client_.ask({.kind = Request::Kind::Children, .path = queue_}, [this](const Reply* reply) {
      if (reply == nullptr) return look_later();
      if (reply->error != verify::NodeError::Ok) return give_up();
      std::vector<std::string> names = reply->names;
      std::ranges::sort(names, {}, number_in);
      const auto own = std::ranges::find_if(names, [this](const std::string& name) { return name.starts_with(mark_); });
      if (own == names.end()) return give_up();
      own_ = queue_ + "/" + *own;
      own == names.begin() ? granted() : wait_for(queue_ + "/" + *std::prev(own));
    });
  }
  void look_later() {
    later(milliseconds(10), milliseconds(200), [this] { look(); });
  }
  void wait_for(const std::string& path) {
    before_ = path;
    Request request{.kind = Request::Kind::Exists, .path = path};
    request.watch = true;
    client_.ask(std::move(request), [this](const Reply* reply) {
      if (reply != nullptr && reply->error == verify::NodeError::Ok) return;
      before_.clear();
      look_later();
    });
  }

  // ---- Its turn -----------------------------------------------------------------------------------
  void granted() {
    hold_ = {.holder = name_ + " " + own_, .token = 0, .from = now(), .until = client_.surely_until()};
    client_.ask({.kind = Request::Kind::Exists, .path = own_}, [this](const Reply* reply) {
      if (reply == nullptr || !reply->stat || !hold_) return give_up();
      hold_->token = reply->stat->czxid;
      act(static_cast<int>(rng_.below(4)));
    });
  }
  void act(int writes) {
    if (!hold_) return;
    hold_->until = std::max(hold_->until, client_.surely_until());
    if (hold_->until <= now()) return give_up();
    if (writes == 0) return release();
    // Now and then it takes so long that its session could end.
    const Duration longest = rng_.chance(1, 10) ? seconds(6) : milliseconds(200);
    later(milliseconds(5), longest, [this, writes] {
      if (!hold_) return;
      hold_->until = std::max(hold_->until, client_.surely_until());
      hold_->until <= now() ? give_up() : guard(writes);
    });
  }
  void guard(int writes) {
    Request request{.kind = Request::Kind::Multi};
    request.ops.push_back({.kind = verify::NodeOp::Kind::Check, .path = own_, .value = {}});
    request.ops.push_back({.kind = verify::NodeOp::Kind::Set, .path = guarded_, .value = value()});
    client_.ask(std::move(request), [this, writes](const Reply* reply) {
      if (!hold_) return;
      if (reply != nullptr && reply->items.size() == 2 && reply->items[1].stat) {
        history_.fenced_writes[queue_].push_back({.token = hold_->token, .revision = reply->items[1].stat->mzxid});
      }
      act(writes - 1);
    });
  }
  void release() {
    record();
    if (rng_.chance(1, 4)) return leave();
    client_.ask(write({.kind = verify::NodeOp::Kind::Delete, .path = own_, .value = {}}),
                [this](const Reply* reply) { reply == nullptr ? give_up() : enter(); });
  }
  void record() {
    if (!hold_) return;
    hold_->until = std::min(now(), hold_->until);
    if (hold_->token != 0 && hold_->until > hold_->from) history_.holds[queue_].push_back(*hold_);
    hold_.reset();
  }

  const int number_;
  const std::string queue_;
  const std::string guarded_;
  std::string mark_;
  std::string own_;
  std::string before_;  // whose end it waits for; empty: nobody's
  uint64_t entered_ = 0;
  std::optional<verify::Hold> hold_;
};

}  // namespace

std::unique_ptr<Workload> make_node_lock_client(Ground ground, MachineId machine, int number, History& history,
                                                Rng rng) {
  return std::make_unique<NodeLockClient>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
