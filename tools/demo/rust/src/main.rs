// SPDX-License-Identifier: Apache-2.0
//! The Rust half of the demonstration, on the published crate. Two clients of the bus live here: `demo.rust` answers
//! messages and hears publications, `demo.adder` serves the RPC method `sum`. It ends when it is told "bye".
//!
//!     busrt-demo SOCKET
use busrt::rpc::{RpcError, RpcEvent, RpcResult};
use busrt::sync::client::SyncClient;
use busrt::sync::ipc::{Client, Config};
use busrt::sync::rpc::{RpcClient, SyncRpcHandlers};
use busrt::{FrameKind, QoS};
use std::error::Error;
use std::thread;

struct Adder;

impl SyncRpcHandlers for Adder {
    fn handle_call(&self, event: RpcEvent) -> RpcResult {
        if event.parse_method()? != "sum" {
            return Err(RpcError::method(None));
        }
        let text = String::from_utf8_lossy(event.payload()).into_owned();
        let numbers: Result<Vec<i64>, _> = text.split_whitespace().map(str::parse).collect();
        let sum: i64 = numbers.map_err(|_| RpcError::params(None))?.iter().sum();
        println!("    rust    demo.adder was asked for the sum of \"{text}\" and replies {sum}");
        Ok(Some(sum.to_string().into_bytes()))
    }
}

/// Connects under a name and leaves reading to a thread.
fn connect(path: &str, name: &str) -> Result<Client, busrt::Error> {
    let (client, reader) = Client::connect(&Config::new(path, name))?;
    thread::spawn(move || reader.run());
    Ok(client)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: busrt-demo SOCKET")?;

    let (_rpc, processor) = RpcClient::new(connect(&path, "demo.adder")?, Adder);
    thread::spawn(move || processor.run());

    let mut client = connect(&path, "demo.rust")?;
    let frames = client.take_event_channel().ok_or("no channel")?;
    let acknowledged = client.subscribe("demo/weather/#", QoS::Processed)?;
    acknowledged.ok_or("no acknowledgement")?.recv()??;
    println!("    rust    joined as demo.rust and demo.adder, subscribed to demo/weather/#");
    client.publish("demo/ready", b"rust".as_slice().into(), QoS::Processed)?;

    while let Ok(frame) = frames.recv() {
        let text = String::from_utf8_lossy(frame.payload()).into_owned();
        if frame.kind() == FrameKind::Publish {
            println!("    rust    heard on {}: \"{text}\"", frame.topic().unwrap_or("?"));
            client.publish("demo/heard", text.as_bytes().into(), QoS::Processed)?;
        } else if text == "bye" {
            return Ok(());
        } else {
            println!("    rust    got a message from {}: \"{text}\"", frame.sender());
            let answer = format!("greetings to {}, from Rust", frame.sender());
            client.send(frame.sender(), answer.as_bytes().into(), QoS::Processed)?;
        }
    }
    Err("the broker went away".into())
}
