// Compiles Solidity sources with the pinned solc and prints what the Rust crate embeds.
//
//   node compile.mjs DIR FILE.sol...
//
// DIR holds the sources (and what they import). For every contract of the named files, one JSON object:
//   {"<file>:<contract>": {"solc", "bytecode", "runtime_bytes", "abi"}}
import { readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import solc from 'solc';

const [dir, ...files] = process.argv.slice(2);
if (!dir || files.length === 0) {
  console.error('usage: node compile.mjs DIR FILE.sol...');
  process.exit(2);
}

// The Yul optimizer is off: the generated code is straight-line already, and it would turn the
// modulus, held on the stack, into thousands of 32-byte constants.
export const settings = {
  evmVersion: 'cancun',
  optimizer: {
    enabled: true,
    runs: 200,
    details: {
      peephole: true,
      jumpdestRemover: true,
      deduplicate: true,
      inliner: false,
      orderLiterals: true,
      cse: false,
      constantOptimizer: false,
      yul: false,
    },
  },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  outputSelection: {
    '*': { '*': ['evm.bytecode.object', 'evm.deployedBytecode.object', 'abi'] },
  },
};

const input = {
  language: 'Solidity',
  sources: Object.fromEntries(
    files.map((file) => [file, { content: readFileSync(join(dir, file), 'utf8') }]),
  ),
  settings,
};
const found = (path) =>
  existsSync(join(dir, path))
    ? { contents: readFileSync(join(dir, path), 'utf8') }
    : { error: `no file ${path} in ${dir}` };
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
for (const error of output.errors ?? []) {
  console.error(error.formattedMessage);
}
if ((output.errors ?? []).some((error) => error.severity === 'error')) {
  process.exit(1);
}
const result = {};
for (const file of files) {
  for (const [name, contract] of Object.entries(output.contracts[file])) {
    result[`${file}:${name}`] = {
      solc: solc.version(),
      bytecode: contract.evm.bytecode.object,
      runtime_bytes: contract.evm.deployedBytecode.object.length / 2,
      abi: contract.abi,
    };
  }
}
console.log(JSON.stringify(result));
