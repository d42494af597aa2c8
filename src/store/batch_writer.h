// Changes of one revision in the making: a command's puts and deletes go through here, and only here.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "store/node.h"
#include "store/state.h"

namespace witan::store {

// Changes the state at once, so that later operations see earlier ones, and collects the batch. Nothing is undone: who
// calls has checked everything that can fail. commit() must follow.
class BatchWriter {
 public:
  BatchWriter(State& state, WallTime stamp) : state_(state), stamp_(stamp), at_(state.revision + 1) {}

  bool changed() const { return changed_; }
  // What a read sees that runs now.
  Revision seen() const { return changed_ ? at_ : state_.revision; }
  // The changes so far; null when there are none.
  const ChangeBatch* pending() const { return batch_.get(); }

  // The previous version. Requires that the lease, when not 0, is there. Keeping the value or the lease of a key that
  // an earlier operation of the same transaction deleted (no API sends that) keeps an empty value and no lease.
  VersionRef put(const Put& put);
  // Deletes every key of the range, in key order; collects into `previous` unless it is null. Returns how many.
  int64_t delete_range(const KeyRangeView& range, std::vector<KeyVersion>* previous);

  // ---- Nodes of the ZooKeeper view, hidden ones included
  // Makes the node or gives it new data. `owner` nullopt: as it was. Requires that its parent is there.
  void write_node(std::string_view path, Blob value, std::optional<LeaseId> owner);
  // Requires that it is there and has no children.
  void delete_node(std::string_view path);
  // The access list and the rest of the row. Moves the revision, and is no news to anybody (core T4).
  void write_node_row(std::string_view path, NodeRow row);

  // The revision moves if anything was changed, even when the operations together came to nothing.
  ChangeBatchPtr commit();

 private:
  void change(Index::Place& place, VersionRef after);
  void amend(std::string_view key, VersionRef after);
  Version* next_version(const Version* before, bool was_implied, Blob value, LeaseId owner) const;
  ChangeBatch& batch();
  void tell_directories(const Blob& key, bool appeared, bool again);
  void note(NodeEvent::Type type, std::string_view path, bool follows);
  void move_lease(const Blob& key, const Version* before, const Version* after);
  void drop_nothings();

  State& state_;
  const Stamp stamp_;
  const Revision at_;
  bool changed_ = false;
  bool amending_ = false;  // a key has changed twice; from then on positions_ knows where each stands
  std::shared_ptr<ChangeBatch> batch_;
  std::map<std::string_view, size_t> positions_;  // looked up, and its keys live in the batch
};

}  // namespace witan::store
