//! Several at once, over connections of their own: nobody can say how that ends, but it ends legally.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use mailparse::{MailHeaderMap, parse_mail};
use proptest::{prelude::*, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{Op, USERS, WATCH, check_invariants, config, op, pin};
use crate::support::{app::TestApp, smtp::Ending};

/// How many do something at the same time.
const HANDS: usize = 4;

#[test]
fn whatever_is_done_at_once_ends_legally() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let hand = || proptest::collection::vec(op(), 10..30);
    let hands = proptest::collection::vec(hand(), HANDS);
    let mut config = config(6);
    // It would not fail in the same way twice.
    config.max_shrink_iters = 0;
    let done = TestRunner::new(config).run(&hands, |hands| runtime.block_on(play(hands)));
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// What everybody knows of.
struct Table {
    app: TestApp,
    users: Vec<Uuid>,
    invitations: Mutex<Vec<Uuid>>,
    batches: Mutex<Vec<Uuid>>,
    enrolled: AtomicUsize,
}

async fn play(hands: Vec<Vec<Op>>) -> Result<(), TestCaseError> {
    let mut app = TestApp::start().await;
    app.leaves_unsent = true;
    app.db.execute(WATCH);
    let mut count = 0_usize;
    app.sink.on_final(move |_| {
        count += 1;
        match count % 7 {
            2 => Some(Ending::Reply("451 4.3.0 Later")),
            4 => Some(Ending::Drop { keep: true }),
            6 => Some(Ending::Drop { keep: false }),
            _ => None,
        }
    });
    let mut users = Vec::new();
    for user in 0..USERS {
        let id = app
            .user(json!({"email": format!("u{user}@example.com")}))
            .await;
        users.push(id.parse().unwrap());
    }
    let table = Table {
        app,
        users,
        invitations: Mutex::default(),
        batches: Mutex::default(),
        enrolled: AtomicUsize::new(0),
    };
    let all = hands.into_iter().map(|ops| async {
        for op in ops {
            table.step(op).await?;
        }
        Ok::<(), TestCaseError>(())
    });
    for done in join_all(all).await {
        done?;
    }
    let mut connection = table.app.db.connect();
    check_invariants(&mut connection)?;
    // All that is left is sent, or has ended.
    table.app.sink.on_final(|_| None);
    let open = "SELECT count(*) FROM messages WHERE state IN ('queued', 'sending', 'deferred')";
    for _ in 0..100 {
        table.app.clock.advance(chrono::Duration::hours(1));
        table.app.worker.deliver_due().await.unwrap();
        if table.app.db.number(open) == 0 {
            break;
        }
    }
    prop_assert_eq!(table.app.db.number(open), 0);
    check_invariants(&mut connection)?;
    table.mails_add_up()?;
    let enrollments = table.app.db.number("SELECT count(*) FROM enrollments");
    prop_assert_eq!(enrollments, table.enrolled.load(Ordering::Relaxed) as i64);
    Ok(())
}

fn picked<T: Copy>(from: &Mutex<Vec<T>>, which: usize) -> Option<T> {
    let from = from.lock().unwrap();
    let last = from.len().checked_sub(1)?;
    Some(from[last - which % from.len()])
}

impl Table {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
        may_be: &[u16],
    ) -> Result<(u16, Value), TestCaseError> {
        let answer = self.app.send(method.clone(), path, body).await;
        let status = answer.status.as_u16();
        prop_assert!(
            may_be.contains(&status),
            "{method} {path}: {status} {}",
            answer.text
        );
        Ok((status, answer.json))
    }

    async fn post(
        &self,
        path: &str,
        body: Value,
        may_be: &[u16],
    ) -> Result<(u16, Value), TestCaseError> {
        self.call(Method::POST, path, body, may_be).await
    }

    async fn step(&self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Send { to, mailed } => {
                let ids: Vec<Uuid> = to.iter().map(|user| self.users[*user]).collect();
                let delivery = if mailed { "email" } else { "none" };
                let body = json!({"user_ids": ids, "delivery": delivery});
                // Somebody may have been deleted.
                let (status, sent) = self.post("/invitations/send", body, &[202, 422]).await?;
                if status == 202 {
                    let id = |value: &Value| value.as_str().unwrap().parse::<Uuid>().unwrap();
                    let created = sent["results"].as_array().unwrap().iter();
                    let created = created.filter(|result| result["outcome"] == "created");
                    let created = created.map(|result| id(&result["invitation_id"]));
                    self.invitations.lock().unwrap().extend(created);
                    self.batches.lock().unwrap().push(id(&sent["batch_id"]));
                }
            }
            Op::Resend { which, new_pin } => {
                if let Some(id) = picked(&self.invitations, which) {
                    let body = json!({"new_pin": new_pin});
                    let path = format!("/invitations/{id}/resend");
                    self.post(&path, body, &[202, 409, 429]).await?;
                }
            }
            Op::Revoke { which } => {
                if let Some(id) = picked(&self.invitations, which) {
                    let path = format!("/invitations/{id}/revoke");
                    self.post(&path, json!({}), &[200, 409]).await?;
                }
            }
            Op::Cancel { which } => {
                if let Some(id) = picked(&self.batches, which) {
                    let path = format!("/batches/{id}/cancel");
                    self.post(&path, json!({}), &[200, 409]).await?;
                }
            }
            Op::Enroll { user, device } => self.enroll(user, device).await?,
            Op::Deliver { .. } | Op::Claim | Op::SettleLate | Op::GiveBack => {
                self.app.worker.deliver_due().await.unwrap();
            }
            // Not past the end of an invitation: that would end all of them alike.
            Op::Wait(time) => self.app.clock.advance(time.min(chrono::Duration::hours(2))),
            Op::Sweep => enlist::retention::sweep(&self.app.worker.db, &self.app.clock)
                .await
                .unwrap(),
            Op::Enable { user, enabled } => {
                let path = format!("/users/{}", self.users[user]);
                let body = json!({"enabled": enabled});
                self.call(Method::PATCH, &path, body, &[200, 404]).await?;
            }
            Op::Delete { user } => {
                let path = format!("/users/{}", self.users[user]);
                let may_be = &[204, 404, 409];
                self.call(Method::DELETE, &path, Value::Null, may_be)
                    .await?;
            }
        }
        Ok(())
    }

    /// With the PIN that the newest invitation has a moment before.
    async fn enroll(&self, user: usize, device: usize) -> Result<(), TestCaseError> {
        let path = format!("/invitations?user_id={}&limit=1", self.users[user]);
        let may_be = &[200, 404, 422];
        let (_, newest) = self.call(Method::GET, &path, Value::Null, may_be).await?;
        let Some(id) = newest["data"][0]["id"].as_str() else {
            return Ok(());
        };
        let counter = format!("SELECT counter FROM invitations WHERE id = '{id}'");
        let counter = self.app.db.number(&counter) as i32;
        let body = json!({"username": format!("u{user}@example.com"), "pin": pin(id.parse().unwrap(), counter),
            "device": {"serial_number": format!("U{user}D{device}"), "platform": "ios"}});
        let may_be = &[201, 200, 401, 403, 409, 410, 429];
        let (status, _) = self.post("/enrollments", body, may_be).await?;
        if status == 201 {
            self.enrolled.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Who has accepted has the mail, and nobody has more mails than there were tries.
    fn mails_add_up(&self) -> Result<(), TestCaseError> {
        let mut mails: HashMap<String, i64> = HashMap::new();
        for received in self.app.sink.messages() {
            let mail = parse_mail(&received.data).unwrap();
            let id = mail.headers.get_first_value("Message-ID").unwrap();
            let id = id.trim_matches(['<', '>']).split('@').next().unwrap();
            *mails.entry(id.to_owned()).or_default() += 1;
        }
        for (id, count) in &mails {
            let tries = format!("SELECT attempts FROM messages WHERE id = '{id}'");
            let tries = self.app.db.number(&tries);
            prop_assert!(*count <= tries, "{count} mails of {tries} tries");
        }
        let ids: Vec<String> = mails.keys().map(|id| format!("'{id}'")).collect();
        let ids = if ids.is_empty() {
            "NULL".to_owned()
        } else {
            ids.join(", ")
        };
        let without = format!(
            "SELECT count(*) FROM messages WHERE state = 'accepted' AND id::text NOT IN ({ids})"
        );
        prop_assert_eq!(self.app.db.number(&without), 0, "accepted by nobody");
        Ok(())
    }
}
