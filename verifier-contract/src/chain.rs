//! Verifiers and keys on a chain, over any Ethereum JSON-RPC endpoint (alloy).
//!
//! Plain blocking functions; call them from outside an async runtime. Signing keys come from an
//! environment variable or a file, never from an argument, and are not shown by `Debug`.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, Bytes},
    providers::{DynProvider, PendingTransactionError, Provider, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    transports::{RpcError, TransportErrorKind},
};
use tokio::runtime::Runtime;

use crate::{key::KeyData, profiles::Embedded, revert::Refusal};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sent transaction may take to be mined.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);

/// Why something did not happen on the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The endpoint's address cannot be read.
    #[error("`{url}` is no http or https URL; write it like http://127.0.0.1:8545")]
    Url {
        /// What was given, without anything after the host.
        url: String,
    },
    /// Nobody answers at the endpoint.
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
    /// A transaction needs an account to sign it.
    #[error(
        "a transaction needs a signing key; name an environment variable or a file that holds it"
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

/// An account that signs transactions.
#[derive(Clone)]
pub struct Account(PrivateKeySigner);

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.0.address()).finish()
    }
}

impl Account {
    /// The account whose key an environment variable holds, in hex.
    ///
    /// # Errors
    /// [`ChainError::AccountVariable`] where it is missing or no key.
    pub fn from_env(name: &str) -> Result<Self, ChainError> {
        let refused = || ChainError::AccountVariable {
            name: name.to_owned(),
        };
        let text = std::env::var(name).map_err(|_| refused())?;
        // The parser's error could repeat the key.
        text.trim().parse().map(Self).map_err(|_| refused())
    }

    /// The account whose key a file holds, in hex.
    ///
    /// # Errors
    /// [`ChainError::AccountFile`] where it cannot be read or is no key.
    pub fn from_file(path: &Path) -> Result<Self, ChainError> {
        let refused = |reason: String| ChainError::AccountFile {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
        let key = text.trim().parse();
        key.map(Self)
            .map_err(|_| refused("no 64 hex digits".to_owned()))
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        self.0.address().into_array()
    }
}

/// Reads an address written as `0x` and 40 hex digits.
///
/// # Errors
/// [`ChainError::Address`] for anything else.
pub fn parse_address(text: &str) -> Result<[u8; 20], ChainError> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    let mut address = [0; 20];
    hex::decode_to_slice(digits, &mut address).map_err(|_| ChainError::Address {
        text: text.to_owned(),
    })?;
    Ok(address)
}

/// Writes an address as `0x` and 40 hex digits, with the checksum of EIP-55.
#[must_use]
pub fn format_address(address: [u8; 20]) -> String {
    Address::from(address).to_checksum(None)
}

/// A mined transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its hash.
    pub hash: [u8; 32],
    /// Gas it used, calldata included.
    pub gas: u64,
    /// The contract it created, if it did.
    pub created: Option<[u8; 20]>,
}

/// A contract on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnChain {
    /// Its address.
    pub address: [u8; 20],
    /// Hash of the deploying transaction.
    pub transaction: [u8; 32],
    /// Gas of that transaction.
    pub gas: u64,
    /// Length of its code.
    pub code_bytes: usize,
}

