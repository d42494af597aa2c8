#include "server/zoo_file.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/properties.h"
#include "server/values.h"

namespace witan::server {
namespace {

// ---- what a file tells --------------------------------------------------------------------------

// A line server.N.
struct ServerLine {
  env::Address quorum;
  uint16_t election = 0;
  bool observer = false;
  std::optional<env::Address> client;
  std::string text;
};

// zoo.cfg as it stands there, with ZooKeeper's defaults.
struct Draft {
  Config& config;
  std::string data_dir;
  std::string client_host = "0.0.0.0";
  std::optional<uint16_t> client_port;
  std::string dynamic_file;
  std::map<int64_t, ServerLine> servers;
  int64_t init_limit = 0;
  int64_t sync_limit = 0;
  bool standalone = true;   // a server that is the only one runs without the others' port
  bool everywhere = false;  // quorumListenOnAllIPs
  std::string peer_type;
  std::optional<bool> admin;
  std::string admin_host = "0.0.0.0";
  std::optional<uint16_t> admin_port;
  std::string jaas_file;
  std::string jaas_section = "Server";
  std::optional<std::string> sasl_super_password;
  std::vector<std::string> without_effect;
};

Parsed<void> wrong(std::string what) { return std::unexpected(std::move(what)); }

Parsed<void> number_into(int64_t& into, std::string_view text, int64_t low, int64_t high) {
  const Parsed<uint64_t> number = parse_number(text, static_cast<uint64_t>(low), static_cast<uint64_t>(high));
  if (!number) return wrong(number.error());
  into = static_cast<int64_t>(*number);
  return {};
}

Parsed<void> port_into(std::optional<uint16_t>& into, std::string_view text) {
  const Parsed<uint64_t> port = parse_number(text, 1, 65535);
  if (!port) return wrong(port.error());
  into = static_cast<uint16_t>(*port);
  return {};
}

// As Java does, which takes everything but "true" for false, so that a mistake would turn something off.
Parsed<bool> parse_bool(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower == "true" || lower == "yes") return true;
  if (lower == "false" || lower == "no") return false;
  return std::unexpected(std::string("either true or false is expected"));
}

template <class Into>
Parsed<void> bool_into(Into& into, std::string_view text) {
  const Parsed<bool> value = parse_bool(text);
  if (!value) return wrong(value.error());
  into = *value;
  return {};
}

Parsed<void> set(Draft& draft, std::string_view setting, std::string_view text) {
  return find_setting(setting)->apply(draft.config, text);
}

// ---- server.N -----------------------------------------------------------------------------------

// "host" or "[address]" off the front of `rest`, with the colon after it.
Parsed<std::string> take_host(std::string_view& rest) {
  const bool bracketed = rest.starts_with('[');
  const size_t end = bracketed ? rest.find(']') : rest.find(':');
  if (end == std::string_view::npos || end == 0) return std::unexpected(std::string("a host and a port are expected"));
  std::string host(bracketed ? rest.substr(1, end - 1) : rest.substr(0, end));
  rest.remove_prefix(bracketed ? end + 1 : end);
  if (host.empty() || !rest.starts_with(':')) return std::unexpected(std::string("a host and a port are expected"));
  rest.remove_prefix(1);
  return host;
}

std::string_view take_field(std::string_view& rest) {
  const size_t colon = std::min(rest.find(':'), rest.size());
  const std::string_view field = rest.substr(0, colon);
  rest.remove_prefix(std::min(colon + 1, rest.size()));
  return field;
}

// "[host:]port"
Parsed<env::Address> parse_client(std::string_view text) {
  std::string host = "0.0.0.0";
  if (text.find(':') != std::string_view::npos) {
    Parsed<std::string> told = take_host(text);
    if (!told) return std::unexpected(told.error());
    host = std::move(*told);
  }
  std::optional<uint16_t> port;
  if (const auto done = port_into(port, text); !done) return std::unexpected("the client's port: " + done.error());
  return env::Address{.host = std::move(host), .port = *port};
}

// "host:quorum:election[:role]"
Parsed<void> parse_quorum(ServerLine& server, std::string_view text) {
  Parsed<std::string> host = take_host(text);
  if (!host) return wrong(host.error());
  std::optional<uint16_t> quorum;
  std::optional<uint16_t> election;
  if (const auto done = port_into(quorum, take_field(text)); !done) return wrong("the first port: " + done.error());
  if (const auto done = port_into(election, take_field(text)); !done) return wrong("the second port: " + done.error());
  const std::string_view role = take_field(text);
  if (!text.empty() || (!role.empty() && role != "participant" && role != "observer")) {
    return wrong("after the ports only :participant or :observer can stand, and ;client port");
  }
  server.quorum = {.host = std::move(*host), .port = *quorum};
  server.election = *election;
  server.observer = role == "observer";
  return {};
}

// Of several addresses of a server the first is used.
Parsed<void> take_server(Draft& draft, std::string_view name, std::string_view value) {
  int64_t id = 0;
  // One byte of a session's id tells who made it, and 255 is nobody.
  if (const auto done = number_into(id, name.substr(name.find('.') + 1), 1, 254); !done) {
    return wrong("the server's number: " + done.error());
  }
  ServerLine server;
  server.text = fmt::format("{}={}", name, value);
  const size_t semicolon = value.find(';');
  const std::string_view quorum = value.substr(0, semicolon);
  if (const auto done = parse_quorum(server, quorum.substr(0, quorum.find('|'))); !done) return done;
  if (quorum.find('|') != std::string_view::npos) {
    draft.config.warnings.push_back(fmt::format("{}: only the first of its addresses is used", name));
  }
  if (semicolon != std::string_view::npos) {
    Parsed<env::Address> client = parse_client(value.substr(semicolon + 1));
    if (!client) return wrong(client.error());
    server.client = std::move(*client);
  }
  draft.servers[id] = std::move(server);
  return {};
}

// ---- keys ---------------------------------------------------------------------------------------

Parsed<void> take_session(Draft& draft, std::string_view setting, std::string_view value) {
  return set(draft, setting, value == "-1" ? "0" : value);
}

// Java's Integer.getInteger takes hexadecimal numbers, too, which is how ZooKeeper's pages write this one.
Parsed<void> take_max_packet(Draft& draft, std::string_view value) {
  constexpr uint64_t kMost = 10u << 20;
  const bool hexadecimal = value.starts_with("0x") || value.starts_with("0X");
  const std::string_view digits = value.substr(hexadecimal ? 2 : 0);
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size()) return wrong("a number of bytes is expected");
  if (bytes > kMost) {
    draft.config.warnings.push_back(
        fmt::format("jute.maxbuffer={}: more than {} bytes are not possible", value, kMost));
    bytes = kMost;
  }
  return set(draft, "zookeeper-max-packet", std::to_string(bytes));
}

