// Transactions (reference 1.6): judged first, checked second, and only then carried out.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "store/batch_writer.h"
#include "store/state.h"

namespace witan::store {

// One transaction, nested ones included. All compares are judged on the state before it, at every depth, so the path
// taken is known before anything runs; what can fail is checked on that path and that state; then nothing can fail.
class TxnRun {
 public:
  TxnRun(const State& state, const Txn& txn, std::span<const std::string_view> principals);

  // None when the path taken may run.
  Failure check() const;
  // Carries it out. `writer` may be null when there is nothing to write. Without `want_reply` reads are left out.
  TxnResult run(BatchWriter* writer, bool want_reply) const;

 private:
  struct At {
    size_t verdict = 0;      // of the next transaction met, depth first
    uint32_t operation = 0;  // operations met
  };
  void judge(const Txn& txn);
  bool holds(const Compare& compare) const;
  template <class Check>
  Failure check_each(const Txn& txn, At& at, Check&& check) const;
  Failure check_access(const Txn& txn) const;
  TxnResult run_branch(const Txn& txn, At& at, BatchWriter* writer, bool want_reply) const;
  OperationResult run_one(const Operation& operation, At& at, BatchWriter* writer, bool want_reply) const;
  RangeResult read(const Range& range, const BatchWriter* writer, bool want_reply) const;

  const State& state_;
  const Txn& txn_;
  std::span<const std::string_view> principals_;
  std::vector<bool> verdicts_;  // of transactions met on the path taken, depth first
};

// Whether any branch puts something: such transactions are refused while the cluster is out of space.
bool has_put(const Txn& txn);
// What a put can fail with on the present state.
Failure check_put(const State& state, const Put& put);
// Only whether its lease is there: a put of its own is asked this first, one in a transaction last, as in etcd.
Failure check_lease(const State& state, const Put& put);

}  // namespace witan::store
