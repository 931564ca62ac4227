#!/usr/bin/env bash
# Makes small networks of pictures: draws what they learn from, trains on our own kernels, and packs.
# Nothing is fetched; a result that is there is not made again.
#
#   tools/train-small.sh FOLDER portraits|parts|colours [--count N] [--epochs N] [--device cuda]
#                        [--photos FOLDER] [-- OPTION...]
#
# portraits: pix2pix, from line drawings of rendered people to their pictures
# parts:     segmentation, the parts of rendered people's faces, all layers from nothing
# colours:   the colorizer, from rendered people and from the photos of tools/gather-photos.py
#
# --epochs is of the last stage of portraits, which have three; OPTIONs of facegen train are of each, so
# that none may be --from, -o or --folder.
#
# The results are FOLDER/NAME.safetensors and its card, NAME.json and NAME.md: the package's own, once
# they lie in python/facegen/networks/default.
set -euo pipefail
python=${PYTHON:-python3}
tools=$(cd "$(dirname "$0")" && pwd)
refuse() { echo "$0: $1" >&2; exit 2; }
if (($# < 2)); then refuse "expected a FOLDER and portraits, parts or colours"; fi
folder=$1 name=$2
command="tools/train-small.sh FOLDER ${*:2}"
shift 2
count= epochs= device=cuda photos=
while (($#)); do
  if [ "$1" != -- ] && (($# == 1)); then refuse "$1: expected a value behind it"; fi
  case $1 in
    --count) count=$2 ;;
    --epochs) epochs=$2 ;;
    --device) device=$2 ;;
    --photos) photos=$2 ;;
    --) shift; break ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
more=("$@")  # for facegen train, behind those below
mkdir -p "$folder"
out=$folder/$name.safetensors
how=(-o "$out" --half --device "$device" --folder "$folder/$name.run")
if [ -e "$folder/$name.run/checkpoint.safetensors" ]; then how+=(--resume); fi

# draw MODULE COUNT FOLDER [OPTION...]: pictures of people, unless they are there.
draw() {
  if [ ! -e "$3" ]; then
    "$python" -m "$1" -n "$2" "${@:4}" -o "$3.part"
    mv "$3.part" "$3"
  fi
}

train() { "$python" -m facegen train "$@" "${how[@]}" "${more[@]}" 2>&1 | tee "$folder/$name.result.txt"; }

# stage NUMBER OPTION...: portraits-NUMBER, unless it is there.
stage() {
  local made=$folder/portraits-$1.safetensors run=$folder/portraits-$1.run again=()
  if [ -e "$made" ]; then return; fi
  if [ -e "$run/checkpoint.safetensors" ]; then again=(--resume); fi
  "$python" -m facegen train pix2pix "$folder/pairs" -o "$made" --half --device "$device" \
    --folder "$run" --dropout 0 "${@:2}" "${again[@]}" "${more[@]}"
}

case $name in
  portraits)
    draw facegen.train.pix2pix.portraits "${count:-1500}" "$folder/pairs"
    # In fours, which is quicker, and at last one by one: what is normalised in use is one picture.
    if [ ! -e "$out" ]; then
      stage 1 --width 16 --batch 4 --epochs 24 --learning-rate 4e-4 --l1 400
      stage 2 --from "$folder/portraits-1.safetensors" --batch 4 --epochs 10 --l1 2000
      train pix2pix "$folder/pairs" --from "$folder/portraits-2.safetensors" \
        --batch 1 --epochs "${epochs:-20}" --learning-rate 3e-4 --l1 800 --dropout 0
    fi ;;
  parts)
    draw facegen.train.segmentation.portraits "${count:-1500}" "$folder/parts"
    parts=$("$python" -c 'from facegen.train.faces.synthetic.layers import PARTS; print(",".join(PARTS))')
    [ -e "$folder/start.safetensors" ] ||
      "$python" -m facegen init squeezenet "$folder/start.safetensors"
    [ -e "$out" ] || train segmentation "$folder/parts/pictures" "$folder/parts/masks" \
      --from "$folder/start.safetensors" --all-layers --classes "$parts" --batch 32 \
      --epochs "${epochs:-60}" --learning-rate 1e-3 ;;
  colours)
    draw facegen.train.segmentation.portraits "${count:-300}" "$folder/people" --seed 1
    [ -e "$out" ] || train colorizer ${photos:+"$photos"} "$folder/people/pictures" --width 16 \
      --side 128 --zoom 2 --batch 16 --epochs "${epochs:-240}" --uniform 1 --temperature 1 \
      --held-out 60 ;;
  *) refuse "expected portraits, parts or colours, found $name" ;;
esac
"$python" "$tools/write-small-card.py" "$folder" "$name" "$command"
