#!/usr/bin/env bash
# Builds all rungs at once, then verifies and times them one after another, each under a time limit.
#
#   bash course/gpu/measure.sh [--no-peers] OUT.jsonl
#
# OUT.jsonl gets one line a rung and problem (course/README.md says what is in it), then those of
# peers.py: PyTorch, and facegen's own kernels, where Python has them. A rung that does not compile, is
# wrong, crashes or hangs is a line too, and does not keep the others from theirs. PYTHON names another
# interpreter than python3. Exit code 1 if any rung is not right.
set -u
peers=yes
[ "${1:-}" = --no-peers ] && { peers=no; shift; }
[ $# = 1 ] || { sed -n 's/^#   \(bash .*\)/usage: \1/p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
: > "$1" || exit 2
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
begin=$SECONDS

for source in "$here"/[0-9]*.cu; do
  rung=$(basename "$source" .cu)
  (timeout -s KILL 80 "${NVCC:-nvcc}" -O3 -std=c++17 -gencode=arch=compute_90a,code=sm_90a "$source" \
    -o "$build/$rung" > "$build/$rung.log" 2>&1) &
done
wait
echo "built in $((SECONDS - begin)) s" >&2

wrong=0
fail() {  # RUNG PROBLEM WHY
  printf '{"rung": "%s", "problem": "%s", "wrong": "%s", "verified": false}\n' "$@" >> "$out"
  echo "$1, $2: $3" >&2
  wrong=1
}
for source in "$here"/[0-9]*.cu; do
  rung=$(basename "$source" .cu)
  for problem in conv3x3 tconv2; do
    if [ ! -x "$build/$rung" ]; then
      fail "$rung" "$problem" "does not compile"
      cat "$build/$rung.log" >&2
      continue
    fi
    timeout -s KILL 20 "$build/$rung" --problem "$problem" --seconds 0.2 > "$build/line" 2> "$build/said"
    code=$?
    if [ -s "$build/line" ] && [ $code -le 1 ]; then  # what is wrong says so itself
      tee -a "$out" < "$build/line"
      [ $code = 0 ] || wrong=1
    else
      fail "$rung" "$problem" "ended with $code"
      cat "$build/said" >&2
    fi
  done
done
if [ $peers = yes ]; then
  timeout -s KILL 60 "${PYTHON:-python3}" "$here/peers.py" | tee -a "$out"
fi
echo "done in $((SECONDS - begin)) s" >&2
exit $wrong