Parsed<void> take_words(Draft& draft, std::string_view value) {
  if (!value.empty()) return set(draft, "zookeeper-4lw", value);
  draft.config.zookeeper_words.clear();
  return {};
}

Parsed<void> take_admin_idle(Draft& draft, std::string_view value) {
  int64_t ms = 0;
  if (const auto done = number_into(ms, value, 1, 86'400'000); !done) return done;
  draft.config.zookeeper_admin_idle = milliseconds(ms);
  return {};
}

Parsed<void> take_admin_url(Draft& draft, std::string_view value) {
  if (!value.starts_with('/') || value.ends_with('/') || value.find_first_of(" ?#\"<>") != std::string_view::npos) {
    return wrong("a path such as /commands is expected");
  }
  draft.config.zookeeper_admin_url = value;
  return {};
}

Parsed<void> take_host_name(std::string& into, std::string_view value) {
  if (value.empty() || value.find_first_of(" /,") != std::string_view::npos) return wrong("a host is expected");
  into = value;
  return {};
}

Parsed<void> take_peer_type(Draft& draft, std::string_view value) {
  if (value != "participant" && value != "observer") return wrong("either participant or observer is expected");
  draft.peer_type = value;
  return {};
}

Parsed<void> take_data_dir(Draft& draft, std::string_view value) {
  if (value.empty()) return wrong("the path of a directory is expected");
  draft.data_dir = value;
  return {};
}

