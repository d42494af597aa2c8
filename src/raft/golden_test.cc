// Plays the scripts in golden/ and compares everything that happens with what the file says.
// A script is read by people: `# comment`, `> command`, and below each command what it led to.
// WITAN_REWRITE_GOLDEN=1 writes the files anew; whoever does that reads the difference and can say why.
//
//   cluster 1 2 3 [blank=4,5] [tail=BYTES] [append=BYTES]   a new cluster of voters, and members that know nobody yet
//   disk ID term=T log=1,1,4 [commit=N]   restarts ID with a disk that holds entries of these terms
//   due ID                           its deadline comes
//   advance MS                       time goes by, whoever is due wakes
//   run MS                           the same in small steps, settling after each
//   campaign ID                      due, then settle
//   settle                           messages and disks move until nothing does (not held disks, not cut links)
//   hold disk ID | release disk ID   its writes wait | go on
//   write ID                         its oldest write reaches the disk
//   hold snapshots | release snapshots
//   deliver A>B | lose A>B           the oldest message on that link
//   propose ID TEXT                  one command
//   read ID NUMBER                   one ReadIndex
//   members ID voters=1,2 [learners=3]
//   transfer A>B | step-down ID | unreachable A>B
//   cut A B | isolate ID | heal
//   crash ID | restart ID
//   snapshot ID [keep=N]             and compact the log but for N entries
//   show ID                          what it knows
//   quietly COMMAND                  without telling
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/check.h"
#include "raft/testing.h"

namespace witan::raft::testing {
namespace {

// One command, split at spaces; `key=value` words apart from the others.
class Command {
 public:
  explicit Command(const std::string& line) {
    std::istringstream in(line);
    for (std::string word; in >> word;) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        words_.push_back(word);
      } else {
        named_[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }

  std::string word(size_t i) const { return i < words_.size() ? words_[i] : ""; }
  uint64_t number(size_t i) const { return parse(word(i)); }
  std::vector<uint64_t> numbers_from(size_t i) const {
    std::vector<uint64_t> numbers;
    for (; i < words_.size(); ++i) numbers.push_back(parse(words_[i]));
    return numbers;
  }
  uint64_t named(const std::string& key, uint64_t otherwise) const {
    const auto at = named_.find(key);
    return at == named_.end() ? otherwise : parse(at->second);
  }
  std::vector<uint64_t> list(const std::string& key) const {
    std::vector<uint64_t> numbers;
    const auto at = named_.find(key);
    if (at == named_.end()) return numbers;
    std::istringstream in(at->second);
    for (std::string number; std::getline(in, number, ',');) numbers.push_back(parse(number));
    return numbers;
  }
  // "1>2"
  std::pair<uint64_t, uint64_t> link(size_t i) const {
    const std::string text = word(i);
    const size_t arrow = text.find('>');
    CHECK(arrow != std::string::npos, "\"{}\" is no link", text);
    return {parse(text.substr(0, arrow)), parse(text.substr(arrow + 1))};
  }

 private:
  static uint64_t parse(const std::string& text) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    CHECK(error == std::errc() && end == text.data() + text.size(), "\"{}\" is no number", text);
    return number;
  }

  std::vector<std::string> words_;
  std::map<std::string, std::string> named_;
};

class Player {
 public:
  // What the script looks like when it is played.
  std::string play(std::istream& script) {
    std::string out;
    for (std::string line; std::getline(script, line);) {
      if (line.starts_with('#')) {
        out += line + "\n";
      } else if (line.starts_with("> ")) {
        out += line + "\n";
        for (const std::string& told : perform(line.substr(2))) out += told + "\n";
        out += "\n";
      }
    }
    if (cluster_) {
      EXPECT_THAT(cluster_->judge().complaints(), ::testing::ElementsAre());
    }
    return out;
  }

 private:
  std::vector<std::string> perform(const std::string& line) {
    if (line.starts_with("quietly ")) {
      perform(line.substr(8));
      return {};
    }
    const Command command(line);
    if (command.word(0) == "cluster") {
      make(command);
    } else {
      CHECK(cluster_.has_value(), "a script begins with a cluster");
      const auto at = verbs_.find(command.word(0));
      CHECK(at != verbs_.end(), "\"{}\" is no command", line);
      (this->*at->second)(command);
    }
    std::vector<std::string> told = std::exchange(shown_, {});
    for (std::string& one : cluster_->take_trace()) told.push_back(std::move(one));
    return told;
  }

  void make(const Command& command) {
    Options options;
    options.max_tail_bytes = command.named("tail", options.max_tail_bytes);
    options.max_append_bytes = command.named("append", options.max_append_bytes);
    cluster_.emplace(options, command.numbers_from(1), command.list("blank"), 1);
    cluster_->tracing = true;
  }

  void disk(const Command& command) {
    Process& process = cluster_->at(command.number(1));
    cluster_->crash(process.id.value, 0);
    Image& image = process.image;
    image.hard_state = {Term(command.named("term", 0)), kNobody, Index(command.named("commit", 0))};
    image.entries.clear();
    for (const uint64_t term : command.list("log")) {
      const Index index(image.entries.size() + 1);
      const std::string text = fmt::format("{}.{}", term, index);
      image.entries.push_back({.term = Term(term), .index = index, .kind = EntryKind::Command, .data = Blob(text)});
      image.end = index;
    }
    cluster_->restart(process.id.value);
  }

