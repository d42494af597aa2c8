// Auth. Access control does not exist yet; its place is here. Until then the server says truthfully that it is off, in
// the words by which clients find out.
#include "api/etcd/handlers.h"
#include "api/etcd/proto/rpc.pb.h"

namespace witan::api::etcd {

void auth_status(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::AuthStatusRequest request;
  if (!service.parse(call, message, request)) return;
  etcdserverpb::AuthStatusResponse response;
  fill(*response.mutable_header(), service.header());
  response.set_enabled(false);
  response.set_authrevision(1);
  service.reply(call, response);
}

void auth_authenticate(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::AuthenticateRequest request;
  if (service.parse(call, message, request)) service.fail(call, Error::AuthNotEnabled);
}

// What is off may be switched off.
void auth_disable(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::AuthDisableRequest request;
  if (!service.parse(call, message, request)) return;
  etcdserverpb::AuthDisableResponse response;
  fill(*response.mutable_header(), service.header());
  service.reply(call, response);
}

void auth_not_implemented(Service& service, CallKey call, std::string_view) {
  service.fail(call, Error::AuthNotImplemented);
}

}  // namespace witan::api::etcd
