// SPDX-License-Identifier: Apache-2.0
//! The published sync client as a program: it reads orders from stdin, one JSON object a line,
//! answers each, and writes what arrives from the bus as events. The library's reader and RPC
//! processor run in threads of their own, as its documentation wants.

use busrt::rpc::{RpcEvent, RpcResult};
use busrt::sync::client::SyncClient;
use busrt::sync::ipc::{Client, Config, Reader};
use busrt::sync::rpc::{RpcClient, SyncRpc, SyncRpcHandlers};
use busrt::{Frame, SyncOpConfirm};
use busrt_interop_clients::*;
use parking_lot::Mutex;
use serde_json::{json, Value};
use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;
use std::thread;

struct Handlers(String);

impl SyncRpcHandlers for Handlers {
    fn handle_call(&self, event: RpcEvent) -> RpcResult {
        serve_call(&self.0, &event)
    }
    fn handle_notification(&self, event: RpcEvent) {
        show_notification(&self.0, &event);
    }
    fn handle_frame(&self, frame: Frame) {
        show_frame(&self.0, &frame);
    }
}

enum Conn {
    Plain(Arc<Mutex<Client>>),
    Rpc(RpcClient),
}

impl Conn {
    fn client(&self) -> Arc<Mutex<dyn SyncClient + Send>> {
        match self {
            Conn::Plain(c) => c.clone(),
            Conn::Rpc(r) => r.client(),
        }
    }
    fn rpc(&self) -> &RpcClient {
        match self {
            Conn::Rpc(r) => r,
            Conn::Plain(_) => panic!("not an RPC connection"),
        }
    }
}

#[derive(Default)]
struct Program {
    conns: HashMap<String, Conn>,
}

fn bus_op(client: &mut dyn SyncClient, o: &Order) -> Result<SyncOpConfirm, Failure> {
    let qos = o.qos();
    Ok(match o.str("do") {
        "subscribe" => client.subscribe(o.topics()[0], qos)?,
        "unsubscribe" => client.unsubscribe(o.topics()[0], qos)?,
        "exclude" => client.exclude(o.topics()[0], qos)?,
        "unexclude" => client.unexclude(o.topics()[0], qos)?,
        "subscribe-bulk" => client.subscribe_bulk(&o.topics(), qos)?,
        "unsubscribe-bulk" => client.unsubscribe_bulk(&o.topics(), qos)?,
        "exclude-bulk" => client.exclude_bulk(&o.topics(), qos)?,
        "unexclude-bulk" => client.unexclude_bulk(&o.topics(), qos)?,
        "publish" => client.publish(o.str("topic"), o.payload().into(), qos)?,
        "publish-for" => {
            client.publish_for(o.str("topic"), o.str("receiver"), o.payload().into(), qos)?
        }
        "send" => client.send(o.str("target"), o.payload().into(), qos)?,
        "broadcast" => client.send_broadcast(o.str("mask"), o.payload().into(), qos)?,
        op => panic!("unknown order {op}"),
    })
}

fn rpc_op(rpc: &RpcClient, o: &Order) -> Result<Value, Failure> {
    let (target, payload, qos) = (o.str("target"), o.payload().into(), o.qos());
    let confirm = match o.str("do") {
        "notify" => rpc.notify(target, payload, qos)?,
        "call0" => rpc.call0(target, o.str("method"), payload, qos)?,
        _ => {
            let result = rpc.call(target, o.str("method"), payload, qos)?;
            return Ok(json!({"result": describe(result.payload())}));
        }
    };
    confirmed(confirm)
}

fn confirmed(confirm: SyncOpConfirm) -> Result<Value, Failure> {
    Ok(match confirm {
        None => ack(None),
        Some(rx) => ack(Some(rx.recv_timeout(TIMEOUT).map_err(busrt::Error::io)?)),
    })
}

impl Program {
    fn adopt(&mut self, handle: &str, mut client: Client, reader: Reader) {
        let rx = client.take_event_channel().unwrap();
        let name = handle.to_owned();
        thread::spawn(move || reader.run());
        thread::spawn(move || {
            while let Ok(frame) = rx.recv() {
                show_frame(&name, &frame);
            }
            gone(&name);
        });
        self.conns.insert(handle.to_owned(), Conn::Plain(Arc::new(Mutex::new(client))));
    }

    fn connect(&mut self, o: &Order) -> Result<Value, Failure> {
        let handle = o.str("h");
        let config = Config::new(o.str("path"), o.str("name")).timeout(TIMEOUT);
        let (client, reader) = Client::connect(&config)?;
        if o.flag("rpc") {
            let (rpc, processor) = RpcClient::new(client, Handlers(handle.to_owned()));
            thread::spawn(move || reader.run());
            thread::spawn(move || processor.run());
            self.conns.insert(handle.to_owned(), Conn::Rpc(rpc));
        } else {
            self.adopt(handle, client, reader);
        }
        Ok(json!({}))
    }

    fn secondary(&mut self, o: &Order) -> Result<Value, Failure> {
        let Conn::Plain(primary) = &self.conns[o.str("of")] else {
            panic!("secondaries are made from plain connections");
        };
        let (client, reader) = primary.lock().register_secondary()?;
        let name = client.get_name().to_owned();
        self.adopt(o.str("h"), client, reader);
        Ok(json!({"name": name}))
    }

    /// Gives a name up and takes it again at once, many times. Dropping the client shuts its
    /// connection down before it returns.
    fn reconnect(&mut self, o: &Order) -> Result<Value, Failure> {
        for _ in 0..o.number("rounds") {
            let config = Config::new(o.str("path"), o.str("name")).timeout(TIMEOUT);
            drop(Client::connect(&config)?);
        }
        self.connect(o)
    }

    /// Sends numbered messages without waiting in between, then for all confirmations.
    fn burst(&self, o: &Order) -> Result<Value, Failure> {
        let client = self.conns[o.str("h")].client();
        let mut confirms = Vec::new();
        for i in 0..u32::try_from(o.number("count")).unwrap() {
            let data = i.to_le_bytes().to_vec();
            confirms.push(client.lock().send(o.str("target"), data.into(), o.qos())?);
        }
        let mut last = ack(None);
        for c in confirms {
            last = confirmed(c)?;
        }
        Ok(last)
    }

    fn handle(&mut self, o: &Order) -> Result<Value, Failure> {
        match o.str("do") {
            "connect" => self.connect(o),
            "secondary" => self.secondary(o),
            "reconnect" => self.reconnect(o),
            "burst" => self.burst(o),
            "close" => {
                self.conns.remove(o.str("h"));
                Ok(json!({}))
            }
            "ping" => {
                self.conns[o.str("h")].client().lock().ping()?;
                Ok(json!({}))
            }
            "connected" => {
                let connected = self.conns[o.str("h")].client().lock().is_connected();
                Ok(json!({"connected": connected}))
            }
            "notify" | "call0" | "call" => rpc_op(self.conns[o.str("h")].rpc(), o),
            _ => {
                let client = self.conns[o.str("h")].client();
                let confirm = bus_op(&mut *client.lock(), o)?;
                confirmed(confirm)
            }
        }
    }
}

fn main() {
    forward_log();
    let mut program = Program::default();
    for line in std::io::stdin().lock().lines() {
        let order = Order::parse(&line.unwrap());
        let result = program.handle(&order);
        answer(&order, result);
    }
}
