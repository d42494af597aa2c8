#include "peer/codec.h"

#include <type_traits>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/coding.h"

namespace witan::peer {
namespace {

// Each message's fields, once for both directions: `f` is a writer or a reader. Numbers are on the wire.
template <class F, class M>
void fields(F& f, M& m) {
  using T = std::remove_const_t<M>;
  f(1, m.term);
  if constexpr (std::is_same_v<T, raft::VoteRequest>) {
    f(2, m.pre), f(3, m.last_index), f(4, m.last_term), f(5, m.leadership_transfer);
  } else if constexpr (std::is_same_v<T, raft::VoteReply>) {
    f(2, m.pre), f(3, m.granted);
  } else if constexpr (std::is_same_v<T, raft::AppendRequest>) {
    f(2, m.prev_index), f(3, m.prev_term), f(4, m.commit), f(5, m.entries);
  } else if constexpr (std::is_same_v<T, raft::AppendReply>) {
    f(2, m.accepted), f(3, m.match), f(4, m.rejected), f(5, m.hint), f(6, m.hint_term);
  } else if constexpr (std::is_same_v<T, raft::Heartbeat>) {
    f(2, m.commit), f(3, m.round);
  } else if constexpr (std::is_same_v<T, raft::HeartbeatReply>) {
    f(2, m.round);
  } else if constexpr (std::is_same_v<T, raft::SnapshotReply>) {
    f(2, m.accepted), f(3, m.index);
  } else {
    static_assert(std::is_same_v<T, raft::TimeoutNow>);
  }
}

void put_tag(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | static_cast<uint32_t>(type));
}

// The fields of an entry before its data, with the data's tag and length when there is any.
std::string entry_head(const raft::Entry& entry) {
  std::string head;
  FieldWriter writer(head);
  writer.uint(1, entry.term.value);
  writer.uint(2, entry.index.value);
  writer.uint(3, static_cast<uint64_t>(entry.kind));
  if (!entry.data.is_null()) {
    put_tag(head, 4, WireType::Bytes);
    put_varint(head, entry.data.size());
  }
  return head;
}

class MessageWriter {
 public:
  explicit MessageWriter(Chain& out) : out_(out) {}
  ~MessageWriter() { flush(); }
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  void kind(size_t index) { text_.push_back(static_cast<char>(index + 1)); }
  template <class Tag>
  void operator()(uint32_t field, const Strong<Tag>& v) {
    FieldWriter(text_).uint(field, v.value);
  }
  void operator()(uint32_t field, const uint64_t& v) { FieldWriter(text_).uint(field, v); }
  void operator()(uint32_t field, const bool& v) { FieldWriter(text_).uint(field, v ? 1 : 0); }
  void operator()(uint32_t field, const std::vector<raft::Entry>& entries) {
    for (const raft::Entry& entry : entries) {
      const std::string head = entry_head(entry);
      put_tag(text_, field, WireType::Bytes);
      put_varint(text_, head.size() + entry.data.size());
      text_.append(head);
      if (entry.data.size() < Chain::kShareFrom) {
        text_.append(entry.data.view());
      } else {
        flush();
        out_.append(entry.data);
      }
    }
  }

 private:
  void flush() {
    out_.append(text_);
    text_.clear();
  }
  Chain& out_;
  std::string text_;  // not yet in the chain
};

// Reads the field the FieldReader stands on into the member it belongs to.
class MessageReader {
 public:
  explicit MessageReader(FieldReader& in) : in_(in) {}
  bool valid() const { return valid_; }

  template <class Tag>
  void operator()(uint32_t field, Strong<Tag>& v) {
    if (in_.field() == field) v = Strong<Tag>(in_.uint());
  }
  void operator()(uint32_t field, uint64_t& v) {
    if (in_.field() == field) v = in_.uint();
  }
  void operator()(uint32_t field, bool& v) {
    if (in_.field() == field) v = in_.boolean();
  }
  void operator()(uint32_t field, std::vector<raft::Entry>& entries) {
    if (in_.field() == field && valid_) valid_ = read_entry(in_.bytes(), entries);
  }

 private:
  static bool read_entry(std::string_view bytes, std::vector<raft::Entry>& entries) {
    raft::Entry entry;
    uint64_t kind = 0;
    FieldReader in(bytes);
    while (in.next()) {
      switch (in.field()) {
        case 1: entry.term = raft::Term(in.uint()); break;
        case 2: entry.index = raft::Index(in.uint()); break;
        case 3: kind = in.uint(); break;
        case 4: entry.data = Blob(in.bytes()); break;
        default: break;
      }
    }
    // No entry of a log has term or index 0. Asking for both also bounds how many entries a frame can hold.
    if (!in.ok() || kind > static_cast<uint64_t>(raft::EntryKind::Empty) || entry.term.value == 0 ||
        entry.index.value == 0) {
      return false;
    }
    entry.kind = static_cast<raft::EntryKind>(kind);
    entries.push_back(std::move(entry));
    return true;
  }

