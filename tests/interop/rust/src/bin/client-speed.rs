// SPDX-License-Identifier: Apache-2.0
//! What tests/bench/client-speed.c does with libbusrt, with the published async client: see there.

use busrt::client::AsyncClient;
use busrt::ipc::{Client, Config};
use busrt::rpc::{Rpc, RpcClient};
use busrt::QoS;
use std::time::{Duration, Instant};

const BATCH: u64 = 100;
const PAYLOAD: [u8; 100] = [0; 100];
const TOPIC: &str = "bench/nobody";
const NAME: &str = "bench.speed";

type Failure = Box<dyn std::error::Error>;

async fn publish(client: &mut Client) -> Result<u64, Failure> {
    for _ in 0..BATCH {
        client.publish(TOPIC, PAYLOAD.as_slice().into(), QoS::No).await?;
    }
    Ok(BATCH)
}

async fn acked(client: &mut Client) -> Result<u64, Failure> {
    let op = client.publish(TOPIC, PAYLOAD.as_slice().into(), QoS::Processed).await?;
    op.ok_or("no confirmation")?.await??;
    Ok(1)
}

async fn echo(client: &RpcClient) -> Result<u64, Failure> {
    let reply = client
        .call(".broker", "benchmark.test", PAYLOAD.as_slice().into(), QoS::Processed)
        .await
        .map_err(|e| format!("{e:?}"))?;
    if reply.payload().len() != PAYLOAD.len() {
        return Err("a short echo".into());
    }
    Ok(1)
}

async fn around(client: &mut Client, events: &busrt::EventChannel) -> Result<u64, Failure> {
    for _ in 0..BATCH {
        client.send(NAME, PAYLOAD.as_slice().into(), QoS::No).await?;
    }
    for _ in 0..BATCH {
        events.recv().await?;
    }
    Ok(BATCH)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, socket, stage, seconds] = args.as_slice() else {
        return Err("usage: client-speed SOCKET publish|acked|call|loop SECONDS".into());
    };
    let span = Duration::from_secs_f64(seconds.parse()?);
    let mut client = Client::connect(&Config::new(socket, NAME)).await?;
    let mut count = 0;
    let begin;
    if stage == "call" {
        let rpc = RpcClient::new0(client);
        begin = Instant::now();
        while begin.elapsed() < span {
            for _ in 0..BATCH {
                count += echo(&rpc).await?;
            }
        }
    } else {
        let events = client.take_event_channel().ok_or("no events")?;
        begin = Instant::now();
        while begin.elapsed() < span {
            for _ in 0..BATCH {
                count += match stage.as_str() {
                    "publish" => publish(&mut client).await?,
                    "acked" => acked(&mut client).await?,
                    "loop" => around(&mut client, &events).await?,
                    other => return Err(format!("no stage {other}").into()),
                };
            }
        }
        acked(&mut client).await?;
    }
    println!("{count} {:.6}", begin.elapsed().as_secs_f64());
    Ok(())
}
