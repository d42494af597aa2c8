// A hostile browser of the AdminServer: its stream cut into requests. The same requests come out however the stream is
// cut, nothing follows what was bad, and what is kept of an unfinished request is bounded.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/http1.h"

namespace witan::wire {
namespace {

using Input = Http1Decoder::Input;

struct Stream {
  std::vector<std::string> requests;
  Input last = Input::More;
  unsigned status = 0;
};

Stream split(std::string_view bytes, size_t step) {
  Http1Decoder decoder;
  Stream out;
  while (!bytes.empty() && out.last == Input::More) {
    const std::string piece(bytes.substr(0, step));  // its own memory: reading past it is noticed
    decoder.feed(piece);
    Http1Request request;
    while ((out.last = decoder.next(request)) == Input::Request) {
      CHECK(!request.method.empty() && request.target.size() <= Http1Decoder::kMaxHeader, "no request");
      out.requests.push_back(request.method + " " + request.target + (request.keep_alive ? " keep" : " close"));
    }
    CHECK(decoder.waiting() <= Http1Decoder::kMaxHeader + step, "{} bytes held for one request", decoder.waiting());
    bytes.remove_prefix(piece.size());
  }
  out.status = decoder.error_status();
  CHECK((out.status != 0) == (out.last == Input::Bad));
  if (out.last != Input::Bad) return out;
  decoder.feed("GET / HTTP/1.1\r\n\r\n");
  Http1Request request;
  CHECK(decoder.next(request) == Input::Bad && decoder.waiting() == 0, "something follows what was bad");
  return out;
}

void run(size_t step, std::string_view input) {
  const Stream whole = split(input, input.size());
  const Stream cut = split(input, step);
  CHECK(whole.requests == cut.requests, "what comes out depends on how it was cut");
  // What is wrong with a header that has not ended may be seen early or late.
  CHECK(whole.status == cut.status || whole.last == Input::More || cut.last == Input::More, "{} or {}", whole.status,
        cut.status);
}

}  // namespace
}  // namespace witan::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  witan::wire::run(1 + data[0] % 64, rest);
  return 0;
}
