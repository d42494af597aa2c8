// Commands to bytes. One description of every message runs twice: over a Sizer, which learns the lengths, and over an
// Emitter, which writes into a buffer of exactly that size.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/coding.h"
#include "store/command.h"
#include "store/command_layout.h"

namespace witan::store {
namespace {

class Sizer {
 public:
  void number(uint32_t field, uint64_t v) {
    if (v != 0) total_ += varint_size(uint64_t{field} << 3) + varint_size(v);
  }
  void bytes_always(uint32_t field, std::string_view v) {
    total_ += varint_size(uint64_t{field} << 3) + varint_size(v.size()) + v.size();
  }
  template <class Body>
  void message(uint32_t field, Body&& body) {
    const size_t slot = lengths_.size();
    lengths_.push_back(0);
    const size_t before = total_;
    body();
    lengths_[slot] = total_ - before;
    total_ += varint_size(uint64_t{field} << 3) + varint_size(lengths_[slot]);
  }

  size_t total() const { return total_; }
  const std::vector<size_t>& lengths() const { return lengths_; }

 private:
  size_t total_ = 0;
  std::vector<size_t> lengths_;  // of nested messages, in the order they begin
};

class Emitter {
 public:
  Emitter(char* out, const std::vector<size_t>& lengths) : out_(out), lengths_(lengths) {}

  void number(uint32_t field, uint64_t v) {
    if (v == 0) return;
    tag(field, WireType::Varint);
    out_ = write_varint(out_, v);
  }
  void bytes_always(uint32_t field, std::string_view v) {
    tag(field, WireType::Bytes);
    out_ = write_varint(out_, v.size());
    if (!v.empty()) std::memcpy(out_, v.data(), v.size());
    out_ += v.size();
  }
  template <class Body>
  void message(uint32_t field, Body&& body) {
    tag(field, WireType::Bytes);
    out_ = write_varint(out_, lengths_[next_++]);
    body();
  }
  const char* end() const { return out_; }

 private:
  void tag(uint32_t field, WireType type) {
    out_ = write_varint(out_, uint64_t{field} << 3 | static_cast<uint64_t>(type));
  }

  char* out_;
  const std::vector<size_t>& lengths_;
  size_t next_ = 0;
};

template <class Sink>
class Writer {
 public:
  explicit Writer(Sink& sink) : sink_(sink) {}

  void command(const Command& c) {
    signed_number(7, c.header.session.value);
    sink_.number(8, c.header.attach_generation);
    for (const std::string_view principal : c.header.principals) sink_.bytes_always(9, principal);
    sink_.number(10, c.header.auth_revision);
    std::visit([&](const auto& body) { message(kFirstBodyField + static_cast<uint32_t>(c.body.index()), body); },
               c.body);
  }

 private:
  template <class Message>
  void message(uint32_t field, const Message& m) {
    sink_.message(field, [&] { fields(m); });
  }
  void signed_number(uint32_t field, int64_t v) { sink_.number(field, static_cast<uint64_t>(v)); }
  template <class Enum>
  void choice(uint32_t field, Enum v) {
    sink_.number(field, static_cast<uint64_t>(v));
  }
  void bytes(uint32_t field, std::string_view v) {
    if (!v.empty()) sink_.bytes_always(field, v);
  }

