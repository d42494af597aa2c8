#include "node/calls.h"

#include <utility>

#include "base/coding.h"

namespace witan::node {
namespace {

// Field 15 of every reply: a refusal. Absent in an answer.
constexpr uint32_t kRefusalField = 15;

Error damaged(std::string_view what) {
  return Error{Code::Corrupt, std::string(what) + " from a peer does not decode"};
}

std::optional<Error> refusal_in(std::string_view reply) {
  FieldReader r(reply);
  while (r.next()) {
    if (r.field() != kRefusalField) continue;
    Error error;
    FieldReader inner(r.bytes());
    while (inner.next()) {
      if (inner.field() == 1) error.code = static_cast<Code>(inner.uint());
      if (inner.field() == 2) error.message = inner.bytes();
    }
    return error;
  }
  return std::nullopt;
}

// Walks a reply that is either a refusal or fields for `visit`.
template <class Visit>
Result<> read_reply(std::string_view bytes, std::string_view what, Visit&& visit) {
  if (auto refusal = refusal_in(bytes)) return std::unexpected(std::move(*refusal));
  FieldReader r(bytes);
  while (r.next()) visit(r);
  if (!r.ok()) return std::unexpected(damaged(what));
  return {};
}

void write_member(FieldWriter& w, uint32_t field, const MemberInfo& member) {
  w.message(field, [&](FieldWriter& m) {
    m.uint(1, member.id);
    m.bytes(2, member.name);
    for (const std::string& url : member.peer_urls) m.bytes_always(3, url);
    for (const std::string& url : member.client_urls) m.bytes_always(4, url);
    m.uint(5, member.is_learner ? 1 : 0);
    m.uint(6, member.number);
    m.bytes(7, member.zookeeper);
    m.uint(8, member.election_port);
  });
}

MemberInfo read_member(std::string_view bytes) {
  MemberInfo member;
  FieldReader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1: member.id = r.uint(); break;
      case 2: member.name = r.bytes(); break;
      case 3: member.peer_urls.emplace_back(r.bytes()); break;
      case 4: member.client_urls.emplace_back(r.bytes()); break;
      case 5: member.is_learner = r.boolean(); break;
      case 6: member.number = static_cast<uint32_t>(r.uint()); break;
      case 7: member.zookeeper = r.bytes(); break;
      case 8: member.election_port = static_cast<uint16_t>(r.uint()); break;
      default: break;
    }
  }
  return member;
}

JoiningMember read_joiner(std::string_view bytes) {
  JoiningMember joiner;
  FieldReader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1: joiner.number = static_cast<uint32_t>(r.uint()); break;
      case 2: joiner.peer_urls.emplace_back(r.bytes()); break;
      case 3: joiner.zookeeper = r.bytes(); break;
      case 4: joiner.learner = r.boolean(); break;
      case 5: joiner.election_port = static_cast<uint16_t>(r.uint()); break;
      default: break;
    }
  }
  return joiner;
}

}  // namespace

Blob encode_refusal(const Error& error) {
  std::string out;
  FieldWriter(out).message(kRefusalField, [&](FieldWriter& w) {
    w.uint(1, static_cast<uint64_t>(error.code));
    w.bytes(2, error.message);
  });
  return Blob(out);
}

Blob encode_forward(raft::Term term, const std::vector<Blob>& commands) {
  size_t size = 1 + varint_size(term.value);
  for (const Blob& command : commands) size += 1 + varint_size(command.size()) + command.size();
  std::string out;
  out.reserve(size);
  FieldWriter w(out);
  for (const Blob& command : commands) w.bytes_always(1, command.view());
  w.uint(2, term.value);
  return Blob(out);
}

Result<Forwarded> decode_forward(std::string_view bytes) {
  Forwarded out;
  FieldReader r(bytes);
  while (r.next()) {
    if (r.field() == 1) out.commands.emplace_back(r.bytes());
    if (r.field() == 2) out.term = raft::Term(r.uint());
  }
  if (!r.ok() || out.commands.empty()) return std::unexpected(damaged("a forwarded batch"));
  return out;
}

Blob encode_accepted(const raft::Accepted& accepted) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, accepted.term.value);
  w.uint(2, accepted.first.value);
  w.uint(3, accepted.last.value);
  return Blob(out);
}

