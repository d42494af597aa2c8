#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "verify/session.h"

namespace witan::verify {
namespace {

// The state while the operations of one transaction run: what they changed so far, over the revision before.
class Overlay {
 public:
  Overlay(const Nodes& nodes, int64_t at) : nodes_(nodes), at_(at) {}

  const Node* find(const std::string& path) const {
    const auto changed = changed_.find(path);
    if (changed != changed_.end()) return changed->second ? &*changed->second : nullptr;
    return nodes_.find(path, at_);
  }
  void set(const std::string& path, std::optional<Node> node) { changed_[path] = std::move(node); }
  void count_child(std::string_view parent, bool created) {
    const Node* found = find(std::string(parent));
    if (found == nullptr) return;
    Node node = *found;
    node.stat.num_children += created ? 1 : -1;
    if (created) ++node.children_ever;
    set(std::string(parent), std::move(node));
  }

 private:
  const Nodes& nodes_;
  const int64_t at_;
  std::map<std::string, std::optional<Node>> changed_;
};

bool matches(const NodeOp& op, const Node& node) { return op.expected == -1 || op.expected == node.stat.version; }

NodeError create(Overlay& state, const NodeOp& op, std::string& path) {
  const std::string parent_path(parent_of(op.path));
  const Node* parent = state.find(parent_path);
  if (parent == nullptr && parent_path != "/") return NodeError::NoNode;
  if (op.sequential && parent != nullptr) path = fmt::format("{}{:010d}", op.path, parent->children_ever);
  if (state.find(path) != nullptr) return NodeError::NodeExists;
  if (parent != nullptr && parent->stat.owner != 0) return NodeError::NoChildrenForEphemerals;
  state.count_child(parent_path, true);
  Node node{.value = op.value, .stat = {}};
  node.stat.owner = op.ephemeral ? 1 : 0;  // somebody's
  state.set(path, std::move(node));
  return NodeError::Ok;
}

NodeError run(Overlay& state, const NodeOp& op, std::string& path) {
  if (op.kind == NodeOp::Kind::Create) return create(state, op, path);
  const Node* node = state.find(op.path);
  if (node == nullptr) return NodeError::NoNode;
  if (!matches(op, *node)) return NodeError::BadVersion;
  if (op.kind == NodeOp::Kind::Check) return NodeError::Ok;
  if (op.kind == NodeOp::Kind::Set) {
    Node changed = *node;
    changed.value = op.value;
    ++changed.stat.version;
    state.set(op.path, std::move(changed));
    return NodeError::Ok;
  }
  if (node->stat.num_children > 0) return NodeError::NotEmpty;
  state.set(op.path, std::nullopt);
  state.count_child(parent_of(op.path), false);
  return NodeError::Ok;
}

class Judge {
 public:
  Judge(const Nodes& nodes, const std::vector<SessionEntry>& log) : nodes_(nodes), log_(log) {}

  std::vector<Violation> run() {
    for (const SessionEntry& entry : log_) {
      own(entry.after - (entry.changed ? 1 : 0));
      switch (entry.what) {
        case SessionEntry::What::Open:
        case SessionEntry::What::Attach: generations_[entry.session] = entry.generation; break;
        case SessionEntry::What::Write: judge_write(entry); break;
        case SessionEntry::What::End:
          if (entry.ended) judge_end(entry);
      }
    }
    return findings_.take();
  }

 private:
  // Who owns what, up to the revision.
  void own(int64_t revision) {
    for (; owned_by_ < revision; ++owned_by_) {
      for (const Change& change : nodes_.truth().changes(owned_by_ + 1)) {
        if (change.before) owned_[change.before->lease].erase(change.key);
        if (change.after) owned_[change.after->lease].insert(change.key);
      }
    }
  }

