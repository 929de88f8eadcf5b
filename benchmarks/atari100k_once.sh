#!/usr/bin/env bash
# One game of Atari 100K on this machine: harmony, then the baseline, then further seeds.
#
#   benchmarks/atari100k_once.sh OUT [--game pong] [--scores NAME=FILE]... [--hours H]
#       [--seeds "0 1 2 3 4"] [--methods "harmony dreamerv3"] [--configs "atari100k"]
#       [--frames 400000] [-- FLAGS OF sweep AND train]
#
# The same command goes on where it stopped, however it stopped. After --hours, or SIGTERM, runs
# save and end. Each time it leaves OUT/report.md, OUT/*.png and OUT/episodes/*.jsonl; --scores are
# files with curves of several seeds, on which every run is placed. $PYTHON is the interpreter.
# To try it on a processor in minutes:
#   benchmarks/atari100k_once.sh out --configs "atari100k debug" --frames 1600 --seeds 0 \
#       -- --jax.platform cpu --env.atari.length 400
set -euo pipefail

usage() { sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 2; }
python=${PYTHON:-python} game=pong hours=0 frames=400000
seeds="0 1 2 3 4" methods="harmony dreamerv3" configs=atari100k scores=()
[[ $# -gt 0 && $1 != -* ]] || usage
out=$1; shift
while [[ $# -gt 0 && $1 != -- ]]; do
  [[ $# -gt 1 ]] || usage
  case $1 in
    --game) game=$2 ;; --hours) hours=$2 ;; --frames) frames=$2 ;; --seeds) seeds=$2 ;;
    --methods) methods=$2 ;; --configs) configs=$2 ;; --scores) scores+=("$2") ;;
    *) echo "unknown argument $1" >&2; usage ;;
  esac
  shift 2
done
[[ $# -eq 0 ]] || shift # --
runs=$out/runs report=$out/report.md
mkdir -p "$out/episodes"

# Says a command to the report and runs it; figures may fail while there is nothing to draw.
shown() { printf '\n    harmony-dreamerv3'; printf ' %q' "$@"; printf '\n\n'; }
verb() { "$python" -m harmony_dreamerv3 "$@"; }
drawn() { shown "$@"; verb "$@" >>"$out/figures.log" 2>&1 || echo "Nothing to draw yet."; }
told() {
  shown "$@"
  echo '```'
  verb "$@" 2>>"$out/figures.log" || echo "Nothing yet."
  printf '```\n\n'
}

# shellcheck disable=SC2206 # words
train=(sweep --configs $configs --tasks "atari_$game" --methods $methods --seeds $seeds
  --logdir "$runs" "$@")
[[ -e $out/machine.txt ]] || verb doctor >"$out/machine.txt" 2>&1 || true
echo "begun $(date -u +%FT%TZ) on $(hostname)" >>"$out/sessions.txt"
timeout --signal=TERM --kill-after=600 "${hours}h" "$python" -m harmony_dreamerv3 "${train[@]}" &
child=$!
trap 'kill -TERM $child' TERM INT
code=0; wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child" || code=$?; done # A signal ends a wait.
trap - TERM INT
echo "ended $(date -u +%FT%TZ), exit status $code" >>"$out/sessions.txt"

{
  echo "# Atari 100K: $game"
  shown "${train[@]}"
  echo "Sessions (one without an end was killed; exit status 124: the time was over; machine.txt):"
  echo
  sed 's/^/- /' "$out/sessions.txt"
  told sweep --status "$runs"
  echo "Wall clock of each run (episodes/*.jsonl are copies of its record):"
  echo
  for run in "$runs"/*/atari_"$game"/seed-*; do
    [[ -e $run/timing.jsonl ]] || continue
    name=$(basename "$(dirname "$(dirname "$run")")")-$(basename "$run")
    [[ ! -e $run/episodes.jsonl ]] || cp "$run/episodes.jsonl" "$out/episodes/$name.jsonl"
    "$python" - "$run/timing.jsonl" "$name" <<'EOF'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
seconds = sum(line["seconds/total"] for line in lines)
updates = sum(line["updates_per_second"] * line["seconds/total"] for line in lines)
last = lines[-1]
print(f"- {sys.argv[2]}: step {last['step']:,}, {last['updates']:,} updates, {seconds / 3600:.2f} h,",
      f"{updates / seconds:.2f} updates/s over all of it, {last['updates_per_second']:.2f} lately")
EOF
  done
  told table "$runs" --games "$game" --frames "$frames"
  drawn plot "$runs" "${scores[@]}" --games "$game" --frames "$frames" --out "$out/curves.png"
  for method in $methods; do
    run=$runs/$method/atari_$game/seed-${seeds%% *}
    [[ ! -e $run ]] || drawn plot "$run" --kind balance --out "$out/balance-$method.png"
  done
  for index in "${!scores[@]}"; do
    told place "$runs" --games "$game" --among "${scores[index]}" \
      --figure "$out/placed-$index.png"
  done
  (cd "$out" && for figure in *.png; do [[ ! -e $figure ]] || echo "![]($figure)"; done)
} >"$report"
echo "wrote $report"
[[ $code -eq 124 ]] || exit "$code"
