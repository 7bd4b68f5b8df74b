#!/usr/bin/env bash
# PostgreSQL's own programs (initdb, postgres), 15 or newer. Debian's package would make and start a server of its own: not here.
source "$(dirname "$0")/system.sh"

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb postgres >/dev/null; }

if ! has_postgres; then
    settings=/etc/postgresql-common/createcluster.conf
    [ -e "$settings" ] ||
        as_root sh -c "mkdir -p ${settings%/*} && echo 'create_main_cluster = false' >$settings" || true
    install_packages "no PostgreSQL server" postgresql
fi
has_postgres || missing "initdb and postgres are not there even after installing postgresql"
