// SPDX-License-Identifier: Apache-2.0
//! What the async and the sync client program share: the orders they read, the events they write,
//! and payloads, which travel as hex when small and as length and SHA-1 when large.

pub mod cursors;

use busrt::rpc::{RpcError, RpcEvent, RpcResult};
use busrt::{Error, Frame, FrameKind, QoS};
use serde_json::{json, Value};
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

/// Payloads up to this size are reported in full.
const HEX_MAX: usize = 65536;

/// How long a client waits: only a ceiling, so that a busy machine fails nothing.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// One order from the driver: a JSON object with an `id` and what to `do`.
pub struct Order(Value);

impl Order {
    pub fn parse(line: &str) -> Self {
        Self(serde_json::from_str(line).expect("the driver sends JSON"))
    }
    pub fn id(&self) -> &Value {
        &self.0["id"]
    }
    pub fn str(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("order without {key}: {}", self.0))
    }
    pub fn flag(&self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or(false)
    }
    pub fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("order without {key}: {}", self.0))
    }
    /// The client's timeout, from which the RPC layer also takes how often it pings.
    pub fn timeout(&self) -> Duration {
        self.0["timeout"].as_u64().map_or(TIMEOUT, Duration::from_secs)
    }
    pub fn qos(&self) -> QoS {
        QoS::try_from(u8::try_from(self.number("qos")).unwrap()).unwrap()
    }
    pub fn topics(&self) -> Vec<&str> {
        self.0["topics"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect()
    }
    /// Either the bytes themselves in hex, or a size and a seed of the pattern all programs know.
    pub fn payload(&self) -> Vec<u8> {
        let p = &self.0["payload"];
        if let Some(hex) = p["hex"].as_str() {
            return unhex(hex);
        }
        let size = usize::try_from(p["size"].as_u64().unwrap()).unwrap();
        let seed = p["seed"].as_u64().unwrap();
        let block: Vec<u8> = (0..251).map(|i| ((seed + 31 * i) & 0xff) as u8).collect();
        let mut data = block.repeat(size / block.len() + 1);
        data.truncate(size);
        data
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn describe(payload: &[u8]) -> Value {
    if payload.len() > HEX_MAX {
        json!({"len": payload.len(), "sha1": hex(&Sha1::digest(payload))})
    } else {
        json!({"len": payload.len(), "hex": hex(payload)})
    }
}

pub fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").unwrap();
    out.flush().unwrap();
}

pub fn answer(order: &Order, result: Result<Value, Failure>) {
    let mut v = match result {
        Ok(v) => v,
        Err(f) => json!({"error": {"code": f.code, "text": f.text}}),
    };
    v["id"] = order.id().clone();
    say(&v);
}

/// Why an order failed: a bus code (0x71…) or an RPC code (negative), and the text or data with it.
pub struct Failure {
    pub code: i64,
    pub text: String,
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self { code: i64::from(e.kind() as u8), text: e.to_string() }
    }
}

impl From<RpcError> for Failure {
    fn from(e: RpcError) -> Self {
        let text = String::from_utf8_lossy(e.data().unwrap_or(&[])).into_owned();
        Self { code: i64::from(e.code()), text }
    }
}

/// What an operation's confirmation said: nothing was to be confirmed, or the broker's code.
pub fn ack(confirmed: Option<Result<(), Error>>) -> Value {
    match confirmed {
        None => json!({"ack": null}),
        Some(Ok(())) => json!({"ack": 1}),
        Some(Err(e)) => json!({"ack": e.kind() as u8}),
    }
}

pub fn show_frame(handle: &str, frame: &Frame) {
    let kind = match frame.kind() {
        FrameKind::Message => "message",
        FrameKind::Broadcast => "broadcast",
        FrameKind::Publish => "publish",
        _ => "other",
    };
    say(&json!({
        "ev": "frame", "h": handle, "kind": kind, "sender": frame.sender(),
        "primary": frame.primary_sender(), "topic": frame.topic(),
        "realtime": frame.is_realtime(), "payload": describe(frame.payload()),
    }));
}

pub fn show_notification(handle: &str, event: &RpcEvent) {
    say(&json!({
        "ev": "notification", "h": handle, "sender": event.sender(),
        "primary": event.primary_sender(), "realtime": event.frame().is_realtime(),
        "payload": describe(event.payload()),
    }));
}

/// The RPC server of every client program: `echo` returns its parameters, `none` an empty result,
/// `fail` an error; anything else is no method.
pub fn serve_call(handle: &str, event: &RpcEvent) -> RpcResult {
    let method = event.parse_method()?;
    say(&json!({
        "ev": "call", "h": handle, "sender": event.sender(), "primary": event.primary_sender(),
        "method": method, "reply": event.is_response_required(),
        "realtime": event.frame().is_realtime(), "payload": describe(event.payload()),
    }));
    match method {
        "echo" => Ok(Some(event.payload().to_vec())),
        "none" => Ok(None),
        "fail" => Err(RpcError::new(-777, Some(b"refused by the server".to_vec()))),
        _ => Err(RpcError::method(None)),
    }
}

pub fn gone(handle: &str) {
    say(&json!({"ev": "gone", "h": handle}));
}

/// The inodes of this process's sockets: how a program knows that a connection has really ended.
pub fn sockets() -> BTreeSet<String> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|e| std::fs::read_link(e.ok()?.path()).ok())
        .map(|l| l.to_string_lossy().into_owned())
        .filter(|l| l.starts_with("socket:"))
        .collect()
}

struct Log;

impl log::Log for Log {
    fn enabled(&self, m: &log::Metadata) -> bool {
        m.target().starts_with("busrt") && m.level() <= log::Level::Warn
    }
    fn log(&self, r: &log::Record) {
        if self.enabled(r.metadata()) {
            say(&json!({"ev": "log", "text": r.args().to_string()}));
        }
    }
    fn flush(&self) {}
}

/// Makes what the library warns about part of the program's output.
pub fn forward_log() {
    static LOG: Log = Log;
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
}