// Names that begin with `prefix` and differ behind it.
bool is_one_of(std::string_view prefix, std::string_view name) {
  return name == prefix || (name.starts_with(prefix) && name[prefix.size()] == '.');
}

// What SASL is told by names that may stand there several times. False: that is not one of them.
bool take_sasl(Draft& draft, std::string_view name, std::string_view value) {
  if (is_one_of("superUser", name)) {
    draft.config.zookeeper_sasl_super.emplace_back(value);
    return true;
  }
  if (!is_one_of("authProvider", name) || value != "org.apache.zookeeper.server.auth.SASLAuthenticationProvider") {
    return false;
  }
  draft.config.zookeeper_sasl_ids = true;
  return true;
}

Parsed<void> take_text(std::string& into, std::string_view value) {
  into = value;
  return {};
}

struct Key {
  std::string_view name;
  Parsed<void> (*take)(Draft& draft, std::string_view value);
  bool property = false;  // also understood as -D
};

constexpr std::string_view kSuperPassword = "SASLAuthenticationProvider.superPassword";

constexpr Key kKeys[] = {
    {"tickTime", [](Draft& d, std::string_view v) { return set(d, "zookeeper-tick-ms", v); }},
    {"dataDir", take_data_dir},
    {"clientPort", [](Draft& d, std::string_view v) { return port_into(d.client_port, v); }},
    {"clientPortAddress", [](Draft& d, std::string_view v) { return take_host_name(d.client_host, v); }},
    {"initLimit", [](Draft& d, std::string_view v) { return number_into(d.init_limit, v, 1, INT32_MAX); }},
    {"syncLimit", [](Draft& d, std::string_view v) { return number_into(d.sync_limit, v, 1, INT32_MAX); }},
    {"minSessionTimeout", [](Draft& d, std::string_view v) { return take_session(d, "zookeeper-min-session-ms", v); }},
    {"maxSessionTimeout", [](Draft& d, std::string_view v) { return take_session(d, "zookeeper-max-session-ms", v); }},
    {"maxClientCnxns", [](Draft& d, std::string_view v) { return set(d, "zookeeper-max-connections", v); }},
    {"peerType", take_peer_type},
    {"standaloneEnabled", [](Draft& d, std::string_view v) { return bool_into(d.standalone, v); }},
    {"quorumListenOnAllIPs", [](Draft& d, std::string_view v) { return bool_into(d.everywhere, v); }},
    {"dynamicConfigFile",
     [](Draft& d, std::string_view v) {
       d.dynamic_file = v;
       return Parsed<void>();
     }},
    {"4lw.commands.whitelist", take_words, true},
    {"admin.enableServer", [](Draft& d, std::string_view v) { return bool_into(d.admin, v); }, true},
    {"admin.serverPort", [](Draft& d, std::string_view v) { return port_into(d.admin_port, v); }, true},
    {"admin.serverAddress", [](Draft& d, std::string_view v) { return take_host_name(d.admin_host, v); }, true},
    {"admin.commandURL", take_admin_url, true},
    {"admin.idleTimeout", take_admin_idle, true},
    {"jute.maxbuffer", take_max_packet, true},
    {"reconfigEnabled", [](Draft& d, std::string_view v) { return bool_into(d.config.zookeeper_reconfig, v); }, true},
    {"readonlymode.enabled", [](Draft& d, std::string_view v) { return bool_into(d.config.zookeeper_read_only, v); },
     true},
    {"DigestAuthenticationProvider.superDigest",
     [](Draft& d, std::string_view v) { return set(d, "zookeeper-super-digest", v); }, true},
    // "-Dname==path" replaces what a JVM has of its own.
    {"java.security.auth.login.config",
     [](Draft& d, std::string_view v) { return take_text(d.jaas_file, v.substr(v.starts_with('=') ? 1 : 0)); }, true},
    {"sasl.serverconfig", [](Draft& d, std::string_view v) { return take_text(d.jaas_section, v); }, true},
    {kSuperPassword, [](Draft& d, std::string_view v) { return take_text(d.sasl_super_password.emplace(), v); }, true},
    {"enforceQuota", [](Draft& d, std::string_view v) { return bool_into(d.config.zookeeper_enforce_quota, v); }, true},
    {"znode.container.checkIntervalMs",
     [](Draft& d, std::string_view v) { return set(d, "zookeeper-container-check-ms", v); }, true},
    {"snapCount", [](Draft& d, std::string_view v) { return set(d, "snapshot-entries", v); }, true},
};

