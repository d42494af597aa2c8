#include "store/batch_writer.h"

#include <algorithm>

#include "base/check.h"
#include "store/accounting.h"

namespace witan::store {

VersionRef BatchWriter::put(const Put& put) {
  Index::Place place = state_.index.find(put.key);
  VersionRef before;
  if (place.found()) {
    before = place.chain().latest_ref();
  } else {
    state_.index.insert(place, Blob(put.key));
  }
  const LeaseId owner = !put.ignore_lease ? put.lease : before ? before->lease : LeaseId(0);
  Blob value = !put.ignore_value ? Blob(put.value) : before ? before->value : Blob(std::string_view());
  change(place, VersionRef(next_version(before.get(), false, std::move(value), owner)));
  return before;
}

// What ZooKeeper's clients see as the version is one less; of an implied node they have seen version 0 already.
Version* BatchWriter::next_version(const Version* before, bool was_implied, Blob value, LeaseId owner) const {
  auto* const after = new Version;
  after->create_revision = before != nullptr ? before->create_revision : at_;
  after->mod_revision = at_;
  after->version = before != nullptr ? before->version + 1 : was_implied ? 2 : 1;
  after->created = before != nullptr ? before->created : stamp_;
  after->modified = stamp_;
  after->lease = owner;
  after->value = std::move(value);
  return after;
}

void BatchWriter::write_node(std::string_view path, Blob value, std::optional<LeaseId> owner) {
  if (is_hidden(path)) {
    const bool existed = state_.nodes().exists(path);
    const Version* const before = state_.hidden.latest(path);
    const LeaseId owns = owner ? *owner : before != nullptr ? before->lease : LeaseId(0);
    batch();
    if (!existed && owns != LeaseId(0)) state_.leases.attach(owns, Blob(path));
    state_.hidden.set(path, VersionRef(next_version(before, existed && before == nullptr, std::move(value), owns)));
    state_.quotas.limits_changed(path, state_.hidden.latest(path), state_.index);
    return note(existed ? NodeEvent::Type::Changed : NodeEvent::Type::Created, path, false);
  }
  Index::Place place = state_.index.find(path);
  const VersionRef before = place.found() ? place.chain().latest_ref() : VersionRef();
  const bool was_implied = !before && state_.nodes().exists(path);
  if (!place.found()) state_.index.insert(place, Blob(path));
  const LeaseId owns = owner ? *owner : before ? before->lease : LeaseId(0);
  change(place, VersionRef(next_version(before.get(), was_implied, std::move(value), owns)));
}

void BatchWriter::delete_node(std::string_view path) {
  if (!is_hidden(path)) {
    delete_range({.begin = path, .single = true}, nullptr);
    return;
  }
  note(NodeEvent::Type::Deleted, path, false);
  if (const LeaseId owner = state_.hidden.latest(path)->lease; owner != LeaseId(0)) state_.leases.detach(owner, path);
  state_.hidden.erase(path, at_);
  state_.quotas.limits_changed(path, nullptr, state_.index);
  state_.node_rows.drop(path);
}

void BatchWriter::write_node_row(std::string_view path, NodeRow row) {
  batch();
  state_.node_rows.set(path, std::move(row));
}

ChangeBatch& BatchWriter::batch() {
  changed_ = true;
  if (batch_ == nullptr) {
    batch_ = std::make_shared<ChangeBatch>();
    batch_->revision = at_;
  }
  return *batch_;
}

// `follows`: the event is what for_each_node_event makes of the change that is about to be collected.
void BatchWriter::note(NodeEvent::Type type, std::string_view path, bool follows) {
  ChangeBatch& all = batch();
  if (all.node_events == nullptr && follows && state_.node_rows.empty()) return;
  Blob acl = state_.node_rows.acl_of(path);
  Blob parent_acl = path == "/" ? Blob() : state_.node_rows.acl_of(parent_of(path));
  if (all.node_events == nullptr) {
    if (follows && acl.is_null() && parent_acl.is_null()) return;
    auto events = std::make_unique<std::vector<NodeEvent>>();
    for_each_node_event(all, [&](const NodeEvent& event) { events->push_back(event); });
    all.node_events = std::move(events);
  }
  all.node_events->push_back(
      {.type = type, .path = Blob(path), .acl = std::move(acl), .parent_acl = std::move(parent_acl)});
}

// The rows of nodes that are gone go too, after whoever may hear of it was noted down.
void BatchWriter::tell_directories(const Blob& key, bool appeared, bool again) {
  // The root is there with and without a key of its name.
  if (key.view() == "/") return note(NodeEvent::Type::Changed, key, !again);
  const auto effect = appeared ? state_.directories.appeared(key, at_) : state_.directories.vanished(key, at_);
  if (!effect) return;
  const bool follows = effect->itself && effect->implied.empty() && !again;
  if (appeared) {
    for (auto parent = effect->implied.rbegin(); parent != effect->implied.rend(); ++parent)
      note(NodeEvent::Type::Created, *parent, false);
    return note(effect->itself ? NodeEvent::Type::Created : NodeEvent::Type::Changed, key, follows);
  }
  note(effect->itself ? NodeEvent::Type::Deleted : NodeEvent::Type::Changed, key, follows);
  if (!effect->itself) {
    // What stays implied keeps its access list, but nobody made it a container.
    NodeRow row = state_.node_rows.of(key);
    row.kind = NodeKind::Ordinary;
    row.ttl_ms = 0;
    return state_.node_rows.set(key, std::move(row));
  }
  state_.node_rows.drop(key);
  for (const std::string_view parent : effect->implied) {
    note(NodeEvent::Type::Deleted, parent, false);
    state_.node_rows.drop(parent);
  }
}

int64_t BatchWriter::delete_range(const KeyRangeView& range, std::vector<KeyVersion>* previous) {
  int64_t deleted = 0;
  for (Index::Place place = state_.index.seek(range.begin); place.found() && range.contains(place.key());
       state_.index.advance(place)) {
    if (!place.chain().is_live()) continue;
    if (previous != nullptr) previous->push_back({place.key(), place.chain().latest_ref()});
    change(place, VersionRef());
    ++deleted;
  }
  return deleted;
}

void BatchWriter::change(Index::Place& place, VersionRef after) {
  changed_ = true;
  const Blob& key = place.key();
  VersionChain& chain = place.chain();
  const VersionRef before = chain.latest_ref();
  const bool again = !chain.empty() && chain.latest_revision() == at_;
  if (before) {
    state_.digest.remove(digest_of(key, *before));
    state_.data_bytes -= bytes_of_row(key, *before);
  }
  if (after) {
    state_.digest.add(digest_of(key, *after));
    state_.data_bytes += bytes_of_row(key, *after);
  }
  chain.push(at_, after);
  move_lease(key, before.get(), after.get());
  state_.quotas.changed(key, before.get(), after.get());
  if (static_cast<bool>(before) != static_cast<bool>(after)) {
    state_.index.add_live(place, after ? 1 : -1);
    tell_directories(key, static_cast<bool>(after), again);
  } else if ((again || !state_.node_rows.empty() || (batch_ != nullptr && batch_->node_events != nullptr)) &&
             is_node(key)) {
    note(NodeEvent::Type::Changed, key, !again);
  }
  if (again) {
    amend(key, std::move(after));
    return;
  }
  batch().changes.push_back({key, before, std::move(after)});
  if (amending_) positions_.emplace(batch_->changes.back().key.view(), batch_->changes.size() - 1);
}

// A key that changes twice in one revision stands once in its batch, at its first place with its last content. APIs
// refuse such transactions, but for what etcd overlooks: a delete to the end of all keys beside a put, and one of what
// an earlier nested transaction puts.
void BatchWriter::amend(std::string_view key, VersionRef after) {
  if (!amending_) {
    amending_ = true;
    for (size_t i = 0; i < batch_->changes.size(); ++i) positions_.emplace(batch_->changes[i].key.view(), i);
  }
  batch_->changes[positions_.at(key)].after = std::move(after);
}

void BatchWriter::move_lease(const Blob& key, const Version* before, const Version* after) {
  const LeaseId from = before == nullptr ? LeaseId(0) : before->lease;
  const LeaseId to = after == nullptr ? LeaseId(0) : after->lease;
  if (from == to) return;
  if (from != LeaseId(0)) state_.leases.detach(from, key);
  if (to != LeaseId(0)) state_.leases.attach(to, key);
}

// What appeared and vanished in the same revision was never there.
void BatchWriter::drop_nothings() {
  auto& changes = batch_->changes;
  const auto end = std::remove_if(changes.begin(), changes.end(), [this](const Change& change) {
    if (change.before || change.after) return false;
    Index::Place place = state_.index.find(change.key);
    place.chain().pop(at_);
    if (place.chain().empty()) state_.index.erase(place);
    return true;
  });
  changes.erase(end, changes.end());
}

ChangeBatchPtr BatchWriter::commit() {
  if (!changed_) return nullptr;
  if (amending_) drop_nothings();
  positions_.clear();
  state_.revision = at_;
  ChangeBatchPtr batch = std::move(batch_);
  state_.history.append(batch, state_.largest_stamp);
  return batch;
}

}  // namespace witan::store
