#!/usr/bin/env python3
"""Proves the same models with ezkl and with tensorseal, one after the other on this machine, and prints the ratios.

    pip install ezkl onnx onnxruntime
    cargo build --release
    python benches/compare_ezkl.py [mlp lenet5 ...] [--json]

Absolute times drift from machine to machine; ratios from one run are what to compare. ezkl runs with its defaults
(input private, output public, parameters fixed, calibrated for "resources"); lenet5 needs some 12 GB of memory and ten
minutes there. ezkl makes its own development SRS, which is not part of any figure. Each step runs in a process of
its own.
"""
import argparse
import asyncio
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


# --- one ezkl call, in a child process -------------------------------------------------------------------------------

def ezkl_calls(folder):
    import ezkl

    def at(name):
        return os.path.join(folder, name)

    def settings():
        options = ezkl.PyRunArgs()
        options.input_visibility, options.output_visibility, options.param_visibility = "private", "public", "fixed"
        return ezkl.gen_settings(at("network.onnx"), at("settings.json"), py_run_args=options)

    def rows():
        return json.load(open(at("settings.json")))["run_args"]["logrows"]

    srs = at("srs")
    return {
        "settings": settings,
        "calibrate": lambda: ezkl.calibrate_settings(
            at("input.json"), at("network.onnx"), at("settings.json"), "resources"),
        "compile": lambda: ezkl.compile_circuit(at("network.onnx"), at("model.compiled"), at("settings.json")),
        "srs": lambda: ezkl.gen_srs(srs, rows()),
        "setup": lambda: ezkl.setup(at("model.compiled"), at("vk.key"), at("pk.key"), srs_path=srs),
        "witness": lambda: ezkl.gen_witness(at("input.json"), at("model.compiled"), at("witness.json")),
        "prove": lambda: ezkl.prove(
            at("witness.json"), at("model.compiled"), at("pk.key"), at("proof.json"), srs_path=srs),
        "verify": lambda: ezkl.verify(at("proof.json"), at("settings.json"), at("vk.key"), srs_path=srs),
    }


def child(step, folder):
    async def call():
        result = ezkl_calls(folder)[step]()
        return await result if inspect.isawaitable(result) else result

    start = time.perf_counter()
    result = asyncio.run(call())
    seconds = time.perf_counter() - start
    if step == "verify" and result is not True:
        sys.exit("ezkl rejected its own proof")
    print("\nSECONDS", seconds)


def run_child(step, folder):
    """Seconds of the call and peak memory of its process in MiB."""
    with open(os.path.join(folder, f"{step}.log"), "w+") as log:
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", step, folder],
                                   stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    if process.returncode:
        sys.exit(f"ezkl {step} failed with {process.returncode}:\n{text[-2000:]}")
    seconds = float(next(line.split()[1] for line in text.splitlines() if line.startswith("SECONDS")))
    return seconds, usage.ru_maxrss / 1024


# --- the comparison --------------------------------------------------------------------------------------------------

def measure_ezkl(model):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(HERE, "models", f"{model}.onnx"), os.path.join(folder, "network.onnx"))
        shutil.copy(os.path.join(HERE, "models", f"{model}.input.json"), os.path.join(folder, "input.json"))
        measured = {}
        for step in ["settings", "calibrate", "compile", "srs", "setup", "witness", "prove", "verify"]:
            measured[step] = run_child(step, folder)
            print(f"  ezkl {model} {step}: {measured[step][0]:.2f} s, {measured[step][1]:.0f} MiB",
                  file=sys.stderr, flush=True)
        proof = json.load(open(os.path.join(folder, "proof.json")))
        encoded = proof.get("hex_proof")
        return {
            "k": json.load(open(os.path.join(folder, "settings.json")))["run_args"]["logrows"],
            "setup_s": measured["setup"][0], "pk_bytes": os.path.getsize(os.path.join(folder, "pk.key")),
            "prove_s": measured["prove"][0], "peak_mib": measured["prove"][1],
            "verify_ms": 1000 * measured["verify"][0],
            "proof_bytes": (len(encoded) - 2) // 2 if encoded else len(proof["proof"]),
        }


def measure_tensorseal(binary, model, repeat):
    command = [binary, "--json", "bench", os.path.join(HERE, "models", f"{model}.onnx"), "--repeat", str(repeat)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["mlp", "lenet5"])
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "tensorseal"))
    parser.add_argument("--repeat", type=int, default=3, help="proofs of tensorseal, whose median counts")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    if not os.path.exists(arguments.binary):
        sys.exit(f"{arguments.binary} is missing: cargo build --release")

    import ezkl
    report = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "ezkl": ezkl.__version__, "models": {}}
    for model in arguments.models:
        ours = measure_tensorseal(arguments.binary, model, arguments.repeat)
        print(f"  tensorseal {model}: {ours['prove_s']:.2f} s to prove", file=sys.stderr, flush=True)
        theirs = measure_ezkl(model)
        ratios = {key: theirs[key] / ours[key] for key in theirs if key != "k" and ours.get(key)}
        report["models"][model] = {"ezkl": theirs, "tensorseal": ours, "ezkl_over_tensorseal": ratios}
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    print(f"{report['machine']}; ezkl {report['ezkl']}")
    print(f"{'model':10s} {'figure':12s} {'ezkl':>14s} {'tensorseal':>14s} {'ratio':>9s}")
    for model, entry in report["models"].items():
        for key, value in entry["ezkl"].items():
            ratio = entry["ezkl_over_tensorseal"].get(key)
            print(f"{model:10s} {key:12s} {value:14,.1f} {entry['tensorseal'][key]:14,.1f} "
                  f"{f'{ratio:.1f}x' if ratio else '':>9s}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:4])
    else:
        main()
