//! What the service makes of a database's own errors.

use std::{thread, time::Duration};

use diesel::{RunQueryDsl, connection::SimpleConnection, sql_query};
use enlist::db::{Db, DbError, Readiness};

use crate::support::{db::TestDb, skip};

const GERMAN: &str = "de_DE.UTF-8";

/// A database that speaks German, where this machine can make that locale and Postgres has the words.
fn german() -> Option<TestDb> {
    let db = TestDb::migrated();
    let spoken = db.connect().batch_execute(&format!(
        "ALTER DATABASE {} SET lc_messages = '{GERMAN}'",
        db.name()
    ));
    if let Err(error) = spoken {
        skip(&format!(
            "the locale is missing (Debian: package locales): {error}"
        ));
        return None;
    }
    let said = db.connect().batch_execute("SELECT nothing").unwrap_err();
    if !said.to_string().contains("existiert nicht") {
        skip(&format!("Postgres has no German messages here: {said}"));
        return None;
    }
    Some(db)
}

async fn fails(db: &Db, sql: &'static str) -> DbError {
    db.transaction(move |connection| {
        connection.batch_execute(sql)?;
        Ok::<_, DbError>(())
    })
    .await
    .expect_err(sql)
}

/// Two transactions that each want what the other one has.
async fn deadlock(db: &Db) -> DbError {
    let wants = |first: u8, second: u8| {
        db.transaction(move |connection| {
            connection.batch_execute(&format!(
                "SELECT pg_advisory_xact_lock({first}); SELECT pg_sleep(0.3); \
                 SELECT pg_advisory_xact_lock({second})"
            ))?;
            Ok::<_, DbError>(())
        })
    };
    let (one, other) = tokio::join!(wants(1, 2), wants(2, 1));
    one.and(other).expect_err("a deadlock")
}

/// Whatever language a server speaks: what others hold for too long is known as that, and what is gone as gone.
#[tokio::test]
async fn a_server_that_speaks_german_is_understood() {
    let Some(db) = german() else { return };
    let pool = Db::new(&db.url, 3);
    assert_eq!(pool.foreign_language().await.unwrap(), None);

    let mut other = db.connect();
    other.batch_execute("BEGIN; LOCK TABLE users").unwrap();
    let error = fails(&pool, "SET LOCAL lock_timeout = '50ms'; TABLE users").await;
    assert!(error.is_busy() && !error.is_away(), "{error}");
    let error = fails(
        &pool,
        "SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(9)",
    )
    .await;
    assert!(error.is_busy() && !error.is_away(), "{error}");
    let error = deadlock(&pool).await;
    assert!(error.is_busy() && !error.is_away(), "{error}");
    let error = fails(&pool, "SELECT nothing").await;
    assert!(!error.is_busy() && !error.is_away(), "{error}");
    let error = fails(&pool, "SELECT pg_terminate_backend(pg_backend_pid())").await;
    assert!(!error.is_busy() && error.is_away(), "{error}");
    // And an empty database is one that was never migrated, not an error.
    let bare = TestDb::bare();
    bare.execute(&format!(
        "ALTER DATABASE {} SET lc_messages = '{GERMAN}'",
        bare.name()
    ));
    let of_bare = Db::new(&bare.url, 1).readiness().await.unwrap();
    assert_eq!(of_bare, Readiness::NotMigrated);
    assert_eq!(pool.readiness().await.unwrap(), Readiness::Ready);
}

/// Who may not choose the language is told what to do about it; what is gone is seen without words.
#[tokio::test]
async fn who_may_not_choose_the_language_is_told() {
    let Some(db) = german() else { return };
    let role = format!("plain_{}", db.name());
    db.execute(&format!("CREATE ROLE {role} LOGIN"));
    let url = db.url.replace("user=postgres", &format!("user={role}"));
    let pool = Db::new(&url, 2);
    assert_eq!(
        pool.foreign_language().await.unwrap().as_deref(),
        Some(GERMAN)
    );
    let error = fails(&pool, "SELECT pg_terminate_backend(pg_backend_pid())").await;
    assert!(error.is_away(), "{error}");
    // Ended between two reads: the next one goes to a new connection.
    let (admin, name) = (db.url.clone(), db.name().to_owned());
    thread::spawn(move || {
        use diesel::Connection;
        let mut admin = diesel::PgConnection::establish(&admin).unwrap();
        sql_query(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{name}' AND usename LIKE 'plain%'"
        ))
        .execute(&mut admin)
        .unwrap();
    })
    .join()
    .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    pool.read(|connection| {
        connection.batch_execute("SELECT 1")?;
        Ok(())
    })
    .await
    .unwrap();

    db.execute(&format!("ALTER ROLE {role} SET lc_messages = 'C'"));
    assert_eq!(Db::new(&url, 1).foreign_language().await.unwrap(), None);
    drop(pool);
    db.execute(&format!("ALTER ROLE {role} RESET ALL; DROP ROLE {role}"));
}
