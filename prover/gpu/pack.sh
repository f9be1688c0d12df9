#!/usr/bin/env bash
# Packs what a machine with a GPU needs to test and measure the CUDA backend, and that has neither Rust nor a registry:
# the binary, the tests, models, and NVRTC where a Python environment of check_kernels.sh is given.
#
#   prover/gpu/pack.sh OUT.tar.gz [VENV]
#
# There: unpack it and run ./run.sh
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$(realpath "$1")
venv=${2:+$(realpath "$2")}
cd "$(dirname "$0")/../.."
pack=$(mktemp -d)
trap 'rm -rf "$pack"' EXIT
mkdir "$pack/models" "$pack/lib"

# The dev profile is optimized; the same selection as the tests', so that nothing is built twice.
built=$(cargo test --workspace --no-run --message-format=json)
executable() { # name, kind, whether it is the tests'
    grep "\"name\":\"$1\"" <<<"$built" | grep "\"kind\":\[\"$2\"\]" | grep "\"test\":$3}" |
        grep -o '"executable":"[^"]*"' | cut -d'"' -f4
}
cp "$(executable tensorseal_prover lib true)" "$pack/prover-tests"
cp "$(executable tensorseal bin false)" "$pack/tensorseal"
cp benches/models/*.onnx benches/models/*.json "$pack/models/"
cp prover/gpu/run.sh "$pack/run.sh"
git rev-parse HEAD >"$pack/commit"
if [ -n "$venv" ]; then
    cp "$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/nvidia/cu13/lib/libnvrtc*.so* "$pack/lib/"
fi
tar -C "$pack" -czf "$out" .
echo "$out: $(du -h "$out" | cut -f1)"
