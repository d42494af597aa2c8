#include "verify/ledger.h"

#include <algorithm>

#include <fmt/format.h>

namespace witan::verify {
namespace {

std::string text_of(Digest digest) { return fmt::format("{:016x}{:016x}", digest.high, digest.low); }

std::string text_of(const LogImage& image) {
  std::string text = fmt::format("member {}: snapshot to {}", image.member, image.snapshot_index);
  if (image.entries.empty()) return text + ", an empty log";
  return text + fmt::format(", log from {} to {}", image.entries.front().index, image.entries.back().index);
}

const LogEntry* find(const LogImage& image, uint64_t index) {
  const auto entry = std::ranges::lower_bound(image.entries, index, {}, &LogEntry::index);
  return entry != image.entries.end() && entry->index == index ? &*entry : nullptr;
}

}  // namespace

void Ledger::leads(uint64_t member, uint64_t term, Instant when) {
  const auto [leader, first] = leaders_.emplace(term, member);
  if (first || leader->second == member) return;
  findings_.add("election", fmt::format("term {} has two leaders", term),
                {fmt::format("member {}", leader->second), fmt::format("member {} at {}", member, describe(when))});
}

// ---- Applying -----------------------------------------------------------------------------------

void Ledger::restarted(uint64_t member, uint64_t index, Instant when) {
  positions_[member] = index;
  if (index <= highest().index) return;
  findings_.add("ahead",
                fmt::format("member {} restarts with the state at {}, and nobody has applied more than {}", member,
                            index, highest().index),
                {"at " + describe(when)});
}

void Ledger::applied(uint64_t member, uint64_t index, uint64_t term, uint64_t content_hash, Digest digest,
                     Instant when) {
  uint64_t& position = positions_[member];
  if (index != position + 1) {
    findings_.add("order", fmt::format("member {} applies {} after {}", member, index, position),
                  {"at " + describe(when)});
  }
  position = index;
  const Committed entry{.term = term, .content_hash = content_hash, .digest = digest, .member = member, .when = when};
  const auto known = committed_.find(index);
  if (known == committed_.end()) return commit(index, entry);

  const Committed& first = known->second;
  if (first.term == term && first.content_hash == content_hash && first.digest == digest) return;
  const bool same = first.term == term && first.content_hash == content_hash;
  const auto line = [](const Committed& e) {
    return fmt::format("member {} at {}: term {}, content {:016x}, digest {}", e.member, describe(e.when), e.term,
                       e.content_hash, text_of(e.digest));
  };
  findings_.add(
      "agreement",
      fmt::format("two members {} at {}", same ? "differ after the same entry" : "apply different entries", index),
      {line(first), line(entry)});
}

void Ledger::commit(uint64_t index, const Committed& entry) {
  Committed& committed = committed_.emplace(index, entry).first->second;
  committed.last_term = leaders_.empty() ? entry.term : std::max(entry.term, leaders_.rbegin()->first);
  const std::optional<uint64_t> previous_term = term_of(index - 1);
  // Of a log as it was committed, and held against all that disks have shown.
  judge_entry({.member = entry.member}, {.index = index, .term = entry.term, .content_hash = entry.content_hash},
              previous_term);
}

void Ledger::installed(uint64_t member, uint64_t index, Digest digest, Instant when) {
  uint64_t& position = positions_[member];
  if (index < position) {
    findings_.add("order", fmt::format("a snapshot takes member {} from {} back to {}", member, position, index),
                  {"at " + describe(when)});
  }
  position = index;
  const auto known = committed_.find(index);
  if (known == committed_.end()) {
    findings_.add("ahead", fmt::format("member {} installs a snapshot of {}, which nobody has applied", member, index),
                  {"at " + describe(when)});
  } else if (known->second.digest != digest) {
    findings_.add("agreement", fmt::format("a snapshot of {} is not the state that members had there", index),
                  {fmt::format("member {} at {}: digest {}", known->second.member, describe(known->second.when),
                               text_of(known->second.digest)),
                   fmt::format("member {} at {}: digest {}", member, describe(when), text_of(digest))});
  }
}

Applied Ledger::highest() const {
  if (committed_.empty()) return {};
  return {.index = committed_.rbegin()->first, .term = committed_.rbegin()->second.term};
}

std::optional<uint64_t> Ledger::term_of(uint64_t index) const {
  const auto known = committed_.find(index);
  return known == committed_.end() ? std::nullopt : std::optional(known->second.term);
}

// ---- Disks --------------------------------------------------------------------------------------

void Ledger::check_images(const std::vector<LogImage>& images) {
  for (const LogImage& image : images) {
    judge_snapshot(image);
    judge_log(image);
  }
}

void Ledger::judge_snapshot(const LogImage& image) {
  if (image.snapshot_index > highest().index) {
    findings_.add("ahead",
                  fmt::format("member {} has a snapshot of {}, and nobody has applied more than {}", image.member,
                              image.snapshot_index, highest().index),
                  {text_of(image)});
  }
  const std::optional<uint64_t> term = term_of(image.snapshot_index);
  if (!term || !image.snapshot_term || *term == *image.snapshot_term) return;
  findings_.add("agreement",
                fmt::format("member {} has a snapshot of {} in term {}, and the term was {}", image.member,
                            image.snapshot_index, *image.snapshot_term, *term),
                {text_of(image)});
}

void Ledger::judge_log(const LogImage& image) {
  if (image.entries.empty()) return;
  if (image.entries.front().index > image.snapshot_index + 1) {
    findings_.add("order", fmt::format("the log of member {} begins behind a gap", image.member), {text_of(image)});
  }
  const LogEntry* before = nullptr;
  for (const LogEntry& entry : image.entries) {
    std::optional<uint64_t> previous_term;
    if (entry.index == image.snapshot_index + 1) previous_term = image.snapshot_term;
    if (before != nullptr) {
      previous_term = before->term;
      if (entry.index != before->index + 1) {
        findings_.add("order",
                      fmt::format("the log of member {} has {} after {}", image.member, entry.index, before->index),
                      {text_of(image)});
        previous_term.reset();
      }
    }
    judge_entry(image, entry, previous_term);
    before = &entry;
  }
}

// By induction over the index: equal predecessors have equal predecessors.
void Ledger::judge_entry(const LogImage& image, const LogEntry& entry, std::optional<uint64_t> previous_term) {
  if (previous_term && *previous_term > entry.term) {
    findings_.add("terms", fmt::format("term {} at {} comes after term {}", entry.term, entry.index, *previous_term),
                  {text_of(image)});
  }
  // Whoever leads in a later term than that in which an entry was committed has it (thesis 3.6.3). That may be later
  // than the entry's own term, so a log may well have an entry of a term in between.
  const auto committed = committed_.find(entry.index);
  if (committed != committed_.end() && entry.term != committed->second.term &&
      entry.term > committed->second.last_term) {
    findings_.add("completeness",
                  fmt::format("term {} at {}, where the entry of term {} was committed in term {} at the latest",
                              entry.term, entry.index, committed->second.term, committed->second.last_term),
                  {text_of(image)});
  }
  const auto [known, first] = written_.try_emplace({entry.index, entry.term}, Written{.member = image.member});
  Written& written = known->second;
  const auto differs = [](const std::optional<uint64_t>& a, const std::optional<uint64_t>& b) {
    return a && b && *a != *b;
  };
  if (differs(written.content_hash, entry.content_hash) || differs(written.previous_term, previous_term)) {
    findings_.add("log-matching",
                  fmt::format("two logs have the index {} in term {}, but not the same {}", entry.index, entry.term,
                              differs(written.content_hash, entry.content_hash) ? "content" : "entry before it"),
                  {fmt::format("member {} had it first", written.member), text_of(image)});
  }
  if (!written.content_hash) written.content_hash = entry.content_hash;
  if (!written.previous_term) written.previous_term = previous_term;
}

void Ledger::check_durable(uint64_t index, const std::vector<LogImage>& images,
                           const std::vector<std::set<uint64_t>>& quorums) {
  const std::optional<uint64_t> term = term_of(index);
  if (!term) {
    findings_.add("durable", fmt::format("{} is said to be durable, and nobody has applied it", index),
                  {fmt::format("highest {}", highest().index)});
    return;
  }
  std::set<uint64_t> holders;
  std::vector<std::string> window;
  for (const LogImage& image : images) {
    const LogEntry* entry = find(image, index);
    const bool holds = image.snapshot_index >= index || (entry != nullptr && entry->term == *term);
    if (holds) holders.insert(image.member);
    window.push_back(text_of(image) + (holds              ? ": has it"
                                       : entry == nullptr ? ": lacks it"
                                                          : fmt::format(": has term {}", entry->term)));
  }
  for (const std::set<uint64_t>& voters : quorums) {
    const auto count =
        static_cast<size_t>(std::ranges::count_if(voters, [&](uint64_t voter) { return holders.contains(voter); }));
    if (voters.empty() || count > voters.size() / 2) continue;
    findings_.add("durable",
                  fmt::format("only {} of {} voters have {} of term {} on disk", count, voters.size(), index, *term),
                  window);
  }
}

}  // namespace witan::verify
