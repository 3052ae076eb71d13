//! Keyset paging while rows come and go, for any order and any page size.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use enlist::{
    http::paging::{Position, seal},
    secrets::keys::KeyRing,
};

use crate::support::app::{KEYS, TestApp};

const SORTS: [&str; 10] = [
    "display_name",
    "-display_name",
    "username",
    "-username",
    "email",
    "-email",
    "created_at",
    "-created_at",
    "last_invited_at",
    "-last_invited_at",
];

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Step {
    Insert(Person),
    /// Deletes one of those who are there, by chance also the last row of a page.
    Delete(prop::sample::Index),
    /// Reads the next page, with a limit of its own.
    Page(usize),
}

/// Few different names and times, so that sort keys tie.
#[derive(Debug, Clone)]
struct Person {
    name: u8,
    has_email: bool,
    is_invited: bool,
    is_later: bool,
}

fn person() -> impl Strategy<Value = Person> {
    (0..3_u8, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(name, has_email, is_invited, is_later)| Person {
            name,
            has_email,
            is_invited,
            is_later,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        person().prop_map(Step::Insert),
        any::<prop::sample::Index>().prop_map(Step::Delete),
        (1..6_usize).prop_map(Step::Page),
    ]
}

/// The users of one case.
struct Crowd<'a> {
    app: &'a TestApp,
    number: usize,
    there: Vec<String>,
}

impl Crowd<'_> {
    async fn insert(&mut self, person: &Person) -> String {
        self.number += 1;
        if person.is_later {
            self.app.clock.advance(chrono::Duration::microseconds(1));
        }
        // Usernames come in no order: a new row may be before or after where a page ended.
        let name = ["Zoë", "zoe", "Émile"][usize::from(person.name)];
        let username = format!("{:04x}", self.number * 40_503 % 65_536);
        let email = person.has_email.then(|| format!("{username}@example.com"));
        let id = self
            .app
            .user(json!({"username": username, "display_name": name, "email": email}))
            .await;
        if person.is_invited && person.has_email {
            let only = json!({"user_ids": [id], "delivery": "none"});
            self.app.invite(only).await;
        }
        self.there.push(id.clone());
        id
    }

    async fn delete(&mut self, index: &prop::sample::Index) -> Option<String> {
        if self.there.is_empty() {
            return None;
        }
        let id = self.there.swap_remove(index.index(self.there.len()));
        let path = format!("/users/{id}");
        let deletion = self.app.request(Method::DELETE, &path).send().await;
        assert_eq!(deletion.unwrap().status(), StatusCode::NO_CONTENT);
        Some(id)
    }

    /// A page: the ids, and the cursor of the next one.
    async fn page(&self, sort: &str, limit: usize, cursor: &str) -> (Vec<String>, Option<String>) {
        let cursor = match cursor {
            "" => String::new(),
            cursor => format!("&cursor={cursor}"),
        };
        let path = format!("/users?sort={sort}&limit={limit}{cursor}");
        let page = self.app.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let rows = page.json["data"].as_array().unwrap().iter();
        let ids = rows.map(|user| user["id"].as_str().unwrap().to_owned());
        let next = page.json["next_cursor"].as_str().map(str::to_owned);
        (ids.collect(), next)
    }
}

/// Whoever is there from the first page to the last comes exactly once, in the order of the whole
/// list; nobody comes twice.
async fn pages_miss_nobody(
    app: &TestApp,
    sort: &str,
    first: &[Person],
    steps: &[Step],
) -> Result<(), TestCaseError> {
    app.db.execute("DELETE FROM users");
    let mut crowd = Crowd {
        app,
        number: 0,
        there: Vec::new(),
    };
    for person in first {
        crowd.insert(person).await;
    }
    let mut lasting = crowd.there.clone();
    let (mut seen, mut cursor) = (Vec::new(), Some(String::new()));
    // Once the steps are over, the rest is read to its end.
    let rest = std::iter::repeat(&Step::Page(3));
    for step in steps.iter().chain(rest) {
        let Some(after) = &cursor else { break };
        match step {
            Step::Insert(person) => {
                crowd.insert(person).await;
            }
            Step::Delete(index) => {
                let gone = crowd.delete(index).await;
                lasting.retain(|id| Some(id) != gone.as_ref());
            }
            Step::Page(limit) => {
                let (ids, next) = crowd.page(sort, *limit, after).await;
                prop_assert!(ids.len() <= *limit);
                prop_assert!(next.is_none() || ids.len() == *limit);
                seen.extend(ids);
                cursor = next;
            }
        }
    }
    let mut times: BTreeMap<&String, usize> = BTreeMap::new();
    for id in &seen {
        *times.entry(id).or_default() += 1;
    }
    prop_assert!(times.values().all(|times| *times == 1), "twice: {times:?}");
    for id in &lasting {
        prop_assert!(times.contains_key(id), "{id} is missing, sorted by {sort}");
    }
    let (whole, _) = crowd.page(sort, 200, "").await;
    let still = |ids: &[String]| -> Vec<String> {
        ids.iter()
            .filter(|id| lasting.contains(id))
            .cloned()
            .collect()
    };
    prop_assert_eq!(still(&seen), still(&whole), "sorted by {}", sort);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_see_each_lasting_row_once_while_others_come_and_go() {
    let app = TestApp::start().await;
    let cases = (
        prop::collection::vec(person(), 0..12),
        prop::collection::vec(step(), 0..16),
    );
    for sort in SORTS {
        let mut runner = TestRunner::new(Config {
            cases: 3,
            max_shrink_iters: 40,
            failure_persistence: None,
            ..Config::default()
        });
        tokio::task::block_in_place(|| {
            runner.run(&cases, |(first, steps)| {
                tokio::runtime::Handle::current()
                    .block_on(pages_miss_nobody(&app, sort, &first, &steps))
            })
        })
        .unwrap();
    }
}

/// A cursor that an older version gave is good after an upgrade, and the other way round while both run: what it is
/// sealed for is written out here, and stays.
#[tokio::test]
async fn a_cursor_outlives_an_upgrade() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let sent = app
        .invite(json!({"user_ids": ids, "delivery": "none"}))
        .await;
    let batch = sent["batch_id"].as_str().unwrap();
    let ring = KeyRing::parse(KEYS).unwrap();
    let by_batch = format!("/batches/{batch}/results");
    let of_batch = format!("batch results {batch}");
    let lists = [
        (
            "/users",
            r#"["users",{"q":null,"group":null,"invite_status":null,"enabled":null,"source":null,"locale":null},"display_name"]"#,
        ),
        ("/groups", r#"["groups",null,"name"]"#),
        ("/devices", r#"["devices",null,null,null,false]"#),
        (
            "/invitations",
            r#"["invitations",[null,null,null,null,null]]"#,
        ),
        (&*by_batch, &*of_batch),
        ("/suppressions", r#"["suppressions",null,null]"#),
        ("/api-keys", "api-keys"),
        ("/operators", "operators"),
        (
            "/audit-events",
            r#"["audit-events",[null,null,null,null,null]]"#,
        ),
        ("/settings/registration", r#"["settings","registration"]"#),
    ];
    for (path, scope) in lists {
        let position = Position {
            key: "1".into(),
            id: uuid::Uuid::nil(),
        };
        let cursor = seal(&ring, scope, &position);
        let answer = app.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
}
