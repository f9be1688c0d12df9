//! Calls made from an honest one by a program of edits, and what the Rust verifier says of them.
//!
//! A program is any sequence of bytes, so that random tests and the fuzzer share this file.

use std::collections::HashMap;

use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::{Fq, Fr};
use tensorseal_prover::{VerifyingKey, verify};
use tensorseal_verifier_contract::{
    calldata::decode_verify,
    codegen::VerifierLayout,
    evm::{EmbeddedEvm, EvmError},
    registry::{Ask, through_registry},
};

use crate::{
    case::Case,
    circuits::{SHAPES, Shape},
    registered::Registered,
};

/// Two phases, two instance columns, rotations both ways.
const SHAPE: Shape = SHAPES[2];

/// A call to a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) to: [u8; 20],
    pub(crate) calldata: Vec<u8>,
}

/// Two models of one profile with a proof each, registered in one EVM, beside keys that are none of theirs.
pub(crate) struct Subject {
    pub(crate) evm: EmbeddedEvm,
    layout: VerifierLayout,
    verifier: [u8; 20],
    registry: [u8; 20],
    /// The honest calls, to the verifier.
    honest: [Vec<u8>; 2],
    /// The models' verifying keys, by address and by id.
    keys: HashMap<[u8; 20], VerifyingKey>,
    ids: HashMap<[u8; 32], [u8; 20]>,
    /// Addresses to put in a key's place.
    addresses: Vec<[u8; 20]>,
    /// Ids to put in a model's place.
    model_ids: Vec<[u8; 32]>,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let other = Case::shape_from(SHAPE, 4, 7);
        let mut registered = Registered::new(Case::shape(SHAPE));
        let key = registered.case.registered.address;
        let other_key = registered.case.evm.deploy_key(&other.key).unwrap().address;
        let other_id = registered.register(other_key, "").unwrap();
        let mut addresses = vec![
            key,
            other_key,
            registered.case.verifier.address,
            [0; 20],
            [7; 20],
        ];
        let mut model_ids = vec![registered.id, other_id, [0; 32], [7; 32]];
        for code in broken_keys(&registered.case, &other) {
            let address = registered
                .case
                .evm
                .deploy(&data_initcode(&code))
                .unwrap()
                .address;
            addresses.push(address);
            // A key with a wrong word behind its id can be registered, and accepts nothing.
            model_ids.extend(registered.register(address, ""));
        }
        let foreign = Case::shape(SHAPES[3]);
        addresses.push(
            registered
                .case
                .evm
                .deploy_key(&foreign.key)
                .unwrap()
                .address,
        );
        let honest = [
            registered.case.calldata(),
            tensorseal_verifier_contract::calldata::encode_verify(
                &other.layout,
                other_key,
                &other.instances,
                &other.proof,
            )
            .unwrap(),
        ];
        Self {
            evm: registered.case.evm.clone(),
            layout: registered.case.layout.clone(),
            verifier: registered.case.verifier.address,
            registry: registered.registry,
            honest,
            keys: HashMap::from([
                (key, registered.case.pk.vk().clone()),
                (other_key, other.pk.vk().clone()),
            ]),
            ids: HashMap::from([(registered.id, key), (other_id, other_key)]),
            addresses,
            model_ids,
        }
    }

    /// An honest call: of which model, and whether to the registry.
    pub(crate) fn honest(&self, model: usize, registry: bool) -> Call {
        let calldata = self.honest[model % 2].clone();
        if !registry {
            return Call {
                to: self.verifier,
                calldata,
            };
        }
        Call {
            to: self.registry,
            calldata: through_registry(&calldata, self.model_ids[model % 2], Ask::View),
        }
    }

    /// The call that a program makes of an honest one; none where the edits undo each other, or make the other honest one.
    pub(crate) fn mutant(&self, program: &[u8]) -> Option<Call> {
        let mut program = Program(program);
        let choice = program.byte();
        let registry = choice & 2 != 0;
        let mut call = self.honest(usize::from(choice & 1), registry);
        // Mostly a single edit: more of them hide one another.
        let edits = if choice >> 2 & 3 == 0 { 3 } else { 1 };
        for _ in 0..edits {
            self.edit(&mut call, registry, &mut program);
        }
        let honest = (0..2).any(|model| call == self.honest(model, registry));
        (!honest).then_some(call)
    }

    fn edit(&self, call: &mut Call, registry: bool, program: &mut Program) {
        let bytes = &mut call.calldata;
        let proof_start = 4 + 32 * 13;
        let words = bytes.len().saturating_sub(4) / 32;
        match program.byte() % 16 {
            0 if !bytes.is_empty() => {
                let at = program.below(bytes.len());
                bytes[at] ^= 1 << (program.byte() % 8);
            }
            1 if !bytes.is_empty() => {
                let at = program.below(bytes.len());
                bytes[at] = program.byte();
            }
            // Words, by a limit of either field.
            2 | 3 if words > 0 => {
                let at = 4 + 32 * program.below(words);
                let word = *bytes[at..].first_chunk().expect("a whole word");
                bytes[at..at + 32].copy_from_slice(&special(word, program));
            }
            4 if words > 0 => {
                let [from, to] = [program.below(words), program.below(words)].map(|w| 4 + 32 * w);
                bytes.copy_within(from..from + 32, to);
            }
            // Points of the proof.
            5 | 6 => {
                let points = self.points();
                let at = proof_start + points[program.below(points.len())];
                if bytes.len() >= at + 64 {
                    let from = proof_start + points[program.below(points.len())];
                    let other: [u8; 64] = *bytes[from.min(at)..].first_chunk().expect("a point");
                    let point: &mut [u8; 64] = bytes[at..].first_chunk_mut().expect("a point");
                    special_point(point, &other, program);
                }
            }
            7 => {
                let length = program.below(bytes.len() + 1);
                bytes.truncate(length);
            }
            8 => {
                let count = 1 + program.below(96);
                let filler = program.byte() & program.byte();
                bytes.resize(bytes.len() + count, filler);
            }
            // Offsets and lengths.
            9 => {
                let heads = [4 + 32, 4 + 64, 4 + 96, proof_start - 32];
                let at = heads[program.below(heads.len())] + 30;
                if bytes.len() >= at + 2 {
                    let [step, sign] = [program.byte(), program.byte()];
                    let step = [1, 31, 32, 64, 0x60][usize::from(step) % 5];
                    let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                    let new = if sign & 1 == 0 {
                        old.wrapping_add(step)
                    } else {
                        old.wrapping_sub(step)
                    };
                    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
                }
            }
            // Another key, or another model.
            10 | 11 if bytes.len() >= 36 => {
                if registry {
                    let id = self.model_ids[program.below(self.model_ids.len())];
                    bytes[4..36].copy_from_slice(&id);
                } else {
                    let address = self.addresses[program.below(self.addresses.len())];
                    bytes[16..36].copy_from_slice(&address);
                }
            }
            12 if words > 0 => {
                let at = 4 + 32 * program.below(words);
                if program.byte() & 1 == 0 {
                    let word: Vec<u8> = bytes[at..at + 32].to_vec();
                    bytes.splice(at..at, word);
                } else {
                    bytes.drain(at..at + 32);
                }
            }
            // A scalar becomes another one: a public value or an evaluation.
            13 if words > 0 => {
                let at = 4 + 32 * program.below(words);
                let word: [u8; 32] = *bytes[at..].first_chunk().expect("a whole word");
                if let Some(scalar) = scalar(&word) {
                    let changed = scalar + Fr::from(1 + u64::from(program.byte()));
                    bytes[at..at + 32].copy_from_slice(&big_endian(changed));
                }
            }
            // The same argument once more behind, and its offset there.
            14 if bytes.len() > proof_start => {
                let (head, from) = [(4 + 32, 4 + 96), (4 + 64, proof_start - 32)][program.below(2)];
                let offset = (bytes.len() - 4) as u64;
                bytes.extend_from_within(from..);
                bytes[head + 24..head + 32].copy_from_slice(&offset.to_be_bytes());
            }
            // Another honest proof, or its public values, or another function.
            15 if bytes.len() > proof_start => {
                let other = &self.honest[program.below(2)];
                match program.byte() % 3 {
                    0 => {
                        bytes.truncate(proof_start);
                        bytes.extend_from_slice(&other[proof_start..]);
                    }
                    1 => bytes[4 + 96..proof_start].copy_from_slice(&other[4 + 96..proof_start]),
                    _ => bytes[0..4].copy_from_slice(&[program.byte(); 4]),
                }
            }
            _ => {}
        }
    }

    /// Where points stand in a proof.
    fn points(&self) -> Vec<usize> {
        let cs = self.keys.values().next().expect("two keys").halo2().cs();
        let evaluations = cs.advice_queries().len() + cs.fixed_queries().len() + 1;
        let end = self.layout.proof_bytes();
        let commitments = end - 128 - 32 * evaluations;
        let opening = [end - 128, end - 64];
        (0..commitments).step_by(64).chain(opening).collect()
    }

    /// The Rust verifier's verdict: the call must be the one encoding of a proof for a known model.
    pub(crate) fn native(&self, call: &Call) -> bool {
        let mut calldata = call.calldata.clone();
        if call.to == self.registry {
            // Back to the verifier's call, where it is the registry's.
            let Some(id) = calldata.get(4..36) else {
                return false;
            };
            let id: [u8; 32] = id.try_into().expect("32 bytes");
            let Some(key) = self.ids.get(&id) else {
                return false;
            };
            if through_registry(&calldata, id, Ask::View) != calldata {
                return false;
            }
            let selector = tensorseal_verifier_contract::calldata::verify_selector();
            calldata[..4].copy_from_slice(&selector);
            calldata[4..16].fill(0);
            calldata[16..36].copy_from_slice(key);
        }
        let Ok(decoded) = decode_verify(&self.layout, &calldata) else {
            return false;
        };
        self.keys
            .get(&decoded.key)
            .is_some_and(|vk| verify(vk, &decoded.instances, &decoded.proof).is_ok())
    }
}

