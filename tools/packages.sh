#!/usr/bin/env bash
# Installs what is missing of the given groups of cmake/packages.txt: tools/packages.sh build test
#
# Installing must neither start a service (Debian's etcd-server would take port 2379) nor stop one that runs. So while
# apt works, a policy-rc.d answers 101, "action forbidden", to every service action; nothing that is installed already
# is upgraded or removed; and a service that came with a package is not left enabled for the next boot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

policy=/usr/sbin/policy-rc.d
saved=$policy.before-witan
marker="# temporary, by witan's tools/packages.sh"

# Prints the packages of the groups $@, one a line.
listed() {
  awk -v groups=" $* " '/^\[/ { group = substr($0, 2, length($0) - 2) }
                        /^[a-z0-9]/ && index(groups, " " group " ")' cmake/packages.txt
}

# Prints those of the packages $@ that are not installed.
missing() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2> /dev/null |
    awk '$1 == "installed" { print $2 }' || true)
  comm -23 <(printf '%s\n' "$@" | sort) <(printf '%s\n' "$installed" | sort)
}

# Undoes forbid_service_actions, also what a run that was killed left behind.
restore_policy() {
  if [ -e "$saved" ] || [ -L "$saved" ]; then
    mv -f "$saved" "$policy"
  elif [ -f "$policy" ] && grep -qF "$marker" "$policy"; then
    rm -f "$policy"
  fi
}

forbid_service_actions() {
  restore_policy
  if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$marker" > "$policy"
  chmod 755 "$policy"
}

install() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install --yes --quiet --no-install-recommends \
    --no-upgrade --no-remove -o Dpkg::Use-Pty=0 "$@" < /dev/null
}

if ! command -v dpkg-query > /dev/null; then
  echo "dev: this is no Debian; install what cmake/packages.txt lists by hand" >&2
  exit 0
fi
mapfile -t packages < <(listed "$@")
mapfile -t wanted < <(missing "${packages[@]}")
[ ${#wanted[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  printf 'dev: packages are missing, and installing them needs root. Run\n\n  sudo ./dev packages\n\n' >&2
  printf 'which starts no services, or by hand\n\n  apt-get install --no-install-recommends %s\n\n' "${wanted[*]}" >&2
  exit 1
fi

echo "dev: installing ${wanted[*]}"
exec 9> /run/lock/witan-packages.lock
flock 9
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
forbid_service_actions

# A package list that does not know a package, or knows a version that the mirror no longer has, is out of date.
if ! apt-cache show --no-all-versions "${wanted[@]}" > /dev/null 2>&1 || ! install "${wanted[@]}"; then
  apt-get update --quiet
  install "${wanted[@]}"
fi
if [[ " ${wanted[*]} " == *" etcd-server "* ]]; then
  # Without systemctl, Debian's own helper; it answers to maintainer scripts only, hence the variable.
  systemctl disable --no-reload --quiet etcd.service 2> /dev/null ||
    DPKG_MAINTSCRIPT_PACKAGE=etcd-server deb-systemd-helper disable etcd.service || true
fi
