//! Keeps the service's clock with the database's: leases, pauses and limits are times that all instances share.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{RunQueryDsl, dsl::sql, sql_types::Timestamptz};

use crate::{
    clock::{Clock, Moment},
    db::{Db, DbError},
    metrics::Metrics,
};

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(10);
/// An answer that took longer says too little.
const SLOWEST: TimeDelta = TimeDelta::milliseconds(500);
/// A difference that somebody should mend.
const WORTH_A_WORD: TimeDelta = TimeDelta::seconds(2);

/// Keeps a clock with the database's.
pub struct Timekeeper {
    db: Db,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// What was said last of the difference.
    said: Option<TimeDelta>,
}

impl Timekeeper {
    pub fn new(db: Db, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            db,
            clock,
            metrics,
            said: None,
        }
    }

    /// Asks again and again, until it is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.ask().await {
                tracing::debug!(%error, "the database's clock cannot be asked");
            }
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ask(&mut self) -> Result<(), DbError> {
        let asked = self.db.read(|connection| {
            let before = Moment::now();
            let time: DateTime<Utc> =
                diesel::select(sql::<Timestamptz>("clock_timestamp()")).get_result(connection)?;
            Ok((before, before.elapsed(), time))
        });
        let (before, took, time) = asked.await?;
        if took > SLOWEST {
            return Ok(());
        }
        let behind = self.clock.follow(before, time - took / 2);
        self.metrics.clock_behind(behind);
        let said = self.said.unwrap_or_default();
        if behind.abs() > WORTH_A_WORD && (behind - said).abs() > WORTH_A_WORD {
            tracing::warn!(
                seconds_behind = behind.num_milliseconds() as f64 / 1_000.0,
                "this machine's clock differs from the database's, which counts; let both be set by NTP"
            );
            self.said = Some(behind);
        } else if behind.abs() <= WORTH_A_WORD && self.said.take().is_some() {
            tracing::info!("this machine's clock is with the database's again");
        }
        Ok(())
    }
}