Result<raft::Accepted> decode_accepted(std::string_view bytes) {
  raft::Accepted accepted;
  auto read = read_reply(bytes, "the answer to a forwarded batch", [&](FieldReader& r) {
    if (r.field() == 1) accepted.term = raft::Term(r.uint());
    if (r.field() == 2) accepted.first = raft::Index(r.uint());
    if (r.field() == 3) accepted.last = raft::Index(r.uint());
  });
  if (!read) return std::unexpected(read.error());
  return accepted;
}

Blob encode_index(raft::Index index) {
  std::string out;
  FieldWriter(out).uint(1, index.value);
  return Blob(out);
}

Result<raft::Index> decode_index(std::string_view bytes) {
  raft::Index index;
  auto read = read_reply(bytes, "a read index", [&](FieldReader& r) {
    if (r.field() == 1) index = raft::Index(r.uint());
  });
  if (!read) return std::unexpected(read.error());
  return index;
}

Blob encode_renewals(const std::vector<LeaseName>& leases) {
  std::string out;
  FieldWriter w(out);
  for (const LeaseName& lease : leases) {
    w.message(1, [&](FieldWriter& m) {
      m.sint(1, lease.id.value);
      m.uint(2, static_cast<uint64_t>(lease.kind));
    });
  }
  return Blob(out);
}

Result<std::vector<LeaseName>> decode_renewals(std::string_view bytes) {
  std::vector<LeaseName> leases;
  FieldReader r(bytes);
  while (r.next()) {
    if (r.field() != 1) continue;
    LeaseName lease;
    FieldReader m(r.bytes());
    while (m.next()) {
      if (m.field() == 1) lease.id = store::LeaseId(m.sint());
      if (m.field() == 2) lease.kind = static_cast<store::LeaseKind>(m.uint());
    }
    leases.push_back(lease);
  }
  if (!r.ok()) return std::unexpected(damaged("a renewal report"));
  return leases;
}

Blob encode_ttls(const std::vector<int64_t>& ttls_ms) {
  std::string out;
  FieldWriter w(out);
  for (const int64_t ttl : ttls_ms) w.uint_always(1, static_cast<uint64_t>(ttl));
  return Blob(out);
}

Result<std::vector<int64_t>> decode_ttls(std::string_view bytes) {
  std::vector<int64_t> ttls;
  auto read = read_reply(bytes, "the answer to a renewal report", [&](FieldReader& r) {
    if (r.field() == 1) ttls.push_back(r.sint());
  });
  if (!read) return std::unexpected(read.error());
  return ttls;
}

Blob encode_lease_time(const LeaseTime& time) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, time.found ? 1 : 0);
  w.sint(2, time.granted_ms);
  w.sint(3, time.remaining_ms);
  return Blob(out);
}

Result<LeaseTime> decode_lease_time(std::string_view bytes) {
  LeaseTime time;
  auto read = read_reply(bytes, "a lease's time", [&](FieldReader& r) {
    if (r.field() == 1) time.found = r.boolean();
    if (r.field() == 2) time.granted_ms = r.sint();
    if (r.field() == 3) time.remaining_ms = r.sint();
  });
  if (!read) return std::unexpected(read.error());
  return time;
}

Blob encode_change(const MemberChange& change) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, change.index() + 1);
  if (const auto* add = std::get_if<AddMember>(&change)) {
    for (const std::string& url : add->peer_urls) w.bytes_always(3, url);
    w.uint(4, add->learner ? 1 : 0);
  } else if (const auto* remove = std::get_if<RemoveMember>(&change)) {
    w.uint(2, remove->id);
  } else if (const auto* update = std::get_if<UpdateMember>(&change)) {
    w.uint(2, update->id);
    for (const std::string& url : update->peer_urls) w.bytes_always(3, url);
  } else if (const auto* promote = std::get_if<PromoteMember>(&change)) {
    w.uint(2, promote->id);
  } else {
    const auto& replace = std::get<ReplaceMembers>(change);
    for (const JoiningMember& joiner : replace.joining) {
      w.message(5, [&](FieldWriter& m) {
        m.uint(1, joiner.number);
        for (const std::string& url : joiner.peer_urls) m.bytes_always(2, url);
        m.bytes(3, joiner.zookeeper);
        m.uint(4, joiner.learner ? 1 : 0);
        m.uint(5, joiner.election_port);
      });
    }
    for (const uint32_t number : replace.leaving) w.uint_always(6, number);
    w.uint(7, replace.whole ? 1 : 0);
    if (replace.expected_version) w.uint_always(8, *replace.expected_version);
  }
  return Blob(out);
}

