// SPDX-License-Identifier: Apache-2.0
//! The published async client as a program: it reads orders from stdin, one JSON object a line,
//! answers each, and writes what arrives from the bus as events.

use busrt::client::AsyncClient;
use busrt::ipc::{Client, Config};
use busrt::rpc::{Rpc, RpcClient, RpcEvent, RpcHandlers, RpcResult};
use busrt::{async_trait, EventChannel, Frame, OpConfirm};
use busrt_interop_clients::*;
use serde_json::{json, Value};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::AsyncBufReadExt;
use tokio::sync::Mutex;

struct Handlers(String, cursors::Server);

#[async_trait]
impl RpcHandlers for Handlers {
    async fn handle_call(&self, event: RpcEvent) -> RpcResult {
        if cursors::Server::serves(event.parse_method()?) {
            return self.1.serve(&event).await;
        }
        serve_call(&self.0, &event)
    }
    async fn handle_notification(&self, event: RpcEvent) {
        show_notification(&self.0, &event);
    }
    async fn handle_frame(&self, frame: Frame) {
        show_frame(&self.0, &frame);
    }
}

enum Conn {
    Plain(Arc<Mutex<Client>>),
    Rpc(RpcClient),
}

impl Conn {
    fn client(&self) -> Arc<Mutex<dyn AsyncClient>> {
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

async fn listen(handle: String, rx: EventChannel) {
    while let Ok(frame) = rx.recv().await {
        show_frame(&handle, &frame);
    }
    gone(&handle);
}

async fn bus_op(client: &mut dyn AsyncClient, o: &Order) -> Result<OpConfirm, Failure> {
    let qos = o.qos();
    Ok(match o.str("do") {
        "subscribe" => client.subscribe(o.topics()[0], qos).await?,
        "unsubscribe" => client.unsubscribe(o.topics()[0], qos).await?,
        "exclude" => client.exclude(o.topics()[0], qos).await?,
        "unexclude" => client.unexclude(o.topics()[0], qos).await?,
        "subscribe-bulk" => client.subscribe_bulk(&o.topics(), qos).await?,
        "unsubscribe-bulk" => client.unsubscribe_bulk(&o.topics(), qos).await?,
        "exclude-bulk" => client.exclude_bulk(&o.topics(), qos).await?,
        "unexclude-bulk" => client.unexclude_bulk(&o.topics(), qos).await?,
        "publish" => client.publish(o.str("topic"), o.payload().into(), qos).await?,
        "publish-for" => {
            client.publish_for(o.str("topic"), o.str("receiver"), o.payload().into(), qos).await?
        }
        "send" => client.send(o.str("target"), o.payload().into(), qos).await?,
        "broadcast" => client.send_broadcast(o.str("mask"), o.payload().into(), qos).await?,
        op => panic!("unknown order {op}"),
    })
}

async fn rpc_op(rpc: &RpcClient, o: &Order) -> Result<Value, Failure> {
    let (target, payload, qos) = (o.str("target"), o.payload().into(), o.qos());
    let confirm = match o.str("do") {
        "notify" => rpc.notify(target, payload, qos).await?,
        "call0" => rpc.call0(target, o.str("method"), payload, qos).await?,
        _ => {
            let result = rpc.call(target, o.str("method"), payload, qos).await?;
            return Ok(json!({"result": describe(result.payload())}));
        }
    };
    confirmed(confirm).await
}

async fn confirmed(confirm: OpConfirm) -> Result<Value, Failure> {
    Ok(match confirm {
        None => ack(None),
        Some(rx) => ack(Some(rx.await.map_err(Into::<busrt::Error>::into)?)),
    })
}

async fn come_and_go(config: &Config, rounds: u64) -> Result<(), Failure> {
    for _ in 0..rounds {
        let before = sockets();
        let client = Client::connect(config).await?;
        let ours: Vec<_> = sockets().difference(&before).cloned().collect();
        drop(client);
        while ours.iter().any(|s| sockets().contains(s)) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

impl Program {
    fn adopt(&mut self, handle: &str, mut client: Client) {
        let rx = client.take_event_channel().unwrap();
        tokio::spawn(listen(handle.to_owned(), rx));
        self.conns.insert(handle.to_owned(), Conn::Plain(Arc::new(Mutex::new(client))));
    }

    async fn connect(&mut self, o: &Order) -> Result<Value, Failure> {
        let handle = o.str("h");
        let config = Config::new(o.str("path"), o.str("name")).timeout(o.timeout());
        let client = Client::connect(&config).await?;
        if o.flag("rpc") {
            let rpc = RpcClient::new(client, Handlers(handle.to_owned(), cursors::Server::new()));
            self.conns.insert(handle.to_owned(), Conn::Rpc(rpc));
        } else {
            self.adopt(handle, client);
        }
        Ok(json!({}))
    }

    async fn secondary(&mut self, o: &Order) -> Result<Value, Failure> {
        let Conn::Plain(primary) = &self.conns[o.str("of")] else {
            panic!("secondaries are made from plain connections");
        };
        let client = primary.lock().await.register_secondary().await?;
        let name = client.get_name().to_owned();
        self.adopt(o.str("h"), client);
        Ok(json!({"name": name}))
    }

    /// Gives a name up and takes it again as soon as the connection has ended, many times. In one
    /// thread, so that the system has really closed what is no longer listed.
    async fn reconnect(&mut self, o: &Order) -> Result<Value, Failure> {
        let config = Config::new(o.str("path"), o.str("name")).timeout(TIMEOUT);
        let rounds = o.number("rounds");
        let one_thread = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::spawn_blocking(move || one_thread.block_on(come_and_go(&config, rounds)))
            .await
            .unwrap()?;
        self.connect(o).await
    }

    /// Sends numbered messages without waiting in between, then for all confirmations.
    async fn burst(&self, o: &Order) -> Result<Value, Failure> {
        let client = self.conns[o.str("h")].client();
        let mut confirms = Vec::new();
        for i in 0..u32::try_from(o.number("count")).unwrap() {
            let data = i.to_le_bytes().to_vec();
            confirms.push(client.lock().await.send(o.str("target"), data.into(), o.qos()).await?);
        }
        let mut last = ack(None);
        for c in confirms {
            last = confirmed(c).await?;
        }
        Ok(last)
    }

    async fn handle(&mut self, o: &Order) -> Result<Value, Failure> {
        match o.str("do") {
            "connect" => self.connect(o).await,
            "secondary" => self.secondary(o).await,
            "reconnect" => self.reconnect(o).await,
            "burst" => self.burst(o).await,
            "close" => {
                self.conns.remove(o.str("h"));
                Ok(json!({}))
            }
            "ping" => {
                self.conns[o.str("h")].client().lock().await.ping().await?;
                Ok(json!({}))
            }
            "connected" => {
                let client = self.conns[o.str("h")].client();
                let connected = client.lock().await.is_connected();
                Ok(json!({"connected": connected}))
            }
            "take" => cursors::take(self.conns[o.str("h")].rpc(), o).await,
            "notify" | "call0" | "call" => rpc_op(self.conns[o.str("h")].rpc(), o).await,
            _ => {
                let client = self.conns[o.str("h")].client();
                let confirm = bus_op(&mut *client.lock().await, o).await?;
                confirmed(confirm).await
            }
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    forward_log();
    let mut program = Program::default();
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let order = Order::parse(&line);
        let result = program.handle(&order).await;
        answer(&order, result);
    }
}
