#include "wire/grpc_server.h"

#include "wire/grpc_server_session.h"

namespace witan::wire {

GrpcServerConnection::GrpcServerConnection(const GrpcServerOptions& options, GrpcHandler& handler, Instant now)
    : session_(std::make_unique<Session>(options, handler, now)) {}
GrpcServerConnection::~GrpcServerConnection() = default;

void GrpcServerConnection::on_bytes(Instant now, std::string_view bytes) {
  if (!bytes.empty()) session_->on_bytes(now, bytes);
}
void GrpcServerConnection::on_timer(Instant now) { session_->on_timer(now); }
Instant GrpcServerConnection::next_deadline() const { return session_->next_deadline(); }
Chain GrpcServerConnection::take_output(size_t limit) { return session_->take_output(limit); }
bool GrpcServerConnection::wants_write() const { return session_->wants_write(); }
bool GrpcServerConnection::wants_read() const { return session_->wants_read(); }
bool GrpcServerConnection::wants_close() const { return session_->wants_close(); }
std::string_view GrpcServerConnection::close_reason() const { return session_->close_reason(); }
void GrpcServerConnection::on_disconnect() { session_->on_disconnect(); }
void GrpcServerConnection::go_away(Instant now) { session_->go_away(now); }

void GrpcServerConnection::send_message(StreamId stream, Chain&& message) {
  session_->send_message(stream, std::move(message));
}
void GrpcServerConnection::send_message(StreamId stream, std::string_view message) {
  session_->send_message(stream, message);
}
void GrpcServerConnection::finish(StreamId stream, GrpcStatus status, std::string_view message) {
  session_->finish(stream, status, message);
}
void GrpcServerConnection::reply(StreamId stream, Chain&& message) {
  session_->send_message(stream, std::move(message));
  session_->finish(stream, GrpcStatus::Ok, {});
}
void GrpcServerConnection::reply(StreamId stream, std::string_view message) {
  session_->send_message(stream, message);
  session_->finish(stream, GrpcStatus::Ok, {});
}
size_t GrpcServerConnection::pending_bytes(StreamId stream) const { return session_->pending_bytes(stream); }
void GrpcServerConnection::pause_reading(StreamId stream, bool paused) { session_->pause_reading(stream, paused); }
size_t GrpcServerConnection::open_streams() const { return session_->open_streams(); }
size_t GrpcServerConnection::memory() const { return session_->memory(); }

}  // namespace witan::wire
