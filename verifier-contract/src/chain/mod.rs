//! Verifiers, keys and registries on a chain, over any Ethereum JSON-RPC endpoint (alloy).
//!
//! Plain blocking functions; call them from outside an async runtime.
//!
//! | module | what it does |
//! |---|---|
//! | `account` | signing keys, from environment, file or keystore |
//! | [`create2`] | deterministic addresses |
//! | `fees` | limits of gas and its price |
//! | `keystore` | checks a keystore before it is opened |
//! | `transactions` | estimates, signs, sends, waits; deploys |
//! | `transport` | HTTP with limits |
//!
//! The endpoint is not trusted with money: what is sent is signed for a chain that the caller has named, with gas up to
//! 2^24 (EIP-7825) at a price up to [`DEFAULT_MAX_FEE`] or the caller's own. It is trusted to tell what stands on the chain.
//! A reply may have [`MAX_REPLY`] bytes, and is not followed elsewhere.
//!
//! What fails for a passing reason (no connection, HTTP 429 and 5xx, rate limits) is asked again, with growing
//! pauses, [`ATTEMPTS`] times in all. A transaction is signed once, so that sending it again cannot do it twice.

use std::{fmt, num::NonZeroU32, time::Duration};

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, Bytes},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{client::RpcClient, types::TransactionRequest},
    transports::{RpcError, TransportErrorKind},
};
use tokio::runtime::Runtime;

use crate::revert::Refusal;
use transport::Transport;

mod account;
pub mod create2;
mod error;
mod fees;
mod keystore;
mod transactions;
mod transport;

pub use account::{Account, format_address, parse_address};
pub use error::ChainError;
pub use fees::{BadGasPrice, DEFAULT_MAX_FEE, GasPrice};
pub use transactions::{Deployed, Estimate, Receipt};
pub use transport::{BadReply, MAX_REPLY};

