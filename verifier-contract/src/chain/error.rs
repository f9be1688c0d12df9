//! Why something did not happen on a chain.

use std::path::PathBuf;

use super::{fees::GasPrice, transport::BadReply};
use crate::revert::Refusal;

/// Why something did not happen on the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The endpoint's address cannot be read.
    #[error("`{url}` is no http or https URL; write it like http://127.0.0.1:8545")]
    Url {
        /// What was given, without anything after the host.
        url: String,
    },
    /// Nobody answers at the endpoint, even when asked several times.
    #[error(
        "cannot reach the RPC endpoint {endpoint}: {reason}; check the URL and that the node is running"
    )]
    Unreachable {
        /// Scheme, host and port.
        endpoint: String,
        /// The innermost cause.
        reason: String,
    },
    /// The endpoint answered with an error.
    #[error("the RPC endpoint {endpoint} refused the request: {reason}")]
    Rpc {
        /// Scheme, host and port.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// The endpoint's reply cannot be used.
    #[error("the RPC endpoint {endpoint} gave no usable reply: {fault}; check the URL")]
    Reply {
        /// Scheme, host and port.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        fault: BadReply,
    },
    /// The endpoint serves another chain.
    #[error(
        "the RPC endpoint {endpoint} serves chain {found}, not {expected}; check the URL or the chain id"
    )]
    WrongChain {
        /// Scheme, host and port.
        endpoint: String,
        /// The chain asked for.
        expected: u64,
        /// The chain there is.
        found: u64,
    },
    /// Nobody has said which chain is meant, and something was to be sent.
    #[error(
        "the RPC endpoint {endpoint} says that it serves chain {found}; nothing is sent before you say that this is the chain you mean"
    )]
    UnconfirmedChain {
        /// Scheme, host and port.
        endpoint: String,
        /// The chain that the endpoint says it serves.
        found: u64,
    },
    /// The endpoint's estimate is more gas than a transaction may take.
    #[error(
        "the endpoint estimates {gas} gas, and a transaction may take {limit} (EIP-7825); send fewer proofs at once, or ask another endpoint"
    )]
    GasTooHigh {
        /// The estimate.
        gas: u64,
        /// The limit.
        limit: u64,
    },
    /// The endpoint asks for a price of gas above the limit.
    #[error(
        "the endpoint asks for {asked} a unit of gas, and {allowed} is allowed; wait for less, or if the chain is that dear, allow more"
    )]
    FeeTooHigh {
        /// What it asks for.
        asked: GasPrice,
        /// The limit.
        allowed: GasPrice,
    },
    /// The contract reverted.
    #[error("refused by the contract: {0}")]
    Refused(#[source] Refusal),
    /// No contract stands at the address.
    #[error(
        "there is no contract at {address} on this chain; deploy it first, or check the network"
    )]
    NoCode {
        /// The address.
        address: String,
    },
    /// Another contract stands at the address than should.
    #[error(
        "the code at {address} is not the contract's: the endpoint does not tell the truth, the chain has been reorganized, or it creates contracts in ways of its own"
    )]
    OtherCode {
        /// The address.
        address: String,
    },
    /// The chain lacks the contract that deploys at deterministic addresses.
    #[error(
        "there is no deterministic deployment proxy at {address} on chain {chain_id}; deploy with plain creation instead"
    )]
    NoProxy {
        /// Where it should be.
        address: String,
        /// The chain.
        chain_id: u64,
    },
    /// The call returned something else than `true`.
    #[error("the call to {address} returned {output}, not true; is it a tensorseal verifier?")]
    Output {
        /// The contract.
        address: String,
        /// What it returned, in hex.
        output: String,
    },
    /// A transaction was mined and failed.
    #[error("transaction {hash} failed after {gas} gas; see it in the node's trace")]
    Failed {
        /// Its hash.
        hash: String,
        /// Gas it used.
        gas: u64,
    },
    /// A transaction was sent and not mined, or not confirmed, in time.
    #[error(
        "transaction {hash} was sent and is not confirmed after {seconds} s; look for it before sending it again"
    )]
    NotMined {
        /// Its hash.
        hash: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A transaction needs an account to sign it.
    #[error(
        "a transaction needs a signing key; name a keystore, a file or an environment variable"
    )]
    NoAccount,
    /// The environment variable with the signing key is not set.
    #[error("environment variable {name} does not hold a signing key; set it to 64 hex digits")]
    AccountVariable {
        /// Its name.
        name: String,
    },
    /// The file with the signing key cannot be used.
    #[error("file {path} does not hold a signing key ({reason}); write 64 hex digits into it")]
    AccountFile {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The keystore cannot be opened.
    #[error(
        "keystore {path} cannot be opened ({reason}); give an encrypted JSON key (Web3 secret storage) and its password"
    )]
    Keystore {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An address cannot be read.
    #[error("`{text}` is no address; write 0x and 40 hex digits")]
    Address {
        /// What was given.
        text: String,
    },
    /// The process could not start the runtime for requests.
    #[error("cannot start the network runtime: {reason}")]
    Runtime {
        /// The system's reason.
        reason: String,
    },
}
