#!/usr/bin/env bash
# Compiles the kernels for real, on a machine without a GPU or a CUDA toolkit:
#   - by nvcc, from PyPI's packages, to machine code for sm_80 and sm_90; register spills are errors;
#   - the field kernels to PTX, which is then run in Python and compared with Python's integers;
#   - by NVRTC through the prover's own code, where Rust is there.
#
#   prover/gpu/check_kernels.sh VENV      VENV: a folder for a Python environment, made if it is missing (0.5 GB)
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
kernels=$here/../src/gpu/kernels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packages=(nvcc runtime cccl crt nvrtc)
[ -x "$venv/bin/python3" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet "${packages[@]/#/nvidia-cuda-}" nvidia-nvvm \
    --constraint <(printf 'nvidia-%s==13.0.*\n' "${packages[@]/#/cuda-}" nvvm)
cuda=$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/cu13
# The layout that nvcc expects.
[ -e "$cuda/lib64" ] || ln -s lib "$cuda/lib64"
[ -e "$cuda/lib/libcudart.so" ] || ln -s libcudart.so.13 "$cuda/lib/libcudart.so"

for arch in sm_80 sm_90; do
    echo "== nvcc, $arch"
    "$cuda/bin/nvcc" -std=c++17 -arch=$arch -cubin -Xptxas -v -o "$work/$arch.cubin" "$kernels/kernels.cu" 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    grep -c 'Compiling entry' "$work/log" | sed 's/$/ kernels/'
    if grep 'spill' "$work/log" | grep -v ' 0 bytes spill stores, 0 bytes spill loads'; then
        echo "registers are spilled on $arch" >&2
        exit 1
    fi
done

echo "== PTX of the field kernels, run in Python"
"$cuda/bin/nvcc" -std=c++17 -arch=sm_90 -ptx -o "$work/checks.ptx" "$kernels/checks.cu"
"$venv/bin/python3" "$here/run_ptx.py" "$work/checks.ptx"

if command -v cargo >/dev/null; then
    echo "== NVRTC, as the prover calls it"
    cd "$here/../.."
    LD_LIBRARY_PATH=$cuda/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        cargo test --workspace --lib kernels_compile_for_devices -- --nocapture
fi
echo "all of it compiles"
