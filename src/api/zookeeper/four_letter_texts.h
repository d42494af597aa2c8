// What four-letter words answer, line by line as ZooKeeper writes it: tools read these texts.
#pragma once

#include <string>

#include "api/zookeeper/operators.h"

namespace witan::api::zookeeper {

std::string text_of_srvr(const Facts& facts, const Report& report);
std::string text_of_stat(const Facts& facts, const Report& report);
std::string text_of_cons(const Report& report);
std::string text_of_conf(const Facts& facts, const Report& report);
std::string text_of_envi(const Facts& facts);
std::string text_of_mntr(const Facts& facts, const Report& report);
std::string text_of_dump(const Facts& facts, const Report& report);
std::string text_of_wchs(const Report& report);
std::string text_of_wchc(const Report& report);
std::string text_of_wchp(const Report& report);
std::string text_of_dirs(const Report& report);

// "Sat Nov 21 02:12:19 UTC 2026"
std::string java_date(WallTime time);

// path -> who watches it, both sorted.
std::vector<std::pair<std::string_view, std::vector<store::LeaseId>>> watched_by_path(const WatchListing& watches);

}  // namespace witan::api::zookeeper
