#!/usr/bin/env bash
# Tests and measures the CUDA backend on this machine, from what pack.sh packed. Needs NVIDIA's driver, NVRTC (packed, or
# the toolkit's), and g++ for the emulated half of the tests. Everything printed also lands in figures/.
#
#   ./run.sh [MODEL.onnx ...]       MODELs: all packed ones by default
set -euo pipefail
cd "$(dirname "$0")"
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(models/*.onnx)
mkdir -p figures
step() { printf '\n== %s\n' "$*"; }

step "machine"
{ date -u; cat commit; uname -a; nvidia-smi || true; } | tee figures/machine.txt
./tensorseal --json devices | tee figures/devices.json
grep -q '"backend":"cuda"[^}]*"usable":true' figures/devices.json || { echo "no CUDA device can be used" >&2; exit 1; }

step "suite: kernels, backend, whole proofs, on the emulated device and on this one"
./prover-tests gpu:: backend:: --nocapture --test-threads 1 2>&1 | tee figures/suite.txt
if grep 'not on a CUDA device' figures/suite.txt; then exit 1; fi

if command -v compute-sanitizer >/dev/null; then
    step "suite under compute-sanitizer"
    compute-sanitizer --error-exitcode 1 ./prover-tests backend:: gpu::tests::kernels --test-threads 1 2>&1 | tee figures/sanitizer.txt
fi

step "from a digit to the EVM"
./tensorseal --json demo --backend cuda | tee figures/demo.json

step "single operations"
./prover-tests figures_of_a_cuda_device --ignored --nocapture | grep '^{' | tee figures/operations.jsonl

step "stages of the first model"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=${models[0]}
./tensorseal compile "$first" --calibration "${first%.onnx}.input.json" -o "$work/model.seal"
./tensorseal setup --model "$work/model.seal" --dev -o "$work/keys"
for backend in cpu cuda; do
    ./tensorseal --json prove --model "$work/model.seal" --keys "$work/keys" --input "${first%.onnx}.input.json" \
        --proof "$work/proof" --backend "$backend" --profile "figures/stages-$backend.svg" | tee "figures/stages-$backend.json"
    ./tensorseal verify --keys "$work/keys" --proof "$work/proof"
done

for backend in cpu cuda; do
    step "models, $backend"
    for model in "${models[@]}"; do
        ./tensorseal --json bench --backend "$backend" --repeat 5 --gas "$model" || echo "{\"failed\": \"$model\"}"
    done | tee "figures/models-$backend.jsonl"
done
step "done; see figures/"
