#include "server/config.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "api/zookeeper/path.h"
#include "base/digest.h"

namespace witan::server {
namespace {

// The half sentence of a Parsed, or the value put where it belongs.
template <class T, class U>
Parsed<void> keep(Parsed<T>&& parsed, U& into) {
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  into = static_cast<U>(std::move(*parsed));
  return {};
}

Parsed<env::Address> parse_where(std::string_view text) {
  Result<env::Address> address = env::parse_address(text);
  if (!address) return std::unexpected(std::move(address.error().message));
  return *address;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

Parsed<void> set_name(Config& config, std::string_view text) {
  if (text.empty() || text.find_first_of(",= ") != std::string_view::npos) {
    return std::unexpected(std::string("a name without spaces, commas and equals signs is expected"));
  }
  config.name = text;
  return {};
}

Parsed<void> set_data_dir(Config& config, std::string_view text) {
  if (text.empty()) return std::unexpected(std::string("the path of a directory is expected"));
  config.data_dir = text;
  return {};
}

Parsed<void> set_etcd_advertise(Config& config, std::string_view text) {
  std::vector<env::Address> addresses;
  for (const std::string_view part : split(text)) {
    Parsed<env::Address> address = parse_where(part);
    if (!address) return std::unexpected(std::move(address.error()));
    addresses.push_back(std::move(*address));
  }
  config.etcd_advertise = std::move(addresses);
  return {};
}

Parsed<void> set_initial_cluster(Config& config, std::string_view text) {
  std::vector<NamedAddress> members;
  for (const std::string_view part : split(text)) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return std::unexpected(fmt::format("'{}' is not of the form name=host:port", part));
    }
    Parsed<env::Address> address = parse_where(part.substr(equals + 1));
    if (!address) return std::unexpected(std::move(address.error()));
    const std::string_view name = part.substr(0, equals);
    for (const NamedAddress& member : members) {
      if (member.name == name) return std::unexpected(fmt::format("the name {} stands there twice", name));
      if (member.address == *address) return std::unexpected(fmt::format("{} stands there twice", address->text()));
    }
    members.push_back({.name = std::string(name), .address = std::move(*address)});
  }
  config.initial_cluster = std::move(members);
  return {};
}

Parsed<void> set_initial_cluster_state(Config& config, std::string_view text) {
  if (text != "new" && text != "existing") return std::unexpected(std::string("either new or existing is expected"));
  config.join_existing = text == "existing";
  return {};
}

Parsed<void> set_listen(std::optional<env::Address>& into, std::string_view text) {
  if (text == "off") {
    into.reset();
    return {};
  }
  return keep(parse_where(text), into);
}

Parsed<void> set_zookeeper_words(Config& config, std::string_view text) {
  std::vector<std::string> words;
  for (std::string_view word : split(text)) {
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    const bool letters = word.size() == 4 && std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
    if (word != "*" && !letters)
      return std::unexpected(fmt::format("'{}' is no word of four letters, and not *", word));
    words.emplace_back(word);
  }
  config.zookeeper_words = std::move(words);
  return {};
}

Parsed<void> set_zookeeper_root(Config& config, std::string_view text) {
  if (!api::zookeeper::is_legal_path(text))
    return std::unexpected(std::string("an absolute path is expected, without a slash at its end"));
  config.zookeeper_root = text;
  return {};
}

Parsed<void> set_zookeeper_super_digest(Config& config, std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) {
    return std::unexpected(std::string("user:digest is expected, the digest being base64 of SHA-1 of user:password"));
  }
  config.zookeeper_super_digest = text;
  return {};
}

Parsed<void> set_zookeeper_sasl_users(Config& config, std::string_view text) {
  if (text.empty()) return std::unexpected(std::string("the path of a file is expected"));
  config.zookeeper_sasl_file = text;
  config.zookeeper_sasl_ids = true;
  return {};
}

