#!/usr/bin/env bash
# Writes go.mod anew for one version of Kubernetes: every staging module must be replaced by hand, as upstream publishes
# k8s.io/kubernetes with relative replacements. Run it only to change the version: tools/parts/apiserver/gomod.sh 1.36.1
set -euo pipefail
cd "$(dirname "$0")"
version="$1"
staging="v0.${version#1.}"
rm -f go.mod go.sum
go mod init segmon/apiserver
go mod edit -require="k8s.io/kubernetes@v$version"
upstream="$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')"
for module in $(sed -n 's/^[[:space:]]*\(k8s.io\/[a-z0-9-]*\) v0\.0\.0$/\1/p; s/^replace (//; s/^[[:space:]]*\(k8s.io\/[a-z0-9-]*\) => .*/\1/p' "$upstream" | sort -u); do
    go mod edit -replace="$module=$module@$staging"
done
go mod edit -go="$(sed -n "s/^go //p" "$upstream")"  # the least that upstream asks for, not what happens to be installed
go mod tidy
