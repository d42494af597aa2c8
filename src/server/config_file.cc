// The TOML half of config.h: in a file of its own because the parser's header is large.
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "server/config.h"

namespace witan::server {
namespace {

// The text that the same setting would have as a flag; nothing for what no setting can be.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  return {};
}

Result<> apply_key(Config& config, std::string_view key, const toml::node& node, std::string_view place) {
  const Setting* setting = find_setting(key);
  if (setting == nullptr) {
    std::vector<std::string_view> names;
    for (const Setting& known : settings()) names.push_back(known.name);
    const std::string_view near = nearest_name(key, names);
    return fail(Code::Invalid, fmt::format("{}: there is no setting '{}'; {}", place, key,
                                           near.empty() ? "witan serve --help lists them (without the dashes)"
                                                        : fmt::format("is '{}' meant?", near)));
  }
  const std::optional<std::string> text = text_of(node);
  if (!text) return fail(Code::Invalid, fmt::format("{}: {} is to be a text or a whole number", place, key));
  return apply_setting(config, *setting, *text, fmt::format("{}: {} = '{}'", place, key, *text));
}

}  // namespace

Result<> apply_file(Config& config, std::string_view path, std::string_view contents) {
  try {
    const toml::table table = toml::parse(contents, path);
    for (const auto& [key, node] : table) {
      const std::string place = fmt::format("{}, line {}", path, key.source().begin.line);
      if (auto applied = apply_key(config, key.str(), node, place); !applied) return applied;
    }
    return {};
  } catch (const toml::parse_error& error) {
    return fail(Code::Invalid,
                fmt::format("{}, line {}: not TOML: {}", path, error.source().begin.line, error.description()));
  }
}

}  // namespace witan::server
