#!/usr/bin/env bash
# The roles of the stack's database, made when it is: `segmon` owns the record, `grafana` reads what `segmon db grant` lets
# it. Runs in the postgres image with the superuser's connection; passwords are files in SECRETS.
set -euo pipefail
secrets="${SECRETS:-/run/secrets}"

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set segmon="$(<"$secrets/segmon_password")" --set grafana="$(<"$secrets/grafana_database_password")" <<'SQL'
CREATE ROLE segmon LOGIN PASSWORD :'segmon';
CREATE ROLE grafana LOGIN PASSWORD :'grafana' CONNECTION LIMIT 20;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
CREATE DATABASE segmon OWNER segmon;
REVOKE ALL ON DATABASE segmon FROM PUBLIC;
GRANT CONNECT ON DATABASE segmon TO grafana;
SQL