// A name, or with '.' or '_' at its end what names begin with.
struct Remark {
  std::string_view name;
  std::string_view text;
};
constexpr Remark kRemarks[] = {
    {"dataLogDir", "everything is kept in dataDir"},
    {"secureClientPort", "TLS is not there, and no port is opened for it"},
    {"secureClientPortAddress", "TLS is not there"},
    {"ssl.", "TLS is not there"},
    {"client.portUnification", "TLS is not there"},
    {"portUnification", "TLS is not there"},
    {"authProvider.", "identities are those of digest, ip and sasl"},
    {"allowSaslFailedClients", "who fails is disconnected"},
    {"letAnySaslUserDoX", "a user of SASL is nobody but itself"},
    {"kerberos.", "SASL is DIGEST-MD5"},
    {"quorum.auth.", "members do not use SASL among themselves"},
    {"group.", "every participant counts the same"},
    {"weight.", "every participant counts the same"},
    {"metricsProvider.", "there is no port for metrics; mntr and the AdminServer have them"},
    {"audit.enable", "nothing is audited"},
    {"skipACL", "access is always checked"},
    {"localSessionsEnabled", "every session is a global one"},
    {"localSessionsUpgradingEnabled", "every session is a global one"},
    {"forceSync", "what was answered is always on disk"},
    {"leaderServes", "the leader serves clients"},
    {"maxCnxns", "connections are bounded by what a loop can hold"},
};

// What is tuned there and needs no tuning here.
constexpr std::string_view kWithoutEffect[] = {"autopurge.",
                                               "clientPortListenBacklog",
                                               "cnxTimeout",
                                               "commitLogCount",
                                               "commitProcessor.",
                                               "connectToLearnerMasterLimit",
                                               "connection_",
                                               "datadir.autocreate",
                                               "digest.enabled",
                                               "electionAlg",
                                               "electionPortBindRetry",
                                               "extendedTypesEnabled",
                                               "fastleader.",
                                               "flushDelay",
                                               "fsync.warningthresholdms",
                                               "globalOutstandingLimit",
                                               "jute.maxbuffer.extrasize",
                                               "jvm.pause.",
                                               "learner.",
                                               "maxResponseCacheSize",
                                               "maxGetChildrenResponseCacheSize",
                                               "maxBatchSize",
                                               "multiAddress.",
                                               "netty",
                                               "nio.",
                                               "observer.",
                                               "preAllocSize",
                                               "request_throttle_",
                                               "requestThrottle",
                                               "serverCnxnFactory",
                                               "snapshot.",
                                               "snapSizeLimitInKb",
                                               "syncEnabled",
                                               "throttledOpWaitTime",
                                               "txnLogSizeLimitInKb",
                                               "version",
                                               "watchManagerName",
                                               "znode.container."};

// Protection that a file asks for, which would be missing unnoticed.
constexpr Remark kRefused[] = {
    {"sslQuorum", "members would talk to each other without TLS"},
    {"sessionRequireClientSASLAuth", "clients that show no password would be served, too"},
    {"enforce.auth.enabled", "clients would be served without authentication"},
    {"quorum.auth.enableSasl", "members would trust each other without SASL"},
    {"quorum.auth.learnerRequireSasl", "members would trust each other without SASL"},
    {"quorum.auth.serverRequireSasl", "members would trust each other without SASL"},
};

