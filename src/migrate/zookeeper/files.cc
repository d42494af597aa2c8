#include "migrate/zookeeper/files.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace witan::migrate::zookeeper {
namespace {

constexpr std::string_view kVersionFolder = "version-2";

std::optional<int64_t> parse_zxid(std::string_view text) {
  int64_t zxid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), zxid, 16);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || zxid < 0) return {};
  return zxid;
}

std::optional<DataFile> parse_snapshot(std::string_view rest) {
  DataFile file;
  for (const auto& [ending, packing] : {std::pair(".gz", Packing::Gzip), std::pair(".snappy", Packing::Snappy)}) {
    if (!rest.ends_with(ending)) continue;
    file.packing = packing;
    rest.remove_suffix(std::string_view(ending).size());
    break;
  }
  const auto zxid = parse_zxid(rest);
  if (!zxid) return {};
  file.zxid = *zxid;
  return file;
}

}  // namespace

Result<Listing> list_files(env::Disk& disk, const std::string& directory) {
  Listing listing{.directory = directory};
  auto names = disk.list(directory);
  if (names && std::ranges::find(*names, kVersionFolder) != names->end()) {
    listing.directory = fmt::format("{}/{}", directory, kVersionFolder);
    names = disk.list(listing.directory);
  }
  if (!names) return std::unexpected(names.error());
  for (const std::string_view name : *names) {
    const std::string path = fmt::format("{}/{}", listing.directory, name);
    constexpr std::string_view kSnapshot = "snapshot.";
    constexpr std::string_view kLog = "log.";
    std::optional<DataFile> file;
    if (name.starts_with(kSnapshot)) {
      if ((file = parse_snapshot(name.substr(kSnapshot.size())))) listing.snapshots.push_back(*file);
      if (file) listing.snapshots.back().path = path;
    } else if (name.starts_with(kLog)) {
      if (const auto zxid = parse_zxid(name.substr(kLog.size()))) file = DataFile{.path = path, .zxid = *zxid};
      if (file) listing.logs.push_back(*file);
    } else {
      continue;
    }
    if (!file) listing.strangers.push_back(path);
  }
  // The same snapshot may stand there in several packings, after the setting changed: any of them will do.
  std::ranges::sort(listing.snapshots, std::ranges::greater(), &DataFile::zxid);
  std::ranges::sort(listing.logs, std::ranges::less(), &DataFile::zxid);
  return listing;
}

}  // namespace witan::migrate::zookeeper
