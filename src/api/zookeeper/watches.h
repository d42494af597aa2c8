// Who waits for news of which node, on one loop: ZooKeeper's two tables, data and children, of all its connections.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include "api/zookeeper/codes.h"
#include "base/blob.h"
#include "base/chain.h"
#include "store/types.h"

namespace witan::api::zookeeper {

// What a connection may have on one path, any of them together. The first two go when they fire.
enum WatchKinds : uint8_t {
  kNoWatch = 0,
  kDataWatch = 1,
  kChildWatch = 2,
  kPersistentWatch = 4,  // in both tables
  kRecursiveWatch = 8,   // in the data table, for everything below as well
};
constexpr WatchKinds operator|(WatchKinds a, WatchKinds b) {
  return static_cast<WatchKinds>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr WatchKinds operator&(WatchKinds a, WatchKinds b) {
  return static_cast<WatchKinds>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
inline constexpr WatchKinds kAllWatches = kDataWatch | kChildWatch | kPersistentWatch | kRecursiveWatch;

struct WatchEvent {
  EventType type = EventType::NodeCreated;
  std::string_view path;  // the store's
  store::Revision revision;
  std::string_view acl;  // of the node whose news it is (store/acl.h)
};

class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // To each of `connections`, in their order. May add and remove watches.
  virtual void on_event(const WatchEvent& event, std::span<const uint32_t> connections) = 0;
};

// The kinds that make up each table.
inline constexpr WatchKinds kDataTable = kDataWatch | kPersistentWatch | kRecursiveWatch;
inline constexpr WatchKinds kChildTable = kChildWatch | kPersistentWatch;

class Watches {
 public:
  explicit Watches(WatchSink& sink) : sink_(sink) {}

  void add(uint32_t connection, std::string_view path, WatchKinds kinds);
  WatchKinds at(uint32_t connection, std::string_view path) const;
  void remove(uint32_t connection, std::string_view path, WatchKinds kinds);
  void remove_all(uint32_t connection);

  void on_changes(std::span<const store::ChangeBatchPtr> batches);
  void on_event(const store::NodeEvent& event, store::Revision revision);

  // ---- counts and listings
  bool watching(uint32_t connection) const { return connections_.contains(connection); }
  size_t paths_of(uint32_t connection) const;
  std::vector<uint32_t> connections() const;  // that have any, sorted
  // Paths that it has any of `kinds` on, sorted.
  std::vector<std::string_view> listing(uint32_t connection, WatchKinds kinds = kAllWatches) const;
  size_t watches() const { return watches_; }
  size_t paths() const { return index_.size(); }

 private:
  using Slot = uint32_t;
  struct Entry {
    std::string path;
    absl::btree_map<uint32_t, WatchKinds> watchers;  // never kNoWatch
  };

  void fire(const WatchEvent& event, WatchKinds table, bool suppress_told);
  void collect(std::string_view path, WatchKinds table);
  void collect_above(std::string_view path);
  void take(Slot slot, uint32_t connection, WatchKinds kinds);
  void forget(Slot slot);

  WatchSink& sink_;
  std::deque<Entry> entries_;  // by slot; they do not move
  std::vector<Slot> free_;
  absl::flat_hash_map<std::string_view, Slot> index_;  // keys point into the entries
  absl::flat_hash_map<uint32_t, absl::btree_set<Slot>> connections_;
  size_t watches_ = 0;
  size_t recursive_ = 0;
  std::vector<uint32_t> found_;  // of the event that is being fired
  std::vector<uint32_t> told_;   // of the one before it
};

}  // namespace witan::api::zookeeper
