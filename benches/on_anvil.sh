#!/usr/bin/env bash
# Compiles, proves and registers models and has them verified on a local anvil node, from a fresh clone:
#
#   benches/on_anvil.sh [MODEL.onnx...]
#
# By default lenet5 and cnn264k. Needs Rust, and Node with npm.
set -euo pipefail
cd "$(dirname "$0")/.."
models=("$@")
[ "${#models[@]}" -gt 0 ] || models=(benches/models/lenet5.onnx benches/models/cnn264k.onnx)

[ -d verifier-contract/node_modules ] || (cd verifier-contract && npm ci --no-audit --no-fund)
cargo build --locked --release
tensorseal=target/release/tensorseal

folder=$(mktemp -d)
anvil=$(ls -d verifier-contract/node_modules/@foundry-rs/anvil-*/bin/anvil)
"$anvil" --port 0 >"$folder/anvil.log" &
node=$!
trap 'kill $node; rm -r "$folder"' EXIT
until grep -q 'Listening on' "$folder/anvil.log"; do sleep 0.1; done
chain=(--rpc-url "http://$(sed -n 's/Listening on //p' "$folder/anvil.log")" --chain-id 31337)
# The first account of anvil's published mnemonic; it owns nothing anywhere else.
export TENSORSEAL_PRIVATE_KEY=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80

for model in "${models[@]}"; do
    input=${model%.onnx}.input.json
    for goal in gas prover; do
        printf '\n== %s, for %s\n' "$model" "$goal"
        "$tensorseal" compile "$model" --calibration "$input" --optimize "$goal" -o "$folder/model.seal"
        "$tensorseal" setup --model "$folder/model.seal" --dev -o "$folder/keys"
        "$tensorseal" prove --model "$folder/model.seal" --keys "$folder/keys" --input "$input" --proof "$folder/proof"
        "$tensorseal" register --keys "$folder/keys" "${chain[@]}" -o "$folder/deployment.json"
        "$tensorseal" verify-onchain --keys "$folder/keys" --proof "$folder/proof" "${chain[@]}" \
            --deployment "$folder/deployment.json"
        rm "$folder/deployment.json"
    done
done
