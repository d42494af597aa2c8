#include "store/directory.h"

#include "base/check.h"
#include "store/path.h"

namespace witan::store {
namespace {

Digest digest_of_row(std::string_view path, const Directory& row) {
  return RowHash(RowHash::Kind::Directory)
      .bytes(path)
      .number(row.created)
      .number(row.children)
      .number(row.changed.value)
      .value();
}

// Measured share of a B-tree node per row, and the path's bytes.
int64_t row_bytes(std::string_view path) { return static_cast<int64_t>(sizeof(Directory) + 32 + path.size()); }

}  // namespace

bool Directories::has_children(std::string_view path) const {
  const Directory* const row = rows_.find(path);
  return row != nullptr && row->children > 0;
}

bool Directories::node_exists(std::string_view path) const { return path == "/" || (is_node(path) && is_there(path)); }

bool Directories::is_there(std::string_view path) const {
  return path == "/" || has_children(path) || is_explicit(path);
}

Directory Directories::of(std::string_view path) const {
  const Directory* const row = rows_.find(path);
  return row == nullptr ? Directory{} : *row;
}

// Scenario: put /a/b where /a does not exist. /a/b gains a node, so /a gains a child and with it comes to be, implied,
// so
// "/" gains a child. The first parent that was there already ends it. (DirectoryTest.ParentsNobodyCreatedAreImplied)
std::optional<Directories::Effect> Directories::appeared(std::string_view key, Revision revision) {
  if (key.size() < 2 || !is_node(key)) return std::nullopt;
  Effect effect;
  if (has_children(key)) {
    effect.itself = false;  // it was implied and is explicit now: for its parent nothing changed
    return effect;
  }
  for (std::string_view node = key; node != "/";) {
    const std::string_view parent = parent_of(node);
    const bool was_there = is_there(parent);
    gain_child(parent, revision);
    if (was_there) break;
    effect.implied.push_back(parent);
    node = parent;
  }
  return effect;
}

std::optional<Directories::Effect> Directories::vanished(std::string_view key, Revision revision) {
  if (key.size() < 2 || !is_node(key)) return std::nullopt;
  Effect effect;
  if (has_children(key)) {
    effect.itself = false;  // stays implied, its counter kept (core T2)
    return effect;
  }
  for (std::string_view node = key; node != "/";) {
    drop_row(node);
    const std::string_view parent = parent_of(node);
    lose_child(parent, revision);
    if (is_there(parent)) break;
    effect.implied.push_back(parent);
    node = parent;
  }
  return effect;
}

void Directories::gain_child(std::string_view parent, Revision revision) {
  Directory* row = rows_.edit(parent);
  if (row == nullptr) {
    row = &rows_.insert(Blob(parent), Directory{});
    memory_ += row_bytes(parent);
  } else {
    digest_.remove(digest_of_row(parent, *row));
  }
  ++row->created;
  ++row->children;
  ++nodes_;
  row->changed = revision;
  digest_.add(digest_of_row(parent, *row));
}

void Directories::lose_child(std::string_view parent, Revision revision) {
  Directory* const row = rows_.edit(parent);
  CHECK(row != nullptr && row->children > 0, "a child of {} that was never counted", parent);
  digest_.remove(digest_of_row(parent, *row));
  --row->children;
  --nodes_;
  row->changed = revision;
  digest_.add(digest_of_row(parent, *row));
}

void Directories::drop_row(std::string_view path) {
  const Directory* const row = rows_.find(path);
  if (row == nullptr) return;
  digest_.remove(digest_of_row(path, *row));
  memory_ -= row_bytes(path);
  rows_.erase(path);
}

bool Directories::restore(std::string_view path, const Directory& row) {
  Directory* const counted = rows_.edit(path);
  if (counted == nullptr) {
    // Children came and went; then the node itself must be there to have a row.
    if (row.children != 0 || row.created <= 0 || (path != "/" && (!is_node(path) || !is_explicit(path)))) return false;
    rows_.insert(Blob(path), row);
    memory_ += row_bytes(path);
  } else {
    if (row.children != counted->children || row.created < row.children) return false;
    digest_.remove(digest_of_row(path, *counted));
    *counted = row;
  }
  digest_.add(digest_of_row(path, row));
  return true;
}

// Keys below /a in order: /a/x, /a/x-1, /a/x/y, /a/z. Names that sort between "x" and "x/" come before x's subtree, so
// the subtree of an explicit child is met later and skipped in one seek, and an implied child is met there first (core
// T3).
Store::Children Directories::children(std::string_view path, std::string_view after, size_t limit) const {
  Store::Children out;
  if (!has_children(path)) return out;
  std::string prefix(path);
  if (prefix.back() != '/') prefix += '/';
  std::string from = after.empty() ? prefix : std::string(after);
  for (Index::Cursor at = index_.lower_bound(from); !at.done(); at = index_.lower_bound(from)) {
    const std::string_view key = at.key();
    if (!key.starts_with(prefix)) return out;
    const size_t end = key.find('/', prefix.size());
    const std::string_view child = key.substr(0, end);
    const bool own_key = end == std::string_view::npos;
    // An explicit child was listed when its own key was met, an implied one has a row that says so.
    const bool listed = own_key ? at.chain().is_live() : !is_explicit(child) && has_children(child);
    if (listed && child.size() > prefix.size() && is_node(child)) {
      if (out.names.size() == limit) {
        out.next = std::move(from);
        return out;
      }
      out.names.emplace_back(child.substr(prefix.size()));
    }
    from.assign(child);
    from += own_key ? '\0' : static_cast<char>('/' + 1);
  }
  return out;
}

}  // namespace witan::store
