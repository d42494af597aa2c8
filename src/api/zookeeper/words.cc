#include "api/zookeeper/words.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "api/zookeeper/four_letter_texts.h"

namespace witan::api::zookeeper {
namespace {

struct Word {
  std::string_view name;
  Wanted wanted;
  std::string (*text)(const Facts& facts, const Report& report);
  bool when_not_serving = false;
};

constexpr std::string_view kNotServing = "This ZooKeeper instance is not currently serving requests\n";

constexpr Word kWords[] = {
    {.name = "ruok",
     .wanted = {},
     .text = [](const Facts&, const Report&) { return std::string("imok"); },
     .when_not_serving = true},
    {.name = "isro",
     .wanted = {},
     .text = [](const Facts&, const Report& r) { return r.mode; },
     .when_not_serving = true},
    {.name = "envi",
     .wanted = {},
     .text = [](const Facts& f, const Report&) { return text_of_envi(f); },
     .when_not_serving = true},
    {.name = "srvr", .wanted = {}, .text = text_of_srvr},
    {.name = "stat", .wanted = {.connections = true}, .text = text_of_stat},
    {.name = "cons",
     .wanted = {.connections = true},
     .text = [](const Facts&, const Report& r) { return text_of_cons(r); }},
    {.name = "conf", .wanted = {.members = true, .machine = true}, .text = text_of_conf},
    {.name = "mntr", .wanted = {.machine = true}, .text = text_of_mntr},
    {.name = "dump", .wanted = {.connections = true, .sessions = true}, .text = text_of_dump},
    {.name = "wchs",
     .wanted = {.watches = true},
     .text = [](const Facts&, const Report& r) { return text_of_wchs(r); }},
    {.name = "wchc",
     .wanted = {.watches = true},
     .text = [](const Facts&, const Report& r) { return text_of_wchc(r); }},
    {.name = "wchp",
     .wanted = {.watches = true},
     .text = [](const Facts&, const Report& r) { return text_of_wchp(r); }},
    {.name = "dirs",
     .wanted = {.machine = true},
     .text = [](const Facts&, const Report& r) { return text_of_dirs(r); }},
    {.name = "srst",
     .wanted = {.reset_server = true},
     .text = [](const Facts&, const Report&) { return std::string("Server stats reset.\n"); }},
    {.name = "crst",
     .wanted = {.reset_connections = true},
     .text = [](const Facts&, const Report&) { return std::string("Connection stats reset.\n"); }},
    // ZooKeeper's digests of every 128th transaction, of which there are none here: the tree's digest is another one.
    {.name = "hash", .wanted = {}, .text = [](const Facts&, const Report&) { return std::string(); }},
    // What is traced: nothing, and that cannot be changed.
    {.name = "gtmk",
     .wanted = {},
     .text = [](const Facts&, const Report&) { return std::string("0"); },
     .when_not_serving = true},
    {.name = "stmk",
     .wanted = {},
     .text = [](const Facts&, const Report&) { return std::string("0"); },
     .when_not_serving = true},
};

}  // namespace

void Words::answer(std::string_view word, Function<void(std::optional<std::string>)> done) {
  const Word* const known = std::ranges::find(kWords, word, &Word::name);
  if (known == std::end(kWords)) return done(std::nullopt);
  const Facts& facts = operators_.facts();
  if (!facts.allows(word)) {
    return done(fmt::format("{} is not executed because it is not in the whitelist.\n", word));
  }
  if (!known->when_not_serving && operators_.mode() == "null") return done(std::string(kNotServing));
  operators_.survey(known->wanted, [known, &facts, done = std::move(done)](const Report& report) mutable {
    done(known->text(facts, report));
  });
}

}  // namespace witan::api::zookeeper
