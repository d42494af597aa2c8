#include "server/import_zookeeper.h"

#include <fmt/format.h>

#include "migrate/zookeeper/directory.h"
#include "migrate/zookeeper/report.h"
#include "migrate/zookeeper/store_of.h"
#include "server/serve.h"

namespace witan::server {
namespace {

namespace zookeeper = migrate::zookeeper;

// What to say of it.
Result<std::string> found(const Config& target, const node::Ground& ground, zookeeper::Imported& imported) {
  auto store = zookeeper::make_store(imported);
  if (!store) return std::unexpected(store.error());
  const store::Revision revision = (*store)->revision();
  const auto identity =
      node::found_on_state(node_options(target), ground, std::move(*store),
                           [&](const store::Store& written) { return zookeeper::compare(written, imported); });
  if (!identity) return std::unexpected(identity.error());
  return fmt::format(
      "wrote {}: member {} of the new cluster {:x}, at zxid {:#x}; every node, list of ACLs and session was read back "
      "and compared\n",
      target.data_dir, target.name, identity->cluster_id, revision.value);
}

}  // namespace

Result<> import_zookeeper(const ImportZookeeper& what, const node::Ground& ground,
                          Function<void(std::string_view)>& write) {
  if (what.target) {
    // Before anything is read, which can take long; found_on_state() looks again.
    if (auto vacant = node::check_vacant(node_options(*what.target), ground.disk); !vacant) return vacant;
  }
  auto imported = zookeeper::read_directory(
      ground.disk, {.data_dir = what.data_dir, .data_log_dir = what.data_log_dir, .check_digests = true});
  if (!imported) return std::unexpected(imported.error());
  if (!what.target) {
    if (what.json) {
      zookeeper::write_json(*imported, write);
    } else {
      write(zookeeper::describe(*imported));
    }
    return {};
  }
  const auto done = found(*what.target, ground, *imported);
  if (!done) return std::unexpected(done.error());
  write(zookeeper::describe(*imported) + *done);
  return {};
}

}  // namespace witan::server