/// The contract's verdict; it must give one.
pub(crate) fn contract(evm: &mut EmbeddedEvm, call: &Call) -> bool {
    match evm.verify(call.to, &call.calldata) {
        Ok(_) => true,
        Err(EvmError::Refused(_)) => false,
        Err(other) => panic!("neither accepted nor refused: {other}"),
    }
}

/// Keys with one thing wrong each: every word changed, cut, continued, parts of another key.
fn broken_keys(case: &Case, other: &Case) -> Vec<Vec<u8>> {
    let (code, foreign) = (case.key.to_code(), other.key.to_code());
    let mut keys = vec![
        code[..code.len() - 32].to_vec(),
        [&code[..], &[0; 32]].concat(),
        [&[0xfe], &code[1..]].concat(),
    ];
    for start in (1..code.len()).step_by(32) {
        let mut flipped = code.clone();
        flipped[start + 31] ^= 1;
        keys.push(flipped);
        let mut mixed = code.clone();
        mixed[start..start + 32].copy_from_slice(&foreign[start..start + 32]);
        if mixed != code {
            keys.push(mixed);
        }
    }
    // Whole commitments of the other key, and two of its own exchanged.
    let words = (code.len() - 1) / 32;
    let first = 1 + 32 * (words - 2 * case.pk.vk().halo2().cs().num_fixed_columns());
    for start in (first..code.len()).step_by(64) {
        let mut mixed = code.clone();
        mixed[start..start + 64].copy_from_slice(&foreign[start..start + 64]);
        keys.push(mixed);
    }
    let mut swapped = code.clone();
    swapped[first..first + 128].rotate_left(64);
    keys.push(swapped);
    keys
}