  FieldReader& in_;
  bool valid_ = true;
};

template <class M>
Result<raft::Message> read_message(std::string_view bytes) {
  M message;
  FieldReader in(bytes);
  MessageReader reader(in);
  while (in.next()) fields(reader, message);
  if (!in.ok() || !reader.valid()) return fail(Code::Corrupt, "a raft message whose fields cannot be read");
  return raft::Message(std::move(message));
}

template <size_t... I>
Result<raft::Message> read_message_of(size_t kind, std::string_view bytes, std::index_sequence<I...>) {
  using Read = Result<raft::Message> (*)(std::string_view);
  static constexpr Read kReaders[] = {&read_message<std::variant_alternative_t<I, raft::Message>>...};
  return kReaders[kind](bytes);
}

// The order of raft::Message's alternatives is on the wire: the number of each is its place, counted from 1.
static_assert(std::is_same_v<std::variant_alternative_t<0, raft::Message>, raft::VoteRequest>);
static_assert(std::is_same_v<std::variant_alternative_t<1, raft::Message>, raft::VoteReply>);
static_assert(std::is_same_v<std::variant_alternative_t<2, raft::Message>, raft::AppendRequest>);
static_assert(std::is_same_v<std::variant_alternative_t<3, raft::Message>, raft::AppendReply>);
static_assert(std::is_same_v<std::variant_alternative_t<4, raft::Message>, raft::Heartbeat>);
static_assert(std::is_same_v<std::variant_alternative_t<5, raft::Message>, raft::HeartbeatReply>);
static_assert(std::is_same_v<std::variant_alternative_t<6, raft::Message>, raft::SnapshotReply>);
static_assert(std::is_same_v<std::variant_alternative_t<7, raft::Message>, raft::TimeoutNow>);

constexpr std::string_view kMagic = "witan-peer";

std::unexpected<Error> unreadable(std::string_view what) {
  return fail(Code::Corrupt, fmt::format("{} whose fields cannot be read", what));
}

Chain with_payload(std::string head, const Blob& payload, uint32_t field) {
  put_tag(head, field, WireType::Bytes);
  put_varint(head, payload.size());
  Chain out;
  out.append(head);
  out.append(payload);
  return out;
}

}  // namespace

Chain encode(const raft::Message& message) {
  Chain out;
  MessageWriter writer(out);
  writer.kind(message.index());
  std::visit([&](const auto& m) { fields(writer, m); }, message);
  return out;
}

Result<raft::Message> decode_message(std::string_view bytes) {
  constexpr size_t kKinds = std::variant_size_v<raft::Message>;
  const size_t kind = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  if (kind < 1 || kind > kKinds) return fail(Code::Corrupt, fmt::format("a raft message of unknown kind {}", kind));
  return read_message_of(kind - 1, bytes.substr(1), std::make_index_sequence<kKinds>());
}

std::string encode(const Greeting& greeting) {
  std::string out;
  FieldWriter writer(out);
  const Hello& hello = greeting.hello;
  writer.bytes(1, kMagic);
  writer.uint(2, hello.min_protocol);
  writer.uint(3, hello.max_protocol);
  writer.uint(4, hello.feature_level);
  writer.uint(5, static_cast<uint64_t>(greeting.purpose));
  writer.fixed64(6, hello.cluster_id);
  writer.fixed64(7, hello.member.value);
  writer.fixed64(8, hello.target.value);
  writer.bytes(9, hello.directory_uuid);
  return out;
}

Result<Greeting> decode_greeting(std::string_view bytes) {
  Greeting greeting{.hello = {.min_protocol = 0, .max_protocol = 0, .feature_level = 0}};
  Hello& hello = greeting.hello;
  std::string_view magic;
  uint64_t purpose = 0;
  FieldReader in(bytes);
  while (in.next()) {
    switch (in.field()) {
      case 1: magic = in.bytes(); break;
      case 2: hello.min_protocol = static_cast<uint32_t>(in.uint()); break;
      case 3: hello.max_protocol = static_cast<uint32_t>(in.uint()); break;
      case 4: hello.feature_level = static_cast<uint32_t>(in.uint()); break;
      case 5: purpose = in.uint(); break;
      case 6: hello.cluster_id = in.fixed64(); break;
      case 7: hello.member = raft::NodeId(in.fixed64()); break;
      case 8: hello.target = raft::NodeId(in.fixed64()); break;
      case 9: hello.directory_uuid = printable(in.bytes()); break;
      default: break;
    }
  }
  if (!in.ok() || magic != kMagic) return fail(Code::Corrupt, "something other than a witan member's greeting");
  if (purpose < 1 || purpose > static_cast<uint64_t>(Purpose::Join)) {
    return fail(Code::Corrupt, fmt::format("a greeting for the unknown purpose {}", purpose));
  }
  greeting.purpose = static_cast<Purpose>(purpose);
  return greeting;
}

