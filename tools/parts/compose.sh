#!/usr/bin/env bash
# The compose specification's own loader (compose/go.mod has version and hashes) as build/parts/compose/compose-spec.
source "$(dirname "$0")/system.sh"

binary="$parts/compose/compose-spec"
newer="$(find "$here/compose" -newer "$binary" 2>/dev/null || true)"
if [ -x "$binary" ] && [ -z "$newer" ]; then
    exit 0
fi
need go -- golang-go
say "building the loader of the compose specification"
mkdir -p "$(dirname "$binary")"
(cd "$here/compose" && CGO_ENABLED=0 go build -trimpath -mod=readonly -o "$binary.new" .) ||
    missing "the build failed (above)"
mv "$binary.new" "$binary"
