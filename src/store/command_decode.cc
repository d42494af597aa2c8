// Bytes to commands. Strict: a field that this format does not have is damage, because whoever wrote it means something
// by it and members must not differ in what they ignore (core C5: what is new comes with a higher feature level).
#include <fmt/format.h>

#include "base/coding.h"
#include "store/acl.h"
#include "store/command.h"
#include "store/command_layout.h"

namespace witan::store {
namespace {

class Decoder {
 public:
  bool command(std::string_view rest, Command& c) {
    FieldReader r(rest);
    bool has_body = false;
    while (r.next()) {
      switch (r.field()) {
        case 7: c.header.session = LeaseId(r.sint()); continue;
        case 8: c.header.attach_generation = r.uint(); continue;
        case 9:
          if (!count_one()) return false;
          c.header.principals.push_back(r.bytes());
          continue;
        case 10: c.header.auth_revision = r.uint(); continue;
        default: break;
      }
      if (has_body || r.type() != WireType::Bytes || !body(r.field(), r.bytes(), c.body)) return false;
      has_body = true;
    }
    return r.ok() && has_body;
  }

 private:
  bool body(uint32_t field, std::string_view bytes, Body& out) {
    switch (field) {
      case kFirstBodyField: return fields(bytes, out.emplace<Nothing>());
      case kFirstBodyField + 1: return fields(bytes, out.emplace<Put>());
      case kFirstBodyField + 2: return fields(bytes, out.emplace<DeleteRange>());
      case kFirstBodyField + 3: return fields(bytes, out.emplace<Range>());
      case kFirstBodyField + 4: return fields(bytes, out.emplace<Txn>());
      case kFirstBodyField + 5: return fields(bytes, out.emplace<Compact>());
      case kFirstBodyField + 6: return fields(bytes, out.emplace<LeaseGrant>());
      case kFirstBodyField + 7: return fields(bytes, out.emplace<LeaseRevoke>());
      case kFirstBodyField + 8: return fields(bytes, out.emplace<LeaseCheckpoint>());
      case kFirstBodyField + 9: return fields(bytes, out.emplace<AlarmChange>());
      case kFirstBodyField + 10: return fields(bytes, out.emplace<SettingsChange>());
      case kFirstBodyField + 11: return fields(bytes, out.emplace<NodeTxn>());
      case kFirstBodyField + 12: return fields(bytes, out.emplace<NodeReads>());
      case kFirstBodyField + 13: return fields(bytes, out.emplace<SessionOpen>());
      case kFirstBodyField + 14: return fields(bytes, out.emplace<SessionAttach>());
      default: return false;
    }
  }

  bool count_one() { return ++operations_ <= kMaxOperations; }

  // The element of an enumeration; false when this program has no such element.
  template <class Enum>
  static bool choice(FieldReader& r, Enum last, Enum& out) {
    const uint64_t v = r.uint();
    if (v > static_cast<uint64_t>(last)) return false;
    out = static_cast<Enum>(v);
    return true;
  }

  bool fields(std::string_view bytes, Nothing&) { return bytes.empty(); }

  bool fields(std::string_view bytes, KeyRangeView& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.begin = r.bytes(); break;
        case 2: m.end = r.bytes(); break;
        case 3: m.single = r.boolean(); break;
        default: return false;
      }
    }
    return r.ok() && !(m.single && !m.end.empty());
  }

