#include "api/zookeeper/admin.h"

#include <utility>

#include <fmt/format.h>

#include "api/zookeeper/admin_commands.h"
#include "wire/http1.h"

namespace witan::api::zookeeper {
namespace {

// How long somebody may take to read what is left when its connection is closed.
constexpr Duration kCloseWithin = seconds(10);

std::string list_of_commands(std::string_view url) {
  std::string out;
  for (const AdminCommand& command : admin_commands()) {
    out += fmt::format("<a href=\"{0}/{1}\">{1}</a>\n<br/>\n", url, command.name);
  }
  return out;
}

}  // namespace

// One connection.
class AdminServer::Visitor final : private env::ConnectionHandler {
 public:
  Visitor(AdminServer& server, uint32_t id, std::unique_ptr<env::Connection> socket)
      : server_(server), id_(id), socket_(std::move(socket)) {}
  ~Visitor() override { server_.loop_.cancel(timer_); }

  void start() {
    wait(server_.options_.idle);
    socket_->start(*this);
  }

 private:
  void on_bytes(std::string_view bytes) override {
    if (closing_) return;
    decoder_.feed(bytes);
    advance();
  }
  void on_closed(std::string_view /*reason*/) override { server_.gone(id_); }

  void wait(Duration duration) {
    server_.loop_.cancel(timer_);
    timer_ = server_.loop_.call_at(server_.loop_.now() + duration, [this] {
      timer_ = 0;
      server_.gone(id_);
    });
  }

  // One request at a time: while its answer is on the way nothing more is read.
  void advance() {
    while (!asking_ && !closing_) {
      const auto input = decoder_.next(request_);
      if (input == wire::Http1Decoder::Input::More) return socket_->pause_reading(false);
      if (input == wire::Http1Decoder::Input::Bad) {
        request_ = {};
        return say({.status = decoder_.error_status(), .body = admin_error("", "this is no request")});
      }
      asking_ = true;
      socket_->pause_reading(true);
      server_.serve(request_.method, request_.target,
                    [server = &server_, alive = server_.alive_, id = id_](Answer answer) {
                      if (!*alive) return;
                      const auto it = server->connections_.find(id);
                      if (it != server->connections_.end()) it->second->answered(answer);
                    });
    }
  }

  void answered(const Answer& answer) {
    say(answer);
    asking_ = false;
    advance();
  }

  void say(const Answer& answer) {
    const bool keep = request_.keep_alive;
    Chain bytes;
    bytes.append(wire::encode_http1_response({.status = answer.status,
                                              .content_type = answer.content_type,
                                              .allow = answer.allow,
                                              .keep_alive = keep,
                                              .head = request_.method == "HEAD"},
                                             answer.body));
    socket_->write(std::move(bytes));
    if (keep) return wait(server_.options_.idle);
    closing_ = true;
    wait(kCloseWithin);
    socket_->close_after_flush();
  }

  AdminServer& server_;
  const uint32_t id_;
  std::unique_ptr<env::Connection> socket_;
  wire::Http1Decoder decoder_;
  wire::Http1Request request_;
  bool asking_ = false;
  bool closing_ = false;
  env::TimerId timer_ = 0;
};

AdminServer::AdminServer(env::Loop& loop, Operators& operators, const AdminOptions& options, Logger log)
    : loop_(loop), operators_(operators), options_(options), log_(std::move(log)) {}

AdminServer::~AdminServer() {
  *alive_ = false;
  connections_.clear();
}

void AdminServer::accept(std::unique_ptr<env::Connection> connection) {
  if (stopped_ || connections_.size() >= options_.max_connections) return;
  auto& entry = connections_[++last_id_];
  entry = std::make_unique<Visitor>(*this, last_id_, std::move(connection));
  entry->start();
}

void AdminServer::stop() {
  stopped_ = true;
  connections_.clear();
}

// Later, because it may be this connection that calls.
void AdminServer::gone(uint32_t visitor) {
  loop_.post([this, alive = alive_, visitor] {
    if (*alive) connections_.erase(visitor);
  });
}

void AdminServer::serve(std::string_view method, std::string_view target, Function<void(Answer)> done) {
  const auto later = [this](Function<void(Answer)> tell, Answer answer) {
    loop_.post([tell = std::move(tell), answer = std::move(answer)]() mutable { tell(std::move(answer)); });
  };
  if (method != "GET" && method != "HEAD") {
    return later(std::move(done),
                 {.status = 405, .allow = "GET, HEAD", .body = admin_error("", "only GET and HEAD are served")});
  }
  target = target.substr(0, target.find('?'));
  const bool is_command = target.starts_with(options_.command_url);
  std::string_view name = is_command ? target.substr(options_.command_url.size()) : target;
  if (is_command && (name.empty() || name == "/")) {
    return later(std::move(done), {.content_type = "text/html", .body = list_of_commands(options_.command_url)});
  }
  if (!is_command || !name.starts_with('/')) {
    return later(std::move(done), {.status = 404, .body = admin_error("", "there is nothing at this address")});
  }
  name.remove_prefix(1);
  const AdminCommand* const command = find_admin_command(name);
  if (command == nullptr) {
    return later(std::move(done), {.body = admin_error(name, fmt::format("Unknown command: {}", name))});
  }
  if (!command->when_not_serving && operators_.mode() == "null") {
    return later(std::move(done), {.body = admin_error(command->name,
                                                       "This ZooKeeper instance is not currently "
                                                       "serving requests")});
  }
  operators_.survey(command->wanted, [this, command, done = std::move(done)](const Report& report) mutable {
    done({.body = admin_answer(*command, operators_.facts(), report)});
  });
}

}  // namespace witan::api::zookeeper
