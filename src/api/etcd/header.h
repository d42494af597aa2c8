// The ResponseHeader in front of nearly every response.
#pragma once

#include <cstdint>
#include <string>

#include "base/coding.h"
#include "store/types.h"

namespace etcdserverpb {
class ResponseHeader;
}

namespace witan::api::etcd {

struct Header {
  uint64_t cluster = 0;
  uint64_t member = 0;
  store::Revision revision;  // 0: left out, as responses of Cluster do
  uint64_t term = 0;
};

// Appends it as field 1 of the response under construction.
void put_header(std::string& out, const Header& header);
void fill(etcdserverpb::ResponseHeader& out, const Header& header);

}  // namespace witan::api::etcd
