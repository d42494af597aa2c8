#include "verify/watch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace witan::verify {
namespace {

bool in_range(const WatchAttachment& attachment, const std::string& key) {
  // etcd reads an empty first key as the first key there can be.
  return verify::in_range(key, attachment.begin.empty() ? std::string(1, '\0') : attachment.begin, attachment.end);
}

bool is_filtered(const WatchAttachment& attachment, bool deletes) {
  return deletes ? attachment.no_delete : attachment.no_put;
}

bool matches(const WatchAttachment& attachment, const Change& change) {
  return in_range(attachment, change.key) && !is_filtered(attachment, !change.after);
}

std::string describe(const WatchAttachment& attachment) {
  return fmt::format("watch [{}, {}) from {}", printable(attachment.begin), printable(attachment.end),
                     attachment.start_revision);
}

std::string describe(const WatchEvent& event) {
  std::string text = event.deleted ? fmt::format("delete {} at {}", printable(event.key), event.now.mod_revision)
                                   : fmt::format("put {} {}", printable(event.key), verify::describe(event.now));
  if (event.previous) text += " after " + verify::describe(*event.previous);
  return text;
}

// The first revision that the watcher is to tell of; none as long as it does not say so.
std::optional<int64_t> first_revision(const WatchAttachment& attachment) {
  if (attachment.start_revision > 0) return attachment.start_revision;
  if (attachment.messages.empty() || attachment.messages[0].kind != WatchMessage::Kind::Created) return std::nullopt;
  return attachment.messages[0].header_revision + 1;
}

struct Expected {
  int64_t revision = 0;
  const Change* change = nullptr;
  bool delivered = false;
};

class Judge {
 public:
  Judge(const Truth& truth, const WatchAttachment& attachment) : truth_(truth), attachment_(attachment) {}

  std::vector<Violation> run() {
    if (attachment_.messages.empty()) return {};
    start_ = first_revision(attachment_).value_or(1);
    for (int64_t revision = std::max<int64_t>(start_, 2); revision <= truth_.revision(); ++revision) {
      for (const Change& change : truth_.changes(revision)) {
        if (matches(attachment_, change)) expected_.push_back({.revision = revision, .change = &change});
      }
    }
    for (message_ = 0; message_ < attachment_.messages.size(); ++message_) judge(attachment_.messages[message_]);
    check_complete();
    return findings_.take();
  }

 private:
  void judge(const WatchMessage& message) {
    const bool created = message.kind == WatchMessage::Kind::Created;
    if (created != (message_ == 0)) accuse("created", "a watch is created once, and before anything else");
    if (canceled_) accuse("canceled", "a message comes after the watch was canceled");
    check_header(message);
    if (pending_ && message.kind != WatchMessage::Kind::Events) {
      accuse("atomic", fmt::format("something comes between the pieces of revision {}", last_));
      pending_ = false;
    }
    switch (message.kind) {
      case WatchMessage::Kind::Created: return;
      case WatchMessage::Kind::Events: return judge_events(message);
      case WatchMessage::Kind::Progress: return judge_progress(message);
      case WatchMessage::Kind::Canceled: return judge_canceled(message);
    }
  }

  void check_header(const WatchMessage& message) {
    const int64_t revision = message.header_revision;
    if (message.kind == WatchMessage::Kind::Canceled && revision == 0) return;
    if (revision < header_) accuse("header", fmt::format("revision {} comes after {}", revision, header_));
    header_ = std::max(header_, revision);
    if (revision > truth_.revision_by(message.at)) {
      accuse("header",
             fmt::format("revision {} is told of when the cluster is at {}", revision, truth_.revision_by(message.at)));
    }
  }

  // ---- Events ---------------------------------------------------------------------------------------

  void judge_events(const WatchMessage& message) {
    if (message.events.empty()) accuse("content", "a message of events has none");
    if (message.more_fragments && !attachment_.fragment)
      accuse("atomic", "fragments come although nobody asked for them");
    for (const WatchEvent& event : message.events) judge_event(message, event);
    pending_ = message.more_fragments;
    closed_ = pending_ ? 0 : last_;
  }

  void judge_event(const WatchMessage& message, const WatchEvent& event) {
    const int64_t revision = event.now.mod_revision;
    if (revision > message.header_revision) {
      accuse("header", fmt::format("revision {} carries an event of {}", message.header_revision, revision));
    }
    const std::optional<size_t> place = find(event);
    if (!place) return judge_stranger(event);
    Expected& expected = expected_[*place];
    if (expected.delivered) return accuse("unique", describe(event) + " comes a second time");
    expected.delivered = true;
    if (*place < next_) {
      accuse("ordered",
             fmt::format("{} comes after {}", describe(event), verify::describe(*expected_[next_ - 1].change)));
    } else {
      next_ = *place + 1;
      if (revision == closed_) accuse("atomic", fmt::format("revision {} comes in two messages", revision));
    }
    last_ = std::max(last_, revision);
    check_content(message, event, *expected.change);
  }

