// What a change batch means to the ZooKeeper view.
#pragma once

#include <string_view>

#include "store/path.h"
#include "store/types.h"

namespace witan::store {

// Calls `visit(const NodeEvent&)` for everything that happened to nodes in `batch`, in order.
template <class Visit>
void for_each_node_event(const ChangeBatch& batch, Visit&& visit) {
  if (batch.node_events != nullptr) {
    for (const NodeEvent& event : *batch.node_events) visit(event);
    return;
  }
  for (const Change& change : batch.changes) {
    if (!is_node(change.key)) continue;
    // Not by `before`, which the batch at the compacted revision has forgotten. The root is always there.
    const bool created = change.after && change.after->create_revision == batch.revision && change.key.view() != "/";
    const auto type = created                                    ? NodeEvent::Type::Created
                      : change.after || change.key.view() == "/" ? NodeEvent::Type::Changed
                                                                 : NodeEvent::Type::Deleted;
    visit(NodeEvent{.type = type, .path = change.key, .acl = {}, .parent_acl = {}});
  }
}

}  // namespace witan::store
