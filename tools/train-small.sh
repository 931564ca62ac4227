#!/usr/bin/env bash
# Makes small networks of pictures: draws what they learn from, trains on our own kernels, and packs.
# Nothing is fetched; a result that is there is not made again.
#
#   tools/train-small.sh FOLDER portraits|parts|colours [--count N] [--epochs N] [--device cuda]
#                        [--photos FOLDER]
#
# portraits: pix2pix, from line drawings of rendered people to their pictures
# parts:     segmentation, the parts of rendered people's faces, all layers from nothing
# colours:   the colorizer, from rendered people and from the photos of tools/gather-photos.py
#
# The result is FOLDER/NAME.safetensors. With its card, NAME.json and NAME.md, it is the package's own
# in python/facegen/networks/default.
set -euo pipefail
python=${PYTHON:-python3}
folder=$1 name=$2
shift 2
count= epochs= device=cuda photos=
while (($#)); do
  case $1 in
    --count) count=$2 ;;
    --epochs) epochs=$2 ;;
    --device) device=$2 ;;
    --photos) photos=$2 ;;
    *) echo "$0: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
mkdir -p "$folder"
out=$folder/$name.safetensors
how=(-o "$out" --half --device "$device" --folder "$folder/$name.run")
if [ -e "$folder/$name.run/checkpoint.safetensors" ]; then how+=(--resume); fi

case $name in
  portraits)
    if [ ! -e "$folder/pairs" ]; then
      "$python" -m facegen.train.pix2pix.portraits -n "${count:-1500}" -o "$folder/pairs.part"
      mv "$folder/pairs.part" "$folder/pairs"
    fi
    [ -e "$out" ] || "$python" -m facegen train pix2pix "$folder/pairs" "${how[@]}" --width 16 \
      --batch 4 --epochs "${epochs:-16}" --sample-every 1000 ;;
  parts)
    if [ ! -e "$folder/parts" ]; then
      "$python" -m facegen.train.segmentation.portraits -n "${count:-1500}" -o "$folder/parts.part"
      mv "$folder/parts.part" "$folder/parts"
    fi
    parts=$("$python" -c 'from facegen.train.faces.synthetic.layers import PARTS; print(",".join(PARTS))')
    [ -e "$folder/start.safetensors" ] || "$python" -m facegen init squeezenet "$folder/start.safetensors"
    [ -e "$out" ] || "$python" -m facegen train segmentation "$folder/parts/pictures" \
      "$folder/parts/masks" --from "$folder/start.safetensors" --all-layers "${how[@]}" \
      --classes "$parts" --batch 32 --epochs "${epochs:-60}" --learning-rate 1e-3 ;;
  colours)
    if [ ! -e "$folder/people" ]; then
      "$python" -m facegen.train.segmentation.portraits -n "${count:-300}" --seed 1 -o "$folder/people"
    fi
    [ -e "$out" ] || "$python" -m facegen train colorizer ${photos:+"$photos"} \
      "$folder/people/pictures" "${how[@]}" --width 16 --batch 16 --epochs "${epochs:-80}" ;;
  *) echo "$0: portraits, parts or colours, not $name" >&2; exit 2 ;;
esac
sha256sum "$out"
