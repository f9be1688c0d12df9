//! A Foundry project around a model: contracts, the model's constants, a test that replays a proof, a script.

use std::fmt::Write;

use ff::PrimeField;
use halo2_proofs::halo2curves::bn256::Fr;

use crate::{
    calldata::encode_words,
    chain::create2,
    key::KeyData,
    packed,
    profiles::Embedded,
    registry::{self, Ask, SOURCES, model_id, through_registry},
};

/// Whether a tensor goes in or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// An input.
    Input,
    /// An output.
    Output,
}

/// A public tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicTensor {
    /// Its ONNX name.
    pub name: String,
    /// Whether it goes in or comes out.
    pub side: Side,
    /// Its shape.
    pub shape: Vec<usize>,
    /// A real number is its integer times this; none where elements have encodings of their own.
    pub scale: Option<f64>,
    /// For each value, in ONNX order, its place among the public values.
    pub places: Vec<u32>,
}

/// A side whose tensors are hashed: one digest stands for them among the public values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedSide {
    /// Whether inputs or outputs.
    pub side: Side,
    /// Place of the digest among the public values.
    pub place: u32,
    /// How many values are hashed.
    pub count: usize,
    /// The least value.
    pub lo: i64,
    /// Bits of a packed value.
    pub bits: u32,
}

/// A proof to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The public values, row by row.
    pub instances: Vec<[u8; 32]>,
    /// The proof.
    pub proof: Vec<u8>,
    /// Where the key stands, for the verifier's calldata; [`create2::address`] unless it was created otherwise.
    pub key: [u8; 20],
}

impl Replay {
    /// A tensor's integers, as `cast` takes an `int256[]`.
    fn integers(&self, tensor: &PublicTensor) -> String {
        let integer = |place: &u32| {
            // A place beyond the values has none; the contract refuses it by name.
            let word = self.instances.get(*place as usize)?;
            let mut bytes = *word;
            bytes.reverse();
            let value: Fr = Option::from(Fr::from_repr(bytes))?;
            let (sign, magnitude) = if value > -value {
                ("-", -value)
            } else {
                ("", value)
            };
            let low = *magnitude.to_repr().first_chunk().expect("32 bytes");
            Some(format!("{sign}{}", u128::from_le_bytes(low)))
        };
        list(tensor.places.iter().filter_map(integer))
    }
}

/// A model, and how it is registered.
#[derive(Clone, Debug)]
pub struct Project {
    /// The model's name.
    pub name: String,
    /// The verifier of its profile.
    pub verifier: Embedded,
    /// Its key.
    pub key: KeyData,
    /// The id of all that a verifier relies on: the key, and what names, places and scales say of its public values.
    pub statement_id: [u8; 32],
    /// Its metadata URI, one that [`registry::check_uri`] accepts.
    pub metadata_uri: String,
    /// Its public tensors.
    pub tensors: Vec<PublicTensor>,
    /// Its hashed sides.
    pub hashed: Vec<HashedSide>,
    /// Where the registry stands that `cast.sh` asks; [`registry_address`] unless it was created otherwise.
    pub registry: [u8; 20],
}

/// Where the deployment proxy puts the registry.
#[must_use]
pub fn registry_address() -> [u8; 20] {
    create2::address(&registry::contract().initcode())
}

/// A file of a project: its path, what it is for, and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path inside the project's folder.
    pub path: String,
    /// What it is for.
    pub purpose: &'static str,
    /// Content.
    pub content: String,
}

/// Settings of [`compile.mjs`](../../compile.mjs), so that Foundry makes the very bytecode embedded here.
const FOUNDRY_TOML: &str = r#"# The settings that tensorseal's own bytecode is compiled with: the same sources give the same addresses.
[profile.default]
src = "src"
test = "test"
script = "script"
libs = []
solc = "SOLC"
evm_version = "cancun"
optimizer = true
optimizer_runs = 200
bytecode_hash = "none"
cbor_metadata = false

[profile.default.optimizer_details]
peephole = true
jumpdestRemover = true
deduplicate = true
inliner = false
orderLiterals = true
cse = false
constantOptimizer = false
yul = false

[fmt]
line_length = 100
"#;