bool is_meant(std::string_view pattern, std::string_view name) {
  return name == pattern || ((pattern.ends_with('.') || pattern.ends_with('_')) && name.starts_with(pattern));
}

std::string_view nearest_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  for (const Remark& remark : kRemarks) names.push_back(remark.name);
  for (const std::string_view plain : kWithoutEffect) names.push_back(plain);
  return nearest_name(name, names);
}

// One that only has to be told about. False: nobody knows it.
bool note(Draft& draft, std::string_view name, std::string_view where) {
  for (const Remark& remark : kRemarks) {
    if (!is_meant(remark.name, name)) continue;
    draft.config.warnings.push_back(fmt::format("{}: {} has no effect: {}", where, name, remark.text));
    return true;
  }
  for (const std::string_view plain : kWithoutEffect) {
    if (!is_meant(plain, name)) continue;
    draft.without_effect.emplace_back(name);
    return true;
  }
  return false;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  return text;
}

// `where` says where it stood. Passwords are not repeated in what is said.
Result<> take(Draft& draft, std::string_view name, std::string_view value, std::string_view where, bool defined) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::Invalid, fmt::format("{}: {}: {}", where, name, why));
  };
  for (const Remark& refused : kRefused) {
    if (refused.name != name) continue;
    const Parsed<bool> asked = parse_bool(value);
    if (asked && !*asked) return {};
    return refuse(fmt::format("this is not there yet, and {}", refused.text));
  }
  if (take_sasl(draft, name, value)) return {};
  if (name.starts_with("server.") && !defined) {
    const Parsed<void> done = take_server(draft, name, value);
    return done ? Result<>() : refuse(fmt::format("'{}': {}", value, done.error()));
  }
  const auto* const key = std::ranges::find(kKeys, name, &Key::name);
  if (key != std::end(kKeys) && (key->property || !defined)) {
    const Parsed<void> done = key->take(draft, value);
    return done ? Result<>() : refuse(fmt::format("'{}': {}", value, done.error()));
  }
  if (note(draft, name, where)) return {};
  const std::string_view near = defined ? "" : nearest_key(name);
  draft.config.warnings.push_back(
      near.empty() ? fmt::format("{}: nobody knows {}, it has no effect", where, name)
                   : fmt::format("{}: nobody knows {}, it has no effect; is {} meant?", where, name, near));
  return {};
}

Result<> take_defined(Draft& draft, std::span<const std::string> defined, ZooKeeperFile& file) {
  for (const std::string& text : defined) {
    const size_t equals = std::min(text.find('='), text.size());
    std::string name = text.substr(0, equals);
    // Java's -Dname alone is an empty text.
    const std::string value = text.substr(std::min(equals + 1, text.size()));
    // The AdminServer lists them for everybody.
    file.properties.emplace_back(name, name.ends_with(kSuperPassword) ? "***" : value);
    if (name.starts_with("zookeeper.")) name.erase(0, std::string_view("zookeeper.").size());
    const std::string where = fmt::format("-D{}", text.substr(0, equals));
    if (auto done = take(draft, name, trimmed(value), where, true); !done) return done;
  }
  return {};
}

// Without `whole` only what a dynamic file may hold.
Result<> take_file(Draft& draft, const std::string& path, bool whole,
                   Function<Result<std::string>(const std::string&)>& read_file) {
  const Result<std::string> contents = read_file(path);
  if (!contents) return std::unexpected(contents.error());
  const Result<std::vector<Property>> properties = parse_properties(path, *contents);
  if (!properties) return std::unexpected(properties.error());
  std::map<std::string_view, size_t> lines;
  for (const Property& property : *properties) {
    const std::string where = fmt::format("{}, line {}", path, property.line);
    const std::string_view name = property.name;
    if (const auto [before, first] = lines.emplace(name, property.line); !first) {
      draft.config.warnings.push_back(
          fmt::format("{}: {} stands in line {}, too; the last one counts", where, name, before->second));
    }
    const bool of_members = name.starts_with("server.") || name.starts_with("group.") || name.starts_with("weight.");
    if (!whole && !of_members && name != "version") {
      return fail(Code::Invalid, fmt::format("{}: {} does not belong into a dynamicConfigFile", where, name));
    }
    if (auto done = take(draft, name, trimmed(property.value), where, false); !done) return done;
  }
  return {};
}