/// How long one request may take, all attempts together.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is made that fails for a passing reason.
pub const ATTEMPTS: u32 = 4;
/// What is repeated of the text of an endpoint's error, in characters.
const MAX_REASON: usize = 300;
/// The pause after the first attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A connection to a chain.
pub struct Chain {
    runtime: Runtime,
    provider: DynProvider,
    endpoint: String,
    account: Option<Account>,
    chain_id: u64,
    /// The caller has named the chain, and it is the one there is.
    confirmed: bool,
    max_fee: GasPrice,
    confirmations: NonZeroU32,
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
        let transport = Transport::new(url, REQUEST_TIMEOUT).map_err(|e| ChainError::Runtime {
            reason: innermost(&e.without_url()),
        })?;
        // The provider starts tasks, so it needs the runtime around it. It fills nothing in and signs nothing:
        // `transactions` does.
        let entered = runtime.enter();
        let client = RpcClient::new(transport, false);
        let provider = ProviderBuilder::default().connect_client(client).erased();
        drop(entered);
        let mut chain = Self {
            runtime,
            provider,
            endpoint,
            account,
            chain_id: 0,
            confirmed: false,
            max_fee: DEFAULT_MAX_FEE,
            confirmations: NonZeroU32::MIN,
        };
        chain.chain_id = chain.request(|p| p.get_chain_id())?;
        Ok(chain)
    }

    /// The highest price of gas that is signed, instead of [`DEFAULT_MAX_FEE`].
    #[must_use]
    pub fn with_max_fee(mut self, max_fee: GasPrice) -> Self {
        self.max_fee = max_fee;
        self
    }

    /// How many blocks confirm a transaction, its own counted, instead of that one alone.
    #[must_use]
    pub fn with_confirmations(mut self, confirmations: NonZeroU32) -> Self {
        self.confirmations = confirmations;
        self
    }

    /// Makes sure that the endpoint serves the chain that is meant. Nothing is sent before.
    ///
    /// # Errors
    /// [`ChainError::WrongChain`] where it does not.
    pub fn require_id(&mut self, expected: u64) -> Result<(), ChainError> {
        if self.chain_id == expected {
            self.confirmed = true;
            return Ok(());
        }
        Err(ChainError::WrongChain {
            endpoint: self.endpoint.clone(),
            expected,
            found: self.chain_id,
        })
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

    /// The account that signs, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Asks, again where it fails for a passing reason.
    fn request<T, F>(&self, ask: impl Fn(DynProvider) -> F) -> Result<T, ChainError>
    where
        F: IntoFuture<Output = Result<T, RpcError<TransportErrorKind>>>,
    {
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            for _ in 1..ATTEMPTS {
                match ask(self.provider.clone()).await {
                    Err(e) if transient(&e) => tokio::time::sleep(pause).await,
                    result => return result,
                }
                pause *= 2;
            }
            ask(self.provider.clone()).await
        };
        let timed = self
            .runtime
            .block_on(async { tokio::time::timeout(REQUEST_TIMEOUT, attempts).await });
        match timed {
            Ok(result) => result.map_err(|e| self.refused(&e)),
            Err(_) => Err(ChainError::Unreachable {
                endpoint: self.endpoint.clone(),
                reason: format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
            }),
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
                reason: format!("{} (code {})", shorten(&response.message), response.code),
            };
        }
        let endpoint = self.endpoint.clone();
        match error {
            RpcError::Transport(TransportErrorKind::NonRetryable(fault)) => {
                match fault.downcast_ref::<BadReply>() {
                    Some(fault) => ChainError::Reply {
                        endpoint,
                        fault: fault.clone(),
                    },
                    None => self.bad_content(fault.to_string()),
                }
            }
            RpcError::Transport(kind) => ChainError::Unreachable {
                endpoint,
                reason: match kind.as_http_error() {
                    Some(http) => format!("HTTP status {}", http.status),
                    None => innermost(kind),
                },
            },
            other => self.bad_content(innermost(other)),
        }
    }

    /// A reply that is well-formed and wrong.
    fn bad_content(&self, reason: String) -> ChainError {
        ChainError::Reply {
            endpoint: self.endpoint.clone(),
            fault: BadReply::Content {
                reason: shorten(&reason),
            },
        }
    }

    /// A contract's code, empty where there is none.
    ///
    /// # Errors
    /// [`ChainError`] where the endpoint does not answer.
    pub fn code(&self, address: [u8; 20]) -> Result<Vec<u8>, ChainError> {
        let code = self.request(|p| p.get_code_at(Address::from(address)))?;
        Ok(code.to_vec())
    }

    /// What a contract returns, without a transaction (`eth_call`).
    ///
    /// # Errors
    /// [`ChainError::Refused`] with the contract's reason, or what the endpoint answered.
    pub fn call(&self, to: [u8; 20], calldata: &[u8]) -> Result<Vec<u8>, ChainError> {
        let request = self.with_account(call(to, calldata));
        let output = self.request(|p| p.call(request.clone()))?;
        Ok(output.to_vec())
    }

    /// Asks a verifier, or a registry, without a transaction. The proof is accepted if this returns.
    ///
    /// `calldata` is [`encode_verify`](crate::calldata::encode_verify)'s, or made of it by
    /// [`through_registry`](crate::registry::through_registry).
    ///
    /// # Errors
    /// [`ChainError::Refused`] with the contract's reason, [`ChainError::NoCode`], or what the endpoint answered.
    pub fn verify(&self, contract: [u8; 20], calldata: &[u8]) -> Result<(), ChainError> {
        let output = self.call(contract, calldata)?;
        let mut one = [0; 32];
        one[31] = 1;
        if output[..] == one {
            return Ok(());
        }
        let address = format_address(contract);
        if output.is_empty() && self.code(contract)?.is_empty() {
            return Err(ChainError::NoCode { address });
        }
        Err(ChainError::Output {
            address,
            output: shorten(&hex::encode(&output)),
        })
    }

    /// Calls look like the account's where there is one.
    fn with_account(&self, request: TransactionRequest) -> TransactionRequest {
        match &self.account {
            Some(account) => request.with_from(Address::from(account.address())),
            None => request,
        }
    }
}

fn call(to: [u8; 20], calldata: &[u8]) -> TransactionRequest {
    TransactionRequest::default()
        .with_to(Address::from(to))
        .with_input(Bytes::copy_from_slice(calldata))
}

/// Whether the same request may well succeed a little later.
fn transient(error: &RpcError<TransportErrorKind>) -> bool {
    match error {
        RpcError::ErrorResp(payload) => payload.is_retry_err(),
        RpcError::Transport(TransportErrorKind::Custom(_)) => true,
        RpcError::Transport(kind) => kind
            .as_http_error()
            .is_some_and(|http| matches!(http.status, 429 | 500 | 502..=504)),
        _ => false,
    }
}

/// The innermost cause: the outer errors repeat the whole URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    shorten(&cause.to_string())
}

/// The beginning of a text that may be as long as a reply.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
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
mod tests;
