#include "server/sasl_users.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace witan::server {
namespace {

constexpr std::string_view kModule = "org.apache.zookeeper.server.auth.DigestLoginModule";
constexpr std::string_view kUser = "user_";

std::unexpected<Error> wrong(std::string_view path, size_t line, std::string_view what) {
  return fail(Code::Invalid, fmt::format("{}, line {}: {}", path, line, what));
}

struct Token {
  enum class Kind : uint8_t { Text, Mark, End, Unclosed };
  Kind kind = Kind::End;
  std::string text;
  size_t line = 1;
  bool is(char mark) const { return kind == Kind::Mark && text[0] == mark; }
};

// Words, quoted texts and marks; comments as in Java.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : rest_(text) {}

  Token next() {
    if (!skip_blanks()) return {.kind = Token::Kind::Unclosed, .text = {}, .line = line_};
    if (rest_.empty()) return {.kind = Token::Kind::End, .text = {}, .line = line_};
    const char first = rest_.front();
    if (first == '"' || first == '\'') return quoted(first);
    if (kMarks.find(first) != std::string_view::npos) {
      rest_.remove_prefix(1);
      return {.kind = Token::Kind::Mark, .text = std::string(1, first), .line = line_};
    }
    size_t size = 1;
    while (size < rest_.size() && static_cast<unsigned char>(rest_[size]) > ' ' &&
           kMarks.find(rest_[size]) == std::string_view::npos && rest_[size] != '"' && rest_[size] != '\'') {
      ++size;
    }
    Token out{.kind = Token::Kind::Text, .text = std::string(rest_.substr(0, size)), .line = line_};
    rest_.remove_prefix(size);
    return out;
  }

 private:
  static constexpr std::string_view kMarks = "{};=";

  // False: a comment has no end.
  bool skip_blanks() {
    while (!rest_.empty()) {
      if (static_cast<unsigned char>(rest_.front()) <= ' ') {
        line_ += rest_.front() == '\n' ? 1 : 0;
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("//")) {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else if (rest_.starts_with("/*")) {
        const size_t end = rest_.find("*/", 2);
        if (end == std::string_view::npos) return false;
        line_ += static_cast<size_t>(std::ranges::count(rest_.substr(0, end), '\n'));
        rest_.remove_prefix(end + 2);
      } else {
        return true;
      }
    }
    return true;
  }

  Token quoted(char quote) {
    Token out{.kind = Token::Kind::Text, .text = {}, .line = line_};
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != quote && rest_.front() != '\n') {
      if (rest_.front() == '\\') {
        escape(out.text);
      } else {
        out.text.push_back(rest_.front());
        rest_.remove_prefix(1);
      }
    }
    if (rest_.empty() || rest_.front() != quote) return {.kind = Token::Kind::Unclosed, .text = {}, .line = line_};
    rest_.remove_prefix(1);
    return out;
  }

