#include "os/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace witan::os {
namespace {

constexpr size_t kMaxPieces = 256;  // of one pwritev; IOV_MAX is 1024

std::string_view advice(int error) {
  switch (error) {
    case ENOSPC: return "; the disk is full: free space on it, then start again";
    case EDQUOT: return "; the quota is used up: free space or raise it, then start again";
    case EROFS: return "; the file system is mounted read-only: look at the system's log, a disk may be failing";
    case EIO: return "; the disk or its connection is failing: look at the system's log and replace it";
    case EACCES:
    case EPERM: return "; run as the owner of the data directory or change its owner";
    case EMFILE: return "; raise the limit of open files (ulimit -n)";
    default: return "";
  }
}

Code code_of(int error) {
  if (error == ENOENT) return Code::NotFound;
  if (error == EEXIST) return Code::Exists;
  return Code::Io;
}

std::unexpected<Error> failed(std::string_view doing, const std::string& path, int error) {
  return fail(code_of(error), fmt::format("cannot {} {}: {}{}", doing, path, std::strerror(error), advice(error)));
}

// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

Descriptor open_descriptor(const std::string& path, int flags) {
  return Descriptor(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); }));
}

class PosixFile final : public env::File {
 public:
  PosixFile(std::string path, Descriptor descriptor) : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = uninterrupted([&] {
        return ::pread(descriptor_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) return failed_at("read", offset + done, errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Result<> write_at(uint64_t offset, std::span<const std::string_view> pieces) override {
    size_t skip = 0;  // bytes of the first piece that are written
    while (!pieces.empty()) {
      std::array<iovec, kMaxPieces> vectors;
      const size_t count = std::min(pieces.size(), kMaxPieces);
      for (size_t i = 0; i < count; ++i) vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
      vectors[0].iov_base = static_cast<char*>(vectors[0].iov_base) + skip;
      vectors[0].iov_len -= skip;
      const ssize_t n = uninterrupted([&] {
        return ::pwritev(descriptor_.get(), vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      });
      if (n < 0) return failed_at("write", offset, errno);
      if (n == 0 && vectors[0].iov_len > 0) return failed_at("write", offset, EIO);  // no progress and no reason given
      auto written = static_cast<size_t>(n);
      offset += written;
      written += skip;
      while (!pieces.empty() && written >= pieces[0].size()) {
        written -= pieces[0].size();
        pieces = pieces.subspan(1);
      }
      skip = written;
    }
    return {};
  }

  Result<> sync() override {
    if (uninterrupted([&] { return ::fdatasync(descriptor_.get()); }) != 0) return failed("sync", path_, errno);
    return {};
  }

  Result<> allocate(uint64_t size) override {
    const int result = uninterrupted([&] { return ::fallocate(descriptor_.get(), 0, 0, static_cast<off_t>(size)); });
    if (result == 0) return {};
    if (errno != EOPNOTSUPP) return failed_at("allocate space in", size, errno);
    return fill_with_zeros(size);  // file systems without extents
  }

  Result<> truncate(uint64_t size) override {
    const int result = uninterrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); });
    if (result != 0) return failed_at("truncate", size, errno);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status{};
    if (::fstat(descriptor_.get(), &status) != 0) return failed("examine", path_, errno);
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  std::unexpected<Error> failed_at(std::string_view doing, uint64_t offset, int error) const {
    return fail(code_of(error), fmt::format("cannot {} {} at offset {}: {}{}", doing, path_, offset,
                                            std::strerror(error), advice(error)));
  }

  Result<> fill_with_zeros(uint64_t size) {
    const auto from = this->size();
    if (!from) return std::unexpected(from.error());
    static constexpr std::array<char, size_t{64} << 10> kZeros{};
    for (uint64_t at = *from; at < size;) {
      const std::string_view piece(kZeros.data(), std::min<uint64_t>(kZeros.size(), size - at));
      if (auto written = write_at(at, std::span(&piece, 1)); !written) return written;
      at += piece.size();
    }
    return {};
  }

  const std::string path_;
  const Descriptor descriptor_;
};

class RealLock final : public env::DirectoryLock {
 public:
  explicit RealLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  const Descriptor descriptor_;  // closing it gives the lock back, as does the end of the process
};

// What the holder wrote into the lock file, for the message; the lock itself does not depend on it.
std::string holder(int fd) {
  std::array<char, 32> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  std::string pid;
  for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; ++i) pid += text[i];
  return pid.empty() ? "" : fmt::format(" (process {})", pid);
}

}  // namespace

Result<std::unique_ptr<env::File>> Disk::open(const std::string& path, env::OpenMode mode) {
  int flags = O_RDONLY;
  if (mode == env::OpenMode::ReadWrite) flags = O_RDWR;
  if (mode == env::OpenMode::Create) flags = O_RDWR | O_CREAT | O_EXCL;
  Descriptor descriptor = open_descriptor(path, flags);
  if (!descriptor.valid()) return failed(mode == env::OpenMode::Create ? "create" : "open", path, errno);
  return std::make_unique<PosixFile>(path, std::move(descriptor));
}

Result<> Disk::make_directory(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      const int error = errno;
      struct stat status{};
      // A parent that may not be written but is there (EROFS, EACCES) is fine.
      if (::stat(part.c_str(), &status) != 0) return failed("create directory", part, error);
    }
    if (slash == std::string::npos) break;
  }
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return failed("create directory", path, errno);
  if (!S_ISDIR(status.st_mode)) return failed("create directory", path, ENOTDIR);
  return {};
}

Result<std::vector<std::string>> Disk::list(const std::string& directory) {
  DIR* open = ::opendir(directory.c_str());
  if (open == nullptr) return failed("list", directory, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* item = ::readdir(open)) {
    const std::string_view name = item->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(open);
  if (error != 0) return failed("list", directory, error);
  std::ranges::sort(names);
  return names;
}

Result<> Disk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return failed("rename", fmt::format("{} to {}", from, to), errno);
}

Result<> Disk::remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return {};
  return failed("remove", path, errno);
}

Result<> Disk::sync_directory(const std::string& path) {
  const Descriptor directory = open_descriptor(path, O_RDONLY | O_DIRECTORY);
  if (!directory.valid()) return failed("open directory", path, errno);
  if (uninterrupted([&] { return ::fsync(directory.get()); }) != 0) return failed("sync directory", path, errno);
  return {};
}

Result<std::unique_ptr<env::DirectoryLock>> Disk::lock(const std::string& path) {
  const std::string file = path + "/lock";
  Descriptor descriptor = open_descriptor(file, O_RDWR | O_CREAT);
  if (!descriptor.valid()) return failed("open", file, errno);
  if (uninterrupted([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK) return failed("lock", file, error);
    return fail(Code::Exists,
                fmt::format("the directory {} is in use by another witan process{}: stop that one, or give "
                            "this one its own --data-dir",
                            path, holder(descriptor.get())));
  }
  // Only a courtesy to whoever is refused: its failure does not matter.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(descriptor.get(), pid.data(), pid.size(), 0);
  }
  return std::make_unique<RealLock>(std::move(descriptor));
}

}  // namespace witan::os