  void due(const Command& command) { cluster_->wake(command.number(1)); }
  void advance(const Command& command) { cluster_->advance(milliseconds(static_cast<int64_t>(command.number(1)))); }
  void run(const Command& command) {
    for (uint64_t gone = 0; gone < command.number(1); gone += 50) {
      cluster_->advance(milliseconds(50));
      cluster_->settle();
    }
  }
  void campaign(const Command& command) { cluster_->campaign(command.number(1)); }
  void settle(const Command&) { cluster_->settle(); }
  void hold(const Command& command) { set_held(command, true); }
  void release(const Command& command) { set_held(command, false); }
  void set_held(const Command& command, bool held) {
    if (command.word(1) == "snapshots") {
      cluster_->hold_snapshots = held;
    } else {
      CHECK(command.word(1) == "disk", "hold what?");
      cluster_->at(command.number(2)).disk_held = held;
    }
  }
  void write(const Command& command) { CHECK(cluster_->write_one(command.number(1)), "nothing to write"); }
  void deliver(const Command& command) { cluster_->deliver(oldest(command.link(1))); }
  void lose(const Command& command) { cluster_->lose(oldest(command.link(1))); }
  size_t oldest(std::pair<uint64_t, uint64_t> link) {
    for (size_t i = 0; i < cluster_->messages().size(); ++i) {
      const Envelope& envelope = cluster_->messages()[i];
      if (envelope.from.value == link.first && envelope.to.value == link.second) return i;
    }
    CHECK(false, "no message from {} to {}", link.first, link.second);
    return 0;
  }
  void propose(const Command& command) { cluster_->propose(command.number(1), command.word(2)); }
  void read(const Command& command) { cluster_->read(command.number(1), command.number(2)); }
  void change(const Command& command) {
    Configuration target = members(command.list("voters"), command.list("learners"));
    cluster_->step(command.number(1), ProposeMembership{.target = std::move(target), .only_in = {}});
  }
  void transfer(const Command& command) {
    cluster_->step(command.link(1).first, TransferLeadership{NodeId(command.link(1).second)});
  }
  void step_down(const Command& command) { cluster_->step(command.number(1), StepDown{"told to"}); }
  void unreachable(const Command& command) {
    cluster_->step(command.link(1).first, Unreachable{NodeId(command.link(1).second)});
  }
  void cut(const Command& command) { cluster_->cut(command.number(1), command.number(2)); }
  void isolate(const Command& command) { cluster_->isolate(command.number(1)); }
  void heal(const Command&) { cluster_->heal(); }
  void crash(const Command& command) { cluster_->crash(command.number(1), 0); }
  void restart(const Command& command) { cluster_->restart(command.number(1)); }
  void snapshot(const Command& command) {
    cluster_->step(command.number(1), Applied{cluster_->at(command.number(1)).delivered});
    cluster_->snapshot(command.number(1), command.named("keep", 0));
  }
  void show(const Command& command) {
    std::istringstream in(cluster_->raft(command.number(1)).describe());
    for (std::string line; std::getline(in, line);) shown_.push_back(line);
  }

  using Verb = void (Player::*)(const Command&);
  const std::map<std::string, Verb> verbs_ = {
      {"disk", &Player::disk},
      {"due", &Player::due},
      {"advance", &Player::advance},
      {"campaign", &Player::campaign},
      {"settle", &Player::settle},
      {"hold", &Player::hold},
      {"release", &Player::release},
      {"write", &Player::write},
      {"deliver", &Player::deliver},
      {"lose", &Player::lose},
      {"propose", &Player::propose},
      {"read", &Player::read},
      {"members", &Player::change},
      {"transfer", &Player::transfer},
      {"step-down", &Player::step_down},
      {"unreachable", &Player::unreachable},
      {"cut", &Player::cut},
      {"isolate", &Player::isolate},
      {"heal", &Player::heal},
      {"crash", &Player::crash},
      {"restart", &Player::restart},
      {"snapshot", &Player::snapshot},
      {"show", &Player::show},
      {"run", &Player::run},
  };
  std::optional<Cluster> cluster_;
  std::vector<std::string> shown_;
};

const std::vector<std::string>& scripts() {
  static const std::vector<std::string> kScripts = {
      "election",  "replication",  "divergence",           "pre_vote", "check_quorum",
      "joint_add", "joint_remove", "joint_replace_leader", "learner",  "snapshot",
      "transfer",  "read_index",   "async_append",
  };
  return kScripts;
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, HappensAsWritten) {
  const std::filesystem::path path = std::filesystem::path(WITAN_GOLDEN) / (GetParam() + ".txt");
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path;
  std::stringstream written;
  written << in.rdbuf();
  const std::string played = Player().play(written);
  if (std::getenv("WITAN_REWRITE_GOLDEN") != nullptr) {
    std::ofstream(path) << played;
    return;
  }
  EXPECT_EQ(written.str(), played);
}

INSTANTIATE_TEST_SUITE_P(Scripts, Golden, ::testing::ValuesIn(scripts()),
                         [](const auto& script) { return script.param; });

TEST(GoldenFiles, AreAllPlayed) {
  std::vector<std::string> found;
  for (const auto& file : std::filesystem::directory_iterator(WITAN_GOLDEN)) found.push_back(file.path().stem());
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(scripts()));
}

}  // namespace
}  // namespace witan::raft::testing