  // In expected_, by revision and key.
  std::optional<size_t> find(const WatchEvent& event) const {
    const int64_t revision = event.now.mod_revision;
    auto at = std::ranges::lower_bound(expected_, revision, {}, &Expected::revision);
    for (; at != expected_.end() && at->revision == revision; ++at) {
      if (at->change->key == event.key) return static_cast<size_t>(at - expected_.begin());
    }
    return std::nullopt;
  }

  // It is not among what should come: why?
  void judge_stranger(const WatchEvent& event) {
    const int64_t revision = event.now.mod_revision;
    const std::string what = describe(event);
    if (!in_range(attachment_, event.key)) return accuse("content", what + " lies outside of the range");
    if (!truth_.has(revision)) return accuse("content", what + " never happened");
    for (const Change& change : truth_.changes(revision)) {
      if (change.key != event.key) continue;
      if (is_filtered(attachment_, !change.after)) return accuse("filter", what + " was to be left out");
      return accuse("ordered", fmt::format("{} lies before the start at {}", what, start_));
    }
    accuse("content", what + " never happened");
  }

  void check_content(const WatchMessage& message, const WatchEvent& event, const Change& change) {
    Version now = change.after.value_or(Version{});
    now.mod_revision = event.now.mod_revision;
    if (event.deleted == change.after.has_value() || event.now != now) {
      accuse("content", fmt::format("{} is not what happened: {}", describe(event), verify::describe(change)));
    }
    const std::optional<Version>& previous = attachment_.prev_kv ? change.before : std::nullopt;
    if (event.previous == previous) return;
    const bool forgotten = event.now.mod_revision <= truth_.compacted_by(message.at);
    if (!event.previous && forgotten) return;
    accuse("previous", fmt::format("{} should have come with {}", describe(event),
                                   previous ? verify::describe(*previous) : "no previous value"));
  }

  // ---- Everything else ------------------------------------------------------------------------------

  // What comes later in spite of it is missing here, or comes a second time.
  void judge_progress(const WatchMessage& message) {
    const int64_t revision = message.header_revision;
    if (revision < attachment_.start_revision) {
      accuse("progress", fmt::format("at {} before the start at {}", revision, start_));
    }
    for (; promised_ < expected_.size() && expected_[promised_].revision <= revision; ++promised_) {
      if (expected_[promised_].delivered) continue;
      accuse("progress", fmt::format("at {} although {} of revision {} has not come", revision,
                                     verify::describe(*expected_[promised_].change), expected_[promised_].revision));
    }
    progress_ = std::max(progress_, revision);
  }

  void judge_canceled(const WatchMessage& message) {
    canceled_ = true;
    if (message.compact_revision == 0) return;
    const int64_t compacted = truth_.compacted_by(message.at);
    if (message.compact_revision > compacted) {
      accuse("canceled",
             fmt::format("for compaction at {}, which has come to {}", message.compact_revision, compacted));
    }
    const int64_t needed = std::max({start_, last_ + 1, progress_ + 1});
    if (needed >= message.compact_revision) {
      accuse("canceled", fmt::format("for compaction at {}, which takes nothing from who needs {}",
                                     message.compact_revision, needed));
    }
  }

  void check_complete() {
    const bool to_the_end = attachment_.lived_to_the_end && !canceled_;
    if (to_the_end && pending_) accuse("atomic", fmt::format("the last piece of revision {} never comes", last_));
    const size_t end = to_the_end ? expected_.size() : next_;
    for (size_t place = 0; place < end; ++place) {
      if (expected_[place].delivered) continue;
      findings_.add("complete", fmt::format("revision {} is missing", expected_[place].revision),
                    {describe(attachment_), "without " + verify::describe(*expected_[place].change),
                     place < next_ ? fmt::format("but with revision {}", expected_[next_ - 1].revision)
                                   : fmt::format("after the last event, of revision {}", last_)});
    }
    if (to_the_end || end == 0 || end == expected_.size() || pending_) return;
    // It ended after a whole message, and a whole message has all of its revision.
    for (size_t place = end; place < expected_.size() && expected_[place].revision == last_; ++place) {
      findings_.add("atomic", fmt::format("revision {} came in part", last_),
                    {describe(attachment_), "without " + verify::describe(*expected_[place].change)});
    }
  }

