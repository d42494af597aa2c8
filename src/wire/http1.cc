#include "wire/http1.h"

#include <optional>
#include <utility>

#include <fmt/format.h>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

namespace witan::wire {
namespace http = boost::beast::http;

// "0\r\n\r\n", the shortest end of a chunked body. Beast asserts that it is never asked again about a last chunk with
// less than that, so a body's end is not shown to it before it can be one.
constexpr size_t kShortestLastChunk = 5;

struct Http1Decoder::Impl {
  std::string bytes;
  std::optional<http::request_parser<http::string_body>> parser;
  unsigned error = 0;

  http::request_parser<http::string_body>& current() {
    if (!parser) {
      parser.emplace();
      parser->header_limit(kMaxHeader);
      parser->body_limit(kMaxBody);
      parser->eager(true);
    }
    return *parser;
  }

  bool too_little(size_t left) const {
    return parser && parser->is_header_done() && parser->chunked() && left < kShortestLastChunk;
  }
};

namespace {

unsigned status_of(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit || error == http::error::buffer_overflow) return 413;
  if (error == http::error::bad_transfer_encoding) return 501;
  return 400;
}

}  // namespace

Http1Decoder::Http1Decoder() : impl_(std::make_unique<Impl>()) {}
Http1Decoder::~Http1Decoder() = default;
Http1Decoder::Http1Decoder(Http1Decoder&&) noexcept = default;
Http1Decoder& Http1Decoder::operator=(Http1Decoder&&) noexcept = default;

void Http1Decoder::feed(std::string_view bytes) {
  if (impl_->error == 0) impl_->bytes.append(bytes);
}

unsigned Http1Decoder::error_status() const { return impl_->error; }
size_t Http1Decoder::waiting() const { return impl_->bytes.size(); }

Http1Decoder::Input Http1Decoder::next(Http1Request& request) {
  Impl& impl = *impl_;
  if (impl.error != 0) return Input::Bad;
  size_t taken = 0;
  bool whole = false;
  while (taken < impl.bytes.size() && !impl.too_little(impl.bytes.size() - taken)) {
    auto& parser = impl.current();
    boost::system::error_code error;
    const size_t used =
        parser.put(boost::asio::const_buffer(impl.bytes.data() + taken, impl.bytes.size() - taken), error);
    taken += used;
    if (error && error != http::error::need_more) {
      impl.error = status_of(error);
      impl.bytes.clear();
      return Input::Bad;
    }
    whole = parser.is_done();
    if (whole || used == 0) break;
  }
  impl.bytes.erase(0, taken);
  if (!whole) return Input::More;
  const auto& message = impl.parser->get();
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.keep_alive = message.keep_alive();
  impl.parser.reset();
  return Input::Request;
}

std::string encode_http1_response(const Http1Response& response, std::string_view body) {
  const std::string_view reason = http::obsolete_reason(http::int_to_status(response.status));
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n", response.status,
                  reason, response.content_type, body.size(), response.keep_alive ? "keep-alive" : "close");
  if (!response.allow.empty()) out += fmt::format("Allow: {}\r\n", response.allow);
  out += "\r\n";
  if (!response.head) out += body;
  return out;
}

}  // namespace witan::wire