impl Project {
    /// The model's id in a registry.
    #[must_use]
    pub fn model_id(&self) -> [u8; 32] {
        let (verifier, key) = (self.verifier.code_hash(), self.key.code_hash());
        model_id(verifier, key, &self.metadata_uri)
    }

    /// Whether the model's input and output are public, which [`PredictionOracle`](SOURCES) needs.
    #[must_use]
    pub fn has_oracle(&self) -> bool {
        let has = |side| self.tensors.iter().any(|t| t.side == side);
        has(Side::Input) && has(Side::Output)
    }

    /// All files; with a proof, a test that replays it and the calldata of the calls that verify it.
    #[must_use]
    pub fn files(&self, replay: Option<&Replay>) -> Vec<File> {
        let file = |path: &str, purpose, content| File {
            path: path.to_owned(),
            purpose,
            content,
        };
        let solc = self.verifier.solc.split('+').next().unwrap_or_default();
        let mut files = vec![
            file(
                "foundry.toml",
                "settings for forge",
                FOUNDRY_TOML.replace("SOLC", solc),
            ),
            file(
                &format!("src/{}.sol", self.verifier.contract),
                "the verifier of the model's profile",
                self.verifier.source.to_owned(),
            ),
            file("src/Model.sol", "the model's constants", model_source(self)),
        ];
        for (name, source) in SOURCES {
            let purpose = match name {
                "PredictionOracle.sol" if !self.has_oracle() => continue,
                "PredictionOracle.sol" => "example of a consumer",
                "ModelRegistry.sol" => "the registry",
                "PublicValues.sol" => "reads tensors out of public values",
                _ => "interface",
            };
            files.push(file(&format!("src/{name}"), purpose, source.to_owned()));
        }
        if !self.hashed.is_empty() {
            files.push(file(
                "src/PoseidonDigest.sol",
                "computes the digests of hashed values",
                include_str!("../contracts/PoseidonDigest.sol").to_owned(),
            ));
        }
        files.push(file(
            "script/Key.sol",
            "the model's key, as creation code",
            self.key_source(),
        ));
        files.push(file(
            "script/Deploy.s.sol",
            "script that deploys and registers",
            self.script(),
        ));
        for compiled in [registry::contract(), registry::verifier_interface()] {
            files.push(file(
                &format!("abi/{}.json", compiled.contract),
                "ABI",
                compiled.abi.to_string() + "\n",
            ));
        }
        files.push(file(
            "hex/verifier.initcode.hex",
            "creation code of the verifier",
            hexadecimal(&self.verifier.bytecode),
        ));
        files.push(file(
            "hex/key.initcode.hex",
            "creation code of the model's key",
            hexadecimal(&self.key.to_initcode()),
        ));
        files.push(file(
            "hex/key.hex",
            "the key's data contract, as deployed",
            hexadecimal(&self.key.to_code()),
        ));
        if let Some(replay) = replay {
            let calldata = encode_words(replay.key, &replay.instances, &replay.proof);
            let through = through_registry(&calldata, self.model_id(), Ask::View);
            files.push(file(
                "test/Replay.t.sol",
                "test that replays the proof",
                self.replay_test(),
            ));
            files.push(file(
                "test/Exported.sol",
                "the proof, for the test",
                exported_source(replay),
            ));
            files.push(file(
                "hex/calldata.hex",
                "calldata of the verifier's call",
                hexadecimal(&calldata),
            ));
            files.push(file(
                "hex/registry-calldata.hex",
                "calldata of the registry's call",
                hexadecimal(&through),
            ));
            files.push(file(
                "cast.sh",
                "asks a chain with cast",
                cast_script(self.registry),
            ));
            for (side, path, purpose) in [
                (Side::Input, "args/input.txt", "the public input's integers"),
                (
                    Side::Output,
                    "args/output.txt",
                    "the public output's integers",
                ),
            ] {
                if let Some(tensor) = self.tensors.iter().find(|t| t.side == side) {
                    files.push(file(path, purpose, replay.integers(tensor)));
                }
            }
            files.push(file(
                "args/instances.txt",
                "the public values, as cast takes them",
                list(
                    replay
                        .instances
                        .iter()
                        .map(|w| format!("0x{}", hex::encode(w))),
                ),
            ));
            if let Some(packed) = packed::pack(&replay.instances) {
                files.push(file(
                    "args/packed.txt",
                    "the public values, packed",
                    hexadecimal(&packed.bytes),
                ));
                files.push(file(
                    "args/width.txt",
                    "bytes of a packed public value",
                    format!("{}\n", packed.width),
                ));
            }
            files.push(file(
                "args/proof.txt",
                "the proof, as cast takes it",
                hexadecimal(&replay.proof),
            ));
        }
        files
    }

