//! An EVM in process (revm, Osaka rules): deploys verifiers, keys and registries and runs `verify`, without a node.

use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::{
        CfgEnv, TxEnv,
        result::{ExecutionResult, Output},
    },
    database::InMemoryDB,
    primitives::{Address, Bytes, TxKind, hardfork::SpecId},
};
use serde::{Deserialize, Serialize};

use crate::{key::KeyData, revert::Refusal};

/// Gas that one transaction may take at most (EIP-7825).
pub const TRANSACTION_GAS_LIMIT: u64 = 1 << 24;

/// Gas of a transaction that does nothing.
const TRANSACTION_GAS: u64 = 21_000;

/// Why the embedded EVM did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvmError {
    /// The contract reverted.
    #[error("refused by the contract: {0}")]
    Refused(#[source] Refusal),
    /// Execution stopped without reverting.
    #[error("execution stopped after {gas} gas: {reason}")]
    Halted {
        /// revm's reason.
        reason: String,
        /// Gas spent.
        gas: u64,
    },
    /// The transaction was not executed at all.
    #[error("transaction refused: {reason}")]
    Transaction {
        /// revm's reason.
        reason: String,
    },
    /// The call did not return `true`.
    #[error("the call returned {output}, not true; is there a tensorseal verifier at the address?")]
    Output {
        /// What it returned, in hex.
        output: String,
    },
}

/// A deployed contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its address.
    pub address: [u8; 20],
    /// Gas of the whole deploying transaction.
    pub gas: u64,
    /// Length of its code.
    pub code_bytes: usize,
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GasReport {
    /// Execution alone, without the transaction's base cost and calldata.
    pub execution: u64,
    /// Calldata at 16 gas a non-zero byte and 4 a zero byte.
    pub calldata: u64,
    /// Calldata at the floor of EIP-7623: 40 gas a non-zero byte and 10 a zero byte.
    pub calldata_floor: u64,
    /// The whole transaction, as charged.
    pub transaction: u64,
    /// Length of the calldata.
    pub calldata_bytes: usize,
}

impl GasReport {
    fn new(calldata: &[u8], transaction: u64, spent: u64) -> Self {
        let zeros = calldata.iter().filter(|b| **b == 0).count() as u64;
        let tokens = zeros + 4 * (calldata.len() as u64 - zeros);
        Self {
            execution: spent.saturating_sub(TRANSACTION_GAS + 4 * tokens),
            calldata: 4 * tokens,
            calldata_floor: 10 * tokens,
            transaction,
            calldata_bytes: calldata.len(),
        }
    }
}

/// What a contract emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Hash of the event's signature, then its indexed fields.
    pub topics: Vec<[u8; 32]>,
    /// The other fields, ABI-encoded.
    pub data: Vec<u8>,
}

/// A call that has changed the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What it returned.
    pub output: Vec<u8>,
    /// Gas of the whole transaction.
    pub gas: u64,
    /// What was emitted.
    pub events: Vec<Event>,
}

/// An empty chain with one account that pays nothing.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedEvm {
    database: InMemoryDB,
    nonce: u64,
}

impl EmbeddedEvm {
    /// An empty chain.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn execute(
        &mut self,
        kind: TxKind,
        data: &[u8],
        commit: bool,
    ) -> Result<ExecutionResult, EvmError> {
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.disable_nonce_check = true;
        let transaction = TxEnv::builder()
            .kind(kind)
            .nonce(self.nonce)
            .gas_limit(TRANSACTION_GAS_LIMIT)
            .data(Bytes::copy_from_slice(data))
            .build()
            .map_err(|e| EvmError::Transaction {
                reason: format!("{e:?}"),
            })?;
        let mut evm = Context::mainnet()
            .with_cfg(cfg)
            .with_db(&mut self.database)
            .build_mainnet();
        let refused = |reason: String| EvmError::Transaction { reason };
        if commit {
            let result = evm.transact_commit(transaction);
            self.nonce += 1;
            result.map_err(|e| refused(e.to_string()))
        } else {
            let result = evm.transact(transaction);
            result.map(|r| r.result).map_err(|e| refused(e.to_string()))
        }
    }

    /// Deploys a contract from its creation code.
    ///
    /// # Errors
    /// [`EvmError`] where the deployment reverts or runs out of gas.
    pub fn deploy(&mut self, initcode: &[u8]) -> Result<Deployment, EvmError> {
        match self.execute(TxKind::Create, initcode, true)? {
            ExecutionResult::Success {
                gas,
                output: Output::Create(code, Some(address)),
                ..
            } => Ok(Deployment {
                address: address.into_array(),
                gas: gas.tx_gas_used(),
                code_bytes: code.len(),
            }),
            other => Err(failure(other)),
        }
    }

    /// Deploys a key's data contract.
    ///
    /// # Errors
    /// [`EvmError`] as for [`deploy`](Self::deploy).
    pub fn deploy_key(&mut self, key: &KeyData) -> Result<Deployment, EvmError> {
        self.deploy(&key.to_initcode())
    }

    /// Calls a contract and keeps what it changes.
    ///
    /// # Errors
    /// [`EvmError::Refused`] with the contract's reason, or why the call did not end.
    pub fn send(&mut self, to: [u8; 20], calldata: &[u8]) -> Result<Sent, EvmError> {
        let to = TxKind::Call(Address::from(to));
        match self.execute(to, calldata, true)? {
            ExecutionResult::Success {
                gas, output, logs, ..
            } => Ok(Sent {
                output: output.into_data().to_vec(),
                gas: gas.tx_gas_used(),
                events: logs
                    .into_iter()
                    .map(|log| Event {
                        topics: log.topics().iter().map(|topic| topic.0).collect(),
                        data: log.data.data.to_vec(),
                    })
                    .collect(),
            }),
            other => Err(failure(other)),
        }
    }

    /// Calls the verifier or the registry at `contract`, changing nothing; the proof is accepted if this returns at all.
    ///
    /// # Errors
    /// [`EvmError::Refused`] with the contract's reason, or why the call did not end.
    pub fn verify(&mut self, contract: [u8; 20], calldata: &[u8]) -> Result<GasReport, EvmError> {
        let (output, gas) = self.call(contract, calldata)?;
        let mut one = [0; 32];
        one[31] = 1;
        if output != one {
            return Err(EvmError::Output {
                output: hex::encode(&output),
            });
        }
        Ok(gas)
    }

    /// Calls a contract, changing nothing; what it returns.
    ///
    /// # Errors
    /// [`EvmError`] as for [`verify`](Self::verify).
    pub fn call(
        &mut self,
        contract: [u8; 20],
        calldata: &[u8],
    ) -> Result<(Vec<u8>, GasReport), EvmError> {
        let to = TxKind::Call(Address::from(contract));
        match self.execute(to, calldata, false)? {
            ExecutionResult::Success { gas, output, .. } => Ok((
                output.into_data().to_vec(),
                GasReport::new(calldata, gas.tx_gas_used(), gas.total_gas_spent()),
            )),
            other => Err(failure(other)),
        }
    }
}

fn failure(result: ExecutionResult) -> EvmError {
    match result {
        ExecutionResult::Success { output, .. } => EvmError::Output {
            output: hex::encode(output.into_data()),
        },
        ExecutionResult::Revert { output, .. } => EvmError::Refused(Refusal::decode(&output)),
        ExecutionResult::Halt { reason, gas, .. } => EvmError::Halted {
            reason: format!("{reason:?}"),
            gas: gas.total_gas_spent(),
        },
    }
}
