#!/usr/bin/env bash
# Names the project facegen-cu13, as its wheel with the CUDA engine is called: an index keeps a name's
# wheels apart by Python and system alone. Both names install the package facegen: have one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
sed -i 's/^name = "facegen"$/name = "facegen-cu13"/' pyproject.toml
grep -q '^name = "facegen-cu13"$' pyproject.toml
