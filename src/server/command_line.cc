#include "server/command_line.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "server/zoo_file.h"

namespace witan::server {
namespace {

constexpr std::string_view kExamples = R"(Examples:
  witan serve
      one durable server on 127.0.0.1:2379, its data in ./witan-data
  witan serve --name n1 --data-dir /var/lib/witan \
      --etcd-listen 0.0.0.0:2379 --etcd-advertise n1.example.net:2379 \
      --peer-listen 0.0.0.0:2380 --peer-advertise n1.example.net:2380 \
      --initial-cluster n1=n1.example.net:2380,n2=n2.example.net:2380,n3=n3.example.net:2380
      the first of three members
  witan serve --config /etc/witan.toml
      the same settings from a file: data-dir = "/var/lib/witan"
  witan import zookeeper /var/lib/zookeeper --data-dir /var/lib/witan
      founds a cluster on what a stopped ZooKeeper left, sessions included; with --dry-run only says what is there
  ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:2379 put greeting hello
      any etcd v3 client works against it
)";

constexpr std::string_view kZooKeeper =
    R"(Only the ports that the file names are opened: clientPort, of several servers the first of this one's two, and
with admin.serverPort or admin.enableServer=true the AdminServer's. Data is kept in dataDir/witan. The settings of
witan serve win over the file, as flags or in the environment; --etcd-listen ADDRESS serves etcd's clients, too.

Examples:
  witan zookeeper /etc/zookeeper/conf/zoo.cfg
      a server for ZooKeeper's clients, as the file describes it
  witan zookeeper zoo.cfg -Djava.security.auth.login.config=/etc/zookeeper/jaas.conf
      with the users of SASL (DIGEST-MD5) that its section Server names
  witan zookeeper zoo.cfg -Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=
      with what would stand in SERVER_JVMFLAGS
)";

constexpr std::string_view kPlaces =
    "Every setting can also stand in a TOML file (--config) as its name without the dashes, and in the environment as\n"
    "WITAN_ and its name in capitals (WITAN_DATA_DIR). A flag wins over the environment, the environment over the "
    "file.\n"
    "Sizes may be written 64MiB, durations 1h30m, addresses with or without http://. --initial-cluster,\n"
    "-state and -token are read only while the data directory is empty.\n";

Invocation wrong(std::string_view what) { return {.text = fmt::format("witan: {}\n", what), .exit_code = 2}; }

// Flags as they were written.
struct Words {
  std::map<std::string_view, std::string> given;
  std::string config_path;           // serve's
  std::string zoo_path;              // zookeeper's ...
  std::vector<std::string> defined;  // ... and its -D
};

constexpr auto kEverySetting = [](const Setting&) { return true; };

void declare_settings(CLI::App& command, Words& words, bool (*wanted)(const Setting&)) {
  for (const Setting& setting : settings()) {
    if (!wanted(setting)) continue;
    std::string& text = words.given[setting.name];
    command.add_option("--" + std::string(setting.name), text, std::string(setting.help))
        ->type_name(std::string(setting.value));
  }
}

CLI::App* declare_serve(CLI::App& app, Words& words) {
  CLI::App* serve = app.add_subcommand("serve", "Run a member: alone, or together with others.");
  serve->footer("\n" + std::string(kPlaces) + "\n" + std::string(kExamples));
  serve->allow_extras();
  serve->get_formatter()->column_width(38);
  serve->add_option("--config", words.config_path, "a TOML file with any of these settings")->type_name("FILE");
  declare_settings(*serve, words, kEverySetting);
  return serve;
}