/// A connection to a chain.
pub struct Chain {
    runtime: Runtime,
    provider: DynProvider,
    endpoint: String,
    account: Option<Account>,
    chain_id: u64,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("endpoint", &self.endpoint)
            .field("chain_id", &self.chain_id)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// Connects to an endpoint and asks for its chain id. Without an account only calls are possible.
    ///
    /// # Errors
    /// [`ChainError::Url`], [`ChainError::Unreachable`] or what the endpoint answered.
    pub fn connect(rpc_url: &str, account: Option<Account>) -> Result<Self, ChainError> {
        let endpoint = endpoint(rpc_url);
        let url = rpc_url
            .parse()
            .ok()
            .filter(|_| rpc_url.starts_with("http://") || rpc_url.starts_with("https://"))
            .ok_or_else(|| ChainError::Url {
                url: endpoint.clone(),
            })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| ChainError::Runtime {
                reason: e.to_string(),
            })?;
        // The provider starts tasks, so it needs the runtime around it.
        let entered = runtime.enter();
        let provider = match &account {
            Some(account) => ProviderBuilder::new()
                .wallet(EthereumWallet::from(account.0.clone()))
                .connect_http(url)
                .erased(),
            None => ProviderBuilder::new().connect_http(url).erased(),
        };
        drop(entered);
        let mut chain = Self {
            runtime,
            provider,
            endpoint,
            account,
            chain_id: 0,
        };
        chain.chain_id = chain.request(chain.provider.get_chain_id())?;
        Ok(chain)
    }

    /// The chain's id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Scheme, host and port of the endpoint; what follows can hold an access key.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn request<T>(
        &self,
        future: impl IntoFuture<Output = Result<T, RpcError<TransportErrorKind>>>,
    ) -> Result<T, ChainError> {
        let timed = self
            .runtime
            .block_on(async { tokio::time::timeout(REQUEST_TIMEOUT, future.into_future()).await });
        match timed {
            Ok(result) => result.map_err(|e| self.refused(&e)),
            Err(_) => Err(self.silent(REQUEST_TIMEOUT)),
        }
    }

    fn silent(&self, after: Duration) -> ChainError {
        ChainError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: format!("no answer within {} s", after.as_secs()),
        }
    }

    fn refused(&self, error: &RpcError<TransportErrorKind>) -> ChainError {
        if let Some(response) = error.as_error_resp() {
            if let Some(data) = response.as_revert_data() {
                return ChainError::Refused(Refusal::decode(&data));
            }
            if response.message.contains("execution reverted") {
                return ChainError::Refused(Refusal::NoReason);
            }
            return ChainError::Rpc {
                endpoint: self.endpoint.clone(),
                reason: format!("{} (code {})", response.message, response.code),
            };
        }
        // The outer errors repeat the whole URL; the innermost says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let endpoint = self.endpoint.clone();
        let reason = cause.to_string();
        if error.is_transport_error() {
            ChainError::Unreachable { endpoint, reason }
        } else {
            ChainError::Rpc { endpoint, reason }
        }
    }

    fn send(&self, request: TransactionRequest) -> Result<Transaction, ChainError> {
        let account = self.account.as_ref().ok_or(ChainError::NoAccount)?;
        let request = request.with_from(account.0.address());
        let pending = self.request(self.provider.send_transaction(request))?;
        let receipt: TransactionReceipt = self
            .runtime
            .block_on(pending.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt())
            .map_err(|e| match e {
                PendingTransactionError::TransportError(e) => self.refused(&e),
                _ => self.silent(RECEIPT_TIMEOUT),
            })?;
        if !receipt.status() {
            return Err(ChainError::Failed {
                hash: receipt.transaction_hash.to_string(),
                gas: receipt.gas_used,
            });
        }
        Ok(Transaction {
            hash: receipt.transaction_hash.0,
            gas: receipt.gas_used,
            created: receipt.contract_address.map(Address::into_array),
        })
    }

    /// A contract's code, empty where there is none.
    ///
    /// # Errors
    /// [`ChainError`] where the endpoint does not answer.
    pub fn code(&self, address: [u8; 20]) -> Result<Vec<u8>, ChainError> {
        let code = self.request(self.provider.get_code_at(Address::from(address)))?;
        Ok(code.to_vec())
    }

    /// Deploys a contract from its creation code and waits for it.
    ///
    /// # Errors
    /// [`ChainError`] where there is no account, or the transaction fails.
    pub fn deploy(&self, initcode: &[u8]) -> Result<OnChain, ChainError> {
        let request =
            TransactionRequest::default().with_deploy_code(Bytes::copy_from_slice(initcode));
        let sent = self.send(request)?;
        let address = sent.created.ok_or_else(|| ChainError::Rpc {
            endpoint: self.endpoint.clone(),
            reason: "the receipt names no created contract".to_owned(),
        })?;
        let code_bytes = self.code(address)?.len();
        if code_bytes == 0 {
            return Err(ChainError::NoCode {
                address: format_address(address),
            });
        }
        Ok(OnChain {
            address,
            transaction: sent.hash,
            gas: sent.gas,
            code_bytes,
        })
    }

    /// Deploys a profile's verifier.
    ///
    /// # Errors
    /// [`ChainError`] as for [`deploy`](Self::deploy).
    pub fn deploy_verifier(&self, verifier: &Embedded) -> Result<OnChain, ChainError> {
        self.deploy(&verifier.bytecode)
    }

    /// Registers a model's key: deploys it as a data contract.
    ///
    /// # Errors
    /// [`ChainError`] as for [`deploy`](Self::deploy).
    pub fn register_key(&self, key: &KeyData) -> Result<OnChain, ChainError> {
        self.deploy(&key.to_initcode())
    }

    /// Asks the verifier to verify, without a transaction (`eth_call`). The proof is accepted if this returns.
    ///
    /// `calldata` is [`encode_verify`](crate::calldata::encode_verify)'s.
    ///
    /// # Errors
    /// [`ChainError::Refused`] with the contract's reason, [`ChainError::NoCode`], or what the endpoint answered.
    pub fn verify(&self, verifier: [u8; 20], calldata: &[u8]) -> Result<(), ChainError> {
        let request = call(verifier, calldata);
        let output = self.request(self.provider.call(request))?;
        let mut one = [0; 32];
        one[31] = 1;
        if output[..] == one {
            return Ok(());
        }
        let address = format_address(verifier);
        if output.is_empty() && self.code(verifier)?.is_empty() {
            return Err(ChainError::NoCode { address });
        }
        Err(ChainError::Output {
            address,
            output: hex::encode(&output),
        })
    }

    /// Verifies by a call, then sends the same as a transaction and waits for it.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify) and [`deploy`](Self::deploy).
    pub fn verify_in_transaction(
        &self,
        verifier: [u8; 20],
        calldata: &[u8],
    ) -> Result<Transaction, ChainError> {
        self.verify(verifier, calldata)?;
        self.send(call(verifier, calldata))
    }
}

fn call(to: [u8; 20], calldata: &[u8]) -> TransactionRequest {
    TransactionRequest::default()
        .with_to(Address::from(to))
        .with_input(Bytes::copy_from_slice(calldata))
}

/// Scheme, host and port of a URL: user, path and query can hold secrets.
fn endpoint(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_hold_no_secret() {
        assert_eq!(
            endpoint("https://user:pw@host:1/v3/key?x=y"),
            "https://host:1"
        );
        assert_eq!(endpoint("host/key"), "host");
    }

    #[test]
    fn urls_that_are_none_are_refused() {
        for url in ["", "localhost", "ftp://host", "http://", "ws://host"] {
            let error = Chain::connect(url, None).map(|_| ()).unwrap_err();
            assert!(matches!(error, ChainError::Url { .. }), "{url}: {error}");
        }
    }

    #[test]
    fn a_closed_port_is_unreachable() {
        let error = Chain::connect("http://127.0.0.1:9/secret", None)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn addresses_round_trip() {
        let text = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        assert_eq!(format_address(parse_address(text).unwrap()), text);
        for wrong in ["", "0x", "5FbDB2315678afecb367f032d93F642f64180aa3", "0x5F"] {
            assert!(parse_address(wrong).is_err());
        }
    }
}
