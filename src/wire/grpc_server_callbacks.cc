// The side of the server session that speaks to nghttp2: its callbacks, and what is submitted to it.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "wire/grpc_server_session.h"

namespace witan::wire {
namespace {

constexpr std::array<std::string_view, 17> kStatusText = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                          "9", "10", "11", "12", "13", "14", "15", "16"};

constexpr size_t kMaxContinuations = 8;  // CONTINUATION frames after one HEADERS frame

// Static text in a header: nghttp2 copies neither name nor value.
nghttp2_nv constant(std::string_view name, std::string_view value) {
  auto* n = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
  auto* v = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  return {n, v, name.size(), value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}
nghttp2_nv copied_value(std::string_view name, std::string_view value) {
  nghttp2_nv nv = constant(name, value);
  nv.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
  return nv;
}

std::string_view view(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace

void RequestHead::clear() {
  for (std::string* s : {&method, &path, &authority, &content_type, &encoding, &timeout, &metadata}) s->clear();
  extents.clear();
  has_timeout = false;
  list_size = 0;
}

void RequestHead::add(std::string_view name, std::string_view value) {
  if (name == ":method") {
    method = value;
  } else if (name == ":path") {
    path = value;
  } else if (name == ":authority") {
    authority = value;
  } else if (name == "content-type") {
    content_type = value;
  } else if (name == "grpc-encoding") {
    encoding = value;
  } else if (name == "grpc-timeout") {
    timeout = value;
    has_timeout = true;
  } else if (!name.starts_with(':') && name != "te" && name != "grpc-accept-encoding") {
    metadata.append(name).append(value);
    extents.emplace_back(name.size(), value.size());
  }
}

// Entered from C: nothing here throws, and a Session is its user data.
struct GrpcServerConnection::Callbacks {
  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) static_cast<Session*>(user)->head_.clear();
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    auto& self = *static_cast<Session*>(user);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // gRPC clients send no trailers
    self.head_.list_size += name_size + value_size + 32;
    if (self.head_.list_size > self.options_.max_header_list) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    self.head_.add(view(name, name_size), view(value, value_size));
    return 0;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Session*>(user);
    const StreamId id(frame->hd.stream_id);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          self.on_request(id, end);
        } else if (end) {
          end_of_stream(session, self, id);
        }
        break;
      case NGHTTP2_DATA:
        if (end) end_of_stream(session, self, id);
        break;
      case NGHTTP2_SETTINGS: self.settings_seen_ = true; break;
      case NGHTTP2_PING: self.on_ping((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0); break;
      default: break;
    }
    return 0;
  }

  static void end_of_stream(nghttp2_session* session, Session& self, StreamId id) {
    auto* s = static_cast<ServerStream*>(nghttp2_session_get_stream_user_data(session, id.value));
    if (s != nullptr) self.on_end(*s);
  }

