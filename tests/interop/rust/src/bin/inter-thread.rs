// SPDX-License-Identifier: Apache-2.0
//! What tests/bench/inter-thread.c does with libbusrt-broker, with the published broker and its
//! clients inside one process: see there. In the place of its two threads are two tasks on a runtime
//! of two threads, which may put both on one of them while they take turns; in the mode `apart`,
//! which is `waiting` again, each is on a thread of its own.

use busrt::broker::{Broker, Client};
use busrt::client::AsyncClient;
use busrt::{EventChannel, Frame, QoS};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

const PAYLOAD: usize = 100;
const BATCH: u64 = 100;
const NAMES: [&str; 2] = ["one", "other"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A client and what comes for it.
struct End {
    client: Client,
    events: EventChannel,
}

impl End {
    async fn new(broker: &Broker, name: &str) -> Result<Self, Failure> {
        let mut client = broker.register_client(name).await?;
        let events = client.take_event_channel().ok_or("no events")?;
        Ok(End { client, events })
    }

    async fn send(&mut self, to: &str, number: u64, last: bool) -> Result<(), Failure> {
        let mut payload = [0; PAYLOAD];
        payload[..8].copy_from_slice(&number.to_le_bytes());
        payload[8] = last.into();
        self.client.send(to, payload.as_slice().into(), QoS::No).await?;
        Ok(())
    }

    /// The next frame: is it the last?
    async fn receive(&mut self, from: &str, number: u64) -> Result<bool, Failure> {
        let frame: Frame = self.events.recv().await?;
        let payload = frame.payload();
        if frame.sender() != from || payload.len() != PAYLOAD || payload[..8] != number.to_le_bytes() {
            return Err(format!("a wrong frame in the place of number {number}").into());
        }
        Ok(payload[8] != 0)
    }
}

async fn send_all(mut end: End, span: Duration) -> Result<Instant, Failure> {
    let began = Instant::now();
    let mut n = 0;
    while began.elapsed() < span {
        for _ in 0..BATCH {
            end.send(NAMES[1], n, false).await?;
            n += 1;
        }
    }
    end.send(NAMES[1], n, true).await?;
    Ok(began)
}

async fn receive_all(mut end: End) -> Result<(u64, Instant), Failure> {
    let mut n = 0;
    while !end.receive(NAMES[0], n).await? {
        n += 1;
    }
    Ok((n + 1, Instant::now()))
}

async fn ask(mut end: End, span: Duration) -> Result<Vec<u64>, Failure> {
    let mut samples = Vec::with_capacity(1 << 22);
    let began = Instant::now();
    let mut now = began;
    let mut last = false;
    while !last {
        let sent = now;
        let n = samples.len() as u64;
        last = sent >= began + span;
        end.send(NAMES[1], n, last).await?;
        end.receive(NAMES[1], n).await?;
        now = Instant::now();
        samples.push((now - sent).as_nanos() as u64);
    }
    Ok(samples)
}

async fn answer(mut end: End) -> Result<(), Failure> {
    let (mut n, mut last) = (0, false);
    while !last {
        last = end.receive(NAMES[0], n).await?;
        end.send(NAMES[0], n, last).await?;
        n += 1;
    }
    Ok(())
}

fn print_round_trips(mode: &str, mut samples: Vec<u64>) {
    samples.sort_unstable();
    let last = (samples.len() - 1) as f64;
    print!("{{\"mode\": \"{mode}\", \"frames\": {}", samples.len());
    for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        print!(", \"{name}\": {:.3}", samples[(last * part) as usize] as f64 / 1000.0);
    }
    println!("}}");
}

async fn messages(one: End, other: End, span: Duration) -> Result<(), Failure> {
    let receiver = tokio::spawn(receive_all(other));
    let began = tokio::spawn(send_all(one, span)).await??;
    let (n, ended) = receiver.await??;
    let rate = n as f64 / (ended - began).as_secs_f64();
    println!("{{\"mode\": \"messages\", \"frames\": {n}, \"rate\": {rate:.1}}}");
    Ok(())
}

async fn waiting(one: End, other: End, span: Duration) -> Result<Vec<u64>, Failure> {
    let answers = tokio::spawn(answer(other));
    let samples = tokio::spawn(ask(one, span)).await??;
    answers.await??;
    Ok(samples)
}

fn alone<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(task)
}

fn apart(one: End, other: End, span: Duration) -> Result<Vec<u64>, Failure> {
    let answers = std::thread::spawn(move || alone(answer(other)));
    let samples = alone(ask(one, span))?;
    answers.join().map_err(|_| "the other thread has failed")??;
    Ok(samples)
}

async fn two_ends(broker: &Broker) -> Result<(End, End), Failure> {
    Ok((End::new(broker, NAMES[0]).await?, End::new(broker, NAMES[1]).await?))
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, seconds] = args.as_slice() else {
        return Err("usage: inter-thread messages|waiting|apart SECONDS".into());
    };
    let span = Duration::from_secs_f64(seconds.parse()?);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let broker = Broker::new();
    let (one, other) = runtime.block_on(two_ends(&broker))?;
    let samples = match mode.as_str() {
        "messages" => return runtime.block_on(messages(one, other, span)),
        "waiting" => runtime.block_on(waiting(one, other, span))?,
        "apart" => apart(one, other, span)?,
        other => return Err(format!("no mode {other}").into()),
    };
    print_round_trips(mode, samples);
    Ok(())
}
