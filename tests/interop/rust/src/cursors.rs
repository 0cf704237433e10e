// SPDX-License-Identifier: Apache-2.0
//! The crate's own cursors, given out and taken: customers with an id and a name.

use crate::{hex, Failure, Order};
use busrt::cursors::{Cursor, Map, Meta, Payload};
use busrt::rpc::{Rpc, RpcClient, RpcError, RpcEvent, RpcResult};
use busrt::{async_trait, QoS};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::sync::Mutex;
use std::time::Duration;

/// How often the map looks for cursors that are over: they must be seen to go.
const CLEANED_EVERY: Duration = Duration::from_millis(20);

const QOS: QoS = QoS::Processed;

#[derive(Serialize, Deserialize)]
struct Customer {
    id: u32,
    name: String,
}

fn packed<T: Serialize>(value: &T) -> Result<Vec<u8>, RpcError> {
    let wrong = |e| RpcError::internal(Some(RpcError::convert_data(e)));
    rmp_serde::to_vec_named(value).map_err(wrong)
}

fn unpacked<T: DeserializeOwned>(data: &[u8]) -> Result<T, RpcError> {
    rmp_serde::from_slice(data).map_err(|e| RpcError::parse(Some(RpcError::convert_data(e))))
}

type Taken = Result<Vec<Customer>, RpcError>;

/// So many customers, from 0 on.
struct Customers {
    at: Mutex<u32>,
    total: u32,
    meta: Meta,
}

impl Customers {
    fn take(&self, count: usize) -> Vec<Customer> {
        let mut at = self.at.lock().unwrap();
        let begin = *at;
        *at = self.total.min(begin.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)));
        let taken = begin..*at;
        if taken.len() < count {
            self.meta.mark_finished();
        }
        taken.map(|id| Customer { id, name: format!("customer {id}") }).collect()
    }
}

#[async_trait]
impl Cursor for Customers {
    async fn next(&self) -> Result<Option<Vec<u8>>, RpcError> {
        self.take(1).first().map(packed).transpose()
    }
    async fn next_bulk(&self, count: usize) -> Result<Vec<u8>, RpcError> {
        packed(&self.take(count))
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// Two numbers, u32: how many customers, and how many microseconds a cursor lives.
fn numbers(payload: &[u8]) -> Option<(u32, u32)> {
    let (total, ttl) = payload.split_at_checked(4)?;
    Some((u32::from_le_bytes(total.try_into().ok()?), u32::from_le_bytes(ttl.try_into().ok()?)))
}

/// The methods of a server of cursors.
pub struct Server(Map);

impl Server {
    pub fn new() -> Self {
        Self(Map::new(CLEANED_EVERY))
    }

    pub fn serves(method: &str) -> bool {
        method.starts_with("cursor.")
    }

    async fn open(&self, payload: &[u8]) -> RpcResult {
        let (total, ttl) = numbers(payload).ok_or_else(|| RpcError::params(None))?;
        let meta = Meta::new(Duration::from_micros(ttl.into()));
        let id = self.0.add(Customers { at: Mutex::new(0), total, meta }).await;
        Ok(Some(packed(&Payload::from(id))?))
    }

    pub async fn serve(&self, event: &RpcEvent) -> RpcResult {
        let payload = event.payload();
        if event.parse_method()? == "cursor.open" {
            return self.open(payload).await;
        }
        let p: Payload = unpacked(payload)?;
        match event.parse_method()? {
            "cursor.next" => self.0.next(p.uuid()).await,
            "cursor.bulk" => self.0.next_bulk(p.uuid(), p.bulk_number()).await,
            "cursor.cancel" => {
                self.0.remove::<()>(p.uuid()).await;
                Ok(None)
            }
            _ => Err(RpcError::method(None)),
        }
    }
}

async fn take_one_by_one(rpc: &RpcClient, target: &str, cursor: &Payload) -> Taken {
    let params = packed(cursor)?;
    let mut items = Vec::new();
    loop {
        let result = rpc.call(target, "cursor.next", params.clone().into(), QOS).await?;
        if result.payload().is_empty() {
            return Ok(items);
        }
        items.push(unpacked(result.payload())?);
    }
}

async fn take_in_bulks(rpc: &RpcClient, target: &str, cursor: &Payload) -> Taken {
    let params = packed(cursor)?;
    let mut items = Vec::new();
    loop {
        let result = rpc.call(target, "cursor.bulk", params.clone().into(), QOS).await?;
        let mut bulk: Vec<Customer> = unpacked(result.payload())?;
        let last = bulk.len() < cursor.bulk_number();
        items.append(&mut bulk);
        if last {
            return Ok(items);
        }
    }
}

/// Opens a cursor and takes all that it gives: one by one, or `bulk` at a time.
pub async fn take(rpc: &RpcClient, o: &Order) -> Result<Value, Failure> {
    let (target, bulk) = (o.str("target"), usize::try_from(o.number("bulk")).unwrap());
    let opened = rpc.call(target, "cursor.open", o.payload().into(), QOS).await?;
    let mut cursor: Payload = unpacked(opened.payload())?;
    let items = if bulk > 0 {
        cursor.set_bulk_number(bulk);
        take_in_bulks(rpc, target, &cursor).await?
    } else {
        take_one_by_one(rpc, target, &cursor).await?
    };
    let told: Result<Vec<_>, _> = items.iter().map(packed).collect();
    Ok(json!({"items": told?.iter().map(|i| hex(i)).collect::<Vec<_>>()}))
}
