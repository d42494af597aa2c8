#include "api/etcd/service.h"

#include <google/protobuf/message_lite.h>

#include "api/etcd/watch_hub.h"

namespace witan::api::etcd {
namespace {

bool parse_into(std::string_view message, google::protobuf::MessageLite& out) {
  return out.ParseFromArray(message.data(), static_cast<int>(message.size()));
}

}  // namespace

Service::Service(env::Loop& loop, node::Client& client, Transport& transport, const Options& options, Logger log)
    : loop_(loop), client_(client), transport_(transport), options_(options), log_(std::move(log)), rng_(options.seed),
      watches_(std::make_unique<WatchHub>(*this)) {}

Service::~Service() = default;

Header Service::header(store::Revision revision, uint64_t term) const {
  return {.cluster = client_.cluster_id(), .member = client_.member_id(), .revision = revision, .term = term};
}

void Service::reply(CallKey call, const google::protobuf::MessageLite& message) {
  transport_.reply(call, message.SerializeAsString());
}

void Service::send(CallKey call, const google::protobuf::MessageLite& message) {
  Chain bytes;
  bytes.append(message.SerializeAsString());
  transport_.send(call, std::move(bytes));
}

bool Service::parse(CallKey call, std::string_view message, google::protobuf::MessageLite& out) {
  if (parse_into(message, out)) return true;
  fail(call, Error::Unmarshal);
  return false;
}

bool Service::parse_stream(CallKey call, std::string_view message, google::protobuf::MessageLite& out) {
  if (parse_into(message, out)) return true;
  fail(call, Error::UnmarshalStream);
  return false;
}

const node::Done* Service::settle(CallKey call, const node::Outcome& outcome) {
  const std::optional<Status> error = error_of(outcome);
  if (!error) return &std::get<node::Done>(outcome);
  fail(call, *error);
  return nullptr;
}

const node::Done* Service::settle(CallKey call, const node::Answer<node::Done>& answer) {
  const std::optional<Status> error = error_of(answer);
  if (!error) return &*answer;
  fail(call, *error);
  return nullptr;
}

std::optional<Status> error_of(const node::Outcome& outcome) {
  if (const auto* done = std::get_if<node::Done>(&outcome)) {
    if (done->reply.failure.reason == store::Reason::None) return std::nullopt;
    return status_of(done->reply.failure);
  }
  if (const auto* refused = std::get_if<node::NotApplied>(&outcome)) return status_of(*refused);
  return status_of(std::get<node::Unknown>(outcome));
}

std::optional<Status> error_of(const node::Answer<node::Done>& answer) {
  if (!answer) return status_of(answer.error());
  if (answer->reply.failure.reason == store::Reason::None) return std::nullopt;
  return status_of(answer->reply.failure);
}

}  // namespace witan::api::etcd