Parsed<void> set_zookeeper_sasl_super(Config& config, std::string_view text) {
  config.zookeeper_sasl_super.clear();
  for (const std::string_view user : split(text)) {
    if (user.empty()) return std::unexpected(std::string("names of users with commas between them are expected"));
    config.zookeeper_sasl_super.emplace_back(user);
  }
  return {};
}

Parsed<void> set_token(Config& config, std::string_view text) {
  if (text.empty()) return std::unexpected(std::string("some text is expected"));
  config.initial_cluster_token = text;
  return {};
}

Parsed<void> set_milliseconds(Duration& into, std::string_view text) {
  Parsed<uint64_t> ms = parse_number(text, 1, 60'000);
  if (!ms) return std::unexpected(ms.error() + " (milliseconds)");
  into = milliseconds(*ms);
  return {};
}

Parsed<void> set_session(Duration& into, std::string_view text) {
  // ZooKeeper's timeouts are 32-bit numbers of milliseconds.
  Parsed<uint64_t> ms = parse_number(text, 0, 0x7fff'ffff);
  if (!ms) return std::unexpected(ms.error() + " (milliseconds)");
  into = milliseconds(*ms);
  return {};
}

Parsed<void> set_bool(bool& into, std::string_view text) {
  if (text != "true" && text != "false") return std::unexpected(std::string("either true or false is expected"));
  into = text == "true";
  return {};
}

Parsed<void> set_bytes(uint64_t& into, std::string_view text, uint64_t low) {
  Parsed<uint64_t> bytes = parse_bytes(text);
  if (bytes && *bytes < low) return std::unexpected(fmt::format("at least {} bytes are needed", low));
  return keep(std::move(bytes), into);
}

Parsed<void> set_max_request_bytes(Config& config, std::string_view text) {
  // A command must fit one frame between members (16 MiB) with room for its header.
  constexpr uint64_t kMost = 10u << 20;
  uint64_t bytes = 0;
  if (Parsed<void> set = set_bytes(bytes, text, 1); !set) return set;
  if (bytes > kMost) return std::unexpected(fmt::format("at most 10MiB ({} bytes) is possible", kMost));
  config.max_request_bytes = bytes;
  return {};
}

Parsed<void> set_max_packet(uint64_t& into, std::string_view text) {
  constexpr uint64_t kMost = 10u << 20;  // as for max-request-bytes
  uint64_t bytes = 0;
  if (Parsed<void> set = set_bytes(bytes, text, 1024); !set) return set;
  if (bytes > kMost) return std::unexpected(fmt::format("at most 10MiB ({} bytes) is possible", kMost));
  into = bytes;
  return {};
}

Parsed<void> set_api_threads(Config& config, std::string_view text) {
  return keep(parse_number(text, 0, 256), config.api_threads);
}

Parsed<void> set_log_level(Config& config, std::string_view text) {
  const std::optional<LogLevel> level = os::parse_log_level(text);
  if (!level) return std::unexpected(std::string("one of debug, info, warn and error is expected"));
  config.log_level = *level;
  return {};
}

Parsed<void> set_log_format(Config& config, std::string_view text) {
  const std::optional<os::LogFormat> format = os::parse_log_format(text);
  if (!format) return std::unexpected(std::string("either text or json is expected"));
  config.log_format = *format;
  return {};
}

constexpr uint64_t kMany = uint64_t{1} << 40;

// In the order of the help.
constexpr Setting kSettings[] = {
    {"name", "NAME", "this member's name, unique in its cluster (default n1)", set_name},
    {"data-dir", "PATH", "where everything durable is kept (default ./witan-data)", set_data_dir},
    {"etcd-listen", "ADDRESS|off", "where clients that speak etcd's API connect (default 127.0.0.1:2379)",
     [](Config& c, std::string_view t) { return set_listen(c.etcd_listen, t); }},
    {"etcd-advertise", "ADDRESSES", "what clients are told instead; required when listening on every address",
     set_etcd_advertise},
    {"peer-listen", "ADDRESS|off", "where the other members connect; off: there are none (default 127.0.0.1:2380)",
     [](Config& c, std::string_view t) { return set_listen(c.peer_listen, t); }},
    {"peer-advertise", "ADDRESS", "what the other members are told instead; required when listening on every address",
     [](Config& c, std::string_view t) { return keep(parse_where(t), c.peer_advertise); }},
    {"zookeeper-listen", "ADDRESS|off", "where ZooKeeper's clients connect (default 127.0.0.1:2181)",
     [](Config& c, std::string_view t) { return set_listen(c.zookeeper_listen, t); }},
    {"zookeeper-advertise", "ADDRESS", "what they are told instead; required when listening on every address",
     [](Config& c, std::string_view t) { return keep(parse_where(t), c.zookeeper_advertise); }},
    {"zookeeper-root", "PATH", "the node that they see as / (default /)", set_zookeeper_root},
    {"zookeeper-tick-ms", "MS", "ZooKeeper's unit of time; sessions last 2 to 20 of it (default 2000)",
     [](Config& c, std::string_view t) { return set_milliseconds(c.zookeeper_tick, t); }},
    {"zookeeper-min-session-ms", "MS", "the shortest session (default: 2 ticks)",
     [](Config& c, std::string_view t) { return set_session(c.zookeeper_min_session, t); }},
    {"zookeeper-max-session-ms", "MS", "the longest session (default: 20 ticks)",
     [](Config& c, std::string_view t) { return set_session(c.zookeeper_max_session, t); }},
    {"zookeeper-super-digest", "USER:DIGEST", "who proves to be this digest id may do everything (default: nobody)",
     set_zookeeper_super_digest},
    {"zookeeper-sasl-users", "FILE",
     "who may come in by SASL (DIGEST-MD5): a line user:password for each (default: SASL is off)",
     set_zookeeper_sasl_users},
    {"zookeeper-sasl-super", "USERS", "which of them may do everything, with commas between (default: nobody)",
     set_zookeeper_sasl_super},
    {"zookeeper-max-connections", "COUNT", "connections of one address; 0: no bound (default 60)",
     [](Config& c, std::string_view t) { return keep(parse_number(t, 0, 1'000'000), c.zookeeper_max_connections); }},
    {"zookeeper-max-packet", "SIZE",
     "a request larger than this closes its connection (jute.maxbuffer; default 1048575)",
     [](Config& c, std::string_view t) { return set_max_packet(c.zookeeper_max_packet, t); }},
    {"zookeeper-container-check-ms", "MS",
     "how often a leader looks for empty containers and old TTL nodes (default 60000)",
     [](Config& c, std::string_view t) { return set_milliseconds(c.zookeeper_container_check, t); }},
    {"zookeeper-read-only", "true|false",
     "serve clients that are content to read while there is no leader (default false)",
     [](Config& c, std::string_view t) { return set_bool(c.zookeeper_read_only, t); }},
    {"zookeeper-reconfig", "true|false", "let who may write /zookeeper/config change the members (default false)",
     [](Config& c, std::string_view t) { return set_bool(c.zookeeper_reconfig, t); }},
    {"zookeeper-enforce-quota", "true|false",
     "refuse writes beyond a hard quota; set it on all members (default false)",
     [](Config& c, std::string_view t) { return set_bool(c.zookeeper_enforce_quota, t); }},
    {"zookeeper-4lw", "WORDS", "the four-letter words that are answered, or * for all (default srvr)",
     set_zookeeper_words},
    {"zookeeper-admin-listen", "ADDRESS|off", "where ZooKeeper's AdminServer answers over HTTP (default off)",
     [](Config& c, std::string_view t) { return set_listen(c.zookeeper_admin_listen, t); }},
    {"initial-cluster", "N1=ADDRESS,...", "the members a new cluster begins with (default: this one alone)",
     set_initial_cluster},
    {"initial-cluster-state", "new|existing", "found a cluster, or join one that has added this member (default new)",
     set_initial_cluster_state},
    {"initial-cluster-token", "TEXT", "keeps clusters apart that were founded with the same members", set_token},
    {"heartbeat-ms", "MS", "how often a leader is heard of (default 100)",
     [](Config& c, std::string_view t) { return set_milliseconds(c.heartbeat, t); }},
    {"election-ms", "MS", "how long a silent leader is waited for (default 1000)",
     [](Config& c, std::string_view t) { return set_milliseconds(c.election, t); }},
    {"snapshot-entries", "COUNT", "a snapshot is due after so many log entries (default 1000000)",
     [](Config& c, std::string_view t) { return keep(parse_number(t, 1, kMany), c.snapshot_entries); }},
    {"snapshot-bytes", "SIZE", "or after so much log (default: the larger of 64MiB and the last snapshot)",
     [](Config& c, std::string_view t) { return set_bytes(c.snapshot_bytes, t, 0); }},
    {"api-threads", "COUNT", "threads for client connections; 0 shares the main one (default: cores - 1, at least 1)",
     set_api_threads},
    {"auto-compaction", "DURATION", "history older than this is forgotten; 0 keeps it (default 1h)",
     [](Config& c, std::string_view t) { return keep(parse_duration(t), c.auto_compaction); }},
    {"history-bytes", "SIZE", "and history beyond so many bytes (default 1GiB)",
     [](Config& c, std::string_view t) { return set_bytes(c.history_bytes, t, 0); }},
    {"memory-quota", "SIZE", "writes are refused when the data takes more (default: no quota)",
     [](Config& c, std::string_view t) { return set_bytes(c.memory_quota, t, 0); }},
    {"max-request-bytes", "SIZE", "a request larger than this is refused (default 1.5MiB)", set_max_request_bytes},
    {"log-level", "LEVEL", "debug, info, warn or error (default info)", set_log_level},
    {"log-format", "text|json", "how log lines are written, to standard error (default text)", set_log_format},
};

bool is_everywhere(const env::Address& address) { return address.host == "0.0.0.0" || address.host == "::"; }

Result<> check_advertisable(const env::Address& listen, std::string_view api) {
  if (is_everywhere(listen)) {
    return fail(Code::Invalid,
                fmt::format("--{0}-listen {1} listens on every address, none of which can be told to others: "
                            "add --{0}-advertise HOST:{2} with the one they are to use",
                            api, listen.text(), listen.port));
  }
  if (listen.port == 0) {
    return fail(Code::Invalid,
                fmt::format("--{0}-listen {1} leaves the port to the system, so that nobody can be told: "
                            "name a port, or add --{0}-advertise",
                            api, listen.text()));
  }
  return {};
}

// The advertised address of one of the ports, from where it listens unless it was told.
Result<> check_told(const env::Address& listen, std::optional<env::Address>& advertise, std::string_view api,
                    std::string_view who) {
  if (!advertise) {
    if (auto possible = check_advertisable(listen, api); !possible) return possible;
    advertise = listen;
  }
  if (!is_everywhere(*advertise)) return {};
  return fail(Code::Invalid,
              fmt::format("--{}-advertise: 0.0.0.0 is no address that a {} could use; name a host", api, who));
}

Result<> check_etcd(Config& config) {
  if (!config.etcd_listen) {
    config.etcd_advertise.clear();
    return {};
  }
  if (config.etcd_advertise.empty()) {
    if (auto possible = check_advertisable(*config.etcd_listen, "etcd"); !possible) return possible;
    config.etcd_advertise = {*config.etcd_listen};
  }
  if (!std::ranges::any_of(config.etcd_advertise, is_everywhere)) return {};
  return fail(Code::Invalid, "--etcd-advertise: 0.0.0.0 is no address that a client could use; name a host");
}

Result<> check_peers(Config& config) {
  if (config.peer_listen) return check_told(*config.peer_listen, config.peer_advertise, "peer", "member");
  if (config.initial_cluster.size() > 1 || config.join_existing) {
    return fail(Code::Invalid, "--peer-listen off is for a member that is alone: the others must be able to connect");
  }
  // Every member has an address, that of a member without a port is nobody's.
  if (!config.peer_advertise) config.peer_advertise = env::Address{.host = "localhost", .port = 0};
  return {};
}

Result<> check_ports(const Config& config) {
  struct Port {
    std::string_view name;
    const std::optional<env::Address>& listen;
  };
  const Port ports[] = {{"etcd", config.etcd_listen},
                        {"peer", config.peer_listen},
                        {"zookeeper", config.zookeeper_listen},
                        {"zookeeper-admin", config.zookeeper_admin_listen}};
  for (const Port& a : ports) {
    for (const Port& b : ports) {
      if (&a >= &b || !a.listen || a.listen != b.listen || a.listen->port == 0) continue;
      return fail(Code::Invalid, fmt::format("--{}-listen and --{}-listen are both {}: give each a port of its own",
                                             a.name, b.name, a.listen->text()));
    }
  }
  if (!config.etcd_listen && !config.zookeeper_listen) {
    return fail(Code::Invalid, "--etcd-listen and --zookeeper-listen are both off: no client could connect");
  }
  if (config.zookeeper_admin_listen && !config.zookeeper_listen) {
    return fail(Code::Invalid, "--zookeeper-admin-listen needs --zookeeper-listen: it tells about that API");
  }
  return {};
}

Result<> check_zookeeper(Config& config) {
  if (!config.zookeeper_listen) return {};
  if (auto told = check_told(*config.zookeeper_listen, config.zookeeper_advertise, "zookeeper", "client"); !told) {
    return told;
  }
  const auto or_ticks = [&](Duration told, int ticks) {
    return told > Duration(0) ? told : ticks * config.zookeeper_tick;
  };
  const Duration shortest = or_ticks(config.zookeeper_min_session, 2);
  const Duration longest = or_ticks(config.zookeeper_max_session, 20);
  if (shortest > longest) {
    return fail(Code::Invalid,
                fmt::format("the shortest ZooKeeper session, {} ms, is longer than the longest, {} ms: change "
                            "--zookeeper-min-session-ms or --zookeeper-max-session-ms",
                            shortest / milliseconds(1), longest / milliseconds(1)));
  }
  if (config.zookeeper_sasl_users && !md5("")) {
    return fail(Code::Invalid, "SASL here is DIGEST-MD5, and this machine's OpenSSL refuses MD5: leave its users out");
  }
  return {};
}

}  // namespace

std::span<const Setting> settings() { return kSettings; }

const Setting* find_setting(std::string_view name) {
  const auto at = std::ranges::find(kSettings, name, &Setting::name);
  return at == std::end(kSettings) ? nullptr : &*at;
}

std::string environment_name(std::string_view setting) {
  std::string name = "WITAN_";
  for (const char c : setting)
    name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return name;
}

Result<> apply_setting(Config& config, const Setting& setting, std::string_view text, std::string_view where) {
  const Parsed<void> applied = setting.apply(config, text);
  if (applied) return {};
  return fail(Code::Invalid, fmt::format("{}: {}", where, applied.error()));
}

Result<> check(Config& config) {
  for (const auto check_part : {check_etcd, check_peers, check_zookeeper}) {
    if (auto possible = check_part(config); !possible) return possible;
  }
  if (auto possible = check_ports(config); !possible) return possible;
  // Thesis 9.2, as etcd demands it: below this ordinary jitter looks like a dead leader.
  if (config.election < 5 * config.heartbeat) {
    return fail(
        Code::Invalid,
        fmt::format("--election-ms {} is too short for --heartbeat-ms {}: it must be at least five times as long",
                    config.election / milliseconds(1), config.heartbeat / milliseconds(1)));
  }
  if (config.initial_cluster.empty())
    config.initial_cluster = {{.name = config.name, .address = *config.peer_advertise}};
  return {};
}

}  // namespace witan::server