  void fields(const Nothing&) {}
  void fields(const KeyRangeView& m) {
    bytes(1, m.begin);
    if (!m.single) bytes(2, m.end);
    sink_.number(3, m.single);
  }
  void fields(const Put& m) {
    bytes(1, m.key);
    bytes(2, m.value);
    signed_number(3, m.lease.value);
    sink_.number(4, m.ignore_value);
    sink_.number(5, m.ignore_lease);
    sink_.number(6, m.want_previous);
  }
  void fields(const DeleteRange& m) {
    message(1, m.range);
    sink_.number(2, m.want_previous);
  }
  void fields(const Range& m) {
    message(1, m.range);
    signed_number(2, m.limit);
    signed_number(3, m.revision.value);
    choice(4, m.order);
    choice(5, m.target);
    sink_.number(6, m.keys_only);
    sink_.number(7, m.count_only);
    signed_number(8, m.min_mod.value);
    signed_number(9, m.max_mod.value);
    signed_number(10, m.min_create.value);
    signed_number(11, m.max_create.value);
  }
  void fields(const Compare& m) {
    message(1, m.range);
    choice(2, m.target);
    choice(3, m.relation);
    signed_number(4, m.number);
    bytes(5, m.value);
  }
  void fields(const Operation& m) {
    std::visit([&](const auto& what) { message(1 + static_cast<uint32_t>(m.what.index()), what); }, m.what);
  }
  void fields(const Txn& m) {
    for (const Compare& compare : m.compares) message(1, compare);
    for (const Operation& operation : m.success) message(2, operation);
    for (const Operation& operation : m.failure) message(3, operation);
  }
  void fields(const Compact& m) { signed_number(1, m.revision.value); }
  void fields(const LeaseGrant& m) {
    signed_number(1, m.id.value);
    choice(2, m.kind);
    signed_number(3, m.ttl_ms);
  }
  void fields(const LeaseRevoke& m) {
    signed_number(1, m.id.value);
    choice(2, m.kind);
    sink_.number(3, m.generation);
  }
  void fields(const LeaseCheckpoint::Item& m) {
    signed_number(1, m.id.value);
    signed_number(2, m.remaining_ms);
  }
  void fields(const LeaseCheckpoint& m) {
    for (const LeaseCheckpoint::Item& item : m.items) message(1, item);
  }
  void fields(const AlarmChange& m) {
    sink_.number(1, m.member);
    choice(2, m.kind);
    sink_.number(3, m.active);
  }
  void fields(const SettingsChange& m) {
    signed_number(1, m.memory_quota_bytes);
    signed_number(2, m.history_bytes);
    signed_number(3, m.min_lease_ttl_ms);
    signed_number(4, m.enforce_node_quotas);
  }
  void fields(const CreateNode& m) {
    bytes(1, m.path);
    bytes(2, m.value);
    sink_.number(3, m.null_value);
    bytes(4, m.acl);
    choice(5, m.kind);
    sink_.number(6, m.ephemeral);
    sink_.number(7, m.sequential);
    signed_number(8, m.ttl_ms);
  }
  void fields(const DeleteNode& m) {
    bytes(1, m.path);
    signed_number(2, m.expected);
    sink_.number(3, m.only_if_idle);
  }
  void fields(const SetNode& m) {
    bytes(1, m.path);
    bytes(2, m.value);
    sink_.number(3, m.null_value);
    signed_number(4, m.expected);
  }
  void fields(const SetNodeAcl& m) {
    bytes(1, m.path);
    bytes(2, m.acl);
    signed_number(3, m.expected);
  }
  void fields(const CheckNode& m) {
    bytes(1, m.path);
    signed_number(2, m.expected);
  }
  void fields(const RefuseNode& m) { choice(1, m.reason); }
  void fields(const NodeOperation& m) {
    std::visit([&](const auto& what) { message(1 + static_cast<uint32_t>(m.what.index()), what); }, m.what);
  }
  void fields(const NodeTxn& m) {
    for (const NodeOperation& operation : m.operations) message(1, operation);
  }
  void fields(const NodeRead& m) {
    choice(1, m.query);
    bytes(2, m.path);
  }
  void fields(const NodeReads& m) {
    for (const NodeRead& read : m.reads) message(1, read);
  }
  void fields(const SessionOpen& m) {
    sink_.number(1, m.member_number);
    sink_.number(2, m.salt);
    signed_number(3, m.ttl_ms);
  }
  void fields(const SessionAttach& m) {
    signed_number(1, m.id.value);
    signed_number(2, m.ttl_ms);
  }

  Sink& sink_;
};

void write_fixed_part(char* out, const Header& header, uint32_t feature_level) {
  out[kFormatOffset - 1] = kFormatTag;
  set_fixed32(out + kFormatOffset, header.format);
  out[kFeatureOffset - 1] = kFeatureTag;
  set_fixed32(out + kFeatureOffset, feature_level);
  out[kStampOffset - 1] = kStampTag;
  set_fixed64(out + kStampOffset, static_cast<uint64_t>(header.stamp.ms));
  out[kMemberOffset - 1] = kMemberTag;
  set_fixed64(out + kMemberOffset, header.origin.member);
  out[kIncarnationOffset - 1] = kIncarnationTag;
  set_fixed64(out + kIncarnationOffset, header.origin.incarnation);
  out[kRequestOffset - 1] = kRequestTag;
  set_fixed64(out + kRequestOffset, header.origin.request);
}

// What a member must know to apply it (core C5).
uint32_t feature_level_of(const Body& body) {
  const auto* const grant = std::get_if<LeaseGrant>(&body);
  const auto* const revoke = std::get_if<LeaseRevoke>(&body);
  const auto* const settings = std::get_if<SettingsChange>(&body);
  const bool nodes = std::holds_alternative<NodeTxn>(body) || std::holds_alternative<NodeReads>(body) ||
                     std::holds_alternative<SessionOpen>(body) || std::holds_alternative<SessionAttach>(body) ||
                     (grant != nullptr && grant->kind == LeaseKind::ZooKeeper) ||
                     (revoke != nullptr && revoke->generation != 0) ||
                     (settings != nullptr && settings->enforce_node_quotas != 0);
  return nodes ? kFeatureOfNodes : 1;
}

}  // namespace

Blob encode(const Command& command) {
  Sizer sizer;
  Writer<Sizer>(sizer).command(command);
  Blob out = Blob::uninitialized(kFixedSize + sizer.total());
  char* const data = out.mutable_data();
  write_fixed_part(data, command.header, std::max(command.header.feature_level, feature_level_of(command.body)));
  Emitter emitter(data + kFixedSize, sizer.lengths());
  Writer<Emitter>(emitter).command(command);
  CHECK(emitter.end() == data + out.size(), "a command's size and its bytes disagree");
  return out;
}

void set_stamp(Blob& command, WallTime stamp) {
  CHECK(has_fixed_part(command), "not a command");
  set_fixed64(command.mutable_data() + kStampOffset, static_cast<uint64_t>(stamp.ms));
}

void set_origin(Blob& command, const Origin& origin) {
  CHECK(has_fixed_part(command), "not a command");
  char* const data = command.mutable_data();
  set_fixed64(data + kMemberOffset, origin.member);
  set_fixed64(data + kIncarnationOffset, origin.incarnation);
  set_fixed64(data + kRequestOffset, origin.request);
}

}  // namespace witan::store
