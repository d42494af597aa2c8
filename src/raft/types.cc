#include "raft/types.h"

#include <algorithm>
#include <limits>

#include "base/coding.h"

namespace witan::raft {
namespace {

// Field numbers of the two messages that a Membership entry is made of; a number is never given another meaning.
enum ConfigurationField : uint32_t {
  kMember = 1,
  kJoint = 2,
  kLastNumber = 3,
  kRemoved = 4,
  kVersion = 5,
  kChanged = 6
};
enum MemberField : uint32_t { kId = 1, kIncoming = 2, kOutgoing = 3, kInfo = 4 };

bool to_suffrage(uint64_t number, Suffrage& suffrage) {
  if (number > static_cast<uint64_t>(Suffrage::Voter)) return false;
  suffrage = static_cast<Suffrage>(number);
  return true;
}

Result<Member> decode_member(std::string_view bytes) {
  Member member;
  FieldReader reader(bytes);
  bool known = true;
  while (reader.next()) {
    switch (reader.field()) {
      case kId: member.id = NodeId(reader.uint()); break;
      case kIncoming: known = to_suffrage(reader.uint(), member.incoming) && known; break;
      case kOutgoing: known = to_suffrage(reader.uint(), member.outgoing) && known; break;
      case kInfo: member.info = Blob(reader.bytes()); break;
      default: break;
    }
  }
  if (!reader.ok()) return fail(Code::Corrupt, "a member of a configuration is damaged");
  if (!known) return fail(Code::Corrupt, "a member of a configuration has a suffrage this version does not know");
  if (member.id == kNobody) return fail(Code::Corrupt, "a member of a configuration has no id");
  return member;
}

template <class Range, class Projection>
bool strictly_increasing(const Range& range, Projection projection) {
  return std::ranges::adjacent_find(range, std::ranges::greater_equal{}, projection) == range.end();
}

Result<> check_shape(const Configuration& configuration) {
  if (!strictly_increasing(configuration.members, &Member::id)) {
    return fail(Code::Corrupt, "the members of a configuration are not sorted or one stands there twice");
  }
  if (!strictly_increasing(configuration.removed, std::identity{})) {
    return fail(Code::Corrupt, "the removed members of a configuration are not sorted or one stands there twice");
  }
  return {};
}

}  // namespace

const Member* Configuration::find(NodeId id) const {
  const auto at = std::ranges::lower_bound(members, id, {}, &Member::id);
  return at != members.end() && at->id == id ? &*at : nullptr;
}

bool Configuration::is_voter(NodeId id) const {
  const Member* member = find(id);
  if (member == nullptr) return false;
  return member->incoming == Suffrage::Voter || (joint && member->outgoing == Suffrage::Voter);
}

bool Configuration::is_learner(NodeId id) const { return find(id) != nullptr && !is_voter(id); }

std::string encode(const Configuration& configuration) {
  std::string out;
  FieldWriter writer(out);
  for (const Member& member : configuration.members) {
    writer.message(kMember, [&](FieldWriter& body) {
      body.uint(kId, member.id.value);
      body.uint(kIncoming, static_cast<uint64_t>(member.incoming));
      body.uint(kOutgoing, static_cast<uint64_t>(member.outgoing));
      if (!member.info.is_null()) body.bytes_always(kInfo, member.info);
    });
  }
  writer.uint(kJoint, configuration.joint ? 1 : 0);
  writer.uint(kLastNumber, configuration.last_number);
  for (const NodeId id : configuration.removed) writer.uint_always(kRemoved, id.value);
  writer.uint(kVersion, configuration.version);
  writer.sint(kChanged, configuration.changed.ms);
  return out;
}

Result<Configuration> decode_configuration(std::string_view bytes) {
  Configuration configuration;
  FieldReader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      case kMember: {
        Result<Member> member = decode_member(reader.bytes());
        if (!member) return std::unexpected(member.error());
        configuration.members.push_back(std::move(*member));
        break;
      }
      case kJoint: configuration.joint = reader.boolean(); break;
      case kLastNumber: {
        const uint64_t number = reader.uint();
        if (number > std::numeric_limits<uint32_t>::max()) return fail(Code::Corrupt, "a member number is too large");
        configuration.last_number = static_cast<uint32_t>(number);
        break;
      }
      case kRemoved: configuration.removed.push_back(NodeId(reader.uint())); break;
      case kVersion: configuration.version = reader.uint(); break;
      case kChanged: configuration.changed = WallTime{reader.sint()}; break;
      default: break;
    }
  }
  if (!reader.ok()) return fail(Code::Corrupt, "a configuration is damaged");
  if (Result<> shape = check_shape(configuration); !shape) return std::unexpected(shape.error());
  return configuration;
}

}  // namespace witan::raft
