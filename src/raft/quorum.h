// Majorities, and majorities of both halves of a joint configuration (thesis 4.3). Pure arithmetic.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "raft/types.h"

namespace witan::raft {

enum class Ballot : uint8_t { Pending, Won, Lost };

// The largest value that more than half of `values` reach; a default value when there are none. Reorders `values`.
template <class Value>
Value majority_value(std::span<Value> values) {
  if (values.empty()) return Value{};
  const size_t majority = values.size() / 2 + 1;
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(majority - 1);
  std::nth_element(values.begin(), nth, values.end(), [](const Value& a, const Value& b) { return a > b; });
  return *nth;
}

// Who must agree. Both lists are sorted; `outgoing` is empty unless the configuration is joint.
class Quorum {
 public:
  Quorum() = default;
  explicit Quorum(const Configuration& configuration);

  const std::vector<NodeId>& incoming() const { return incoming_; }
  const std::vector<NodeId>& outgoing() const { return outgoing_; }
  bool contains(NodeId id) const;
  // True when `id` alone decides everything.
  bool is_only(NodeId id) const;

  // The largest value that a quorum has reached: value_of(id) says how far a voter is.
  // A default value when nobody votes, so that nothing is ever agreed on.
  template <class ValueOf>
  auto agreed(ValueOf&& value_of) const {
    const auto first = half(incoming_, value_of);
    return outgoing_.empty() ? first : std::min(first, half(outgoing_, value_of));
  }

  // vote_of(id) -> std::optional<bool>: granted, refused, or not heard. Lost when the missing votes cannot help.
  template <class VoteOf>
  Ballot tally(VoteOf&& vote_of) const {
    const Ballot first = count(incoming_, vote_of);
    const Ballot second = outgoing_.empty() ? first : count(outgoing_, vote_of);
    if (first == Ballot::Lost || second == Ballot::Lost) return Ballot::Lost;
    return first == Ballot::Won && second == Ballot::Won ? Ballot::Won : Ballot::Pending;
  }

 private:
  template <class ValueOf>
  static auto half(const std::vector<NodeId>& voters, ValueOf& value_of) {
    using Value = decltype(value_of(NodeId{}));
    std::array<Value, 9> few{};  // the usual cluster needs no allocation
    std::vector<Value> many;
    std::span<Value> values(few.data(), std::min(voters.size(), few.size()));
    if (voters.size() > few.size()) {
      many.resize(voters.size());
      values = many;
    }
    for (size_t i = 0; i < voters.size(); ++i) values[i] = value_of(voters[i]);
    return majority_value(values);
  }

  template <class VoteOf>
  static Ballot count(const std::vector<NodeId>& voters, VoteOf& vote_of) {
    const size_t majority = voters.size() / 2 + 1;
    size_t granted = 0;
    size_t refused = 0;
    for (const NodeId id : voters) {
      const std::optional<bool> vote = vote_of(id);
      if (vote.has_value()) ++(*vote ? granted : refused);
    }
    if (granted >= majority) return Ballot::Won;
    return refused > voters.size() - majority || voters.empty() ? Ballot::Lost : Ballot::Pending;
  }

  std::vector<NodeId> incoming_;
  std::vector<NodeId> outgoing_;
};

}  // namespace witan::raft