    fn key_source(&self) -> String {
        format!(
            "{HEAD}
/// @title The model's key
library Key {{
    /// @notice Creation code of its data contract.
    bytes internal constant INITCODE =
{};
}}
",
            literal(&self.key.to_initcode())
        )
    }

    fn script(&self) -> String {
        SCRIPT.replace("VERIFIER", &self.verifier.contract)
    }

    fn replay_test(&self) -> String {
        let oracle = |text: &'static str| if self.has_oracle() { text } else { "" };
        REPLAY_TEST
            .replace("    // ORACLE TEST\n", oracle(ORACLE_TEST))
            .replace("// ORACLE IMPORT\n", oracle(ORACLE_IMPORT))
            .replace(
                "PLACES",
                if self.tensors.iter().any(|t| t.side == Side::Output) {
                    "Model.OUTPUT"
                } else {
                    "hex\"00000000\""
                },
            )
            .replace("VERIFIER", &self.verifier.contract)
    }
}

const HEAD: &str = "// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;
";

/// `Model.sol`: the model's id, and where its public tensors and digests stand.
#[must_use]
pub fn model_source(project: &Project) -> String {
    let word = |bytes: [u8; 32]| format!("0x{}", hex::encode(bytes));
    let mut text = format!(
        "{HEAD}
/// @title Model `{}`, as tensorseal exported it
library Model {{
    /// @notice Its id in a registry.
    bytes32 internal constant ID =
        {};
    /// @notice The id of all that this file relies on: the key, and the names, places and scales of its public values.
    /// `METADATA_URI` ends with it, so `ID` fixes it too. Compare it with the one that the model's owner publishes;
    /// `tensorseal export --expect` writes this file for that id only.
    bytes32 internal constant STATEMENT_ID =
        {};
    /// @notice Code hash of its verifier.
    bytes32 internal constant VERIFIER_CODE_HASH =
        {};
    /// @notice Code hash of its key.
    bytes32 internal constant KEY_CODE_HASH =
        {};
    /// @notice Where to read what it is.
    string internal constant METADATA_URI = \"{}\";
",
        plain(&project.name),
        word(project.model_id()),
        word(project.statement_id),
        word(project.verifier.code_hash()),
        word(project.key.code_hash()),
        project.metadata_uri,
    );
    let mut counts = [0; 2];
    for tensor in &project.tensors {
        let (side, count) = match tensor.side {
            Side::Input => ("INPUT", &mut counts[0]),
            Side::Output => ("OUTPUT", &mut counts[1]),
        };
        let name = match *count {
            0 => side.to_owned(),
            n => format!("{side}_{n}"),
        };
        *count += 1;
        let places: Vec<u8> = tensor
            .places
            .iter()
            .flat_map(|place| place.to_be_bytes())
            .collect();
        write!(
            text,
            "    /// @notice Places of the {} values of `{}`, shape {:?}, for `PublicValues.read`.
    bytes internal constant {name} =
{};
",
            tensor.places.len(),
            plain(&tensor.name),
            tensor.shape,
            literal(&places),
        )
        .expect("text takes text");
        let name_in_text = plain(&tensor.name);
        match tensor.scale {
            Some(scale) => write!(
                text,
                "    /// @notice A real value of `{name_in_text}` is its integer times {scale:e}; this is 10^18 times that, rounded.
    uint256 internal constant {name}_SCALE_E18 = {};
",
                // The cast saturates.
                (scale * 1e18).round() as u128,
            ),
            None => writeln!(
                text,
                "    // Each value of `{name_in_text}` has an encoding of its own: `tensorseal run` and `prove` apply it.",
            ),
        }
        .expect("text takes text");
    }
    for hashed in &project.hashed {
        let (name, what) = match hashed.side {
            Side::Input => ("INPUT_DIGEST", "inputs"),
            Side::Output => ("OUTPUT_DIGEST", "outputs"),
        };
        let HashedSide {
            place,
            count,
            lo,
            bits,
            ..
        } = hashed;
        write!(
            text,
            "    /// @notice Place of `PoseidonDigest.digest(values, {lo}, {bits})`, where `values` are the {count} integers of the {what}.
    uint256 internal constant {name} = {place};
",
        )
        .expect("text takes text");
    }
    text + "}\n"
}

/// A name from a file, so that it cannot end the comment that it stands in.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:/()+ ".contains(c);
    name.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]\n", items.collect::<Vec<_>>().join(","))
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}\n", hex::encode(bytes))
}

