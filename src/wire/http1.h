// HTTP/1.0 and 1.1 for small servers: bytes in, requests out, responses as bytes. No I/O.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace witan::wire {

struct Http1Request {
  std::string method;       // "GET"
  std::string target;       // "/commands/ruok?x=1", as it was sent
  bool keep_alive = false;  // as the version and the Connection header say
};

// Requests one after the other. Bodies are read and forgotten.
class Http1Decoder {
 public:
  static constexpr uint32_t kMaxHeader = 8 << 10;  // bytes of the request line and all fields; more is Bad
  static constexpr uint64_t kMaxBody = 64 << 10;   // likewise

  enum class Input : uint8_t {
    More,     // nothing whole is left
    Request,  // one more
    Bad,      // see error_status(); nothing follows
  };

  Http1Decoder();
  ~Http1Decoder();
  Http1Decoder(Http1Decoder&&) noexcept;
  Http1Decoder& operator=(Http1Decoder&&) noexcept;

  // Keeps a copy of what no request has taken yet.
  void feed(std::string_view bytes);
  Input next(Http1Request& request);
  // What to answer a Bad: 400, 413, 431 or 501.
  unsigned error_status() const;
  // Bytes that were fed and not looked at yet.
  size_t waiting() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct Http1Response {
  unsigned status = 200;
  std::string_view content_type;
  std::string_view allow;  // methods, for 405; empty: no such field
  bool keep_alive = false;
  bool head = false;  // the body is measured, not sent
};

// The whole response, with its length.
std::string encode_http1_response(const Http1Response& response, std::string_view body);

}  // namespace witan::wire
