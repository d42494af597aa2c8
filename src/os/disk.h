// The real disk: POSIX files.
#pragma once

#include "env/disk.h"

namespace witan::os {

// Files are made with mode 0600 and directories with 0700: they hold everybody's secrets. Errors name path, offset and
// the system's words; a full disk also says what to do. lock(directory) takes flock(2) on `directory`/lock, a file that
// stays, and writes the process id into it.
class Disk final : public env::Disk {
 public:
  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Result<> make_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> sync_directory(const std::string& path) override;
  Result<std::unique_ptr<env::DirectoryLock>> lock(const std::string& path) override;
};

}  // namespace witan::os
