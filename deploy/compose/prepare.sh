#!/usr/bin/env bash
# What docker-compose.yml needs and no repository may hold: passwords (deploy/compose/secrets, a file each) and .env, where
# the operator chooses what is watched. Made once; what is there is left alone.
set -euo pipefail
umask 077
cd "$(dirname "$0")/../.."
secrets=deploy/compose/secrets

random() { head -c "$1" /dev/urandom | base64 | tr '+/' 'xy' | tr -d '=\n'; } # letters and digits, so safe in a URL

mkdir -p "$secrets" # only its owner gets in; the files are mounted into containers whose users are others
for name in postgres_password segmon_password grafana_database_password grafana_admin_password; do
    if [ ! -s "$secrets/$name" ]; then
        random 24 >"$secrets/$name"
        chmod 444 "$secrets/$name"
        echo "made $secrets/$name"
    fi
done

if [ ! -e .env ]; then
    cat >.env <<END
# Read by docker compose. Made by deploy/compose/prepare.sh; yours to change.
# demo, cluster, or both
COMPOSE_PROFILES=demo
KAFKA_CLUSTER_ID=$(random 16)

# Profile cluster: its name; how to reach it (readable for user 10001); the folder with domains.yaml and waivers.yaml
#WATCHED_CLUSTER=production-1
#WATCHED_KUBECONFIG=/etc/segmon/kubeconfig
#WATCHED_DECLARATIONS=./deploy/compose/declared
# Its flow records: this host's name as a node of the cluster, and the log that has its kernel's lines
#WATCHED_NODE=node-1
#WATCHED_LOG_FOLDER=/var/log
#WATCHED_LOG_FILE=kern.log
END
    echo "made .env"
fi
echo "Grafana's admin password is in $secrets/grafana_admin_password; next: docker compose up --build --wait"
