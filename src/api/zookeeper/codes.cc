#include "api/zookeeper/codes.h"

namespace witan::api::zookeeper {

std::optional<WatcherType> watcher_type(int32_t number) {
  if (number < 1 || number > 5) return std::nullopt;
  return static_cast<WatcherType>(number);
}

std::optional<AddWatchMode> add_watch_mode(int32_t number) {
  if (number < 0 || number > 1) return std::nullopt;
  return static_cast<AddWatchMode>(number);
}

std::optional<CreateMode> create_mode(int32_t flags) {
  if (flags < 0 || flags > 6) return std::nullopt;
  return static_cast<CreateMode>(flags);
}

std::optional<CreateKind> create_kind(OpCode op, int32_t flags, int64_t ttl_ms) {
  const std::optional<CreateMode> mode = create_mode(flags);
  if (!mode.has_value()) return std::nullopt;
  // ZooKeeper ends itself over createTTL with the TTL -1 and a mode that has none; it is as wrong as any other pair.
  if (is_ttl(*mode) != (op == OpCode::CreateTtl)) return std::nullopt;
  if (is_ttl(*mode) && (ttl_ms < 1 || ttl_ms > kMaxTtlMs)) return std::nullopt;
  const bool container = op == OpCode::CreateContainer;
  return CreateKind{.ephemeral = is_ephemeral(*mode) && !container,
                    .sequential = is_sequential(*mode),
                    .container = container,
                    .ttl_ms = is_ttl(*mode) ? ttl_ms : 0};
}

}  // namespace witan::api::zookeeper
