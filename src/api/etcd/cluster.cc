// Cluster: who belongs to it. Headers here have no revision, as etcd's.
#include <algorithm>
#include <utility>

#include "api/etcd/handlers.h"
#include "api/etcd/member_urls.h"
#include "api/etcd/proto/rpc.pb.h"

namespace witan::api::etcd {
namespace {

void put_member(const node::MemberInfo& info, etcdserverpb::Member& out) {
  out.set_id(info.id);
  out.set_name(info.name);
  for (const std::string& url : info.peer_urls) out.add_peerurls(url);
  for (const std::string& url : info.client_urls) out.add_clienturls(url);
  out.set_islearner(info.is_learner);
}

template <class Response>
Response response_of(const Service& service, const std::vector<node::MemberInfo>& members, uint64_t term) {
  Response response;
  fill(*response.mutable_header(), service.header(store::Revision(0), term));
  for (const node::MemberInfo& member : members) put_member(member, *response.add_members());
  return response;
}

template <class Response>
void change(Service& service, CallKey call, node::MemberChange what) {
  service.client().change_members(
      std::move(what), [&service, call](const std::expected<node::MembersChanged, node::MemberFailure>& result) {
        if (!result) return service.fail(call, status_of(result.error()));
        service.reply(call, response_of<Response>(service, result->members, result->term));
      });
}

}  // namespace

void cluster_member_add(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MemberAddRequest request;
  if (!service.parse(call, message, request)) return;
  auto urls = checked_member_urls({request.peerurls().begin(), request.peerurls().end()});
  if (!urls) return service.fail(call, Error::BadMemberUrls);
  service.client().change_members(
      node::AddMember{.peer_urls = std::move(*urls), .learner = request.islearner()},
      [&service, call](const std::expected<node::MembersChanged, node::MemberFailure>& result) {
        if (!result) return service.fail(call, status_of(result.error()));
        auto response = response_of<etcdserverpb::MemberAddResponse>(service, result->members, result->term);
        const auto it = std::ranges::find(result->members, result->subject, &node::MemberInfo::id);
        if (it != result->members.end()) put_member(*it, *response.mutable_member());
        service.reply(call, response);
      });
}

void cluster_member_remove(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MemberRemoveRequest request;
  if (!service.parse(call, message, request)) return;
  change<etcdserverpb::MemberRemoveResponse>(service, call, node::RemoveMember{request.id()});
}

// etcd takes any text here; ours refuses URLs that no member could use, once it knows that there is such a member.
void cluster_member_update(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MemberUpdateRequest request;
  if (!service.parse(call, message, request)) return;
  change<etcdserverpb::MemberUpdateResponse>(
      service, call,
      node::UpdateMember{.id = request.id(), .peer_urls = {request.peerurls().begin(), request.peerurls().end()}});
}

void cluster_member_promote(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MemberPromoteRequest request;
  if (!service.parse(call, message, request)) return;
  change<etcdserverpb::MemberPromoteResponse>(service, call, node::PromoteMember{request.id()});
}

void cluster_member_list(Service& service, CallKey call, std::string_view message) {
  etcdserverpb::MemberListRequest request;
  if (!service.parse(call, message, request)) return;
  const auto consistency = request.linearizable() ? node::Consistency::Linearizable : node::Consistency::Local;
  service.client().members(consistency, [&service, call](const node::Answer<std::vector<node::MemberInfo>>& answer) {
    if (!answer) return service.fail(call, status_of(answer.error()));
    const uint64_t term = service.client().view().term;
    service.reply(call, response_of<etcdserverpb::MemberListResponse>(service, *answer, term));
  });
}

}  // namespace witan::api::etcd
