# Sourced by the scripts beside it: where parts go, and how Debian packages are installed without starting services.
# Trusts apt's configuration of the machine; changes nothing when everything is there.

# shellcheck shell=bash
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
parts="${SEGMON_PARTS:-$here/../../build/parts}"
mkdir -p "$parts"
export PATH="$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }

missing() {
    say "missing: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# One `make parts` at a time, even from two checkouts that share a machine's apt.
exec 9>"$parts/.lock"
flock 9

# install_packages WHY PACKAGE...: a system that is not Debian-like, or where we are nobody, gets told what to install.
install_packages() {
    local why="$1" guard=/usr/sbin/policy-rc.d made=""
    shift
    command -v apt-get >/dev/null || missing "$why; this is no Debian-like system: install the likes of $*"
    as_root true || missing "$why; as root: apt-get install $*"
    say "installing $*"
    if [ ! -e "$guard" ]; then # 101 = "no service may be started": Debian's own switch for this
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$guard && chmod 755 $guard"
        made=1
    fi
    if ! install_quietly "$@"; then
        [ -z "$made" ] || as_root rm -f "$guard"
        missing "$why; apt-get install $* failed, see $parts/apt.log"
    fi
    [ -z "$made" ] || as_root rm -f "$guard"
    for service in prometheus prometheus-alertmanager postgresql rsyslog; do # nor at the next boot
        case " $* " in *" $service "*) as_root systemctl disable --quiet "$service" 2>/dev/null || true ;; esac
    done
}

install_quietly() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    as_root "${apt[@]}" update >"$parts/apt.log" 2>&1 || return 1
    as_root "${apt[@]}" install -y --no-install-recommends "$@" >>"$parts/apt.log" 2>&1 </dev/null
}

# need PROGRAM... -- PACKAGE...: install the packages unless every program is there.
need() {
    local programs=()
    while [ "$1" != -- ]; do
        programs+=("$1")
        shift
    done
    shift
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || { install_packages "no program $program" "$@"; break; }
    done
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || missing "$program is not there even after installing $*"
    done
}