// ---- what follows -------------------------------------------------------------------------------

bool is_everywhere(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

bool is_alone(const Draft& draft) { return draft.servers.empty() || (draft.servers.size() == 1 && draft.standalone); }

Result<int64_t> read_id(const Draft& draft, Function<Result<std::string>(const std::string&)>& read_file) {
  const std::string path = draft.data_dir + "/myid";
  const Result<std::string> contents = read_file(path);
  if (!contents) {
    return fail(contents.error().code,
                fmt::format("which of the servers this is, the file myid says, which is missing: "
                            "{}",
                            contents.error().message));
  }
  int64_t id = 0;
  if (const auto done = number_into(id, trimmed(*contents), 1, 255); !done) {
    return fail(Code::Invalid, fmt::format("{}: {}", path, done.error()));
  }
  if (draft.servers.contains(id)) return id;
  return fail(Code::Invalid, fmt::format("{} says {}, but there is no server.{}", path, id, id));
}

Result<> check_servers(const Draft& draft, const std::string& path) {
  if (draft.init_limit == 0 || draft.sync_limit == 0) {
    return fail(Code::Invalid, fmt::format("{}: {} is missing, which several servers need", path,
                                           draft.init_limit == 0 ? "initLimit" : "syncLimit"));
  }
  size_t participants = 0;
  for (const auto& [id, server] : draft.servers) {
    participants += server.observer ? 0 : 1;
    if (is_everywhere(server.quorum.host)) {
      return fail(Code::Invalid,
                  fmt::format("{}: server.{}={} is no address that the others could use: name the host, and add "
                              "quorumListenOnAllIPs=true to listen everywhere",
                              path, id, server.quorum.host));
    }
  }
  if (participants > 0) return {};
  return fail(Code::Invalid, fmt::format("{}: all servers are observers, so that there is nobody to observe", path));
}

void apply_members(Draft& draft, int64_t id, ZooKeeperFile& file) {
  Config& config = draft.config;
  const ServerLine& self = draft.servers.at(id);
  config.name = std::to_string(id);
  config.peer_advertise = self.quorum;
  config.peer_listen = self.quorum;
  if (draft.everywhere) config.peer_listen->host = "0.0.0.0";
  config.initial_cluster.clear();
  for (const auto& [number, server] : draft.servers) {
    config.initial_cluster.push_back({.name = std::to_string(number),
                                      .address = server.quorum,
                                      .number = static_cast<uint32_t>(number),
                                      .learner = server.observer});
    file.servers += server.text + "\n";
  }
  file.server_id = id;
  file.init_limit = draft.init_limit;
  file.sync_limit = draft.sync_limit;
  file.quorum_port = self.quorum.port;
  file.election_port = self.election;
  if (!draft.peer_type.empty() && (draft.peer_type == "observer") != self.observer) {
    config.warnings.push_back(
        fmt::format("peerType={} does not agree with server.{}, which counts", draft.peer_type, id));
  }
}

Result<> apply_client_port(Draft& draft, const ServerLine* self, const std::string& path) {
  Config& config = draft.config;
  env::Address listen{.host = draft.client_host, .port = draft.client_port.value_or(0)};
  if (self != nullptr && self->client) {
    if (draft.client_port && *draft.client_port != self->client->port) {
      return fail(Code::Invalid, fmt::format("{}: clientPort={}, but {}: make them agree, or drop clientPort", path,
                                             *draft.client_port, self->text));
    }
    listen = *self->client;
  } else if (!draft.client_port) {
    return fail(Code::Invalid, fmt::format("{}: clientPort is missing", path));
  }
  config.zookeeper_listen = listen;
  config.zookeeper_advertise = listen;
  if (is_everywhere(listen.host)) config.zookeeper_advertise->host = self == nullptr ? "localhost" : self->quorum.host;
  return {};
}

void apply_admin(Draft& draft) {
  constexpr uint16_t kPort = 8080;  // ZooKeeper's
  draft.config.zookeeper_admin_listen.reset();
  if (!draft.admin.value_or(draft.admin_port.has_value())) return;
  draft.config.zookeeper_admin_listen =
      env::Address{.host = draft.admin_host, .port = draft.admin_port.value_or(kPort)};
}

// As in ZooKeeper, a JAAS file without the section is no mistake.
Result<> apply_sasl(Draft& draft, Function<Result<std::string>(const std::string&)>& read_file) {
  Config& config = draft.config;
  if (draft.jaas_file.empty()) return {};
  const Result<std::string> contents = read_file(draft.jaas_file);
  if (!contents) return std::unexpected(contents.error());
  Result<std::optional<Passwords>> users = parse_jaas(draft.jaas_file, *contents, draft.jaas_section);
  if (!users) return std::unexpected(users.error());
  config.zookeeper_sasl_users = std::move(*users);
  if (!config.zookeeper_sasl_users) {
    config.warnings.push_back(
        fmt::format("{} has no section {}, and so nobody can come in by SASL", draft.jaas_file, draft.jaas_section));
    return {};
  }
  // ZooKeeper looks the user up first: whom the file does not name the property does not make.
  const auto super = config.zookeeper_sasl_users->find("super");
  if (draft.sasl_super_password && super != config.zookeeper_sasl_users->end()) {
    super->second = *draft.sasl_super_password;
  }
  if (!config.zookeeper_sasl_ids) {
    config.warnings.push_back(
        "users of SASL cannot be named in access lists, as in ZooKeeper, without "
        "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider");
  }
  return {};
}

void list_without_effect(Draft& draft, const std::string& path) {
  std::vector<std::string>& names = draft.without_effect;
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.empty()) return;
  draft.config.warnings.push_back(
      fmt::format("{}: needless here and without effect: {}", path, fmt::join(names, ", ")));
}

}  // namespace

