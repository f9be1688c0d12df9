//! Verifiers, keys and registries on a chain, over any Ethereum JSON-RPC endpoint (alloy).
//!
//! Plain blocking functions; call them from outside an async runtime.
//!
//! | module | what it does |
//! |---|---|
//! | `account` | signing keys, from environment, file or keystore |
//! | [`create2`] | deterministic addresses |
//! | `transactions` | estimates, signs, sends, waits; deploys |
//!
//! What fails for a passing reason (no connection, HTTP 429 and 5xx, rate limits) is asked again, with growing
//! pauses, [`ATTEMPTS`] times in all. A transaction is signed once, so that sending it again cannot do it twice.

use std::{fmt, time::Duration};

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, Bytes},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
    transports::{RpcError, TransportErrorKind},
};
use tokio::runtime::Runtime;

use crate::revert::Refusal;

mod account;
pub mod create2;
mod error;
mod transactions;

pub use account::{Account, format_address, parse_address};
pub use error::ChainError;
pub use transactions::{Deployed, Estimate, Receipt};

/// How long one request may take, all attempts together.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is made that fails for a passing reason.
pub const ATTEMPTS: u32 = 4;
/// The pause after the first attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

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
        // The provider starts tasks, so it needs the runtime around it. It fills nothing in and signs nothing:
        // `transactions` does.
        let entered = runtime.enter();
        let provider = ProviderBuilder::default().connect_http(url).erased();
        drop(entered);
        let mut chain = Self {
            runtime,
            provider,
            endpoint,
            account,
            chain_id: 0,
        };
        chain.chain_id = chain.request(|p| p.get_chain_id())?;
        Ok(chain)
    }

    /// Makes sure that the endpoint serves the chain that is meant.
    ///
    /// # Errors
    /// [`ChainError::WrongChain`] where it does not.
    pub fn require_id(&self, expected: u64) -> Result<(), ChainError> {
        if self.chain_id == expected {
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
                reason: format!("{} (code {})", response.message, response.code),
            };
        }
        let endpoint = self.endpoint.clone();
        if let RpcError::Transport(kind) = error
            && let Some(http) = kind.as_http_error()
        {
            return ChainError::Unreachable {
                endpoint,
                reason: format!("HTTP status {}", http.status),
            };
        }
        // The outer errors repeat the whole URL; the innermost says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let reason = cause.to_string();
        if error.is_transport_error() {
            ChainError::Unreachable { endpoint, reason }
        } else {
            ChainError::Rpc { endpoint, reason }
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
            output: hex::encode(&output),
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
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread::JoinHandle,
    };

    use super::*;

    /// What the test's server does with one connection.
    #[derive(Clone, Copy)]
    enum Reply {
        /// Closes it.
        HangUp,
        /// An HTTP status without a body.
        Status(u16),
        /// A JSON-RPC error.
        Error(i32, &'static str),
        /// The chain id 7.
        ChainId,
    }

    /// Answers as many connections as there are replies, then ends.
    fn serve(replies: Vec<Reply>) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                // The request's JSON ends with the outermost brace.
                while !request.ends_with(b"}") {
                    let read = stream.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..read]);
                }
                let (status, body) = match reply {
                    Reply::HangUp => continue,
                    Reply::Status(status) => (status, String::new()),
                    Reply::Error(code, message) => (
                        200,
                        format!(
                            r#"{{"jsonrpc":"2.0","id":0,"error":{{"code":{code},"message":"{message}"}}}}"#
                        ),
                    ),
                    Reply::ChainId => (200, r#"{"jsonrpc":"2.0","id":0,"result":"0x7"}"#.into()),
                };
                let head = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        (url, thread)
    }

    #[test]
    fn what_passes_is_asked_again() {
        use Reply::{ChainId, Error, HangUp, Status};
        for replies in [
            vec![HangUp, Status(503), Status(429), ChainId],
            vec![Error(-32005, "rate limit"), ChainId],
        ] {
            let (url, server) = serve(replies);
            let chain = Chain::connect(&url, None).unwrap();
            server.join().unwrap();
            assert_eq!(chain.chain_id(), 7);
            chain.require_id(7).unwrap();
            let wrong = chain.require_id(8).unwrap_err();
            assert!(matches!(
                wrong,
                ChainError::WrongChain {
                    expected: 8,
                    found: 7,
                    ..
                }
            ));
        }
    }

    #[test]
    fn what_stays_ends() {
        let (url, server) = serve(vec![Reply::Status(503); ATTEMPTS as usize]);
        let error = Chain::connect(&url, None).map(|_| ()).unwrap_err();
        server.join().unwrap();
        assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("503"), "{error}");
        // One answer only: these are not asked again.
        for reply in [Reply::Status(401), Reply::Error(-32601, "no such method")] {
            let (url, server) = serve(vec![reply]);
            let error = Chain::connect(&url, None).map(|_| ()).unwrap_err();
            server.join().unwrap();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

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
}
