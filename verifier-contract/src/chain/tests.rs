//! Against a server on loopback that answers as it likes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::*;

/// What the server does with one request.
#[derive(Clone, Debug)]
enum Reply {
    /// Closes the connection.
    HangUp,
    /// An HTTP status without a body.
    Status(u16),
    /// Sends the request elsewhere.
    Redirect(u16, String),
    /// A JSON-RPC error.
    Error(i32, String),
    /// A JSON-RPC result.
    Result(Value),
    /// A body that may be anything.
    Body(String),
    /// A body without an end.
    Endless,
}

/// A server whose answer to the n-th request, for a method, is a function of both.
struct Server {
    url: String,
    /// The methods asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Bytes sent of endless bodies.
    sent: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Fn(usize, &str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}/secret", listener.local_addr().unwrap()),
            asked: Arc::default(),
            sent: Arc::default(),
        };
        let (asked, sent) = (server.asked.clone(), server.sent.clone());
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = request(&stream) else {
                    continue;
                };
                let method = request["method"].as_str().unwrap().to_owned();
                let count = asked.lock().unwrap().len();
                let reply = answer(count, &method);
                asked.lock().unwrap().push(method);
                // Whoever has heard enough hangs up.
                let _ = write(&mut stream, reply, &request["id"], &sent);
            }
        });
        server
    }

    /// Gives these replies, one after the other.
    fn replies(replies: Vec<Reply>) -> Self {
        Self::start(move |count, _| replies[count].clone())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn refused(&self) -> ChainError {
        Chain::connect(&self.url, None).map(drop).unwrap_err()
    }
}

