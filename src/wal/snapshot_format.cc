#include "wal/snapshot_format.h"

#include <fmt/format.h>

#include "base/coding.h"
#include "base/crc32c.h"

namespace witan::wal {
namespace {

constexpr std::string_view kMagic = "WITANSNP";

}  // namespace

std::string encode_snapshot_header(const raft::SnapshotMeta& meta) {
  std::string encoded;
  FieldWriter fields(encoded);
  fields.uint(1, meta.index.value);
  fields.uint(2, meta.term.value);
  fields.bytes(3, raft::encode(meta.configuration));
  std::string out(kMagic);
  put_fixed32(out, kSnapshotVersion);
  put_fixed32(out, static_cast<uint32_t>(encoded.size()));
  out += encoded;
  put_fixed32(out, crc32c(out));
  return out;
}

Result<size_t> snapshot_header_size(std::string_view preamble) {
  if (preamble.size() < kSnapshotPreambleSize || !preamble.starts_with(kMagic)) {
    return fail(Code::Corrupt, "it does not begin as a snapshot does");
  }
  const uint32_t version = get_fixed32(preamble.data() + kMagic.size());
  const uint32_t meta_size = get_fixed32(preamble.data() + kMagic.size() + 4);
  if (version > kSnapshotVersion && version < 1000) {
    return fail(Code::Invalid, fmt::format("it has format version {}, this program knows versions up to {}", version,
                                           kSnapshotVersion));
  }
  if (version != kSnapshotVersion || meta_size > kMaxMetaSize) return fail(Code::Corrupt, "its header is damaged");
  return kSnapshotPreambleSize + meta_size + 4;
}

Result<raft::SnapshotMeta> decode_snapshot_header(std::string_view header) {
  const auto size = snapshot_header_size(header.substr(0, kSnapshotPreambleSize));
  if (!size) return std::unexpected(size.error());
  if (header.size() < *size) return fail(Code::Corrupt, "its header is cut short");
  const std::string_view checked = header.substr(0, *size - 4);
  if (get_fixed32(header.data() + checked.size()) != crc32c(checked)) {
    return fail(Code::Corrupt, "the checksum of its header is wrong");
  }
  raft::SnapshotMeta meta;
  std::string_view configuration;
  FieldReader reader(checked.substr(kSnapshotPreambleSize));
  while (reader.next()) {
    switch (reader.field()) {
      case 1: meta.index = raft::Index(reader.uint()); break;
      case 2: meta.term = raft::Term(reader.uint()); break;
      case 3: configuration = reader.bytes(); break;
      default: break;
    }
  }
  if (!reader.ok()) return fail(Code::Corrupt, "its header cannot be read");
  auto decoded = raft::decode_configuration(configuration);
  if (!decoded) return fail(Code::Corrupt, fmt::format("its membership cannot be read: {}", decoded.error().message));
  meta.configuration = std::move(*decoded);
  return meta;
}

std::string encode_block_header(std::string_view data, size_t raw) {
  std::string out;
  put_fixed32(out, static_cast<uint32_t>(data.size()));
  put_fixed32(out, static_cast<uint32_t>(raw));
  put_fixed32(out, crc32c(data, crc32c(out)));
  return out;
}

BlockHeader decode_block_header(std::string_view bytes) {
  ByteReader reader(bytes);
  BlockHeader header;
  header.stored = reader.fixed32();
  header.raw = reader.fixed32();
  header.crc = reader.fixed32();
  return header;
}

bool block_intact(const BlockHeader& header, std::string_view data) {
  std::string sizes;
  put_fixed32(sizes, header.stored);
  put_fixed32(sizes, header.raw);
  return crc32c(data, crc32c(sizes)) == header.crc;
}

std::string encode_footer(uint64_t raw_bytes, uint64_t file_bytes, uint32_t crc_before) {
  std::string out;
  put_fixed32(out, 0);
  put_fixed32(out, 0);
  put_fixed64(out, raw_bytes);
  put_fixed64(out, file_bytes);
  put_fixed32(out, crc32c(out, crc_before));
  return out;
}

Result<SnapshotFooter> decode_footer(std::string_view bytes) {
  ByteReader reader(bytes);
  const bool marked = reader.fixed32() == 0 && reader.fixed32() == 0;
  SnapshotFooter footer;
  footer.raw_bytes = reader.fixed64();
  footer.file_bytes = reader.fixed64();
  footer.crc = reader.fixed32();
  if (!marked || !reader.done()) return fail(Code::Corrupt, "it does not end as a snapshot does");
  return footer;
}

std::string snapshot_name(raft::Index index, raft::Term term) {
  return fmt::format("{:016x}-{:016x}.snap", index.value, term.value);
}

}  // namespace witan::wal