Result<> apply_zoo_file(Config& config, const std::string& path, std::span<const std::string> defined,
                        Function<Result<std::string>(const std::string&)>& read_file) {
  config.zookeeper_tick = milliseconds(3000);
  Draft draft{.config = config};
  ZooKeeperFile file;
  if (auto done = take_defined(draft, defined, file); !done) return done;
  if (auto done = take_file(draft, path, true, read_file); !done) return done;
  if (!draft.dynamic_file.empty()) {
    if (!draft.servers.empty())
      config.warnings.push_back(path + ": its servers give way to those of dynamicConfigFile");
    draft.servers.clear();
    if (auto done = take_file(draft, draft.dynamic_file, false, read_file); !done) return done;
  }
  if (draft.data_dir.empty()) return fail(Code::Invalid, fmt::format("{}: dataDir is missing", path));
  config.data_dir = draft.data_dir + "/witan";
  config.etcd_listen.reset();
  const ServerLine* self = nullptr;
  if (is_alone(draft)) {
    config.peer_listen.reset();
    if (!draft.servers.empty()) self = &draft.servers.begin()->second;
  } else {
    if (auto done = check_servers(draft, path); !done) return done;
    const Result<int64_t> id = read_id(draft, read_file);
    if (!id) return std::unexpected(id.error());
    self = &draft.servers.at(*id);
    apply_members(draft, *id, file);
  }
  if (auto done = apply_client_port(draft, self, path); !done) return done;
  if (auto done = apply_sasl(draft, read_file); !done) return done;
  apply_admin(draft);
  list_without_effect(draft, path);
  config.zookeeper_file = std::move(file);
  return {};
}

}  // namespace witan::server
