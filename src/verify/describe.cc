// Histories as a person reads them: one line for each thing, in the words of etcdctl where it has some.
#include <string>
#include <utility>

#include <fmt/format.h>

#include "verify/kv.h"
#include "verify/violation.h"

namespace witan::verify {
namespace {

std::string text_of(const KeyVersion& item);
std::string text_of(const SimpleReply& reply);

std::string range_text(const std::string& begin, const std::string& end) {
  return end.empty() ? printable(begin) : fmt::format("[{}, {})", printable(begin), printable(end));
}

std::string text_of(const Put& put) {
  std::string text = fmt::format("put {} {}", printable(put.key), printable(put.value));
  if (put.lease != 0) text += fmt::format(" lease={}", put.lease);
  if (put.prev_kv) text += " prev_kv";
  return text;
}

std::string text_of(const Delete& what) {
  return fmt::format("delete {}{}", range_text(what.begin, what.end), what.prev_kv ? " prev_kv" : "");
}

std::string text_of(const Range& range) {
  std::string text = "range " + range_text(range.begin, range.end);
  if (range.revision > 0) text += fmt::format(" rev={}", range.revision);
  if (range.limit > 0) text += fmt::format(" limit={}", range.limit);
  if (range.count_only) text += " count_only";
  if (range.keys_only) text += " keys_only";
  return text;
}

std::string text_of(const Simple& simple) {
  return std::visit([](const auto& what) { return text_of(what); }, simple);
}

std::string text_of(const Compare& compare) {
  static constexpr std::string_view kTargets[] = {"version", "create", "mod", "value", "lease"};
  static constexpr std::string_view kRelations[] = {"=", "!=", ">", "<"};
  const bool by_value = compare.target == Compare::Target::Value;
  return fmt::format("{}({}) {} {}", kTargets[static_cast<size_t>(compare.target)], printable(compare.key),
                     kRelations[static_cast<size_t>(compare.relation)],
                     by_value ? printable(compare.text) : fmt::format("{}", compare.number));
}

template <class Items>
std::string list(const Items& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : "; ") + text_of(item);
  return text;
}

std::string text_of(const Txn& txn) {
  return fmt::format("txn if {{{}}} then {{{}}} else {{{}}}", list(txn.when), list(txn.then), list(txn.otherwise));
}

std::string text_of(const KeyVersion& item) { return printable(item.key) + " " + describe(item.version); }

std::string text_of(std::monostate) { return "nothing"; }

std::string text_of(const PutReply& reply) {
  return reply.previous ? "put over " + describe(*reply.previous) : std::string("put");
}

std::string text_of(const DeleteReply& reply) {
  std::string text = fmt::format("deleted {}", reply.deleted);
  if (!reply.previous.empty()) text += " {" + list(reply.previous) + "}";
  return text;
}

std::string text_of(const RangeReply& reply) {
  return fmt::format("{{{}}} count={}{}", list(reply.kvs), reply.count, reply.more ? " more" : "");
}

std::string text_of(const SimpleReply& reply) {
  return std::visit([](const auto& what) { return text_of(what); }, reply);
}

std::string text_of(const TxnReply& reply) {
  return fmt::format("{} {{{}}}", reply.succeeded ? "then" : "else", list(reply.replies));
}

std::string_view failure_name(Failure failure) {
  switch (failure) {
    case Failure::None: return "none";
    case Failure::Compacted: return "compacted";
    case Failure::FutureRevision: return "future revision";
    case Failure::LeaseNotFound: return "lease not found";
  }
  return "?";
}

}  // namespace

std::string describe(const Version& version) {
  std::string text = fmt::format("{} (create {}, mod {}, version {}", printable(version.value), version.create_revision,
                                 version.mod_revision, version.version);
  if (version.lease != 0) text += fmt::format(", lease {}", version.lease);
  return text + ")";
}

std::string describe(const Change& change) {
  const auto side = [](const std::optional<Version>& version) { return version ? describe(*version) : "nothing"; };
  return fmt::format("{}: {} -> {}", printable(change.key), side(change.before), side(change.after));
}

std::string describe(const Operation& operation) {
  return std::visit([](const auto& what) { return text_of(what); }, operation);
}

std::string describe(const Reply& reply) {
  if (reply.failure != Failure::None) return fmt::format("{}", failure_name(reply.failure));
  return fmt::format("at {}: {}", reply.revision,
                     std::visit([](const auto& what) { return text_of(what); }, reply.answer));
}

}  // namespace witan::verify
