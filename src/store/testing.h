// A store and the usual things tests do with it.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "store/snapshot.h"
#include "store/store.h"

namespace witan::store {

struct Tester {
  Store store;
  int64_t stamp = 1000;

  Applied apply(Body body) {
    Command command{.body = std::move(body)};
    command.header.stamp = WallTime{stamp};
    return store.apply(store.applied_index() + 1, command, true);
  }
  // The revision after it; dies on a failure.
  int64_t must(Body body) {
    const Applied applied = apply(std::move(body));
    EXPECT_EQ(applied.reply.failure.reason, Reason::None);
    return applied.reply.revision.value;
  }
  int64_t put(std::string_view key, std::string_view value = "v", int64_t lease = 0) {
    return must(Put{.key = key, .value = value, .lease = LeaseId(lease)});
  }
  int64_t remove(std::string_view key) { return must(DeleteRange{.range = {.begin = key, .single = true}}); }
  int64_t grant(int64_t id, int64_t ttl_ms = 60'000) { return must(LeaseGrant{.id = LeaseId(id), .ttl_ms = ttl_ms}); }
  void compact_all(int64_t revision) {
    must(Compact{Revision(revision)});
    compact_physically();
  }
  void compact_physically() {
    while (store.compact_step(1)) {
    }
  }

  // "key=value" of a range, at a revision.
  std::string list(KeyRangeView range = {}, int64_t revision = 0) const {
    return text(store.range({.range = range, .revision = Revision(revision)}));
  }
  static std::string text(const Outcome<RangeResult>& result) {
    if (!result) return fmt::format("failure {}", static_cast<int>(result.error().reason));
    std::string out;
    for (const KeyVersion& item : result->items)
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", item.key.view(), item.version->value.view());
    return out;
  }
  // What a watch from `from` sees: "+key" created, "~key" changed, "-key" deleted, with "(old)" where it is known.
  std::string watch(int64_t from) const {
    const KeyRange all = KeyRange::all();
    const auto slice = store.history(Revision(from), std::span(&all, 1), 1000, 1 << 20);
    if (!slice) return fmt::format("failure {} at {}", static_cast<int>(slice.error().reason), slice.error().compacted);
    std::string out;
    for (const ChangeBatchPtr& batch : slice->batches) {
      out += fmt::format("{}{}:", out.empty() ? "" : " ", batch->revision);
      for (const Change& change : batch->changes) {
        const char* kind = !change.after ? "-" : change.after->version == 1 ? "+" : "~";
        out += fmt::format("{}{}", kind, change.key.view());
        if (change.before) out += fmt::format("({})", change.before->value.view());
      }
    }
    return out;
  }
  uint32_t hash(int64_t revision = 0) const {
    HashReader reader = *store.start_hash(Revision(revision));
    while (!reader.step(1)) {
    }
    return reader.result().hash;
  }
};

inline std::string snapshot_of(Store& store) {
  SnapshotEncoder encoder(store);
  std::string bytes;
  while (encoder.next(100, bytes)) {
  }
  return bytes;
}

inline Result<std::unique_ptr<Store>> restore(std::string_view bytes) {
  SnapshotDecoder decoder;
  if (Result<> fed = decoder.feed(bytes); !fed) return std::unexpected(fed.error());
  return decoder.finish();
}

}  // namespace witan::store
