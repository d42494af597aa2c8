// ZooKeeper's transaction log files.
#pragma once

#include <cstdint>
#include <optional>

#include "migrate/zookeeper/input.h"
#include "migrate/zookeeper/transaction.h"

namespace witan::migrate::zookeeper {

// How the records of a file end.
struct LogEnd {
  uint64_t offset = 0;      // of what is no record any more
  bool torn = false;        // a record begins there, and was not written to its end
  bool more_bytes = false;  // what follows is not only the zeros of a file that is longer than its contents
};

// Reads one file, record by record. Memory stays below one record. ZooKeeper ends a log where a record's length is 0 or
// its last byte is missing, and never writes behind such a place; a record with a wrong checksum is damage.
class LogReader {
 public:
  // `in` must outlive it.
  explicit LogReader(Input& in) : in_(in) {}

  Decoded<> open();
  // The next record; nothing at the end. Requires: open() was fine, and no problem since.
  Decoded<std::optional<Transaction>> next();
  // Where the record that next() gave last begins.
  uint64_t record_offset() const { return record_; }
  // Reads on to the end of the file. Requires: next() gave nothing.
  Decoded<LogEnd> end();

 private:
  Input& in_;
  uint64_t record_ = 0;
  LogEnd end_;
};

}  // namespace witan::migrate::zookeeper
