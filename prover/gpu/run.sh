#!/usr/bin/env bash
# Tests and measures the CUDA backend on this machine, from what pack.sh packed. Needs NVIDIA's driver, NVRTC (packed, or
# the toolkit's), and g++ for the emulated half of the tests. Everything printed also lands in figures/.
#
#   ./run.sh [MODEL.onnx ...]       MODELs: all packed ones by default
#
# BACKEND=cpu, where there is no device, runs all but what needs one. STAGES=FIRST..LAST/STEP bounds the sizes, 14..24/2 by default.
set -euo pipefail
cd "$(dirname "$0")"
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(models/*.onnx)
backend=${BACKEND:-cuda}
backends=(cpu)
[ "$backend" = cpu ] || backends+=("$backend")
mkdir -p figures
step() { printf '\n== %s\n' "$*"; }

step "machine"
{ date -u; cat commit; uname -a; nvidia-smi || true; } | tee figures/machine.txt
./tensorseal --json devices | tee figures/devices.json
grep -q "\"backend\":\"$backend\"[^}]*\"usable\":true" figures/devices.json || { echo "no $backend device can be used" >&2; exit 1; }

step "suite: kernels, backend, whole proofs, on the emulated device and on this one"
./prover-tests gpu:: backend:: figures:: --nocapture --test-threads 1 2>&1 | tee figures/suite.txt
if [ "$backend" = cuda ] && grep 'not on a CUDA device' figures/suite.txt; then exit 1; fi

if [ "$backend" = cuda ] && command -v compute-sanitizer >/dev/null; then
    step "suite under compute-sanitizer"
    compute-sanitizer --error-exitcode 1 ./prover-tests backend:: gpu::tests::kernels --test-threads 1 2>&1 | tee figures/sanitizer.txt
fi

step "from a digit to the EVM"
./tensorseal --json demo --backend "$backend" | tee figures/demo.json

for each in "${backends[@]}"; do
    step "stage by stage, $each"
    ./tensorseal bench --stages="${STAGES:-14..24/2}" --backend "$each" --repeat 5 -o "figures/stages-$each" "${models[@]}" | tee "figures/stages-$each.txt"
done

for each in "${backends[@]}"; do
    step "models, $each"
    for model in "${models[@]}"; do
        ./tensorseal --json bench --backend "$each" --repeat 5 --gas "$model" || echo "{\"failed\": \"$model\"}"
    done | tee "figures/models-$each.jsonl"
done
step "done; see figures/"
