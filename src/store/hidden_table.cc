#include "store/hidden_table.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "store/accounting.h"
#include "store/path.h"

namespace witan::store {
namespace {

Digest digest_of_row(std::string_view path, const HiddenRow& row) {
  RowHash hash(RowHash::Kind::Hidden);
  hash.bytes(path).number(row.children.created).number(row.children.children).number(row.children.changed.value);
  if (row.version) {
    const Digest version = digest_of(path, *row.version);
    hash.number(version.high).number(version.low);
  }
  return hash.value();
}

int64_t row_bytes(std::string_view path, const HiddenRow& row) {
  return static_cast<int64_t>(sizeof(HiddenRow) + 32 + path.size()) + kBlobBytes +
         (row.version ? bytes_of(*row.version) : 0);
}

}  // namespace

bool HiddenTable::is_base(std::string_view path) {
  return path == kHiddenRoot || path == kQuotaNode || path == kConfigNode;
}

int64_t HiddenTable::base_children(std::string_view path) { return path == "/" ? 1 : path == kHiddenRoot ? 2 : 0; }

const Version* HiddenTable::latest(std::string_view path) const {
  const HiddenRow* const row = rows_.find(path);
  return row == nullptr ? nullptr : row->version.get();
}

Directory HiddenTable::directory(std::string_view path) const {
  const HiddenRow* const row = rows_.find(path);
  return row == nullptr ? Directory{} : row->children;
}

std::vector<std::string> HiddenTable::children(std::string_view path) const {
  std::vector<std::string> out;
  if (path == kHiddenRoot) out = {"config", "quota"};
  const std::string prefix = std::string(path) + '/';
  for (auto it = rows_.upper_bound(std::string_view(prefix)); it != rows_.end(); ++it) {
    const std::string_view key = it->first;
    if (!key.starts_with(prefix)) break;
    const std::string_view name = key.substr(prefix.size());
    if (name.find('/') == std::string_view::npos && !is_base(key)) out.emplace_back(name);
  }
  return out;
}

HiddenRow HiddenTable::take(std::string_view path) {
  const HiddenRow* const row = rows_.find(path);
  if (row == nullptr) return {};
  HiddenRow out = *row;
  digest_.remove(digest_of_row(path, out));
  memory_ -= row_bytes(path, out);
  rows_.erase(path);
  return out;
}

void HiddenTable::put(std::string_view path, HiddenRow row) {
  digest_.add(digest_of_row(path, row));
  memory_ += row_bytes(path, row);
  rows_.insert(Blob(path), std::move(row));
}

void HiddenTable::set(std::string_view path, VersionRef version) {
  const bool created = !exists(path);
  const Revision at = version->mod_revision;
  HiddenRow row = take(path);
  row.version = std::move(version);
  put(path, std::move(row));
  if (!created) return;
  const std::string_view parent = parent_of(path);
  HiddenRow above = take(parent);
  ++above.children.created;
  ++above.children.children;
  above.children.changed = at;
  put(parent, std::move(above));
}

void HiddenTable::erase(std::string_view path, Revision at) {
  CHECK(!is_base(path), "{} cannot go", path);
  take(path);
  const std::string_view parent = parent_of(path);
  HiddenRow above = take(parent);
  --above.children.children;
  above.children.changed = at;
  put(parent, std::move(above));
}

void HiddenTable::restore(std::string_view path, HiddenRow row) { put(path, std::move(row)); }

}  // namespace witan::store
