#include "server/command_line.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

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
  ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:2379 put greeting hello
      any etcd v3 client works against it
)";

constexpr std::string_view kPlaces =
    "Every setting can also stand in a TOML file (--config) as its name without the dashes, and in the environment as\n"
    "WITAN_ and its name in capitals (WITAN_DATA_DIR). A flag wins over the environment, the environment over the "
    "file.\n"
    "Sizes may be written 64MiB, durations 1h30m, addresses with or without http://. --initial-cluster,\n"
    "-state and -token are read only while the data directory is empty.\n";

Invocation wrong(std::string_view what) {
  return {.serve = {}, .text = fmt::format("witan: {}\n", what), .exit_code = 2};
}

// Flags as they were written, and what was left over.
struct Words {
  std::map<std::string_view, std::string> given;
  std::string config_path;
};

void declare_flags(CLI::App& serve, Words& words) {
  serve.add_option("--config", words.config_path, "a TOML file with any of these settings")->type_name("FILE");
  for (const Setting& setting : settings()) {
    std::string& text = words.given[setting.name];
    serve.add_option("--" + std::string(setting.name), text, std::string(setting.help))
        ->type_name(std::string(setting.value));
  }
}

std::string unknown_word(const std::string& word) {
  if (!word.starts_with('-'))
    return fmt::format("'{}' is one word too many; witan serve --help shows what there is", word);
  const std::string flag = word.substr(0, word.find('='));
  std::vector<std::string> flags = {"--config", "--help"};
  for (const Setting& setting : settings()) flags.push_back("--" + std::string(setting.name));
  const std::string_view near = nearest_name(flag, flags);
  return near.empty() ? fmt::format("there is no flag {}; witan serve --help lists them", flag)
                      : fmt::format("there is no flag {}; is {} meant?", flag, near);
}

Result<> apply_configuration_file(Config& config, std::string path, Surroundings& surroundings) {
  if (path.empty()) path = surroundings.environment("WITAN_CONFIG").value_or("");
  if (path.empty()) return {};
  const Result<std::string> contents = surroundings.read_file(path);
  if (!contents) return std::unexpected(contents.error());
  return apply_file(config, path, *contents);
}

// From the weakest place to the strongest.
Result<Config> gather(const Words& words, const CLI::App& serve, Surroundings& surroundings) {
  Config config;
  if (auto done = apply_configuration_file(config, words.config_path, surroundings); !done)
    return std::unexpected(done.error());
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
    if (serve.count(flag) == 0) continue;
    const std::string& text = words.given.at(setting.name);
    if (auto done = apply_setting(config, setting, text, fmt::format("{} {}", flag, text)); !done) {
      return std::unexpected(done.error());
    }
  }
  if (auto checked = check(config); !checked) return std::unexpected(checked.error());
  return config;
}

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

Invocation read_command_line(std::vector<std::string> words, Surroundings& surroundings) {
  CLI::App app("Witan: a coordination service that etcd's clients already know how to use.", "witan");
  Words given;
  app.footer(std::string(kExamples));
  app.allow_extras();
  CLI::App* serve = app.add_subcommand("serve", "Run a member: alone, or together with others.");
  serve->footer("\n" + std::string(kPlaces) + "\n" + std::string(kExamples));
  serve->allow_extras();
  serve->get_formatter()->column_width(38);
  declare_flags(*serve, given);
  CLI::App* version = app.add_subcommand("version", "Print the version.");
  try {
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return {.serve = {}, .text = serve->parsed() ? serve->help("witan") : app.help(), .exit_code = 0};
  } catch (const CLI::ParseError& error) {
    return wrong(one_line(error.what()));
  }
  if (serve->parsed()) {
    if (const auto rest = app.remaining(true); !rest.empty()) return wrong(unknown_word(rest.front()));
    Result<Config> config = gather(given, *serve, surroundings);
    if (!config) return wrong(one_line(config.error().message));
    return {.serve = std::move(*config), .text = {}, .exit_code = 0};
  }
  const auto rest = app.remaining(true);
  if (version->parsed() && rest.empty())
    return {.serve = {}, .text = fmt::format("witan {}\n", kVersion), .exit_code = 0};
  if (!rest.empty() && !version->parsed()) {
    return wrong(fmt::format("'{}' is no command; there are serve and version (witan --help)", rest.front()));
  }
  if (!rest.empty()) return wrong(fmt::format("'{}' is one word too many", rest.front()));
  return wrong("a command is missing: witan serve runs a server, witan --help shows more");
}

}  // namespace witan::server
