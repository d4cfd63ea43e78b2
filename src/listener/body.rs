//! Reads bodies: each up to its cap, all together within a budget.
//!
//! Small ones need none of it: a few great bodies that never end must not keep ordinary events waiting.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connections::MAX_OPEN;
use super::gate::Refusal;

/// So much of each body is in nobody's way.
const SMALL: usize = 64 * 1024;

/// Memory for what bodies hold beyond that, in KiB.
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// For all bodies of all connections; one of `largest` bytes must find room.
    pub fn new(bytes: usize, largest: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.saturating_sub(MAX_OPEN * SMALL).max(largest).div_ceil(1024))))
    }

    async fn take(&self, kib: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        self.0.clone().acquire_many_owned(kib).await.map_err(|_| Refusal::stopping())
    }
}

/// In KiB.
fn beyond_small(length: usize) -> usize {
    length.saturating_sub(SMALL).div_ceil(1024)
}

/// A whole body; its part of the budget is free again when it is dropped.
pub struct Held {
    pub bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads to the end; waits where the budget is used up. The caller sets the deadline.
pub async fn read(mut body: Body, max: usize, budget: &Budget) -> Result<Held, Refusal> {
    let mut bytes = Vec::new();
    // All at once where the length is known: parts that wait for each other's rest would wait for ever.
    let announced =
        body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= max);
    let mut permit = match announced.map_or(0, beyond_small) {
        0 => None,
        needed => Some(budget.take(needed).await?),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::not_understood("the body broke off".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(Refusal::too_large(max));
        }
        let held = permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = beyond_small(bytes.len() + data.len()).saturating_sub(held);
        if needed > 0 {
            let more = budget.take(needed).await?;
            match &mut permit {
                Some(permit) => permit.merge(more),
                None => permit = Some(more),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes, _permit: permit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_its_cap_is_refused_and_one_within_is_whole() {
        let budget = Budget::new(32 << 20, 5000);
        assert_eq!(read(Body::from(vec![1; 5000]), 5000, &budget).await.ok().unwrap().bytes.len(), 5000);
        let refused = read(Body::from(vec![1; 5001]), 5000, &budget).await.err().unwrap();
        assert_eq!(refused.status.as_u16(), 413);
    }

    #[tokio::test]
    async fn the_largest_body_that_is_allowed_finds_room() {
        let budget = Budget::new(32 << 20, 32 << 20);
        assert!(read(Body::from(vec![1; 32 << 20]), 32 << 20, &budget).await.is_ok());
    }

    #[tokio::test]
    async fn the_budget_is_given_back() {
        let budget = Budget::new(MAX_OPEN * SMALL + 4096, 4096);
        let held = read(Body::from(vec![1; SMALL + 4000]), SMALL + 9000, &budget).await.ok().unwrap();
        assert_eq!(budget.0.available_permits(), 0);
        assert!(read(Body::from(vec![1; SMALL]), SMALL, &budget).await.is_ok(), "small ones don't wait");
        drop(held);
        assert_eq!(budget.0.available_permits(), 4);
        assert!(read(Body::from(vec![1; SMALL + 9001]), SMALL + 9000, &budget).await.is_err());
        assert_eq!(budget.0.available_permits(), 4);
    }
}
