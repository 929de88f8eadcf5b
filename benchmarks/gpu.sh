#!/usr/bin/env bash
# Everything that a GPU can say, in order of worth; the same command goes on where it stopped.
#
#   benchmarks/gpu.sh OUT [--minutes M] [--wheels DIR] [--runs DIR] [--game pong] [--debug]
#
# Ends within M minutes (10). What is finished is noted in OUT/done.txt and not done again; what was
# cut off begins anew the next time. --wheels: a folder of wheels that $PYTHON lacks, for a machine
# without network; JAX must be there. --runs: where runs and unpacked wheels are kept between calls
# (/tmp/gpu-runs). OUT gets only what is small, at most eight files: results.jsonl (a line for each
# figure), parity.txt, log.txt, done.txt, records.tar.gz, table.md, curves.png, report.html.
# --debug: in minutes on a processor, with tiny sizes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "benchmarks/gpu.sh"; exit 2; }
python=${PYTHON:-python3} minutes=10 wheels='' runs=/tmp/gpu-runs game=pong debug=''
[[ $# -gt 0 && $1 != -* ]] || usage
out=$(realpath -m "$1"); shift
while [[ $# -gt 0 ]]; do
  case $1 in
    --debug) debug=1; shift; continue ;;
    --minutes) minutes=${2:?} ;; --wheels) wheels=${2:?} ;; --runs) runs=${2:?} ;;
    --game) game=${2:?} ;; *) echo "unknown argument $1" >&2; usage ;;
  esac
  shift 2
done
end=$((SECONDS + minutes * 60 - 15)) # The rest is for packing up.
mkdir -p "$out" "$runs"
[[ -e $out/done.txt ]] || : >"$out/done.txt"

platform=gpu kills=10 learners=(1 2 5 8)
precisions=(highest tensorfloat32 bfloat16)
mapfile -t bundles < <(find tests/golden -name '*.npz' | sort)
size=(--configs atari100k) play=(--configs atari100k --task "atari_$game")
train=(--configs atari100k harmony --task "atari_$game" --seeds 0 1 2 3 4)
quick=(--steps 3000 --fill 1100 --log-every 200)
if [[ $debug ]]; then
  platform=cpu kills=1 learners=(1 2) precisions=(highest)
  bundles=(tests/golden/dmc_vision_harmony.npz)
  export JAX_PLATFORMS=cpu
  size=(--configs debug --batch 2 --length 6 --repeats 1)
  play=(--configs debug --batch 2 --length 6 --task dummy_disc --repeats 1)
  train=(--configs debug harmony --seeds 0 1)
  quick=(--steps 160 --fill 32 --log-every 20)
fi
export XLA_PYTHON_CLIENT_PREALLOCATE=false

# Runs a part unless it is done, for as long as there is time: part NAME FILE COMMAND...
# What it prints goes to OUT/FILE, each line of JSON with the part's name; complaints to OUT/log.txt.
part() {
  local name=$1 file=$2 left=$((end - SECONDS)) code=0; shift 2
  grep -qx "$name" "$out/done.txt" && return 0
  ((left > 20)) || return 0
  echo "$(date -u +%T) $name, at most $left s: $*" | tee -a "$out/log.txt"
  timeout --signal=TERM --kill-after=10 "$left" "$@" >"$runs/said" 2>"$runs/complained" || code=$?
  tail -c 20000 "$runs/complained" >>"$out/log.txt"
  sed "s/^{/{\"part\": \"$name\", /" "$runs/said" >>"$out/$file"
  # Parity outside of tolerance, and a doctor who misses something that is not needed, say 1.
  if ((code == 0)) || { ((code == 1)) && [[ $name == parity-* || $name == doctor ]]; }; then
    echo "$name" >>"$out/done.txt"
  elif ((SECONDS < end)); then # It failed by itself: another time would not help.
    echo "$name failed with $code" | tee -a "$out/log.txt"
    echo "$name" >>"$out/done.txt"
  fi
}
bench() { local name=$1; shift; part "$name" results.jsonl "$python" -m "benchmarks.$@" --json; }
verb() { "$python" -m harmony_dreamerv3 "$@"; }

if [[ $wheels ]]; then
  if [[ ! -d $runs/site ]]; then
    "$python" -m pip install -q --no-index --no-deps --target "$runs/site.part" "$wheels"/*.whl \
      >>"$out/log.txt" 2>&1
    mv "$runs/site.part" "$runs/site"
  fi
  export PYTHONPATH=$runs/site
fi

part doctor log.txt "$python" -m harmony_dreamerv3 doctor
for products in "${precisions[@]}"; do
  part "parity-$products" parity.txt "$python" -m harmony_dreamerv3 parity "${bundles[@]}" \
    --platform "$platform" --products "$products"
done

buffers="--xla_gpu_enable_command_buffer=+WHILE"
[[ ! $debug ]] || buffers="" # Processors do not know it.
for n in "${learners[@]}"; do
  for flags in "" "$buffers"; do
    name=update-$n${flags:+-buffers}
    XLA_FLAGS=$flags bench "$name-default" update "${size[@]}" --learners "$n" --precision float32
    XLA_FLAGS=$flags bench "$name-bfloat16" update "${size[@]}" --learners "$n" --precision bfloat16
  done
  JAX_DEFAULT_MATMUL_PRECISION=tensorfloat32 bench "update-$n-tensorfloat32" \
    update "${size[@]}" --learners "$n" --precision float32
done
bench update-plain update "${size[@]}" --learners 1 --precision float32 --plain
JAX_DEFAULT_MATMUL_PRECISION=highest bench update-highest \
  update "${size[@]}" --learners 1 --precision float32
bench policy policy "${size[@]}" --learners "${learners[@]}"
bench end_to_end end_to_end "${play[@]}" "${quick[@]}"
bench evaluation evaluation "${play[@]}" --episodes 20 --envs 20
part resume log.txt "$python" tests/faults/harness.py --kills "$kills" --after 20 --command \
  "$python -m harmony_dreamerv3 train --configs debug --jax.deterministic True --jax.platform \
$platform --run.steps 400 --run.save_every 40 --logdir {logdir}"

# What time is left goes to five seeds of one game as one program.
left=$((end - SECONDS))
if ((left > 30)) && ! grep -qx training "$out/done.txt"; then
  echo "$(date -u +%T) training for $left s" | tee -a "$out/log.txt"
  code=0
  timeout --signal=TERM --kill-after=60 "$left" "$python" -m harmony_dreamerv3 train \
    "${train[@]}" --jax.platform "$platform" --logdir "$runs/train" >"$runs/said" 2>&1 || code=$?
  tail -n 30 "$runs/said" >>"$out/log.txt"
  ((code != 0 || SECONDS >= end)) || echo training >>"$out/done.txt"
  (cd "$runs/train" && find . -name '*.jsonl' -not -path '*/checkpoints/*' -o -name config.yaml) |
    tar -czf "$out/records.tar.gz" -C "$runs/train" -T -
  verb table "$runs/train" --format md --out "$out/table.md" 2>>"$out/log.txt" || true
  verb plot "$runs/train" --kind curves --out "$out/curves.png" 2>>"$out/log.txt" || true
  verb report "$out/report.html" "$runs/train" 2>>"$out/log.txt" || true
fi
echo "done: $(tr '\n' ' ' <"$out/done.txt")"
