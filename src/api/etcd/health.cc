// grpc.health.v1: the server serves as long as it answers at all; only the name "" is known.
#include "api/etcd/handlers.h"
#include "api/etcd/proto/health.pb.h"

namespace witan::api::etcd {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// The status never changes while the connection lives, so one response is all there ever is.
class HealthWatch final : public StreamHandler {
 public:
  HealthWatch(Service& service, CallKey call) : service_(service), call_(call) {}
  void on_message(std::string_view message) override {
    HealthCheckRequest request;
    if (!service_.parse_stream(call_, message, request)) return;
    HealthCheckResponse response;
    response.set_status(request.service().empty() ? HealthCheckResponse::SERVING
                                                  : HealthCheckResponse::SERVICE_UNKNOWN);
    service_.send(call_, response);
  }

 private:
  Service& service_;
  const CallKey call_;
};

}  // namespace

void health_check(Service& service, CallKey call, std::string_view message) {
  HealthCheckRequest request;
  if (!service.parse(call, message, request)) return;
  if (!request.service().empty()) return service.fail(call, Error::UnknownHealthService);
  HealthCheckResponse response;
  response.set_status(HealthCheckResponse::SERVING);
  service.reply(call, response);
}

std::unique_ptr<StreamHandler> health_watch(Service& service, CallKey call) {
  return std::make_unique<HealthWatch>(service, call);
}

}  // namespace witan::api::etcd
