#!/usr/bin/env bash
# The Kubernetes API server with etcd inside (apiserver/main.go) as build/parts/apiserver/segmon-apiserver.
# The first build takes minutes; Go's own cache makes the next one a matter of seconds, even in a fresh clone.
source "$(dirname "$0")/system.sh"

binary="$parts/apiserver/segmon-apiserver"
newer="$(find "$here/apiserver" -name '*.go' -newer "$binary" -o -name 'go.*' -newer "$binary" 2>/dev/null || true)"
if [ -x "$binary" ] && [ -z "$newer" ]; then
    exit 0
fi
need go -- golang-go
minor="$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')"
[ "${minor:-0}" -ge 21 ] || missing "Go 1.21 or newer (found $(go env GOVERSION)), which fetches the version that go.mod asks for"

version="$(sed -n 's/^\tk8s.io\/kubernetes v\([0-9.]*\)$/\1/p' "$here/apiserver/go.mod")"
stamp="k8s.io/component-base/version"
flags="-s -w -X $stamp.gitVersion=v$version -X $stamp.gitMajor=${version%%.*} -X $stamp.gitMinor=$(cut -d. -f2 <<<"$version")"
say "building Kubernetes $version (minutes the first time)"
mkdir -p "$(dirname "$binary")"
(cd "$here/apiserver" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$binary.new" .) ||
    missing "the build failed (above)"
mv "$binary.new" "$binary"