  void judge_write(const SessionEntry& entry) {
    const auto generation = generations_.find(entry.session);
    if (generation == generations_.end() || entry.generation < generation->second) {
      if (!entry.changed) return;
      const bool ended = generation == generations_.end();
      return accuse(ended ? "session-end" : "moved",
                    ended ? "something is changed for a session that has ended"
                          : "something is changed under a generation that is over",
                    entry);
    }
    const int64_t before = entry.after - (entry.changed ? 1 : 0);
    const NodeEffect effect = evaluate(nodes_, entry.ops, before);
    if ((effect.error == NodeError::Ok) != entry.changed) {
      return accuse(
          "node-effect",
          fmt::format("it {} although it should {} on the state of revision {}",
                      entry.changed ? "changed something" : "failed",
                      entry.changed ? fmt::format("fail with {}", static_cast<int>(effect.error)) : "succeed", before),
          entry);
    }
    if (entry.changed) judge_changes(entry, effect);
  }

  void judge_changes(const SessionEntry& entry, const NodeEffect& effect) {
    std::map<std::string, const Change*> changes;
    for (const Change& change : nodes_.truth().changes(entry.after)) changes[change.key] = &change;
    size_t expected = 0;
    for (size_t i = 0; i < entry.ops.size(); ++i) {
      const NodeOp& op = entry.ops[i];
      if (op.kind == NodeOp::Kind::Check) continue;
      ++expected;
      const auto found = changes.find(effect.paths[i]);
      if (found == changes.end() || !does(op, *found->second, entry.session)) {
        return accuse("node-effect", fmt::format("revision {} is not what it does to {}", entry.after, effect.paths[i]),
                      entry);
      }
    }
    if (changes.size() != expected) {
      accuse("node-effect", fmt::format("revision {} changes more than it says", entry.after), entry);
    }
  }

  static bool does(const NodeOp& op, const Change& change, int64_t session) {
    if (op.kind == NodeOp::Kind::Delete) return !change.after;
    if (!change.after || change.after->value != op.value) return false;
    const bool creates = op.kind == NodeOp::Kind::Create;
    if (creates != !change.before) return false;
    return !creates || change.after->lease == (op.ephemeral ? session : 0);
  }

  void judge_end(const SessionEntry& entry) {
    generations_.erase(entry.session);
    std::set<std::string> owned = owned_[entry.session];
    if (entry.changed) {
      for (const Change& change : nodes_.truth().changes(entry.after)) {
        if (change.after || owned.erase(change.key) == 0) {
          return accuse("session-end", "its end changes " + printable(change.key) + ", which it does not own", entry);
        }
      }
    }
    if (!owned.empty()) {
      accuse("session-end", fmt::format("its end leaves {} of its nodes, {} for one", owned.size(), *owned.begin()),
             entry);
    }
  }

  void accuse(std::string rule, std::string what, const SessionEntry& entry) {
    std::vector<std::string> window{describe(entry)};
    if (entry.changed && nodes_.truth().has(entry.after)) {
      for (const Change& change : nodes_.truth().changes(entry.after)) window.push_back("changed " + describe(change));
    }
    findings_.add(std::move(rule), fmt::format("session {:#x}: {}", static_cast<uint64_t>(entry.session), what),
                  std::move(window));
  }