  static int data_chunk(nghttp2_session* session, uint8_t flags, int32_t id, const uint8_t* data, size_t size,
                        void* user) {
    auto& self = *static_cast<Session*>(user);
    auto* s = static_cast<ServerStream*>(nghttp2_session_get_stream_user_data(session, id));
    self.on_data(s, StreamId(id), view(data, size), (flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return 0;
  }

  static int stream_closed(nghttp2_session* session, int32_t id, uint32_t error_code, void* user) {
    auto* s = static_cast<ServerStream*>(nghttp2_session_get_stream_user_data(session, id));
    static_cast<Session*>(user)->on_stream_closed(s, error_code);
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Session*>(user);
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
      self.on_sent(StreamId(frame->hd.stream_id), (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      self.last_frame_out_ = self.terminated_ && frame->goaway.error_code != NGHTTP2_NO_ERROR;
      if (self.terminated_ || frame->goaway.error_code == NGHTTP2_NO_ERROR) return 0;
      // nghttp2's own verdict on bytes that are not HTTP/2.
      self.close_reason_ = nghttp2_http2_strerror(frame->goaway.error_code);
      if (frame->goaway.opaque_data_len > 0) {
        self.close_reason_.append(": ").append(view(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
      }
    }
    return 0;
  }

  // Says how much of a stream's output goes into the next DATA frame; send_data moves it.
  static ssize_t read(nghttp2_session*, int32_t, uint8_t*, size_t limit, uint32_t* flags, nghttp2_data_source* source,
                      void* user) {
    auto& s = *static_cast<ServerStream*>(source->ptr);
    if (s.output.empty() && !s.finishing) {
      s.starved = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t n = std::min(limit, s.output.size());
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s.output.size() && s.finishing) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!s.plain) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        static_cast<Session*>(user)->submit_trailers(s);
      }
    }
    return static_cast<ssize_t>(n);
  }

  static int send_data(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user) {
    auto& self = *static_cast<Session*>(user);
    auto& s = *static_cast<ServerStream*>(source->ptr);
    CHECK(frame->data.padlen == 0, "no padding was asked for");
    if (self.output_.size() >= self.output_limit_) return NGHTTP2_ERR_WOULDBLOCK;  // nghttp2 asks again
    constexpr size_t kFrameHeader = 9;
    self.output_.append(view(header, kFrameHeader));
    s.output.move_front(size, self.output_);
    self.before_output(s, size);
    return 0;
  }

  static void install(nghttp2_session_callbacks* c) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
  }
};

void GrpcServerConnection::Session::start_http2() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0, "out of memory");
  Callbacks::install(callbacks);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  // Resets are judged by resets_: nghttp2's own limiter reads the system's clock.
  nghttp2_option_set_stream_reset_rate_limit(option, std::numeric_limits<uint32_t>::max(), 1);
  // A header block is read to its end even when it is too long, for the sake of the compression's state: this many
  // frames of 16 KiB at most, of which max_header_list is kept (CVE-2024-28182).
  nghttp2_option_set_max_continuations(option, kMaxContinuations);
  CHECK(nghttp2_session_server_new2(&http2_, callbacks, this, option) == 0, "out of memory");
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);

  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options_.max_header_list)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  int error = nghttp2_submit_settings(http2_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  CHECK(error == 0, "settings were refused: {}", nghttp2_strerror(error));
  error = nghttp2_session_set_local_window_size(http2_, NGHTTP2_FLAG_NONE, 0,
                                                static_cast<int32_t>(options_.connection_window));
  CHECK(error == 0, "the connection's window was refused: {}", nghttp2_strerror(error));
}

void GrpcServerConnection::Session::submit_headers(ServerStream& s) {
  static const std::array<nghttp2_nv, 2> headers = {constant(":status", "200"),
                                                    constant("content-type", "application/grpc")};
  nghttp2_data_provider provider{};
  provider.source.ptr = &s;
  provider.read_callback = Callbacks::read;
  s.headers_sent = true;
  // Fails only when the stream is being reset, or for lack of memory: then on_stream_closed follows.
  nghttp2_submit_response(http2_, s.id.value, headers.data(), headers.size(), &provider);
}

void GrpcServerConnection::Session::submit_trailers(ServerStream& s) {
  const std::array<nghttp2_nv, 2> trailers = {constant("grpc-status", kStatusText[static_cast<size_t>(s.status)]),
                                              copied_value("grpc-message", s.status_message)};
  nghttp2_submit_trailer(http2_, s.id.value, trailers.data(), s.status_message.empty() ? 1 : 2);
}

// The whole answer in one HEADERS frame ("Trailers-Only").
void GrpcServerConnection::Session::submit_error(ServerStream& s) {
  std::array<nghttp2_nv, 5> headers = {constant(":status", "200"), constant("content-type", "application/grpc"),
                                       constant("grpc-status", kStatusText[static_cast<size_t>(s.status)])};
  size_t count = 3;
  if (!s.status_message.empty()) headers[count++] = copied_value("grpc-message", s.status_message);
  // What a client that compresses needs to know to do better (gRPC: compression.md).
  if (s.status == GrpcStatus::Unimplemented) headers[count++] = constant("grpc-accept-encoding", "identity");
  s.headers_sent = true;
  nghttp2_submit_response(http2_, s.id.value, headers.data(), count, nullptr);
}

void GrpcServerConnection::Session::submit_plain(ServerStream& s, const PlainAnswer& answer) {
  const std::string status = fmt::format("{}", answer.status);
  const std::array<nghttp2_nv, 2> headers = {copied_value(":status", status),
                                             copied_value("content-type", answer.content_type)};
  nghttp2_data_provider provider{};
  provider.source.ptr = &s;
  provider.read_callback = Callbacks::read;
  s.headers_sent = true;
  nghttp2_submit_response(http2_, s.id.value, headers.data(), headers.size(), &provider);
}

}  // namespace witan::wire