  // Java's: \n and its like, up to three octal digits, and any other character for itself.
  void escape(std::string& out) {
    rest_.remove_prefix(1);
    if (rest_.empty()) return;
    constexpr std::string_view kLetters = "abfnrtv";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v";
    if (const size_t at = kLetters.find(rest_.front()); at != std::string_view::npos) {
      out.push_back(kMeant[at]);
      rest_.remove_prefix(1);
      return;
    }
    const auto is_octal = [&] { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '7'; };
    if (!is_octal()) {
      if (rest_.front() == '\n') return;  // the end of the line ends the text, too
      out.push_back(rest_.front());
      rest_.remove_prefix(1);
      return;
    }
    const size_t most = rest_.front() <= '3' ? 3 : 2;
    unsigned value = 0;
    for (size_t digits = 0; digits < most && is_octal(); ++digits) {
      value = value * 8 + static_cast<unsigned>(rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    // Java means a character by it, and the file is UTF-8.
    if (value < 0x80) return out.push_back(static_cast<char>(value));
    out.push_back(static_cast<char>(0xc0 | value >> 6));
    out.push_back(static_cast<char>(0x80 | (value & 0x3f)));
  }

  std::string_view rest_;
  size_t line_ = 1;
};

class JaasReader {
 public:
  JaasReader(std::string_view path, std::string_view contents, std::string_view section)
      : path_(path), section_(section), tokens_(contents), token_(tokens_.next()) {}

  Result<std::optional<Passwords>> read() {
    while (token_.kind != Token::Kind::End) {
      const Token name = token_;
      if (auto done = take_text("the name of a section"); !done) return std::unexpected(done.error());
      if (!names_.insert(name.text).second) {
        return wrong(path_, name.line, fmt::format("there is a second section {}", name.text));
      }
      wanted_ = name.text == section_;
      if (wanted_) found_.emplace();
      if (auto done = take_mark('{'); !done) return std::unexpected(done.error());
      while (!token_.is('}')) {
        if (auto done = take_module(); !done) return std::unexpected(done.error());
      }
      if (auto done = take_mark('}'); !done) return std::unexpected(done.error());
      if (auto done = take_mark(';'); !done) return std::unexpected(done.error());
    }
    return std::move(found_);
  }

 private:
  Result<> expected(std::string_view what) {
    if (token_.kind == Token::Kind::Unclosed) return wrong(path_, token_.line, "a quote or a comment has no end");
    return wrong(path_, token_.line, fmt::format("{} is expected", what));
  }
  Result<> take_text(std::string_view what) {
    if (token_.kind != Token::Kind::Text) return expected(what);
    token_ = tokens_.next();
    return {};
  }
  Result<> take_mark(char mark) {
    if (!token_.is(mark)) return expected(fmt::format("'{}'", mark));
    token_ = tokens_.next();
    return {};
  }

  // "class flag name=value name=value ... ;"
  Result<> take_module() {
    const Token module = token_;
    if (auto done = take_text("the class of a login module"); !done) return done;
    if (wanted_ && module.text != kModule) {
      return wrong(path_, module.line,
                   fmt::format("{} asks for {}, which is not there: only {} is", section_, module.text, kModule));
    }
    constexpr std::string_view kFlags[] = {"required", "requisite", "sufficient", "optional"};
    std::string flag = token_.text;
    for (char& c : flag) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::ranges::find(kFlags, flag) == std::end(kFlags)) return expected("required, or what may stand there");
    if (auto done = take_text("required, or what may stand there"); !done) return done;
    while (!token_.is(';')) {
      if (auto done = take_option(); !done) return done;
    }
    return take_mark(';');
  }

  Result<> take_option() {
    const Token name = token_;
    if (auto done = take_text("an option, or ';'"); !done) return done;
    if (auto done = take_mark('='); !done) return done;
    const Token value = token_;
    if (auto done = take_text("a value"); !done) return done;
    if (!wanted_ || !name.text.starts_with(kUser)) return {};
    if (value.text.find("${") != std::string::npos) {
      return wrong(path_, value.line,
                   fmt::format("{}: what Java would put in for ${{...}} is not known here", name.text));
    }
    (*found_)[name.text.substr(kUser.size())] = value.text;
    return {};
  }

  const std::string_view path_;
  const std::string_view section_;
  Tokens tokens_;
  Token token_;  // the next one
  std::set<std::string> names_;
  bool wanted_ = false;
  std::optional<Passwords> found_;
};

}  // namespace

Result<Passwords> parse_sasl_users(std::string_view path, std::string_view contents) {
  Passwords out;
  for (size_t line = 1; !contents.empty(); ++line) {
    std::string_view text = contents.substr(0, contents.find('\n'));
    contents.remove_prefix(std::min(text.size() + 1, contents.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty() || text.starts_with('#')) continue;
    const size_t colon = text.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) {
      return wrong(path, line, "user:password is expected");
    }
    if (!out.emplace(text.substr(0, colon), text.substr(colon + 1)).second) {
      return wrong(path, line, fmt::format("the user {} stands there twice", text.substr(0, colon)));
    }
  }
  return out;
}

Result<std::optional<Passwords>> parse_jaas(std::string_view path, std::string_view contents,
                                            std::string_view section) {
  return JaasReader(path, contents, section).read();
}

}  // namespace witan::server
