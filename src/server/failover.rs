//! Says when another server became the database's primary: what it did not have by then is gone.

use std::time::Duration;

use diesel::{RunQueryDsl, dsl::sql, select, sql_types};

use crate::db::{Db, DbError};

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(10);

/// The timeline that the database writes on: each promotion begins a new one. A server that takes no writes has none.
const TIMELINE: &str = "CASE WHEN pg_is_in_recovery() THEN NULL \
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END";

/// Keeps the database's timeline in mind.
pub struct Failovers {
    db: Db,
    timeline: Option<i64>,
}

impl Failovers {
    pub fn new(db: Db) -> Self {
        Self { db, timeline: None }
    }

    /// Asks again and again, until it is dropped; no more where a database does not tell.
    pub async fn run(mut self) {
        loop {
            match self.ask().await {
                Ok(Some((before, now))) => tracing::warn!(
                    before,
                    now,
                    "another server became the database's primary (its timeline changed): if replication is not synchronous, \
                     the newest changes before that may be lost, even if they were acknowledged"
                ),
                Ok(None) => {}
                Err(error) if error.is_away() || error.is_busy() => {}
                Err(error) => {
                    tracing::info!(%error, "the database does not tell its timeline: failovers are not told");
                    return;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Asks once; what it was before, and is now, if another server took over since.
    ///
    /// # Errors
    /// When the database is away, or does not tell.
    pub async fn ask(&mut self) -> Result<Option<(i64, i64)>, DbError> {
        let now = self.db.read(|connection| {
            let timeline = sql::<sql_types::Nullable<sql_types::BigInt>>(TIMELINE);
            Ok(select(timeline).get_result::<Option<i64>>(connection)?)
        });
        Ok(self.becomes(now.await?))
    }

    fn becomes(&mut self, now: Option<i64>) -> Option<(i64, i64)> {
        let now = now?;
        let before = self.timeline.replace(now)?;
        (before != now).then_some((before, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_timeline_is_a_failover() {
        let mut failovers = Failovers::new(Db::new("postgres://nobody@localhost/none", 1));
        let told: Vec<_> = [
            None,
            Some(3),
            Some(3),
            None,
            Some(3),
            Some(4),
            None,
            Some(6),
        ]
        .into_iter()
        .map(|now| failovers.becomes(now))
        .collect();
        let expected = [
            None,
            None,
            None,
            None,
            None,
            Some((3, 4)),
            None,
            Some((4, 6)),
        ];
        assert_eq!(told, expected);
    }
}