Result<MemberChange> decode_change(std::string_view bytes) {
  uint64_t kind = 0;
  MemberId id = 0;
  std::vector<std::string> urls;
  bool learner = false;
  ReplaceMembers replace;
  FieldReader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1: kind = r.uint(); break;
      case 2: id = r.uint(); break;
      case 3: urls.emplace_back(r.bytes()); break;
      case 4: learner = r.boolean(); break;
      case 5: replace.joining.push_back(read_joiner(r.bytes())); break;
      case 6: replace.leaving.push_back(static_cast<uint32_t>(r.uint())); break;
      case 7: replace.whole = r.boolean(); break;
      case 8: replace.expected_version = r.uint(); break;
      default: break;
    }
  }
  if (!r.ok()) return std::unexpected(damaged("a change of members"));
  switch (kind) {
    case 1: return AddMember{std::move(urls), learner};
    case 2: return RemoveMember{id};
    case 3: return UpdateMember{id, std::move(urls)};
    case 4: return PromoteMember{id};
    case 5: return replace;
    default: return std::unexpected(damaged("a change of members"));
  }
}

Blob encode_change_result(const ChangeResult& result) {
  std::string out;
  FieldWriter w(out);
  if (result) {
    w.uint(1, result->subject);
    w.uint(2, result->term);
    for (const MemberInfo& member : result->members) write_member(w, 3, member);
    w.uint(5, result->version);
    w.sint(6, result->changed.ms);
  } else {
    w.uint_always(4, static_cast<uint64_t>(result.error()));
  }
  return Blob(out);
}

Result<ChangeResult> decode_change_result(std::string_view bytes) {
  MembersChanged changed;
  std::optional<MemberFailure> failure;
  auto read = read_reply(bytes, "the answer to a change of members", [&](FieldReader& r) {
    switch (r.field()) {
      case 1: changed.subject = r.uint(); break;
      case 2: changed.term = r.uint(); break;
      case 3: changed.members.push_back(read_member(r.bytes())); break;
      case 4: failure = static_cast<MemberFailure>(r.uint()); break;
      case 5: changed.version = r.uint(); break;
      case 6: changed.changed = WallTime{r.sint()}; break;
      default: break;
    }
  });
  if (!read) return std::unexpected(read.error());
  if (failure) return ChangeResult(std::unexpected(*failure));
  return ChangeResult(std::move(changed));
}

Blob encode_members(const MembersAnswer& answer) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, answer.cluster_id);
  w.bytes(2, answer.token);
  for (const MemberInfo& member : answer.members) write_member(w, 3, member);
  return Blob(out);
}

Result<MembersAnswer> decode_members(std::string_view bytes) {
  MembersAnswer answer;
  auto read = read_reply(bytes, "a list of members", [&](FieldReader& r) {
    if (r.field() == 1) answer.cluster_id = r.uint();
    if (r.field() == 2) answer.token = r.bytes();
    if (r.field() == 3) answer.members.push_back(read_member(r.bytes()));
  });
  if (!read) return std::unexpected(read.error());
  return answer;
}

Blob encode_digest(const DigestAnswer& answer) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, answer.version);
  if (answer.digest) {
    w.fixed64(2, answer.digest->high);
    w.fixed64(3, answer.digest->low);
    w.uint(4, 1);
  }
  return Blob(out);
}

Result<DigestAnswer> decode_digest(std::string_view bytes) {
  DigestAnswer answer;
  store::Digest digest;
  bool known = false;
  auto read = read_reply(bytes, "a digest", [&](FieldReader& r) {
    switch (r.field()) {
      case 1: answer.version = static_cast<uint32_t>(r.uint()); break;
      case 2: digest.high = r.fixed64(); break;
      case 3: digest.low = r.fixed64(); break;
      case 4: known = r.boolean(); break;
      default: break;
    }
  });
  if (!read) return std::unexpected(read.error());
  if (known) answer.digest = digest;
  return answer;
}

}  // namespace witan::node