  void accuse(std::string rule, std::string what) {
    std::vector<std::string> window{describe(attachment_)};
    if (message_ > 0) window.push_back(verify::describe(attachment_.messages[message_ - 1]));
    if (message_ < attachment_.messages.size()) window.push_back(verify::describe(attachment_.messages[message_]));
    findings_.add(std::move(rule), std::move(what), std::move(window));
  }

  const Truth& truth_;
  const WatchAttachment& attachment_;
  int64_t start_ = 1;
  std::vector<Expected> expected_;
  size_t message_ = 0;    // the one being judged
  size_t next_ = 0;       // in expected_: behind the last that came
  size_t promised_ = 0;   // in expected_: what progress has told of
  int64_t last_ = 0;      // revision of the last event
  int64_t closed_ = 0;    // the revision that the last message ended, which no other may continue
  int64_t header_ = 0;    // the largest so far
  int64_t progress_ = 0;  // the largest so far
  bool pending_ = false;  // the next message must continue the last
  bool canceled_ = false;
  Findings findings_;
};

// Where a client that has seen the message must go on: everything below was delivered whole.
int64_t next_after(const WatchMessage& message) {
  switch (message.kind) {
    case WatchMessage::Kind::Created: return 0;
    case WatchMessage::Kind::Progress: return message.header_revision + 1;
    case WatchMessage::Kind::Canceled: return message.compact_revision;
    case WatchMessage::Kind::Events: break;
  }
  if (message.events.empty()) return 0;
  const int64_t last = message.events.back().now.mod_revision;
  return message.more_fragments ? last : last + 1;
}

class Resumption {
 public:
  explicit Resumption(const Truth& truth) : truth_(truth) {}

  void judge(const WatchAttachment& attachment) {
    const std::optional<int64_t> first = first_revision(attachment);
    if (!first) return;
    if (next_) {
      check_gap(attachment, *first);
    } else {
      next_ = *first;
    }
    const int64_t resumed = *next_;
    for (const WatchMessage& message : attachment.messages) {
      for (const WatchEvent& event : message.events) {
        if (event.now.mod_revision < resumed) {
          findings_.add("resumable",
                        fmt::format("revision {} comes again, although everything before {} had come",
                                    event.now.mod_revision, resumed),
                        {describe(attachment), verify::describe(message)});
        }
      }
      next_ = std::max(*next_, next_after(message));
    }
  }

  std::vector<Violation> take() { return findings_.take(); }

 private:
  void check_gap(const WatchAttachment& attachment, int64_t first) {
    const int64_t end = std::min(first, truth_.revision() + 1);
    for (int64_t revision = std::max<int64_t>(*next_, 2); revision < end; ++revision) {
      for (const Change& change : truth_.changes(revision)) {
        if (!matches(attachment, change)) continue;
        findings_.add("resumable",
                      fmt::format("revision {} is missed: it resumes at {} instead of {}", revision, first, *next_),
                      {describe(attachment), "without " + verify::describe(change)});
      }
    }
  }

  const Truth& truth_;
  std::optional<int64_t> next_;  // of the revisions that it has yet to deliver
  Findings findings_;
};

}  // namespace

std::vector<Violation> check_watch(const Truth& truth, const WatchAttachment& attachment) {
  return Judge(truth, attachment).run();
}

std::vector<Violation> check_resumption(const Truth& truth, const std::vector<WatchAttachment>& attachments) {
  Resumption resumption(truth);
  for (const WatchAttachment& attachment : attachments) resumption.judge(attachment);
  return resumption.take();
}

std::string describe(const WatchMessage& message) {
  const std::string when = describe(message.at);
  switch (message.kind) {
    case WatchMessage::Kind::Created: return fmt::format("{} created at {}", when, message.header_revision);
    case WatchMessage::Kind::Progress: return fmt::format("{} progress to {}", when, message.header_revision);
    case WatchMessage::Kind::Canceled:
      return fmt::format("{} canceled, compacted at {}", when, message.compact_revision);
    case WatchMessage::Kind::Events: break;
  }
  std::string text = fmt::format("{} at {}{}:", when, message.header_revision, message.more_fragments ? " (more)" : "");
  constexpr size_t kMost = 5;
  for (size_t i = 0; i < std::min(kMost, message.events.size()); ++i) text += " " + describe(message.events[i]) + ";";
  if (message.events.size() > kMost) text += fmt::format(" and {} more", message.events.size() - kMost);
  return text;
}

}  // namespace witan::verify
