// witan-sim: runs worlds. `./dev sim` is the way to it; what it prints with --json is for tools/sim.py.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/planted.h"
#include "sim/world.h"

namespace witan::sim {
namespace {

constexpr const char* kUsage =
    "usage: witan-sim FIRST [COUNT] [--twice N] [--trace] [--json] [--stop] [--short-reigns] [--bug NAME]\n"
    "       witan-sim --list-bugs\n"
    "  runs the worlds of the seeds FIRST, FIRST + 1, ...\n"
    "  --twice N  every Nth world twice, comparing event by event\n"
    "  --trace    prints what members log as it happens\n"
    "  --json     one line of JSON a world\n"
    "  --stop     after the first world that fails\n"
    "  --short-reigns  only those of these worlds that have leaders falling one after another and nothing else\n"
    "  --bug NAME with a deliberate bug (a build of the preset `planted` has them)\n";

uint64_t current_seed = 0;  // for whoever reads why the process died

struct Options {
  uint64_t first = 0;
  uint64_t count = 1;
  uint64_t twice = 0;
  bool trace = false;
  bool json = false;
  bool stop = false;
  bool short_reigns = false;
  bool list_bugs = false;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  std::vector<uint64_t> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--trace") {
      options.trace = true;
    } else if (word == "--json") {
      options.json = true;

    } else if (word == "--stop") {
      options.stop = true;
    } else if (word == "--short-reigns") {
      options.short_reigns = true;
    } else if (word == "--list-bugs") {
      options.list_bugs = true;
    } else if (word == "--bug" && i + 1 < argc) {
      const auto bug = parse_bug(argv[++i]);
      if (!bug) return std::nullopt;
      plant(*bug);
    } else if (word == "--twice" && i + 1 < argc) {
      options.twice = std::strtoull(argv[++i], nullptr, 10);
    } else if (!word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos) {
      numbers.push_back(std::strtoull(argv[i], nullptr, 10));
    } else {
      return std::nullopt;
    }
  }
  if (options.list_bugs) return options;
  if (numbers.empty() || numbers.size() > 2) return std::nullopt;
  options.first = numbers[0];
  if (numbers.size() == 2) options.count = numbers[1];
  return options;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

void print_json(uint64_t seed, const Verdict& verdict) {
  std::string counts;
  for (const auto& [name, n] : verdict.counts) {
    counts += fmt::format("{}\"{}\":{}", counts.empty() ? "" : ",", escaped(name), n);
  }
  std::string rules;
  for (const verify::Violation& violation : verdict.violations) {
    rules += fmt::format("{}\"{}\"", rules.empty() ? "" : ",", escaped(violation.rule));
  }
  fmt::print("{{\"seed\":{},\"virtual_ms\":{},\"events\":{},\"violations\":[{}],\"counts\":{{{}}}}}\n", seed,
             verdict.virtual_time.count() / 1'000'000, verdict.events, rules, counts);
}

// The same world once more: does it go the same way?
std::optional<verify::Violation> compare(const Plan& plan, World& first) {
  World second(plan);
  second.run();
  const Scheduler& a = first.scheduler();
  const Scheduler& b = second.scheduler();
  if (a.hash() == b.hash()) return std::nullopt;
  size_t window = 0;
  while (window < a.windows().size() && window < b.windows().size() && a.windows()[window] == b.windows()[window]) {
    ++window;
  }
  return verify::Violation{.rule = "determinism",
                           .what = fmt::format("two runs part between events {} and {}", window * Scheduler::kWindow,
                                               (window + 1) * Scheduler::kWindow),
                           .window = {}};
}

bool run_seed(uint64_t seed, const Options& options) {
  current_seed = seed;
  const Plan plan = draw_plan(seed);
  if (options.short_reigns && !plan.short_reigns) return true;
  if (!options.json) fmt::print("seed {}: {}\n", seed, describe(plan));
  World world(plan);
  world.journal().print_all(options.trace);
  Verdict verdict = world.run();
  if (options.twice > 0 && seed % options.twice == 0) {
    if (auto different = compare(plan, world)) verdict.violations.push_back(std::move(*different));
  }
  if (options.json) print_json(seed, verdict);
  if (verdict.violations.empty()) return true;
  FILE* out = options.json ? stderr : stdout;
  fmt::print(out, "seed {} failed; ./dev sim {} shows it again\n", seed, seed);
  for (const verify::Violation& violation : verdict.violations) fmt::print(out, "{}\n", describe(violation));
  fmt::print(out, "the last that was logged:\n");
  for (const std::string& line : world.journal().last_lines()) fmt::print(out, "  {}\n", line);
  return false;
}

int run(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  if (options->list_bugs) {
    for (const BugInfo& bug : planted_bugs()) fmt::print("{}\t{}\n", bug.name, bug.what);
    return 0;
  }
  on_death([](std::string_view) {
    fmt::print(stderr, "in the world of seed {}; ./dev sim {} shows it again\n", current_seed, current_seed);
  });
  bool good = true;
  for (uint64_t i = 0; i < options->count; ++i) {
    good = run_seed(options->first + i, *options) && good;
    if (!good && options->stop) break;
    std::fflush(stdout);
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace witan::sim

int main(int argc, char** argv) { return witan::sim::run(argc, argv); }