  bool fields(std::string_view bytes, Put& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.key = r.bytes(); break;
        case 2: m.value = r.bytes(); break;
        case 3: m.lease = LeaseId(r.sint()); break;
        case 4: m.ignore_value = r.boolean(); break;
        case 5: m.ignore_lease = r.boolean(); break;
        case 6: m.want_previous = r.boolean(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, DeleteRange& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1:
          if (!fields(r.bytes(), m.range)) return false;
          break;
        case 2: m.want_previous = r.boolean(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, Range& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: good = fields(r.bytes(), m.range); break;
        case 2: m.limit = r.sint(); break;
        case 3: m.revision = Revision(r.sint()); break;
        case 4: good = choice(r, SortOrder::Descend, m.order); break;
        case 5: good = choice(r, SortTarget::Value, m.target); break;
        case 6: m.keys_only = r.boolean(); break;
        case 7: m.count_only = r.boolean(); break;
        case 8: m.min_mod = Revision(r.sint()); break;
        case 9: m.max_mod = Revision(r.sint()); break;
        case 10: m.min_create = Revision(r.sint()); break;
        case 11: m.max_create = Revision(r.sint()); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, Compare& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: good = fields(r.bytes(), m.range); break;
        case 2: good = choice(r, CompareTarget::Lease, m.target); break;
        case 3: good = choice(r, Relation::NotEqual, m.relation); break;
        case 4: m.number = r.sint(); break;
        case 5: m.value = r.bytes(); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, Operation& m) {
    FieldReader r(bytes);
    if (!r.next() || r.type() != WireType::Bytes) return false;
    const std::string_view what = r.bytes();
    bool good = false;
    switch (r.field()) {
      case 1: good = fields(what, m.what.emplace<Put>()); break;
      case 2: good = fields(what, m.what.emplace<DeleteRange>()); break;
      case 3: good = fields(what, m.what.emplace<Range>()); break;
      case 4: good = fields(what, m.what.emplace<Txn>()); break;
      default: break;
    }
    return good && !r.next() && r.ok();
  }

  bool fields(std::string_view bytes, Txn& m) {
    if (++depth_ > kMaxDepth) return false;
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      if (!count_one()) return false;
      switch (r.field()) {
        case 1: good = fields(r.bytes(), m.compares.emplace_back()); break;
        case 2: good = fields(r.bytes(), m.success.emplace_back()); break;
        case 3: good = fields(r.bytes(), m.failure.emplace_back()); break;
        default: good = false;
      }
    }
    --depth_;
    return good && r.ok();
  }

  bool fields(std::string_view bytes, Compact& m) {
    FieldReader r(bytes);
    while (r.next()) {
      if (r.field() != 1) return false;
      m.revision = Revision(r.sint());
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, LeaseGrant& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: m.id = LeaseId(r.sint()); break;
        case 2: good = choice(r, LeaseKind::Consul, m.kind); break;
        case 3: m.ttl_ms = r.sint(); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, LeaseRevoke& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: m.id = LeaseId(r.sint()); break;
        case 2: good = choice(r, LeaseKind::Consul, m.kind); break;
        case 3: m.generation = r.uint(); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, LeaseCheckpoint::Item& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.id = LeaseId(r.sint()); break;
        case 2: m.remaining_ms = r.sint(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, LeaseCheckpoint& m) {
    FieldReader r(bytes);
    while (r.next()) {
      if (r.field() != 1 || !count_one() || !fields(r.bytes(), m.items.emplace_back())) return false;
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, AlarmChange& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: m.member = r.uint(); break;
        case 2: good = choice(r, AlarmKind::Corrupt, m.kind); break;
        case 3: m.active = r.boolean(); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, SettingsChange& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.memory_quota_bytes = r.sint(); break;
        case 2: m.history_bytes = r.sint(); break;
        case 3: m.min_lease_ttl_ms = r.sint(); break;
        case 4: m.enforce_node_quotas = r.sint(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  // A null value has no bytes, and an access list is one that can be read to its end.
  bool fields(std::string_view bytes, CreateNode& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: m.path = r.bytes(); break;
        case 2: m.value = r.bytes(); break;
        case 3: m.null_value = r.boolean(); break;
        case 4: m.acl = r.bytes(); break;
        case 5: good = choice(r, NodeKind::Ttl, m.kind); break;
        case 6: m.ephemeral = r.boolean(); break;
        case 7: m.sequential = r.boolean(); break;
        case 8: m.ttl_ms = r.sint(); break;
        default: good = false;
      }
    }
    return good && r.ok() && !(m.null_value && !m.value.empty()) && is_acl(m.acl);
  }

  // What is zero is not written, so what is read starts from zero.
  bool fields(std::string_view bytes, DeleteNode& m) {
    m.expected = 0;
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.path = r.bytes(); break;
        case 2: m.expected = r.sint(); break;
        case 3: m.only_if_idle = r.boolean(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, SetNode& m) {
    m.expected = 0;
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.path = r.bytes(); break;
        case 2: m.value = r.bytes(); break;
        case 3: m.null_value = r.boolean(); break;
        case 4: m.expected = r.sint(); break;
        default: return false;
      }
    }
    return r.ok() && !(m.null_value && !m.value.empty());
  }

  bool fields(std::string_view bytes, SetNodeAcl& m) {
    m.expected = 0;
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.path = r.bytes(); break;
        case 2: m.acl = r.bytes(); break;
        case 3: m.expected = r.sint(); break;
        default: return false;
      }
    }
    return r.ok() && is_acl(m.acl);
  }

  bool fields(std::string_view bytes, CheckNode& m) {
    m.expected = 0;
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.path = r.bytes(); break;
        case 2: m.expected = r.sint(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, RefuseNode& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) good = r.field() == 1 && choice(r, Reason::QuotaExceeded, m.reason);
    return good && r.ok() && m.reason != Reason::None;
  }

  bool fields(std::string_view bytes, NodeOperation& m) {
    FieldReader r(bytes);
    if (!r.next() || r.type() != WireType::Bytes) return false;
    const std::string_view what = r.bytes();
    bool good = false;
    switch (r.field()) {
      case 1: good = fields(what, m.what.emplace<CreateNode>()); break;
      case 2: good = fields(what, m.what.emplace<DeleteNode>()); break;
      case 3: good = fields(what, m.what.emplace<SetNode>()); break;
      case 4: good = fields(what, m.what.emplace<SetNodeAcl>()); break;
      case 5: good = fields(what, m.what.emplace<CheckNode>()); break;
      case 6: good = fields(what, m.what.emplace<RefuseNode>()); break;
      default: break;
    }
    return good && !r.next() && r.ok();
  }

  bool fields(std::string_view bytes, NodeTxn& m) {
    FieldReader r(bytes);
    while (r.next()) {
      if (r.field() != 1 || !count_one() || !fields(r.bytes(), m.operations.emplace_back())) return false;
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, NodeRead& m) {
    FieldReader r(bytes);
    bool good = true;
    while (good && r.next()) {
      switch (r.field()) {
        case 1: good = choice(r, NodeQuery::Ephemerals, m.query); break;
        case 2: m.path = r.bytes(); break;
        default: good = false;
      }
    }
    return good && r.ok();
  }

  bool fields(std::string_view bytes, NodeReads& m) {
    FieldReader r(bytes);
    while (r.next()) {
      if (r.field() != 1 || !count_one() || !fields(r.bytes(), m.reads.emplace_back())) return false;
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, SessionOpen& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.member_number = static_cast<uint32_t>(r.uint()); break;
        case 2: m.salt = static_cast<uint32_t>(r.uint()); break;
        case 3: m.ttl_ms = r.sint(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  bool fields(std::string_view bytes, SessionAttach& m) {
    FieldReader r(bytes);
    while (r.next()) {
      switch (r.field()) {
        case 1: m.id = LeaseId(r.sint()); break;
        case 2: m.ttl_ms = r.sint(); break;
        default: return false;
      }
    }
    return r.ok();
  }

  size_t depth_ = 0;
  size_t operations_ = 0;
};

}  // namespace

Result<Origin> origin_of(std::string_view command) {
  if (!has_fixed_part(command)) return fail(Code::Corrupt, "a log entry does not begin as a command does");
  return Origin{.member = get_fixed64(command.data() + kMemberOffset),
                .incarnation = get_fixed64(command.data() + kIncarnationOffset),
                .request = get_fixed64(command.data() + kRequestOffset)};
}

Result<Command> decode(std::string_view bytes) {
  Result<Origin> origin = origin_of(bytes);
  if (!origin) return std::unexpected(std::move(origin.error()));
  Command command;
  Header& header = command.header;
  header.format = get_fixed32(bytes.data() + kFormatOffset);
  header.feature_level = get_fixed32(bytes.data() + kFeatureOffset);
  header.stamp = WallTime{static_cast<int64_t>(get_fixed64(bytes.data() + kStampOffset))};
  header.origin = *origin;
  if (header.format != kCommandFormat || header.feature_level > kFeatureLevel || header.feature_level == 0) {
    return fail(
        Code::Refused,
        fmt::format("a log entry has format {} and needs feature level {}; this program knows format {} and level {}: "
                    "run a newer version of it",
                    header.format, header.feature_level, kCommandFormat, kFeatureLevel));
  }
  if (!Decoder().command(bytes.substr(kFixedSize), command)) {
    return fail(Code::Corrupt, fmt::format("a log entry of {} bytes is not a well-formed command", bytes.size()));
  }
  return command;
}

}  // namespace witan::store
