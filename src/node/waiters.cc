#include "node/waiters.h"

#include <utility>

namespace witan::node {

uint64_t Waiters::add(PortId port, Function<void(Outcome)> done, Instant deadline) {
  slots_.push_back(Slot{deadline, Waiter{.port = port, .done = std::move(done)}});
  ++size_;
  return first_ + slots_.size() - 1;
}

Waiters::Waiter* Waiters::find(uint64_t request) {
  if (request < first_ || request - first_ >= slots_.size()) return nullptr;
  auto& waiter = slots_[request - first_].waiter;
  return waiter ? &*waiter : nullptr;
}

std::optional<Waiters::Waiter> Waiters::take(uint64_t request) {
  if (find(request) == nullptr) return std::nullopt;
  std::optional<Waiter> out = std::exchange(slots_[request - first_].waiter, std::nullopt);
  --size_;
  trim();
  return out;
}

std::vector<uint64_t> Waiters::of_sessions() const {
  std::vector<uint64_t> out;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].waiter && slots_[i].waiter->session != store::LeaseId(0)) out.push_back(first_ + i);
  }
  return out;
}

void Waiters::trim() {
  while (!slots_.empty() && !slots_.front().waiter) {
    slots_.pop_front();
    ++first_;
  }
}

void Waiters::park(Proposal proposal) {
  if (Waiter* waiter = find(proposal.request)) {
    waiter->maybe_appended = false;
    parked_.push_back(std::move(proposal));
  }
}

std::vector<Proposal> Waiters::take_parked() {
  std::vector<Proposal> out = std::exchange(parked_, {});
  std::erase_if(out, [this](const Proposal& p) { return find(p.request) == nullptr; });
  return out;
}

void Waiters::placed(std::vector<uint64_t> requests, const raft::Accepted& where) {
  placed_.emplace(where.first, Placed{where, std::move(requests)});
}

void Waiters::committed(raft::Index index, raft::Term term, std::vector<uint64_t>& displaced) {
  for (auto it = placed_.begin(); it != placed_.end() && it->first <= index;) {
    const Placed& placed = it->second;
    const uint64_t at = index - placed.where.first;
    if (at < placed.requests.size() && placed.where.term != term && find(placed.requests[at]) != nullptr) {
      displaced.push_back(placed.requests[at]);
    }
    it = index >= placed.where.last ? placed_.erase(it) : std::next(it);
  }
}

void Waiters::skipped(raft::Index index, std::vector<uint64_t>& unseen) {
  for (auto it = placed_.begin(); it != placed_.end() && it->first <= index;) {
    const Placed& placed = it->second;
    for (size_t i = 0; i < placed.requests.size() && placed.where.first + i <= index; ++i) {
      if (find(placed.requests[i]) != nullptr) unseen.push_back(placed.requests[i]);
    }
    it = index >= placed.where.last ? placed_.erase(it) : std::next(it);
  }
}

std::optional<uint64_t> Waiters::expired(Instant now) const {
  if (slots_.empty() || slots_.front().deadline > now) return std::nullopt;
  return first_;
}

std::optional<uint64_t> Waiters::oldest() const {
  if (slots_.empty()) return std::nullopt;
  return first_;
}

}  // namespace witan::node