bool is_answer(const raft::Message& message) {
  return std::holds_alternative<raft::VoteReply>(message) || std::holds_alternative<raft::AppendReply>(message) ||
         std::holds_alternative<raft::HeartbeatReply>(message) || std::holds_alternative<raft::SnapshotReply>(message);
}

Chain encode_call(uint64_t id, uint8_t kind, const Blob& payload) {
  std::string head;
  FieldWriter writer(head);
  writer.uint(1, id);
  writer.uint(2, kind);
  return with_payload(std::move(head), payload, 3);
}

Result<CallFrame> decode_call(std::string_view bytes) {
  CallFrame call;
  uint64_t kind = 0;
  FieldReader in(bytes);
  while (in.next()) {
    switch (in.field()) {
      case 1: call.id = in.uint(); break;
      case 2: kind = in.uint(); break;
      case 3: call.payload = in.bytes(); break;
      default: break;
    }
  }
  if (!in.ok() || kind > UINT8_MAX) return unreadable("a call");
  call.kind = static_cast<uint8_t>(kind);
  return call;
}

Chain encode_reply(uint64_t id, const Blob& payload) {
  std::string head;
  FieldWriter(head).uint(1, id);
  return with_payload(std::move(head), payload, 2);
}

Result<ReplyFrame> decode_reply(std::string_view bytes) {
  ReplyFrame reply;
  FieldReader in(bytes);
  while (in.next()) {
    if (in.field() == 1) reply.id = in.uint();
    if (in.field() == 2) reply.payload = in.bytes();
  }
  if (!in.ok()) return unreadable("a reply");
  return reply;
}

std::string encode(const NoReplyFrame& frame) {
  std::string out;
  FieldWriter writer(out);
  writer.uint(1, frame.id);
  writer.uint(2, frame.acted ? 1 : 0);
  writer.bytes(3, frame.message);
  return out;
}

Result<NoReplyFrame> decode_no_reply(std::string_view bytes) {
  NoReplyFrame frame;
  FieldReader in(bytes);
  while (in.next()) {
    if (in.field() == 1) frame.id = in.uint();
    if (in.field() == 2) frame.acted = in.boolean();
    if (in.field() == 3) frame.message = printable(in.bytes());
  }
  if (!in.ok()) return unreadable("the refusal of a call");
  return frame;
}

std::string encode(const SnapshotOffer& offer) {
  std::string out;
  FieldWriter writer(out);
  writer.uint(1, offer.term.value);
  writer.uint(2, offer.meta.index.value);
  writer.uint(3, offer.meta.term.value);
  writer.bytes(4, raft::encode(offer.meta.configuration));
  writer.uint(5, offer.size);
  return out;
}

Result<SnapshotOffer> decode_snapshot_offer(std::string_view bytes) {
  SnapshotOffer offer;
  std::string_view configuration;
  FieldReader in(bytes);
  while (in.next()) {
    switch (in.field()) {
      case 1: offer.term = raft::Term(in.uint()); break;
      case 2: offer.meta.index = raft::Index(in.uint()); break;
      case 3: offer.meta.term = raft::Term(in.uint()); break;
      case 4: configuration = in.bytes(); break;
      case 5: offer.size = in.uint(); break;
      default: break;
    }
  }
  if (!in.ok()) return unreadable("the offer of a snapshot");
  Result<raft::Configuration> decoded = raft::decode_configuration(configuration);
  if (!decoded) return std::unexpected(std::move(decoded.error()));
  offer.meta.configuration = std::move(*decoded);
  return offer;
}

std::string encode_snapshot_ack(uint64_t written) {
  std::string out;
  FieldWriter(out).uint(1, written);
  return out;
}

Result<uint64_t> decode_snapshot_ack(std::string_view bytes) {
  uint64_t written = 0;
  FieldReader in(bytes);
  while (in.next()) {
    if (in.field() == 1) written = in.uint();
  }
  if (!in.ok()) return unreadable("the acknowledgement of a snapshot's bytes");
  return written;
}

std::string encode_snapshot_done(std::string_view problem) {
  std::string out;
  FieldWriter(out).bytes(1, problem);
  return out;
}

Result<std::string> decode_snapshot_done(std::string_view bytes) {
  std::string problem;
  FieldReader in(bytes);
  while (in.next()) {
    if (in.field() == 1) problem = printable(in.bytes());
  }
  if (!in.ok()) return unreadable("the end of a snapshot");
  return problem;
}

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 1024;
  std::string out(text.substr(0, kLongest));
  for (char& c : out) {
    if (const auto u = static_cast<unsigned char>(c); u < 0x20 || u > 0x7e) c = '?';
  }
  return out;
}

}  // namespace witan::peer
