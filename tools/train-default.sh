#!/usr/bin/env bash
# Makes the package's own network anew: renders the training set, trains, packs, evaluates.
#
#   tools/train-default.sh FOLDER [COUNT] [OPTIONS OF facegen train]
#
# Trains with PyTorch on a GPU, where there is one; --backend native trains on the CPU, for days.
# What belongs into python/facegen/networks/default/ is then FOLDER/faces.safetensors, and the
# numbers for its card are in FOLDER/evaluation.json. Steps whose result is there are not repeated.
set -euo pipefail
folder=$1
count=${2:-200000}
shift $(($# < 2 ? $# : 2))
mkdir -p "$folder"

if [ ! -e "$folder/faces.npy" ]; then
  python3 -m facegen.train.faces.synthetic --count "$count" --seed 0 -o "$folder/faces.npy"
fi
if [ ! -e "$folder/network.bin" ]; then
  resume=()
  if [ -e "$folder/run/checkpoint.safetensors" ]; then resume=(--resume); fi
  python3 -m facegen train "$folder/faces.npy" -o "$folder/network.bin" --folder "$folder/run" \
    --backend torch --batch 256 --width 64 "${resume[@]}" "$@"
fi
python3 -m facegen convert "$folder/network.bin" "$folder/faces.safetensors" --half --overwrite
python3 -m facegen.train.faces.evaluate "$folder/faces.safetensors" "$folder/faces.npy" -o "$folder"
sha256sum "$folder/faces.safetensors"