fn request(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.to_lowercase().trim_end().split_once(": ") {
            Some(("content-length", text)) => length = text.parse().ok()?,
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn write(
    stream: &mut TcpStream,
    reply: Reply,
    id: &Value,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let envelope = |key: &str, value: Value| {
        let mut envelope = json!({ "jsonrpc": "2.0", "id": id });
        envelope[key] = value;
        envelope.to_string()
    };
    let (status, more, body) = match reply {
        Reply::HangUp => return Ok(()),
        Reply::Status(status) => (status, String::new(), String::new()),
        Reply::Redirect(status, to) => (status, format!("location: {to}\r\n"), String::new()),
        Reply::Error(code, message) => {
            let error = envelope("error", json!({ "code": code, "message": message }));
            (200, String::new(), error)
        }
        Reply::Result(value) => (200, String::new(), envelope("result", value)),
        Reply::Body(body) => (200, String::new(), body),
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let part = [b"10000\r\n".to_vec(), vec![b' '; 1 << 16], b"\r\n".to_vec()].concat();
            loop {
                stream.write_all(&part)?;
                sent.fetch_add(part.len(), Ordering::Relaxed);
            }
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
    );
    stream.write_all((head + &body).as_bytes())
}

fn chain_id() -> Reply {
    Reply::Result("0x7".into())
}

/// A chain of id 7 that is good to its callers, but for what `other` says.
fn honest(method: &str, other: &[(&str, Reply)]) -> Reply {
    let word = |digit: &str| format!("0x{}", digit.repeat(64));
    if let Some((_, reply)) = other.iter().find(|(name, _)| *name == method) {
        return reply.clone();
    }
    match method {
        "eth_chainId" => chain_id(),
        "eth_estimateGas" => Reply::Result("0x5208".into()),
        "eth_getTransactionCount" => Reply::Result("0x0".into()),
        "eth_gasPrice" => Reply::Result("0x1".into()),
        "eth_getBlockByNumber" => Reply::Result(json!({
            "hash": word("1"), "parentHash": word("1"), "sha3Uncles": word("1"), "stateRoot": word("1"),
            "transactionsRoot": word("1"), "receiptsRoot": word("1"), "mixHash": word("1"),
            "miner": format!("0x{}", "1".repeat(40)), "logsBloom": format!("0x{}", "0".repeat(512)),
            "difficulty": "0x0", "number": "0x1", "gasLimit": "0x1c9c380", "gasUsed": "0x0", "timestamp": "0x1",
            "extraData": "0x", "nonce": "0x0000000000000000", "baseFeePerGas": "0x1", "transactions": [], "uncles": [],
        })),
        "eth_feeHistory" => fee_history("0x1", "0x1"),
        "eth_getTransactionByHash" => Reply::Result(Value::Null),
        other => Reply::Error(-32601, format!("no {other} here")),
    }
}

fn fee_history(base: &str, tip: &str) -> Reply {
    Reply::Result(json!({
        "oldestBlock": "0x1", "baseFeePerGas": [base, base], "gasUsedRatio": [0.5], "reward": [[tip]],
    }))
}

/// A connection that may send.
fn sender(server: &Server) -> Chain {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "1".repeat(64)).unwrap();
    let mut chain = Chain::connect(&server.url, Some(Account::from_file(&path).unwrap())).unwrap();
    chain.require_id(7).unwrap();
    chain
}

fn has_sent(server: &Server) -> bool {
    let asked = server.asked();
    asked
        .iter()
        .any(|method| method == "eth_sendRawTransaction")
}

#[test]
fn what_passes_is_asked_again() {
    use Reply::{Error, HangUp, Status};
    for replies in [
        vec![HangUp, Status(503), Status(429), chain_id()],
        vec![Error(-32005, "rate limit".into()), chain_id()],
    ] {
        let count = replies.len();
        let server = Server::replies(replies);
        let mut chain = Chain::connect(&server.url, None).unwrap();
        assert_eq!((server.asked().len(), chain.chain_id()), (count, 7));
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
    let server = Server::replies(vec![Reply::Status(503); ATTEMPTS as usize]);
    let error = server.refused();
    assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(server.asked().len(), ATTEMPTS as usize);
    // One answer only: these are not asked again.
    for reply in [
        Reply::Status(401),
        Reply::Error(-32601, "no such method".into()),
    ] {
        let server = Server::replies(vec![reply]);
        let error = server.refused();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_reply_is_read_to_a_limit() {
    let server = Server::replies(vec![Reply::Endless]);
    let error = server.refused();
    let too_long = |error: &ChainError| {
        matches!(
            error,
            ChainError::Reply {
                fault: BadReply::TooLong,
                ..
            }
        )
    };
    assert!(too_long(&error), "{error}");
    // What was sent and not read stands in the buffers of the sockets.
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < 3 * MAX_REPLY, "{sent} bytes");
    assert_eq!(server.asked().len(), 1);

    let body = |length: usize| {
        let envelope = r#"{"jsonrpc":"2.0","id":0,"result":"0x7"}"#;
        Reply::Body(" ".repeat(length - envelope.len()) + envelope)
    };
    let server = Server::replies(vec![body(MAX_REPLY + 1)]);
    assert!(too_long(&server.refused()));
    let server = Server::replies(vec![body(MAX_REPLY)]);
    assert_eq!(Chain::connect(&server.url, None).unwrap().chain_id(), 7);
}

#[test]
fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start(|_, method| honest(method, &[]));
        let redirect = Reply::Redirect(status, elsewhere.url.clone());
        let server = Server::replies(vec![redirect.clone()]);
        let error = server.refused();
        let fault = BadReply::Redirect { status };
        assert!(
            matches!(&error, ChainError::Reply { fault: found, .. } if *found == fault),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");

        // The signed transaction goes nowhere else.
        let server = Server::start(move |_, method| {
            honest(method, &[("eth_sendRawTransaction", redirect.clone())])
        });
        let error = sender(&server).send([9; 20], &[]).unwrap_err();
        assert!(matches!(error, ChainError::Reply { .. }), "{error}");
        assert!(has_sent(&server));
        assert_eq!(elsewhere.asked(), [""; 0]);
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in [
        String::new(),
        "<html>".into(),
        "{}".into(),
        "[]".into(),
        "[".repeat(1 << 20),
        r#"{"jsonrpc":"2.0","id":0,"result":{"a":1}}"#.into(),
        r#"{"jsonrpc":"2.0","id":0,"result":"0x1ffffffffffffffff"}"#.into(),
        format!(
            r#"{{"jsonrpc":"2.0","id":0,"result":"{}"}}"#,
            "x".repeat(1 << 20)
        ),
    ] {
        let error = Server::replies(vec![Reply::Body(body.clone())]).refused();
        let start = &body[..body.len().min(50)];
        assert!(
            matches!(error, ChainError::Reply { .. }),
            "{start}: {error}"
        );
        assert!(error.to_string().len() < 700, "{start}: {error}");
    }
    let error = Server::replies(vec![Reply::Error(-32000, "long ".repeat(1 << 20))]).refused();
    assert!(matches!(error, ChainError::Rpc { .. }));
    assert!(error.to_string().len() < 700);
}

#[test]
fn gas_and_fees_have_limits() {
    let result = |text: &str| Reply::Result(text.into());
    let estimates = |gas: &str| vec![("eth_estimateGas", result(gas))];
    let legacy = |price: &str| {
        let Reply::Result(mut block) = honest("eth_getBlockByNumber", &[]) else {
            unreachable!("a block is a result")
        };
        block.as_object_mut().unwrap().remove("baseFeePerGas");
        vec![
            ("eth_getBlockByNumber", Reply::Result(block)),
            ("eth_gasPrice", result(price)),
        ]
    };
    let fees = |base: &str, tip: &str| vec![("eth_feeHistory", fee_history(base, tip))];
    let largest = &format!("0x{}", "f".repeat(32));
    for (what, proposed) in [
        ("gas", estimates("0x1000001")),
        ("gas", estimates("0x1999999999999998")),
        ("gas", estimates("0xffffffffffffffff")),
        ("fee", fees("0x2fb474098f67c0000", "0x1")),
        ("fee", fees("0x1", "0x2fb474098f67c0000")),
        ("fee", fees(largest, largest)),
        ("fee", legacy("0xba43b7401")),
        ("fee", legacy(largest)),
    ] {
        let of = proposed.clone();
        let server = Server::start(move |_, method| honest(method, &of));
        let error = sender(&server).send([9; 20], &[]).unwrap_err();
        let expected = match what {
            "gas" => matches!(error, ChainError::GasTooHigh { .. }),
            _ => matches!(error, ChainError::FeeTooHigh { .. }),
        };
        assert!(expected, "{proposed:?}: {error}");
        assert!(!has_sent(&server), "{proposed:?}");
    }
    // At the limit, and above it where that is raised.
    for (limit, proposed) in [
        (DEFAULT_MAX_FEE, legacy("0xba43b7400")),
        (GasPrice(50_000_000_001), legacy("0xba43b7401")),
        (DEFAULT_MAX_FEE, estimates("0x1000000")),
    ] {
        let server = Server::start(move |_, method| honest(method, &proposed));
        let chain = sender(&server).with_max_fee(limit);
        let error = chain.send([9; 20], &[]).unwrap_err();
        assert!(matches!(error, ChainError::Rpc { .. }), "{error}");
        assert!(has_sent(&server));
    }
    // An estimate alone has the same limit.
    let server = Server::start(move |_, method| {
        let huge = [
            ("eth_call", Reply::Result("0x".into())),
            (
                "eth_estimateGas",
                Reply::Result("0xffffffffffffffff".into()),
            ),
        ];
        honest(method, &huge)
    });
    let error = sender(&server).estimate([9; 20], &[]).unwrap_err();
    assert!(matches!(error, ChainError::GasTooHigh { .. }), "{error}");
}

#[test]
fn nothing_is_sent_to_a_chain_that_nobody_named() {
    let server = Server::start(|_, method| honest(method, &[]));
    let mut chain = sender(&server);
    chain.confirmed = false;
    let refused = chain.send([9; 20], &[]).unwrap_err();
    assert!(matches!(
        refused,
        ChainError::UnconfirmedChain { found: 7, .. }
    ));
    chain.require_id(8).unwrap_err();
    assert_eq!(chain.send([9; 20], &[]).unwrap_err(), refused);
    assert!(!has_sent(&server));
}

#[test]
fn other_code_is_not_deployed_code() {
    let server =
        Server::start(|_, method| honest(method, &[("eth_getCode", Reply::Result("0x60".into()))]));
    let chain = sender(&server);
    chain.deploy(&[0x5f], &[0x60]).unwrap();
    let other = chain.deploy(&[0x5f], &[0x61]).unwrap_err();
    assert!(matches!(other, ChainError::OtherCode { .. }), "{other}");
    assert!(!has_sent(&server));
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
