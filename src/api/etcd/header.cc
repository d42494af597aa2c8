#include "api/etcd/header.h"

#include "api/etcd/proto/rpc.pb.h"

namespace witan::api::etcd {

void put_header(std::string& out, const Header& header) {
  // Four varints of at most ten bytes with a tag of one: the length always fits in one byte.
  const size_t start = out.size();
  out.append("\x0a\x00", 2);
  FieldWriter fields(out);
  fields.uint(1, header.cluster);
  fields.uint(2, header.member);
  fields.sint(3, header.revision.value);
  fields.uint(4, header.term);
  out[start + 1] = static_cast<char>(out.size() - start - 2);
}

void fill(etcdserverpb::ResponseHeader& out, const Header& header) {
  out.set_cluster_id(header.cluster);
  out.set_member_id(header.member);
  out.set_revision(header.revision.value);
  out.set_raft_term(header.term);
}

}  // namespace witan::api::etcd
