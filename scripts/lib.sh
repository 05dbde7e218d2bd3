# Shared by scripts/test, scripts/check and scripts/demo: find Python, make .venv, install once. Source it, do not run it.

say() { printf '%s\n' "$*" >&2; }

# A word of advice for the two things a fresh machine may lack, then the end.
no_python() {
  say "No Python 3.11 or newer was found (looked for python3, python3.14 ... python3.11, python)."
  say "Install one, for example: apt install python3 python3-venv; or name it: COATCHECK_PYTHON=/path/to/python3 $0"
  exit 1
}

no_venv() {
  say "$1 is new enough, but cannot make virtual environments: its module ensurepip or venv is missing."
  say "Install it, for example: apt install python3-venv"
  exit 1
}

# A name on PATH may be a stub that only prints advice: ask each to run, do not trust that it is there.
runs_and_is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the first Python that is new enough and can make a virtual environment.
find_python() {
  local candidate without_venv=
  for candidate in ${COATCHECK_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    runs_and_is_new "$candidate" || continue
    if makes_venvs "$candidate"; then printf '%s\n' "$candidate"; return; fi
    without_venv=${without_venv:-$candidate}
  done
  if [ -n "$without_venv" ]; then no_venv "$without_venv"; fi
  no_python
}

# What an installation depends on. The folder is part of it, because a virtual environment cannot be moved.
fingerprint() { { printf '%s\n' "$root"; cat "$root/pyproject.toml"; } | cksum; }

# installed EXTRAS: is this, or the larger set with the tests' tools, installed as pyproject.toml says now?
installed() {
  local stamp now
  now=$(fingerprint)
  for stamp in "$venv/coatcheck-installed$1" "$venv/coatcheck-installed[test]"; do
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && "$venv/bin/python" -c '' 2>/dev/null; then return 0; fi
  done
  return 1
}

# set_up EXTRAS [FOLDER]: afterwards $venv (.venv, or FOLDER) has coatcheck, editable, with EXTRAS ("" or "[test]").
# Fetches nothing when it has.
set_up() {
  local python
  venv=$root/${2:-.venv}
  if installed "$1"; then return; fi
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || [ "$(cat "$venv/coatcheck-root" 2>/dev/null)" != "$root" ]; then
    python=$(find_python)
    say "Making ${venv##*/} with $("$python" --version)."
    "$python" -m venv --clear "$venv"
    printf '%s\n' "$root" >"$venv/coatcheck-root"
  fi
  say "Installing coatcheck$1 into ${venv##*/}; this happens once, and again when pyproject.toml changes."
  rm -f "$venv"/coatcheck-installed*
  "$venv/bin/python" -m pip --disable-pip-version-check install -qq --editable "$root$1"
  fingerprint >"$venv/coatcheck-installed$1"
}

# What the tests of faults work against: a real SMB server, file systems of other kinds, a tracer, a systemd.
peers="samba smbclient rsync strace rclone sshfs fuse3 openssh-sftp-server xfsprogs e2fsprogs attr acl systemd"

# Whether they can be installed without asking anybody: as root, on Debian and its like.
can_install_peers() { [ "$(id -u)" = 0 ] && command -v apt-get dpkg-query >/dev/null; }

# Installs what is missing of them.
install_peers() {
  local package missing=
  if ! can_install_peers; then
    say "This needs root, and apt-get. The packages, by their names in Debian: $peers"
    exit 1
  fi
  for package in $peers; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
      missing="$missing $package"
    fi
  done
  if [ -z "$missing" ]; then return; fi
  say "Installing for the tests:$missing"
  # The tests run these servers themselves, on ports of their own: the machine is to start none.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  # shellcheck disable=SC2086  # several words
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing >/dev/null
}
