// Where a client's "/" is in the store's tree (--zookeeper-root).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace witan::api::zookeeper {

class Root {
 public:
  // Requires a legal path.
  explicit Root(std::string path) : path_(std::move(path)), whole_(path_ == "/") {}

  // The store's name of what a client calls `path`; in `scratch` when it is not the same. Paths below /zookeeper are
  // the same for everybody. What is not absolute stays outside of every root: it becomes the empty string, which no
  // node has.
  std::string_view to_store(std::string_view path, std::string& scratch) const;
  // A piece of `path`. Nullopt: clients cannot name it.
  std::optional<std::string_view> to_client(std::string_view path) const;

 private:
  std::string path_;
  bool whole_;
};

}  // namespace witan::api::zookeeper
