#include "migrate/zookeeper/report.h"

#include <array>
#include <cstddef>
#include <iterator>

#include <fmt/format.h>

namespace witan::migrate::zookeeper {
namespace {

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::Ordinary: return "ordinary";
    case Kind::Ephemeral: return "ephemeral";
    case Kind::Container: return "container";
    case Kind::Ttl: return "ttl";
  }
  return {};
}

std::string hex(int64_t id) { return fmt::format("0x{:x}", static_cast<uint64_t>(id)); }

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text.push_back(k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return text;
}

// How many bytes from `at` on are one character of well-formed UTF-8; 0 when they are none.
size_t character_length(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

std::string quoted(std::string_view text) {
  std::string json = "\"";
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    const char c = text[i];
    if (length == 0) {
      json += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      json += text.substr(i, length);
    }
    i += length == 0 ? 1 : length;
  }
  return json + '"';
}

// The elements of `list`, each as `element` makes it, in brackets.
template <class List, class Element>
std::string array(const List& list, Element&& element) {
  std::string json = "[";
  for (const auto& item : list) json += (json.size() > 1 ? "," : "") + element(item);
  return json + "]";
}

struct Totals {
  std::array<uint64_t, 4> by_kind{};
  uint64_t bytes = 0;
};

Totals total(const Imported& imported) {
  Totals totals;
  for (const Node& node : imported.nodes) {
    ++totals.by_kind[static_cast<size_t>(node.kind)];
    totals.bytes += node.data.size();
  }
  return totals;
}

std::string proof(const Report& report) {
  if (report.proven_zxid == 0) {
    return "no digest was compared: ZooKeeper 3.6 and later leave them, if digest.enabled is not off";
  }
  return fmt::format("the tree has ZooKeeper's digest: compared {}after {} transactions, the last time at zxid {}",
                     report.snapshot_digest_compared ? "with the snapshot's and " : "", report.digests_compared,
                     hex(report.proven_zxid));
}

std::string report_json(const Report& report) {
  const std::string logs = array(report.logs, [](const LogRead& log) {
    return fmt::format(R"({{"path":{},"transactions":{},"skipped":{},"lastZxid":"{}"}})", quoted(log.path),
                       log.transactions, log.skipped, hex(log.last_zxid));
  });
  std::string counts = array(report.transactions,
                             [](const auto& type) { return fmt::format("{}:{}", quoted(type.first), type.second); });
  counts.front() = '{';
  counts.back() = '}';
  return fmt::format(R"("snapshot":{{"path":{},"zxid":"{}","nodes":{},"sessions":{}}},)"
                     "\n"
                     R"("logs":{},)"
                     "\n"
                     R"("transactions":{},)"
                     "\n"
                     R"("digests":{{"snapshotCompared":{},"transactionsCompared":{},"provenZxid":"{}"}},)"
                     "\n"
                     R"("deadEphemerals":{},)"
                     "\n"
                     R"("notes":{})",
                     quoted(report.snapshot), hex(report.snapshot_zxid), report.snapshot_nodes,
                     report.snapshot_sessions, logs, counts, report.snapshot_digest_compared, report.digests_compared,
                     hex(report.proven_zxid), report.dead_ephemerals, array(report.notes, quoted));
}

std::string acl_json(const AclList& list) {
  return array(list, [](const Acl& acl) {
    return fmt::format(R"({{"perms":{},"scheme":{},"id":{}}})", acl.permissions, quoted(acl.scheme), quoted(acl.id));
  });
}

std::string node_json(const Node& node) {
  const Stat& stat = node.stat;
  const auto visible_cversion = static_cast<int32_t>(2u * static_cast<uint32_t>(stat.cversion) - node.children);
  return fmt::format(
      R"({{"path":{},"kind":"{}","ttlMs":{},"session":"{}","data":{},"acl":{},"czxid":"{}","mzxid":"{}","pzxid":"{}",)"
      R"("ctime":{},"mtime":{},"version":{},"cversion":{},"aversion":{},"createdChildren":{},"children":{}}})",
      quoted(node.path), kind_name(node.kind), node.ttl_ms, hex(node.session()),
      node.data.is_null() ? "null" : quoted(base64(node.data.view())), node.acl, hex(stat.czxid), hex(stat.mzxid),
      hex(stat.pzxid), stat.ctime_ms, stat.mtime_ms, stat.version, visible_cversion, stat.aversion, stat.cversion,
      node.children);
}

}  // namespace

std::string describe(const Imported& imported) {
  const Report& report = imported.report;
  const Totals totals = total(imported);
  std::string text = fmt::format("read {}: {} nodes, {} sessions, zxid {}\n", report.snapshot, report.snapshot_nodes,
                                 report.snapshot_sessions, hex(report.snapshot_zxid));
  const auto out = std::back_inserter(text);
  for (const LogRead& log : report.logs) {
    fmt::format_to(out, "read {}: {} transactions replayed, {} were in the snapshot", log.path, log.transactions,
                   log.skipped);
    text += log.last_zxid == 0 ? "\n" : fmt::format(", up to zxid {}\n", hex(log.last_zxid));
  }
  for (const auto& [type, count] : report.transactions) fmt::format_to(out, "  {:<24} {}\n", type, count);
  const auto of = [&](Kind kind) { return totals.by_kind[static_cast<size_t>(kind)]; };
  fmt::format_to(out, "nodes: {} ({} ephemeral, {} container, {} TTL), {} bytes of data, {} lists of ACLs\n",
                 imported.nodes.size(), of(Kind::Ephemeral), of(Kind::Container), of(Kind::Ttl), totals.bytes,
                 imported.acls.size());
  fmt::format_to(out, "sessions: {}\nlast zxid: {}\n", imported.sessions.size(), hex(imported.last_zxid));
  if (report.dead_ephemerals > 0) {
    fmt::format_to(out, "left out: {} ephemeral nodes whose sessions had ended\n", report.dead_ephemerals);
  }
  fmt::format_to(out, "proof: {}\n", proof(report));
  for (const std::string& note : report.notes) fmt::format_to(out, "note: {}\n", note);
  return text;
}

void write_json(const Imported& imported, Function<void(std::string_view)>& write) {
  write(fmt::format("{{\"lastZxid\":\"{}\",\n{},\n", hex(imported.last_zxid), report_json(imported.report)));
  const auto session_json = [](const Session& session) {
    return fmt::format(R"({{"id":"{}","timeoutMs":{}}})", hex(session.id), session.timeout_ms);
  };
  write(fmt::format("\"sessions\":{},\n\"acls\":{},\n\"nodes\":[", array(imported.sessions, session_json),
                    array(imported.acls, acl_json)));
  std::string_view separator = "\n";
  for (const Node& node : imported.nodes) {
    write(separator);
    write(node_json(node));
    separator = ",\n";
  }
  write("]}\n");
}

}  // namespace witan::migrate::zookeeper
