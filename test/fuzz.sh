#!/bin/sh
# Fuzzes every target for a time: test/fuzz.sh 60s. Go ends a run in which a worker is busy
# when the time is up with "context deadline exceeded": nothing was found
# then, and no input is written.
set -eu
go=${GO:-go}
out=$(mktemp)
packages=$(mktemp)
trap 'rm -f "$out" "$packages"' EXIT
$go list -f '{{.ImportPath}}={{.Dir}}' ./... >"$packages"
while IFS='=' read -r p d <&3; do
  for f in $(grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' "$d"/*_test.go 2>/dev/null | awk '{print $2}'); do
    echo "== $p $f"
    if $go test -run '^$' -fuzz "^$f\$" -fuzztime "$1" -fuzzminimizetime 10x "$p" >"$out" 2>&1; then
      cat "$out"
      continue
    fi
    cat "$out"
    if grep -q 'Failing input' "$out" || ! grep -q 'context deadline exceeded' "$out"; then
      exit 1
    fi
    echo "$f: the time was up while a worker was busy; nothing was found"
  done
done 3<"$packages"
