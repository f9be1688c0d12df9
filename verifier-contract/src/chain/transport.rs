//! JSON-RPC over HTTP with an endpoint that nobody need trust: replies up to a limit, no redirects, limits of time.
//!
//! alloy's own transport reads replies of any length, follows redirects with the signed body, and logs the whole URL.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{RequestPacket, Response, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use reqwest::{Client, Url, header::CONTENT_TYPE, redirect::Policy};
use tower_service::Service;

/// The longest reply that is read, in bytes. Contracts have some 50 kB of hex; a block comes with the hashes of its
/// transactions, 69 bytes each, and no chain has 200,000 of them in one.
pub const MAX_REPLY: usize = 16 << 20;

/// How long connecting may take, so that there is time left to try again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// It is longer than [`MAX_REPLY`].
    #[error("it is longer than {} MiB", MAX_REPLY >> 20)]
    TooLong,
    /// It sends the request elsewhere.
    #[error(
        "HTTP status {status}, a redirect, which is not followed; give the URL that it leads to, if you trust that"
    )]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// It is no JSON-RPC, or not the result of what was asked.
    #[error("it does not answer what was asked ({reason})")]
    Content {
        /// What was found.
        reason: String,
    },
}

/// An endpoint, asked over HTTP.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client,
    url: Url,
}

impl Transport {
    /// An endpoint whose requests take no longer than `timeout`. Fails where there is no TLS to be had.
    pub(super) fn new(url: Url, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .build()?;
        Ok(Self { client, url })
    }

    async fn ask(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let body = serde_json::to_vec(&request).map_err(TransportError::ser_err)?;
        let post = self.client.post(self.url);
        let post = post.header(CONTENT_TYPE, "application/json").body(body);
        let reply = post.send().await.map_err(TransportErrorKind::custom)?;
        let status = reply.status();
        if status.is_redirection() {
            let status = status.as_u16();
            return Err(TransportErrorKind::non_retryable(BadReply::Redirect {
                status,
            }));
        }
        // Batches are never asked, so an array is no answer.
        match serde_json::from_slice::<Response>(&read(reply).await?) {
            // A JSON-RPC error says more than the status that it comes with.
            Ok(answer) if status.is_success() || answer.is_error() => {
                Ok(ResponsePacket::Single(answer))
            }
            Err(why) if status.is_success() => {
                Err(TransportErrorKind::non_retryable(BadReply::Content {
                    reason: why.to_string(),
                }))
            }
            _ => Err(TransportErrorKind::http_error(
                status.as_u16(),
                String::new(),
            )),
        }
    }
}

/// The body, up to the limit.
async fn read(mut reply: reqwest::Response) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(part) = reply.chunk().await.map_err(TransportErrorKind::custom)? {
        if part.len() > MAX_REPLY - body.len() {
            return Err(TransportErrorKind::non_retryable(BadReply::TooLong));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

impl Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}
