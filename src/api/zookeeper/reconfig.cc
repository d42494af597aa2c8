// Changes of the membership that a client asks for. ZooKeeper's order of refusals: the version, the text, the right to
// write /zookeeper/config; what the members themselves say against it comes last.
#include <utility>

#include "api/zookeeper/connection.h"
#include "api/zookeeper/errors.h"
#include "api/zookeeper/lower.h"
#include "store/acl.h"
#include "store/path.h"

namespace witan::api::zookeeper {

void Service::learn_members(std::span<const node::MemberInfo> members, uint64_t version, WallTime changed,
                            const Blob& acl) {
  if (!config.take(members, version, changed)) return;
  watches.on_event(
      {.type = store::NodeEvent::Type::Changed, .path = Blob(store::kConfigNode), .acl = acl, .parent_acl = {}},
      client.revision());
}

// First this member learns what all others know: the version and the access list are looked at here.
void Connection::run(Number number, const ReconfigRequest& request) {
  if (!service_.options.reconfig) return fail(number, ErrorCode::ReconfigDisabled);
  service_.client.sync([service = &service_, id = id_, number, config_id = request.config_id,
                        change = lower(request)](const node::Answer<store::Revision>& synced) mutable {
    Connection* connection = service->owner.find(id);
    if (connection == nullptr) return;
    if (!synced) return connection->cut(number);
    connection->check_reconfig(number, config_id, std::move(change));
  });
}

void Connection::check_reconfig(Number number, int64_t config_id,
                                std::expected<node::ReplaceMembers, ErrorCode> change) {
  if (gone_ || stage_ == Stage::Closing) return;
  if (config_id != -1 && static_cast<uint64_t>(config_id) != service_.client.view().members_version) {
    return fail(number, ErrorCode::BadVersion);
  }
  if (!change) return fail(number, change.error());
  store::NodeReads reads;
  reads.reads.push_back({.query = store::NodeQuery::Acl, .path = store::kConfigNode});
  service_.client.read_as(
      {.session = session_, .generation = generation_, .principals = {store::kSuperPrincipal}}, reads, last_write_,
      [service = &service_, id = id_, number, change = std::move(*change)](node::Answer<node::Done> answer) mutable {
        Connection* connection = service->owner.find(id);
        if (connection == nullptr) return;
        auto* result = answer ? std::get_if<store::NodeReadsResult>(&answer->reply.result) : nullptr;
        if (result == nullptr) return connection->cut(number);
        connection->begin_reconfig(number, std::move(change), std::move(result->items.at(0)));
      });
}

void Connection::begin_reconfig(Number number, node::ReplaceMembers change, store::NodeReadsResult::Item config) {
  if (gone_ || stage_ == Stage::Closing) return;
  if (!store::allows(config.acl, identities_.principals(), store::perm::kWrite)) {
    return fail(number, ErrorCode::NoAuth);
  }
  service_.log.info("{} changes the membership: {} join, {} leave{}", socket_->peer().remote, change.joining.size(),
                    change.leaving.size(), change.whole ? ", all others leave" : "");
  service_.client.change_members(std::move(change),
                                 [service = &service_, id = id_, number, config = std::move(config)](
                                     const std::expected<node::MembersChanged, node::MemberFailure>& result) mutable {
                                   Connection* connection = service->owner.find(id);
                                   if (connection != nullptr)
                                     connection->on_reconfigured(number, result, std::move(config));
                                 });
}

// The answer shows the new members, so from here on every read of this loop does: its state may learn of them later.
void Connection::on_reconfigured(Number number, const std::expected<node::MembersChanged, node::MemberFailure>& result,
                                 store::NodeReadsResult::Item config) {
  if (gone_ || stage_ == Stage::Closing) return;
  if (!result) {
    const std::optional<ErrorCode> error = error_of(result.error());
    return error ? fail(number, *error) : cut(number);
  }
  service_.learn_members(result->members, result->version, result->changed, config.acl);
  service_.config.show(config);
  if (const Slot* slot = answers_.waiting(number)) {
    reply(number, *slot, DataReply{.data = config.value, .stat = stat_of(config.stat)});
  }
}

}  // namespace witan::api::zookeeper
