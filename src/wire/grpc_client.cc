#include "wire/grpc_client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "wire/grpc_deframer.h"

namespace witan::wire {
namespace {

std::string_view view(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

nghttp2_nv header(std::string_view name, std::string_view value) {
  auto* n = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
  auto* v = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  return {n, v, name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

const std::string* find_header(const GrpcAnswer& answer, const std::string& name) {
  for (const auto* headers : {&answer.trailers, &answer.headers}) {
    if (const auto it = headers->find(name); it != headers->end()) return &it->second;
  }
  return nullptr;
}

struct ClientStream {
  GrpcAnswer answer;
  GrpcDeframer input;
  std::string output;
  bool done = false;  // half-closed once the output is out
  bool starved = false;
};

}  // namespace

GrpcStatus GrpcAnswer::status() const {
  const std::string* text = find_header(*this, "grpc-status");
  int code = 2;
  if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), code);
  return code >= 0 && code <= 16 ? static_cast<GrpcStatus>(code) : GrpcStatus::Unknown;
}

std::string GrpcAnswer::message() const {
  const std::string* text = find_header(*this, "grpc-message");
  return text == nullptr ? std::string() : percent_decode(*text);
}

class GrpcClientConnection::Session {
 public:
  explicit Session(const GrpcClientOptions& options) : options_(options) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* option = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0, "out of memory");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_option_set_no_auto_window_update(option, options.auto_window_update ? 0 : 1);
    CHECK(nghttp2_session_client_new2(&http2, callbacks, this, option) == 0, "out of memory");
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window};
    nghttp2_submit_settings(http2, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(http2, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(options.connection_window));
  }
  ~Session() { nghttp2_session_del(http2); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  StreamId start(std::string_view path, const Headers& extra) {
    std::vector<std::pair<std::string_view, std::string_view>> all = {
        {":method", "POST"},         {":scheme", "http"}, {":path", path},
        {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
    for (const auto& [name, value] : extra) {
      auto it = std::find_if(all.begin(), all.end(), [&](const auto& own) { return own.first == name; });
      if (it == all.end()) {
        all.emplace_back(name, value);
      } else {
        it->second = value;
      }
    }
    std::vector<nghttp2_nv> nva;
    nva.reserve(all.size());
    for (const auto& [name, value] : all) nva.push_back(header(name, value));
    auto stream = std::make_unique<ClientStream>();
    nghttp2_data_provider provider{};
    provider.source.ptr = stream.get();
    provider.read_callback = read;
    const int32_t id = nghttp2_submit_request(http2, nullptr, nva.data(), nva.size(), &provider, nullptr);
    CHECK(id > 0, "the call was refused: {}", nghttp2_strerror(id));
    streams[id] = std::move(stream);
    return StreamId(id);
  }

  ClientStream& stream(StreamId id) const {
    const auto it = streams.find(id.value);
    CHECK(it != streams.end(), "no such call: {}", id.value);
    return *it->second;
  }
  void wake(StreamId id) {
    if (std::exchange(stream(id).starved, false)) nghttp2_session_resume_data(http2, id.value);
  }

  nghttp2_session* http2 = nullptr;
  std::map<int32_t, std::unique_ptr<ClientStream>> streams;
  size_t messages = 0;
  size_t pings = 0;
  int64_t goaway = -1;
  std::string goaway_text;

 private:
  ClientStream* find(int32_t id) {
    const auto it = streams.find(id);
    return it == streams.end() ? nullptr : it->second.get();
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    ClientStream* s = static_cast<Session*>(user)->find(frame->hd.stream_id);
    if (s == nullptr) return 0;
    auto& to = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? s->answer.headers : s->answer.trailers;
    to[std::string(view(name, name_size))] = view(value, value_size);
    return 0;
  }

  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    auto& self = *static_cast<Session*>(user);
    ClientStream* s = self.find(id);
    if (s == nullptr) return 0;
    if (const std::string* type = find_header(s->answer, "content-type");
        type == nullptr || !type->starts_with("application/grpc")) {
      s->answer.body.append(view(data, size));
      return 0;
    }
    const auto verdict = s->input.feed(view(data, size), UINT32_MAX, [&](std::string_view message) {
      ++self.messages;
      if (self.options_.keep_messages) s->answer.messages.emplace_back(message);
      return true;
    });
    return verdict == GrpcDeframer::Verdict::Ok ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int on_close(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    if (ClientStream* s = static_cast<Session*>(user)->find(id)) {
      s->answer.closed = true;
      s->answer.reset_code = error_code;
    }
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Session*>(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      self.goaway = frame->goaway.error_code;
      self.goaway_text = view(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      ++self.pings;
    }
    return 0;
  }

  static ssize_t read(nghttp2_session*, int32_t, uint8_t* to, size_t limit, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& s = *static_cast<ClientStream*>(source->ptr);
    if (s.output.empty() && !s.done) {
      s.starved = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t n = std::min(limit, s.output.size());
    std::memcpy(to, s.output.data(), n);
    s.output.erase(0, n);
    if (s.output.empty() && s.done) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }

  const GrpcClientOptions options_;
};

GrpcClientConnection::GrpcClientConnection(const GrpcClientOptions& options)
    : session_(std::make_unique<Session>(options)) {}
GrpcClientConnection::~GrpcClientConnection() = default;

StreamId GrpcClientConnection::start(std::string_view path, const Headers& extra) {
  return session_->start(path, extra);
}

void GrpcClientConnection::send(StreamId stream, std::string_view message) {
  std::array<char, kGrpcPrefix> prefix{};
  write_grpc_prefix(prefix.data(), static_cast<uint32_t>(message.size()));
  session_->stream(stream).output.append(prefix.data(), prefix.size());
  send_raw(stream, message);
}

void GrpcClientConnection::send_raw(StreamId stream, std::string_view bytes) {
  session_->stream(stream).output.append(bytes);
  session_->wake(stream);
}

void GrpcClientConnection::half_close(StreamId stream) {
  session_->stream(stream).done = true;
  session_->wake(stream);
}

void GrpcClientConnection::reset(StreamId stream, uint32_t error_code) {
  nghttp2_submit_rst_stream(session_->http2, NGHTTP2_FLAG_NONE, stream.value, error_code);
}

StreamId GrpcClientConnection::call(std::string_view path, std::string_view message, const Headers& extra) {
  const StreamId stream = start(path, extra);
  send(stream, message);
  half_close(stream);
  return stream;
}

void GrpcClientConnection::ping() { nghttp2_submit_ping(session_->http2, NGHTTP2_FLAG_NONE, nullptr); }

void GrpcClientConnection::credit(StreamId stream, size_t bytes) {
  nghttp2_session_consume(session_->http2, stream.value, bytes);
}

bool GrpcClientConnection::on_bytes(std::string_view bytes) {
  return nghttp2_session_mem_recv(session_->http2, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) >= 0;
}

std::string GrpcClientConnection::take_output() {
  std::string out;
  const uint8_t* data = nullptr;
  for (ssize_t n = 0; (n = nghttp2_session_mem_send(session_->http2, &data)) > 0;) {
    out.append(view(data, static_cast<size_t>(n)));
  }
  return out;
}

const GrpcAnswer& GrpcClientConnection::answer(StreamId stream) const { return session_->stream(stream).answer; }
void GrpcClientConnection::forget(StreamId stream) {
  CHECK(session_->stream(stream).answer.closed, "call {} is still open", stream.value);
  session_->streams.erase(stream.value);
}
size_t GrpcClientConnection::messages_received() const { return session_->messages; }
size_t GrpcClientConnection::pings_answered() const { return session_->pings; }
int64_t GrpcClientConnection::goaway_code() const { return session_->goaway; }
std::string_view GrpcClientConnection::goaway_text() const { return session_->goaway_text; }

}  // namespace witan::wire