fn data_initcode(code: &[u8]) -> Vec<u8> {
    let [high, low] = (code.len() as u16).to_be_bytes();
    let mut initcode = vec![0x61, high, low, 0x80, 0x60, 10, 0x3d, 0x39, 0x3d, 0xf3];
    initcode.extend_from_slice(code);
    initcode
}

/// Bytes that choose; zeros at its end.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % end
    }
}

fn big_endian<F: PrimeField<Repr = [u8; 32]>>(f: F) -> [u8; 32] {
    let mut bytes = f.to_repr();
    bytes.reverse();
    bytes
}

fn scalar(word: &[u8; 32]) -> Option<Fr> {
    let mut bytes = *word;
    bytes.reverse();
    Option::from(Fr::from_repr(bytes))
}

/// The modulus, below 2^256.
fn modulus<F: PrimeField<Repr = [u8; 32]>>() -> [u8; 32] {
    let mut bytes = big_endian(-F::ONE);
    // The moduli are odd, so the last byte of modulus - 1 has room.
    bytes[31] += 1;
    bytes
}

/// Big-endian sum, without its carry.
fn add(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = ([0; 32], 0u16);
    for i in (0..32).rev() {
        let s = u16::from(a[i]) + u16::from(b[i]) + carry;
        (sum[i], carry) = (s as u8, s >> 8);
    }
    sum
}

/// A word at or beyond a limit, or congruent to the one there.
fn special(word: [u8; 32], program: &mut Program) -> [u8; 32] {
    let (r, q) = (modulus::<Fr>(), modulus::<Fq>());
    let mut small = [0; 32];
    small[31] = program.byte();
    match program.byte() % 8 {
        0 => small,
        1 => add(&r, &small),
        2 => add(&q, &small),
        3 => add(&word, &r),
        4 => add(&word, &q),
        5 => [0xff; 32],
        6 => big_endian(-Fr::ONE),
        _ => big_endian(-Fq::ONE),
    }
}

/// A point that is none, is at infinity, has other coordinates than its canonical ones, or is another one.
fn special_point(point: &mut [u8; 64], other: &[u8; 64], program: &mut Program) {
    let q = modulus::<Fq>();
    let (x, y) = point.split_first_chunk_mut::<32>().expect("64 bytes");
    let y: &mut [u8; 32] = y.try_into().expect("the other half");
    match program.byte() % 8 {
        0 => (*x, *y) = ([0; 32], [0; 32]),
        1 => *x = add(x, &q),
        2 => *y = add(y, &q),
        3 => (*x, *y) = (q, q),
        4 => {
            // Minus the point.
            let mut bytes = *y;
            bytes.reverse();
            let value: Option<Fq> = Option::from(Fq::from_repr(bytes));
            *y = big_endian(-value.unwrap_or(Fq::ONE));
        }
        5 => (*x, *y) = (big_endian(Fq::ONE), big_endian(Fq::from(2))),
        6 => (*x, *y) = (big_endian(Fq::ONE), big_endian(Fq::ONE)),
        _ => *point = *other,
    }
}