/// A Solidity literal over several lines.
fn literal(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| format!("        hex\"{}\"", hex::encode(chunk));
    if bytes.is_empty() {
        return line(&[]);
    }
    bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

fn exported_source(replay: &Replay) -> String {
    let mut instances = vec![0; 64];
    instances[31] = 0x20;
    instances[56..].copy_from_slice(&(replay.instances.len() as u64).to_be_bytes());
    instances.extend_from_slice(replay.instances.as_flattened());
    format!(
        "{HEAD}
/// @title An exported proof
library Exported {{
    /// @notice Its public values, ABI-encoded.
    bytes internal constant INSTANCES =
{};
    /// @notice The proof.
    bytes internal constant PROOF =
{};
}}
",
        literal(&instances),
        literal(&replay.proof)
    )
}

/// Asks with `cast`; the addresses are the same on every chain.
fn cast_script(registry: [u8; 20]) -> String {
    format!(
        "#!/bin/sh
# Asks the registry on the chain at $RPC_URL about the proof, without a transaction. Prints 1 where it is accepted.
cd \"$(dirname \"$0\")\" && cast call --rpc-url \"$RPC_URL\" {} \"$(cat hex/registry-calldata.hex)\"
",
        crate::chain::format_address(registry)
    )
}

const SCRIPT: &str = r#"// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

import {Model} from "../src/Model.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {VERIFIER} from "../src/VERIFIER.sol";
import {Key} from "./Key.sol";

/// @dev What forge does for a script.
interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// @title Deploys the verifier, the model's key and the registry, each where it is missing, and registers the model
/// @notice `forge script script/Deploy.s.sol --rpc-url $RPC_URL --broadcast`, with one of forge's wallet options.
/// The addresses are those of `tensorseal register`.
contract Deploy {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// @dev The well-known deterministic deployment proxy.
    address private constant PROXY = 0x4e59b44847b379578588920cA78FbF26c0B4956C;

    /// @notice Does it.
    /// @return registry Where models are registered.
    function run() external returns (ModelRegistry registry) {
        VM.startBroadcast();
        address verifier = deploy(type(VERIFIER).creationCode);
        address key = deploy(Key.INITCODE);
        registry = ModelRegistry(deploy(type(ModelRegistry).creationCode));
        bytes32 id = registry.register(verifier, key, Model.METADATA_URI);
        require(id == Model.ID, "compiled with other settings than the export");
        VM.stopBroadcast();
    }

    function deploy(bytes memory initcode) private returns (address created) {
        bytes32 hash = keccak256(abi.encodePacked(hex"ff", PROXY, bytes32(0), keccak256(initcode)));
        created = address(uint160(uint256(hash)));
        if (created.code.length == 0) {
            (bool done,) = PROXY.call(abi.encodePacked(bytes32(0), initcode));
            require(done && created.code.length > 0, "not deployed");
        }
    }
}
"#;

const ORACLE_IMPORT: &str = "import {PredictionOracle} from \"../src/PredictionOracle.sol\";
import {PublicValues} from \"../src/PublicValues.sol\";
";

const REPLAY_TEST: &str = r#"// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

import {Key} from "../script/Key.sol";
import {ITensorSealVerifier} from "../src/ITensorSealVerifier.sol";
import {IVerifiedInference} from "../src/IVerifiedInference.sol";
import {Model} from "../src/Model.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
// ORACLE IMPORT
import {VERIFIER} from "../src/VERIFIER.sol";
import {Exported} from "./Exported.sol";

/// @title Replays an exported proof: `forge test`
contract ReplayTest {
    ModelRegistry private registry;

    /// @notice Deploys and registers.
    function setUp() external {
        bytes memory initcode = Key.INITCODE;
        address key;
        assembly ("memory-safe") {
            key := create(0, add(initcode, 0x20), mload(initcode))
        }
        registry = new ModelRegistry();
        bytes32 id = registry.register(address(new VERIFIER()), key, Model.METADATA_URI);
        require(id == Model.ID, "compiled with other settings than the export");
    }

    /// @notice The proof is accepted, by a view and with an event.
    function testAcceptsTheProof() external {
        require(registry.verify(Model.ID, instances(), Exported.PROOF));
        require(registry.verifyAndLog(Model.ID, instances(), Exported.PROOF));
    }

    /// @notice Another public value is refused.
    function testRefusesAnotherValue() external view {
        uint256[] memory changed = instances();
        uint256 place = uint32(bytes4(PLACES));
        changed[place] = addmod(changed[place], 1, ORDER);
        expect(Model.ID, changed, Exported.PROOF, ITensorSealVerifier.PairingFailed.selector);
    }

    /// @notice A changed proof is refused.
    function testRefusesAnotherProof() external view {
        bytes memory changed = Exported.PROOF;
        changed[0] = bytes1(0xff);
        expect(Model.ID, instances(), changed, ITensorSealVerifier.PointNotOnCurve.selector);
    }

    /// @notice A model that is not registered has no proofs.
    function testRefusesAnotherModel() external view {
        bytes32 other = keccak256("other");
        expect(other, instances(), Exported.PROOF, IVerifiedInference.UnknownModel.selector);
    }

    // ORACLE TEST
    uint256 private constant ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    function instances() private pure returns (uint256[] memory) {
        return abi.decode(Exported.INSTANCES, (uint256[]));
    }

    function expect(bytes32 id, uint256[] memory values, bytes memory proof, bytes4 expected)
        private
        view
    {
        try registry.verify(id, values, proof) {
            revert("accepted");
        } catch (bytes memory reason) {
            require(bytes4(reason) == expected, "another error");
        }
    }
}
"#;

const ORACLE_TEST: &str = r#"    /// @notice The oracle takes the proof for a request of its input, once, and nothing else.
    function testOracleAnswersOnce() external {
        PredictionOracle oracle = new PredictionOracle(registry);
        int256[] memory input = PublicValues.read(instances(), Model.INPUT);
        uint256 id = oracle.request(input);
        input[0] += 1;
        uint256 other = oracle.request(input);

        uint256[] memory changed = instances();
        uint256 place = uint32(bytes4(Model.OUTPUT));
        changed[place] = addmod(changed[place], 1, ORDER);
        refuse(oracle, id, changed, ITensorSealVerifier.PairingFailed.selector);
        refuse(oracle, other, instances(), PredictionOracle.WrongInput.selector);
        refuse(oracle, other + 1, instances(), PredictionOracle.UnknownRequest.selector);

        oracle.answer(id, instances(), Exported.PROOF);
        int256[] memory output = PublicValues.read(instances(), Model.OUTPUT);
        require(
            keccak256(abi.encode(oracle.outputOf(id))) == keccak256(abi.encode(output)),
            "another output"
        );
        refuse(oracle, id, instances(), PredictionOracle.AlreadyAnswered.selector);
    }

    function refuse(PredictionOracle oracle, uint256 id, uint256[] memory values, bytes4 expected)
        private
    {
        try oracle.answer(id, values, Exported.PROOF) {
            revert("answered");
        } catch (bytes memory reason) {
            require(bytes4(reason) == expected, "another error");
        }
    }

"#;

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;
    use crate::key::scalar_bytes;

    #[test]
    fn integers_have_their_sign() {
        let values = [Fr::from(7), -Fr::from(1 << 40), Fr::ZERO];
        let replay = Replay {
            instances: values.iter().map(scalar_bytes).collect(),
            proof: vec![],
            key: [0; 20],
        };
        let tensor = PublicTensor {
            name: "x".into(),
            side: Side::Input,
            shape: vec![3],
            scale: Some(1.0),
            places: vec![1, 0, 2],
        };
        assert_eq!(replay.integers(&tensor), "[-1099511627776,7,0]\n");
    }

    #[test]
    fn names_cannot_leave_their_comment() {
        assert_eq!(plain("a*/\n/**b\u{2028}"), "a_/_/__b_");
    }
}