  const Nodes& nodes_;
  const std::vector<SessionEntry>& log_;
  std::map<int64_t, uint64_t> generations_;  // of those that live
  std::map<int64_t, std::set<std::string>> owned_;
  int64_t owned_by_ = 1;  // the revision that owned_ stands at
  Findings findings_;
};

}  // namespace

NodeEffect evaluate(const Nodes& nodes, const std::vector<NodeOp>& ops, int64_t at) {
  Overlay state(nodes, at);
  NodeEffect out;
  for (size_t i = 0; i < ops.size(); ++i) {
    out.paths.push_back(ops[i].path);
    out.error = run(state, ops[i], out.paths.back());
    out.failed = i;
    if (out.error != NodeError::Ok) return out;
  }
  return out;
}

std::vector<Violation> check_session_log(const Nodes& nodes, const std::vector<SessionEntry>& log) {
  return Judge(nodes, log).run();
}

// ---- For people ---------------------------------------------------------------------------------

std::string describe(const NodeOp& op) {
  const std::string version = op.expected == -1 ? "" : fmt::format(" if at {}", op.expected);
  switch (op.kind) {
    case NodeOp::Kind::Create:
      return fmt::format("create{}{} {} = {}", op.ephemeral ? " ephemeral" : "", op.sequential ? " sequential" : "",
                         op.path, printable(op.value));
    case NodeOp::Kind::Delete: return fmt::format("delete {}{}", op.path, version);
    case NodeOp::Kind::Set: return fmt::format("set {} = {}{}", op.path, printable(op.value), version);
    case NodeOp::Kind::Check: return fmt::format("check {}{}", op.path, version);
  }
  return "?";
}

std::string describe(const NodeRequest& request) {
  using Kind = NodeRequest::Kind;
  const std::string when = describe(request.sent) + " ";
  const char* watch = request.watch ? " and watch" : "";
  switch (request.kind) {
    case Kind::Write: return when + (request.ops.empty() ? "nothing" : describe(request.ops.front()));
    case Kind::Multi: {
      std::string text = when + "multi";
      for (const NodeOp& op : request.ops) text += "; " + describe(op);
      return text;
    }
    case Kind::Exists: return fmt::format("{}exists {}{}", when, request.path, watch);
    case Kind::Data: return fmt::format("{}get {}{}", when, request.path, watch);
    case Kind::Children: return fmt::format("{}children of {}{}", when, request.path, watch);
    case Kind::Sync: return when + "sync";
    case Kind::Ping: return when + "ping";
    case Kind::SetWatches: {
      std::string text = fmt::format("{}set watches again since {}", when, request.rewatch.relative);
      const auto list = [&text](const char* what, const std::vector<std::string>& paths) {
        if (!paths.empty()) text += fmt::format(", {}: {}", what, fmt::join(paths, " "));
      };
      list("data", request.rewatch.data);
      list("exist", request.rewatch.exist);
      list("children", request.rewatch.child);
      list("persistent", request.rewatch.persistent);
      list("recursive", request.rewatch.recursive);
      return text;
    }
    case Kind::AddWatch: return fmt::format("{}watch {}{}", when, request.path, request.recursive ? " and below" : "");
    case Kind::Close: return when + "close";
  }
  return "?";
}

std::string describe(const NodeReply& reply) {
  std::string text =
      fmt::format("{} answered {} at zxid {}", describe(reply.at), static_cast<int>(reply.error), reply.zxid);
  for (const NodeReply::Item& item : reply.items) {
    text +=
        fmt::format("; {} {}{}", static_cast<int>(item.error), item.path, item.stat ? " " + describe(*item.stat) : "");
  }
  if (reply.stat) text += "; " + describe(*reply.stat);
  if (!reply.value.empty()) text += " = " + printable(reply.value);
  for (const std::string& name : reply.names) text += " " + name;
  return text;
}

std::string describe(const NodeEvent& event) {
  const char* const names[] = {"?", "created", "deleted", "changed", "children changed"};
  return fmt::format("{} event: {} {} at zxid {}", describe(event.at), event.path,
                     names[static_cast<size_t>(event.type)], event.zxid);
}

std::string describe(const SessionEntry& entry) {
  const char* const names[] = {"opened", "attached", "", "ended"};
  std::string text =
      fmt::format("{} session {:#x} generation {} {}", describe(entry.when), static_cast<uint64_t>(entry.session),
                  entry.generation, names[static_cast<size_t>(entry.what)]);
  for (const NodeOp& op : entry.ops) text += "; " + describe(op);
  return text + fmt::format(" => {} {}", entry.changed ? "made" : "left", entry.after);
}

}  // namespace witan::verify
