#!/usr/bin/env bash
# Makes one of the package's own networks of faces anew: renders the training set, trains on our own
# kernels, packs, fits trait directions, evaluates, and says the SHA-256.
#
#   tools/train-default.sh FOLDER [--size 64|128] [--count 100000] [--minutes 8 | --steps N]
#                          [--device cuda] [--precision strict] [--seconds S] [--encoder FILE]
#                          [--measured 4096] [--trait-steps 2000] [-- OPTIONS OF facegen train]
#
# --minutes  Of training; the number of steps is found by the pace of some that are tried first.
# --precision  Of products in training: bfloat16 is quicker on Hopper GPUs.
# --seconds  Of this whole call. Training is stopped in time, its state kept; the same call again goes
#            on from there. Whatever else is done is not repeated either.
# --encoder  SqueezeNet v1.0, for the kernel distance.
# --measured, --trait-steps  Faces that are measured; steps of the network that learns the labels.
#
# What belongs into python/facegen/networks/default/ is then in FOLDER: faces.safetensors,
# faces.traits.json, and for the card faces.json and faces.md; of 128 faces128 in the place of faces.
# No network is needed.
set -euo pipefail
python=${PYTHON:-python3}
tools=$(dirname "$0")
refuse() { echo "$0: $1" >&2; exit 2; }
if (($# == 0)) || [ -z "$1" ]; then refuse "expected a FOLDER first"; fi
folder=$1
command="tools/train-default.sh FOLDER ${*:2}"
shift
size=64 count=100000 minutes=8 steps= device=cuda precision=strict seconds= encoder= trait_steps=2000 measured=4096
while (($#)); do
  if [ "$1" != -- ] && (($# == 1)); then refuse "$1: expected a value behind it"; fi
  case $1 in
    --size) size=$2 ;;
    --count) count=$2 ;;
    --minutes) minutes=$2 ;;
    --steps) steps=$2 ;;
    --device) device=$2 ;;
    --precision) precision=$2 ;;
    --seconds) seconds=$2 ;;
    --encoder) encoder=$2 ;;
    --trait-steps) trait_steps=$2 ;;
    --measured) measured=$2 ;;
    --) shift; break ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
case $size in
  64) name=faces other=faces128 ;;
  128) name=faces128 other=faces ;;
  *) refuse "--size: expected 64 or 128, found $size" ;;
esac
network=$folder/$name.safetensors
mkdir -p "$folder"
if [ -e "$folder/$other.begun" ] || [ -e "$folder/$other.safetensors" ]; then
  refuse "$folder: holds a run of another --size"
fi
touch "$folder/$name.begun"
if [ ! -e "$folder/command.txt" ]; then echo "$command" > "$folder/command.txt"; fi
took() { echo "$1 $SECONDS s after the start" | tee -a "$folder/times.txt" >&2; }

if [ ! -e "$folder/faces.npy" ]; then
  began=$SECONDS
  "$python" -m facegen.train.faces.synthetic --count "$count" --side "$size" --seed 0 \
    -o "$folder/rendered.npy" --labels "$folder/labels.npy"
  echo "$((SECONDS - began))" > "$folder/rendering_seconds.txt"
  mv "$folder/rendered.npy" "$folder/faces.npy"
  took rendered
fi

if [ ! -e "$folder/trained.safetensors" ]; then
  how=(--minutes "$minutes")
  if [ -n "$steps" ]; then how=(--steps "$steps"); fi
  if [ -e "$folder/run/checkpoint.safetensors" ]; then how+=(--resume); fi
  limit=()
  if [ -n "$seconds" ]; then
    left=$((seconds - SECONDS))
    if ((left < 1)); then took stopped; exit 124; fi
    limit=(timeout --signal=TERM --kill-after=60 "$left")
  fi
  result=0
  "${limit[@]}" "$python" -m facegen train "$folder/faces.npy" -o "$folder/trained.safetensors" \
    --folder "$folder/run" --device "$device" --precision "$precision" --batch 256 --width 64 \
    --augment none --penalty 2 --penalty-end 0.2 --average 300000 --log-every 200 --sample-every 5000 \
    --measured 512 "${how[@]}" "$@" 2> >(tee -a "$folder/train.log" >&2) || result=$?
  if ((result)); then
    took stopped
    exit "$result"
  fi
  took trained
fi

if [ ! -e "$network" ]; then
  "$python" -m facegen convert "$folder/trained.safetensors" "$folder/packed.safetensors" --half --overwrite
  "$python" "$tools/shorten-weights.py" "$folder/packed.safetensors"
  mv "$folder/packed.safetensors" "$network"
fi
if [ ! -e "$folder/$name.traits.json" ]; then
  "$python" -m facegen.train.faces.traits "$network" "$folder/faces.npy" \
    "$folder/labels.npy" --steps "$trait_steps" --device "$device" -o "$folder/$name.traits.json"
  took "traits fitted"
fi
measure=()
if [ -n "$encoder" ]; then measure=(--encoder "$encoder"); fi
"$python" -m facegen.train.faces.evaluate "$network" "$folder/faces.npy" \
  --count "$measured" --device "$device" "${measure[@]}" -o "$folder"
took evaluated
"$python" "$tools/write-faces-card.py" "$folder" "$name"
sha256sum "$network"