CLI::App* declare_zookeeper(CLI::App& app, Words& words) {
  CLI::App* zookeeper = app.add_subcommand("zookeeper", "Run a member that a ZooKeeper configuration file describes.");
  zookeeper->footer("\n" + std::string(kZooKeeper));
  zookeeper->allow_extras();
  zookeeper->get_formatter()->column_width(38);
  zookeeper->add_option("FILE", words.zoo_path, "zoo.cfg")->required();
  zookeeper->add_option("-D", words.defined, "a Java property that ZooKeeper would be started with; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  declare_settings(*zookeeper, words, kEverySetting);
  return zookeeper;
}

std::string unknown_word(const std::string& word, std::string_view command) {
  if (!word.starts_with('-'))
    return fmt::format("'{}' is one word too many; witan {} --help shows what there is", word, command);
  const std::string flag = word.substr(0, word.find('='));
  std::vector<std::string> flags = {"--help"};
  if (command == "serve") flags.emplace_back("--config");
  for (const Setting& setting : settings()) flags.push_back("--" + std::string(setting.name));
  const std::string_view near = nearest_name(flag, flags);
  return near.empty() ? fmt::format("there is no flag {}; witan {} --help lists them", flag, command)
                      : fmt::format("there is no flag {}; is {} meant?", flag, near);
}

Result<> apply_configuration_file(Config& config, std::string path, Surroundings& surroundings) {
  if (path.empty()) path = surroundings.environment("WITAN_CONFIG").value_or("");
  if (path.empty()) return {};
  const Result<std::string> contents = surroundings.read_file(path);
  if (!contents) return std::unexpected(contents.error());
  return apply_file(config, path, *contents);
}

Result<> read_sasl_users(Config& config, Surroundings& surroundings) {
  if (config.zookeeper_sasl_file.empty()) return {};
  const Result<std::string> contents = surroundings.read_file(config.zookeeper_sasl_file);
  if (!contents) return std::unexpected(contents.error());
  Result<Passwords> users = parse_sasl_users(config.zookeeper_sasl_file, *contents);
  if (!users) return std::unexpected(users.error());
  config.zookeeper_sasl_users = std::move(*users);
  return {};
}

// From the weakest place to the strongest.
Result<Config> gather(const Words& words, const CLI::App& command, Surroundings& surroundings) {
  Config config;
  const Result<> file_applied = words.zoo_path.empty()
                                    ? apply_configuration_file(config, words.config_path, surroundings)
                                    : apply_zoo_file(config, words.zoo_path, words.defined, surroundings.read_file);
  if (!file_applied) return std::unexpected(file_applied.error());
  for (const Setting& setting : settings()) {
    const std::string variable = environment_name(setting.name);
    const std::optional<std::string> text = surroundings.environment(variable);
    if (!text) continue;
    if (auto done = apply_setting(config, setting, *text, fmt::format("{}={}", variable, *text)); !done) {
      return std::unexpected(done.error());
    }
  }
  for (const Setting& setting : settings()) {
    const std::string flag = "--" + std::string(setting.name);
    if (!words.given.contains(setting.name) || command.count(flag) == 0) continue;
    const std::string& text = words.given.at(setting.name);
    if (auto done = apply_setting(config, setting, text, fmt::format("{} {}", flag, text)); !done) {
      return std::unexpected(done.error());
    }
  }
  if (auto read = read_sasl_users(config, surroundings); !read) return std::unexpected(read.error());
  if (auto checked = check(config); !checked) return std::unexpected(checked.error());
  return config;
}

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// What stands on the command line of `witan import zookeeper`.
struct ImportWords {
  ImportZookeeper what;
  bool dry_run = false;
  Words member;
  const CLI::App* command = nullptr;
};

// What a member's directory depends on.
bool founds(const Setting& setting) {
  constexpr std::string_view kNames[] = {"name",           "data-dir",        "peer-listen",
                                         "peer-advertise", "initial-cluster", "initial-cluster-token"};
  return std::ranges::find(kNames, setting.name) != std::end(kNames);
}

CLI::App* declare_import(CLI::App& app, ImportWords& words) {
  CLI::App* import = app.add_subcommand("import", "Take over the data of another service.");
  import->require_subcommand(1);
  CLI::App* zookeeper = import->add_subcommand(
      "zookeeper",
      "Found a cluster of one member on ZooKeeper's snapshots and transaction logs: nodes, ACLs, sessions.");
  zookeeper->add_option("DIR", words.what.data_dir, "zoo.cfg's dataDir; no server may be running on it")->required();
  zookeeper->add_option("--data-log-dir", words.what.data_log_dir, "zoo.cfg's dataLogDir, if it has one")
      ->type_name("DIR");
  zookeeper->add_flag("--dry-run", words.dry_run, "read and check everything, change nothing, say what is there");
  zookeeper->add_flag("--json", words.what.json, "with --dry-run: all that was read, as JSON");
  declare_settings(*zookeeper, words.member, founds);
  words.command = zookeeper;
  return import;
}

Invocation import_zookeeper(ImportWords words, Surroundings& surroundings) {
  if (words.dry_run) return {.import_zookeeper = std::move(words.what)};
  if (words.what.json) return wrong("--json is for --dry-run: an import prints what it did");
  Result<Config> config = gather(words.member, *words.command, surroundings);
  if (!config) return wrong(one_line(config.error().message));
  if (config->zookeeper_root != "/") {
    return wrong(fmt::format("an import fills the whole tree, and --zookeeper-root is {}: leave that out",
                             config->zookeeper_root));
  }
  words.what.target = std::move(*config);
  return {.import_zookeeper = std::move(words.what)};
}

}  // namespace

Invocation read_command_line(std::vector<std::string> words, Surroundings& surroundings) {
  CLI::App app("Witan: a coordination service that etcd's clients already know how to use.", "witan");
  Words given;
  app.footer(std::string(kExamples));
  app.allow_extras();
  const CLI::App* serve = declare_serve(app, given);
  const CLI::App* zookeeper = declare_zookeeper(app, given);
  ImportWords import_words;
  const CLI::App* import = declare_import(app, import_words);
  const CLI::App* version = app.add_subcommand("version", "Print the version.");
  try {
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    if (import->parsed()) return {.text = import->help("witan", CLI::AppFormatMode::All), .exit_code = 0};
    const CLI::App* command = zookeeper->parsed() ? zookeeper : serve;
    return {.text = command->parsed() ? command->help("witan") : app.help(), .exit_code = 0};
  } catch (const CLI::ParseError& error) {
    return wrong(one_line(error.what()));
  }
  if (serve->parsed() || zookeeper->parsed()) {
    const CLI::App* command = zookeeper->parsed() ? zookeeper : serve;
    if (const auto rest = app.remaining(true); !rest.empty()) {
      return wrong(unknown_word(rest.front(), command->get_name()));
    }
    Result<Config> config = gather(given, *command, surroundings);
    if (!config) return wrong(one_line(config.error().message));
    return {.serve = std::move(*config)};
  }
  const auto rest = app.remaining(true);
  if (import->parsed()) {
    if (!rest.empty()) return wrong(fmt::format("'{}' is one word too many", rest.front()));
    return import_zookeeper(std::move(import_words), surroundings);
  }
  if (version->parsed() && rest.empty()) return {.text = fmt::format("witan {}\n", kVersion), .exit_code = 0};
  if (!rest.empty() && !version->parsed()) {
    return wrong(
        fmt::format("'{}' is no command; there are serve, zookeeper, import and version (witan --help)", rest.front()));
  }
  if (!rest.empty()) return wrong(fmt::format("'{}' is one word too many", rest.front()));
  return wrong("a command is missing: witan serve runs a server, witan --help shows more");
}

}  // namespace witan::server
