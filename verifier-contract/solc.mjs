#!/usr/bin/env node
// The pinned solc-js behind the command line of the native compiler, as far as forge uses it:
//
//   forge build --use .../verifier-contract/solc.mjs
import { readFileSync } from 'node:fs';
import solc from 'solc';

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')));
} else {
  console.error('usage: solc.mjs --version | --standard-json < INPUT.json');
  process.exit(2);
}
