#include "store/builder.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "store/acl.h"
#include "store/derived.h"
#include "store/path.h"
#include "store/state.h"

namespace witan::store {
namespace {

constexpr Revision kFirst(2);  // 1 is the empty store's

std::unexpected<Error> refuse(std::string what) { return fail(Code::Invalid, std::move(what)); }

// The root and what is always below it: older than everything, and there without anybody having made it.
bool is_given(std::string_view path) { return path == "/" || HiddenTable::is_base(path); }

VersionRef version_of(BuiltNode& node) {
  const NodeStat& stat = node.stat;
  if (stat.modified == Revision(0)) return {};
  auto* const version = new Version;
  const bool given = is_given(node.path);
  version->create_revision = given ? stat.modified : stat.created;
  version->mod_revision = stat.modified;
  version->version = stat.version + 1;
  version->created = Stamp(given ? stat.modified_at : stat.created_at);
  version->modified = Stamp(stat.modified_at);
  version->lease = stat.owner;
  version->value = std::move(node.value);
  return VersionRef(version);
}

}  // namespace

struct StoreBuilder::Progress {
  std::unique_ptr<Store> store = std::make_unique<Store>();
  State* state = nullptr;  // the store's
  ReadRows rows;

  Result<> check(const BuiltNode& node) const;
  bool is_known(std::string_view path) const {
    return path == "/" || (is_hidden(path) ? state->hidden.exists(path) : state->index.latest(path) != nullptr);
  }
};

StoreBuilder::StoreBuilder(Revision revision) : progress_(std::make_unique<Progress>()) {
  CHECK(revision >= kFirst, "a store at revision {} has no history", revision.value);
  State& state = *progress_->store->state_;
  progress_->state = &state;
  state.revision = state.compacted = state.trimmed = revision;
  // What is there was made before history begins, so the revision that it begins with changed nothing.
  auto nothing = std::make_shared<ChangeBatch>();
  nothing->revision = revision;
  state.history.start_at(revision);
  state.history.append(std::move(nothing), WallTime{});
}

StoreBuilder::~StoreBuilder() = default;

Result<> StoreBuilder::add_session(LeaseId id, int64_t ttl_ms) {
  LeaseTable& leases = progress_->state->leases;
  if (id == LeaseId(0)) return refuse("a session has the id 0");
  if (leases.find(id) != nullptr) return refuse(fmt::format("the session {:#x} is there twice", id.value));
  leases.insert(
      id,
      {.kind = LeaseKind::ZooKeeper, .ttl_ms = std::clamp<int64_t>(ttl_ms, 1, LeaseTable::kMaxTtlMs), .generation = 1});
  return {};
}

// Everything that a reader of snapshots insists on, so that what is written can be read.
Result<> StoreBuilder::Progress::check(const BuiltNode& node) const {
  const NodeStat& stat = node.stat;
  const std::string_view path = node.path;
  const std::string name = fmt::format("the node {}", path.substr(0, 200));
  if (!is_path(path)) {
    return refuse(
        fmt::format("{} has no name that a node may have here: at most {} bytes and {} levels, and none of the "
                    "characters that ZooKeeper refuses",
                    name, kMaxPathBytes, kMaxPathDepth));
  }
  if (path == kConfigNode) return refuse(fmt::format("{} follows from the members", name));
  if (path != "/" && !is_known(parent_of(path))) return refuse(fmt::format("{} has no parent", name));
  if (!is_given(path) && is_known(path)) return refuse(fmt::format("{} is there twice", name));
  if (!is_acl(node.acl)) return refuse(fmt::format("{} has a list of ACLs that makes no sense", name));
  const Revision revision = state->revision;
  const bool made = stat.modified != Revision(0);
  if (!made && !is_given(path)) return refuse(fmt::format("{} was never written", name));
  if (made && !is_given(path) && (stat.created < kFirst || stat.created > stat.modified)) {
    return refuse(
        fmt::format("{} was created at {:#x} and changed at {:#x}", name, stat.created.value, stat.modified.value));
  }
  if (made && (stat.modified < kFirst || stat.modified >= revision)) {
    return refuse(
        fmt::format("{} was changed at {:#x}, which is not before {:#x}", name, stat.modified.value, revision.value));
  }
  if (stat.children_changed >= revision) {
    return refuse(fmt::format("children of {} changed at {:#x}, which is not before {:#x}", name,
                              stat.children_changed.value, revision.value));
  }
  const int64_t children = stat.children - HiddenTable::base_children(path);
  if (stat.version < 0 || children < 0 || stat.children_ever < children) {
    return refuse(fmt::format("{} has version {}, and {} children of {} ever created", name, stat.version, children,
                              stat.children_ever));
  }
  if (stat.owner != LeaseId(0) && is_given(path)) return refuse(fmt::format("{} is ephemeral", name));
  if (stat.owner != LeaseId(0) && !state->leases.has(stat.owner, LeaseKind::ZooKeeper)) {
    return refuse(fmt::format("{} belongs to the session {:#x}, which is not there", name, stat.owner.value));
  }
  return {};
}

Result<> StoreBuilder::add_node(BuiltNode node) {
  Progress& p = *progress_;
  if (auto checked = p.check(node); !checked) return checked;
  const NodeStat& stat = node.stat;
  const Blob path(node.path);
  NodeRow row{.acl = node.acl.empty() ? Blob() : std::move(node.acl),
              .acl_version = stat.acl_version,
              .kind = node.kind,
              .ttl_ms = node.ttl_ms};
  if (!row.is_plain()) p.rows.nodes.emplace_back(path, std::move(row));
  const Directory children{.created = stat.children_ever,
                           .children = stat.children - HiddenTable::base_children(path),
                           .changed = stat.children_changed};
  VersionRef version = version_of(node);
  if (is_hidden(path)) {
    const Directory own = children.created == 0 ? Directory{} : children;
    if (version || own.created > 0) p.state->hidden.restore(path, {.version = std::move(version), .children = own});
    return {};
  }
  if (children.created > 0) p.rows.directories.emplace_back(path, children);
  if (!version) return {};
  Index::Place place = p.state->index.find(path);
  p.state->index.insert(place, path);
  const Revision at = version->mod_revision;
  place.chain().push(at, std::move(version));
  p.state->index.add_live(place, 1);
  return {};
}

Result<std::unique_ptr<Store>> StoreBuilder::finish() {
  Progress& p = *progress_;
  if (const auto wrong = derive(*p.state, std::move(p.rows))) {
    return refuse(fmt::format("the nodes contradict each other: {}", *wrong));
  }
  return std::move(p.store);
}

}  // namespace witan::store
