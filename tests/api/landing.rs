//! `/enroll`: the page that invitations lead to, and what their QR codes say.

use std::{collections::BTreeSet, io::Cursor, sync::Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use enlist::{
    mail::branding::Branding,
    secrets::{keys::KeyRing, token},
};
use mailparse::{MailHeaderMap, ParsedMail, parse_mail};
use reqwest::{Method, StatusCode};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{Answer, KEYS, Setup, TestApp},
    log,
};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.5 Mobile/15E148 Safari/604.1";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/140.0.0.0 Mobile Safari/537.36";
const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/140.0.0.0 Safari/537.36";
const CHECKSUM: &str = "gJD2YwtOiWJHkSMkkIfLRlj-quNqG1fb6v100QmzM9w";

/// The page as a browser asks for it.
async fn open(app: &TestApp, path: &str, agent: &str) -> Answer {
    let request = app
        .anonymous(Method::GET, path)
        .header("user-agent", agent)
        .header(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        );
    Answer::of(request.send().await.unwrap()).await
}

fn texts(page: &str, selector: &str) -> Vec<String> {
    Html::parse_document(page)
        .select(&Selector::parse(selector).unwrap())
        .map(|found| found.text().collect())
        .collect()
}

fn attribute(page: &str, selector: &str, name: &str) -> Option<String> {
    Html::parse_document(page)
        .select(&Selector::parse(selector).unwrap())
        .next()
        .and_then(|found| found.attr(name).map(str::to_owned))
}

/// Invites a user and gives the invitation's id and its token.
async fn invited(app: &TestApp, user: &str, body: Value) -> (Uuid, String) {
    let mut request = json!({"user_ids": [user], "method": "qr", "delivery": "none"});
    for (name, value) in body.as_object().unwrap() {
        request[name] = value.clone();
    }
    let sent = app.invite(request).await;
    let id = sent["results"][0]["invitation_id"].as_str().unwrap();
    let id = Uuid::parse_str(id).unwrap();
    (id, token_of(id, 0))
}

fn token_of(id: Uuid, counter: u32) -> String {
    token::mint(KeyRing::parse(KEYS).unwrap().signing(), id, counter)
}

/// Sets the default registration setting.
async fn set(app: &TestApp, registration: Value) {
    let answer = app
        .send(Method::PUT, "/settings/registration/default", registration)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

fn kinds() -> [Value; 4] {
    [
        json!({"kind": "enrollment_url"}),
        json!({
            "kind": "android_dpc", "component_name": "com.example.dpc/.AdminReceiver",
            "download_location": "https://dl.example.com/dpc.apk", "signature_checksum": CHECKSUM,
            "extras": {"server": "https://mdm.example.com", "user": "{token}"},
        }),
        json!({"kind": "android_amapi", "enrollment_token": "UWKCXOKTMRSHCXRZXCBG"}),
        json!({"kind": "apple_url", "url": "https://mdm.example.com/profile?t={token}"}),
    ]
}

/// What the picture of a kind has to say.
fn is_said(kind: &Value, token: &str, says: &str) {
    match kind["kind"].as_str().unwrap() {
        "enrollment_url" => assert_eq!(says, format!("https://enroll.example.com/enroll/{token}")),
        "apple_url" => assert_eq!(says, format!("https://mdm.example.com/profile?t={token}")),
        "android_dpc" => assert_eq!(
            serde_json::from_str::<Value>(says).unwrap(),
            json!({
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME": "com.example.dpc/.AdminReceiver",
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": "https://dl.example.com/dpc.apk",
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_SIGNATURE_CHECKSUM": CHECKSUM,
                "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {
                    "enrollment_token": token, "server": "https://mdm.example.com", "user": token,
                },
            })
        ),
        "android_amapi" => assert_eq!(
            serde_json::from_str::<Value>(says).unwrap(),
            json!({
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME":
                    "com.google.android.apps.work.clouddpc/.receivers.CloudDeviceAdminReceiver",
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION":
                    "https://play.google.com/managed/downloadManagingApp?identifier=setup",
                "android.app.extra.PROVISIONING_DEVICE_ADMIN_SIGNATURE_CHECKSUM":
                    "I5YvS0O5hXY46mb01BlRjq4oJJGs2kuUcHvVkAPEXlg",
                "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {
                    "com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN": "UWKCXOKTMRSHCXRZXCBG",
                },
            })
        ),
        other => panic!("{other}"),
    }
}

fn scan(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
    let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, dark);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

/// What a camera reads from one of our PNGs.
fn scan_png(bytes: &[u8]) -> String {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    scan(info.width as usize, |x, y| {
        pixels[y * info.line_size + x / 8] >> (7 - x % 8) & 1 == 0
    })
}

/// What a camera reads from one of our SVGs: runs of dark modules, `M<x> <y>h<length>…`.
fn scan_svg(svg: &str) -> String {
    let number = |text: &str| text.parse::<usize>().unwrap();
    let between = |from: &str, to: &str| svg.split(from).nth(1).unwrap().split(to).next().unwrap();
    let side = number(between("viewBox=\"0 0 ", " "));
    let mut dark = vec![false; side * side];
    for run in between(" d=\"", "\"").split('M').skip(1) {
        let parts: Vec<&str> = run.split([' ', 'h', 'v']).collect();
        let start = number(parts[1]) * side + number(parts[0]);
        dark[start..start + number(parts[2])].fill(true);
    }
    scan(side * 4, |x, y| dark[y / 4 * side + x / 4])
}

/// What a camera reads from the page.
fn scan_page(page: &str) -> Option<String> {
    let source = attribute(page, "img.qr", "src")?;
    let svg = source.strip_prefix("data:image/svg+xml;base64,").unwrap();
    Some(scan_svg(
        &String::from_utf8(STANDARD.decode(svg).unwrap()).unwrap(),
    ))
}

#[tokio::test]
async fn a_computer_shows_the_code_and_a_phone_is_led_on() {
    let app = TestApp::start().await;
    let ada = app
        .user(json!({"email": "ada@example.com", "display_name": "Ada Lovelace", "time_zone": "Asia/Tokyo"}))
        .await;
    set(
        &app,
        json!({"mdm_url": "https://mdm.example.com/start?t={token}&x=1"}),
    )
    .await;
    let (id, token) = invited(&app, &ada, json!({})).await;
    let path = format!("/enroll/{token}");
    let link = format!("https://enroll.example.com{path}");

    let computer = open(&app, &path, WINDOWS).await;
    assert_eq!(computer.status, StatusCode::OK);
    assert_eq!(scan_page(&computer.text).as_ref(), Some(&link));
    for text in [
        "Example & Söhne",
        "Ada Lovelace",
        "ada@example.com",
        "Monday, 30 November 2026, 17:00 (UTC+09:00)",
        "help@example.com",
    ] {
        assert!(
            texts(&computer.text, "body").concat().contains(text),
            "{text}"
        );
    }
    let on_to = format!("https://mdm.example.com/start?t={token}&x=1");
    let apple = open(&app, &path, IPHONE).await;
    let android = open(&app, &path, ANDROID).await;
    for phone in [&apple, &android] {
        assert_eq!(
            attribute(&phone.text, "a.button", "href").as_ref(),
            Some(&on_to)
        );
        assert_eq!(scan_page(&phone.text), None);
    }
    let steps = |page: &Answer| texts(&page.text, "ol").concat();
    assert!(steps(&apple).contains("Profile Downloaded"));
    assert!(!steps(&android).contains("Profile Downloaded"));

    // Nothing was used up.
    let shown = app.get(&format!("/invitations/{id}")).await.json;
    assert_eq!(shown["state"], "pending");
}

#[tokio::test]
async fn opening_a_page_never_uses_anything_up() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let (id, token) = invited(&app, &ids[0], json!({})).await;
    let (pin, pin_token) = invited(&app, &ids[1], json!({"method": "pin"})).await;
    let state = || {
        app.db.number(
            "SELECT hashtext(string_agg(i::text || (SELECT count(*) FROM messages)::text, '' ORDER BY id)) \
             FROM invitations i",
        )
    };
    let before = state();
    for token in [&token, &pin_token] {
        for _ in 0..50 {
            for method in [Method::GET, Method::HEAD] {
                let answer = app
                    .anonymous(method, &format!("/enroll/{token}"))
                    .send()
                    .await;
                assert_eq!(answer.unwrap().status(), StatusCode::OK);
            }
        }
    }
    assert_eq!(state(), before);
    for id in [id, pin] {
        let shown = app.get(&format!("/invitations/{id}")).await.json;
        assert_eq!(shown["state"], "pending");
    }
    let head = app.anonymous(Method::HEAD, &format!("/enroll/{token}"));
    let head = head.send().await.unwrap();
    assert_eq!(head.headers()["content-type"], "text/html; charset=utf-8");
    assert!(head.bytes().await.unwrap().is_empty());
    // A page is no form: nothing can be sent to it.
    let answer = app.anonymous(Method::POST, &format!("/enroll/{token}"));
    let answer = Answer::of(answer.send().await.unwrap()).await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

/// As mail programs, proxies and people make them of a link; opening uses nothing up.
#[tokio::test]
async fn a_mangled_link_leads_to_the_same_page() {
    let app = TestApp::start_with(Setup {
        public_url: "https://it.example.com/base".into(),
        ..Setup::default()
    })
    .await;
    let ids = app.users(1).await;
    let (id, token) = invited(&app, &ids[0], json!({})).await;
    let right = open(&app, &format!("/enroll/{token}"), IPHONE).await;
    assert_eq!(right.status, StatusCode::OK);
    for mangled in [
        "//enroll/TOKEN",
        "/enroll//TOKEN",
        "/enroll/TOKEN/",
        "/enroll/TOKEN.",
        "/enroll/TOKEN)",
        "/enroll/TOKEN>",
        "/enroll/TOKEN,",
        "/enroll/TOKEN%20",
        "/enroll/TOKEN\"",
        "/enroll/TOKEN%E2%80%8B",
        "/enroll/TOKEN?utm_source=mail&utm_medium=x",
        "/enroll/TOKEN%3Futm_source=mail",
        "/enroll/TOKEN/?fbclid=1",
        "/enroll/%3CTOKEN%3E",
        "/Enroll/TOKEN",
        "/ENROLL/TOKEN/",
        "/base/enroll/TOKEN",
        "/base/base//enroll/TOKEN).",
    ] {
        let page = open(&app, &mangled.replace("TOKEN", &token), IPHONE).await;
        assert_eq!(page.status, StatusCode::OK, "{mangled}");
        assert_eq!(page.text, right.text, "{mangled}");
        assert_eq!(page.header("cache-control"), "no-store", "{mangled}");
    }
    let shown = app.get(&format!("/invitations/{id}")).await.json;
    assert_eq!(shown["state"], "pending");
    let general = open(&app, "/enroll", IPHONE).await;
    for mangled in ["/enroll/", "//Enroll", "/enroll.", "/base/enroll/"] {
        let page = open(&app, mangled, IPHONE).await;
        assert_eq!((page.status, &page.text), (StatusCode::OK, &general.text));
    }
    for other in ["/users/enroll/TOKEN", "/enroll/TOKEN/TOKEN", "/enrol/TOKEN"] {
        let page = open(&app, &other.replace("TOKEN", &token), IPHONE).await;
        page.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_pin_is_on_no_page() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    for (user, method) in ids.iter().zip(["pin", "pin_and_password"]) {
        app.send(
            Method::PUT,
            &format!("/users/{user}/password"),
            json!({"password": "correct horse"}),
        )
        .await;
        let (id, token) = invited(&app, user, json!({"method": method})).await;
        let pin = app.get(&format!("/invitations/{id}/pin")).await;
        let pin = pin.json["pin"].as_str().unwrap().to_owned();
        for agent in [IPHONE, ANDROID, WINDOWS] {
            let page = open(&app, &format!("/enroll/{token}"), agent).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(!page.text.contains(&pin));
            if agent != WINDOWS {
                assert!(
                    texts(&page.text, "ol")
                        .concat()
                        .contains("PIN from your message")
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_over_says_what_happened_and_what_to_do() {
    let app = TestApp::start().await;
    let ids = app.users(6).await;
    let titles = Mutex::new(BTreeSet::new());
    let is_over = async |token: &str, why: &str| {
        for (agent, accept) in [(IPHONE, "text/html"), (WINDOWS, "*/*")] {
            let page = app
                .anonymous(Method::GET, &format!("/enroll/{token}"))
                .header("user-agent", agent)
                .header("accept", accept);
            let page = Answer::of(page.send().await.unwrap()).await;
            assert_eq!(page.status, StatusCode::GONE, "{why}: {}", page.text);
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            let body = texts(&page.text, "main").concat();
            assert!(body.contains(why), "{why} in {body}");
            assert!(attribute(&page.text, "a[href='mailto:help@example.com']", "href").is_some());
            assert!(attribute(&page.text, "img.qr, a.button", "class").is_none());
            // Whose it was is nobody's business any more.
            assert!(!page.text.contains("user1@example.com") && !page.text.contains(token));
            titles
                .lock()
                .unwrap()
                .insert(texts(&page.text, "h1").concat());
        }
        let program = app
            .anonymous(Method::GET, &format!("/enroll/{token}"))
            .header("accept", "application/json");
        let program = Answer::of(program.send().await.unwrap()).await;
        program.is_problem(410, "invitation_over");
    };
    let (_, old) = invited(&app, &ids[0], json!({})).await;
    let (id, new) = invited(&app, &ids[0], json!({})).await;
    is_over(&old, "Use the newest one").await;
    assert_eq!(
        open(&app, &format!("/enroll/{new}"), IPHONE).await.status,
        200
    );
    // A new code of the same invitation.
    app.db.execute(&format!(
        "UPDATE invitations SET counter = 1 WHERE id = '{id}'"
    ));
    is_over(&new, "Use the newest one").await;
    let newest = format!("/enroll/{}", token_of(id, 1));
    assert_eq!(open(&app, &newest, IPHONE).await.status, 200);

    for (user, state, why) in [
        (&ids[1], "completed", "A device has been enrolled with it"),
        (&ids[2], "revoked", "It can no longer be used"),
    ] {
        let (id, token) = invited(&app, user, json!({})).await;
        app.db.execute(&format!(
            "UPDATE invitations SET state = '{state}', ended_at = now() WHERE id = '{id}'"
        ));
        is_over(&token, why).await;
    }
    let (_, pin) = invited(&app, &ids[3], json!({"method": "pin"})).await;
    let (_, qr) = invited(&app, &ids[4], json!({})).await;
    set(&app, json!({"allow_pin_request": false})).await;
    let (_, unasked) = invited(&app, &ids[5], json!({"method": "pin"})).await;
    app.clock.advance(Duration::days(1) - Duration::seconds(1));
    assert_eq!(
        open(&app, &format!("/enroll/{pin}"), IPHONE).await.status,
        200
    );
    app.clock.advance(Duration::seconds(1));
    is_over(&pin, "Tuesday, 24 November 2026, 08:00 (UTC+00:00)").await;
    is_over(&pin, "have a new one sent to you").await;
    let page = open(&app, &format!("/enroll/{unasked}"), IPHONE).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(!page.text.contains("have a new one sent to you"));
    assert_eq!(
        open(&app, &format!("/enroll/{qr}"), IPHONE).await.status,
        200
    );
    app.clock.advance(Duration::days(6));
    is_over(&qr, "Monday, 30 November 2026, 08:00 (UTC+00:00)").await;
    assert_eq!(titles.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_forged_token_is_a_friendly_404_and_does_not_reach_the_database() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let (_, token) = invited(&app, &ids[0], json!({})).await;
    let mut changed = token.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    // Every connection to the database is cut and refused from here on.
    app.db.close();
    let mut pages = BTreeSet::new();
    for wrong in [
        changed.as_str(),
        &token[1..],
        &format!("{changed}."),
        token::SAMPLE,
        "x",
        "%00",
        "%ff",
        "<script>alert(1)<",
        &"A".repeat(2_000),
    ] {
        let page = open(&app, &format!("/enroll/{wrong}"), IPHONE).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{wrong}");
        pages.insert(page.text);
    }
    assert_eq!(pages.len(), 1, "one page for all");
    let page = pages.first().unwrap();
    assert!(
        texts(page, "h1")
            .concat()
            .contains("This link does not work")
    );
    assert!(page.contains("help@example.com"));
    // A genuine one needs the database.
    let genuine = open(&app, &format!("/enroll/{token}"), IPHONE).await;
    assert_eq!(genuine.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        texts(&genuine.text, "main")
            .concat()
            .contains("your invitation is not lost")
    );
    assert_eq!(genuine.header("retry-after"), "2");
    let program = app
        .anonymous(Method::GET, &format!("/enroll/{token}"))
        .header("accept", "application/problem+json");
    let program = Answer::of(program.send().await.unwrap()).await;
    program.is_problem(503, "unavailable");
    // The page without a token says what to do all the same.
    let general = open(&app, "/enroll", IPHONE).await;
    assert_eq!(general.status, StatusCode::OK);
    let program = app
        .anonymous(Method::GET, "/enroll/x")
        .header("accept", "application/json");
    let program = Answer::of(program.send().await.unwrap()).await;
    program.is_problem(404, "not_found");
    app.db.reopen();
}

#[tokio::test]
async fn the_page_speaks_the_invitations_language_else_the_readers() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let (_, french) = invited(&app, &ids[0], json!({"locale": "fr-CA"})).await;
    let (_, english) = invited(&app, &ids[1], json!({"locale": "en"})).await;
    for (path, accepted, lang) in [
        (format!("/enroll/{french}"), "en", "fr"),
        (format!("/enroll/{english}"), "fr", "en"),
        (
            "/enroll".to_owned(),
            "fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5",
            "fr",
        ),
        ("/enroll".to_owned(), "de, en;q=0.5, fr;q=0.4", "en"),
        ("/enroll".to_owned(), "tlh", "en"),
        ("/enroll/forged".to_owned(), "fr", "fr"),
        ("/enroll/forged".to_owned(), "", "en"),
    ] {
        let page = app
            .anonymous(Method::GET, &path)
            .header("accept-language", accepted);
        let page = Answer::of(page.send().await.unwrap()).await;
        assert_eq!(page.header("content-language"), lang, "{path} {accepted}");
        assert_eq!(attribute(&page.text, "html", "lang").as_deref(), Some(lang));
        assert_eq!(page.text.contains("appareil"), lang == "fr");
    }
}

#[tokio::test]
async fn every_page_is_locked_down() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let (id, token) = invited(&app, &ids[0], json!({})).await;
    let live = format!("/enroll/{token}");
    for path in ["/enroll", "/enroll/x", &live, &live] {
        let page = open(&app, path, WINDOWS).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        for part in [
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-robots-tag", "noindex, nofollow"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(page.header(name), value, "{path} {name}");
        }
        assert!(!page.header("x-request-id").is_empty());
        assert!(page.text.len() < 20_000, "{}", page.text.len());
        // The second time it is over.
        if path == live {
            app.db.execute(&format!(
                "UPDATE invitations SET state = 'revoked', ended_at = now() WHERE id = '{id}'"
            ));
        }
    }
}

#[tokio::test]
async fn the_page_without_a_token_tells_what_to_do_with_a_pin() {
    let app = TestApp::start().await;
    let phone = open(&app, "/enroll", IPHONE).await;
    assert_eq!(phone.status, StatusCode::OK);
    assert!(
        texts(&phone.text, "ol")
            .concat()
            .contains("the PIN or the password")
    );
    assert_eq!(attribute(&phone.text, "a.button", "href"), None);
    let computer = open(&app, "/enroll", WINDOWS).await;
    assert_eq!(
        scan_page(&computer.text).as_deref(),
        Some("https://enroll.example.com/enroll")
    );
    // Whoever has a PIN goes on to the same place, without a token.
    set(
        &app,
        json!({"mdm_url": "https://mdm.example.com/start?t={token}&x=1"}),
    )
    .await;
    let phone = open(&app, "/enroll", ANDROID).await;
    assert_eq!(
        attribute(&phone.text, "a.button", "href").as_deref(),
        Some("https://mdm.example.com/start?x=1")
    );
    // What follows links in mails may add something to them.
    let tracked = open(&app, "/enroll?utm_source=mail", IPHONE).await;
    assert_eq!(tracked.status, StatusCode::OK);
}

#[tokio::test]
async fn what_people_are_called_makes_no_markup() {
    let app = TestApp::start_with(Setup {
        branding: Branding {
            org_name: "<b>Org</b> & \"Söhne\"".into(),
            support: Some("https://help.example.com/?a=1&b=2".into()),
            logo: None,
        },
        ..Setup::default()
    })
    .await;
    let name = "<script>alert('x')</script><img src=x onerror=alert(1)>{{ 7*7 }}";
    let user = app
        .user(json!({"username": "\"><svg onload=alert(1)>", "display_name": name}))
        .await;
    let (_, token) = invited(&app, &user, json!({"method": "pin"})).await;
    for agent in [IPHONE, WINDOWS] {
        let page = open(&app, &format!("/enroll/{token}"), agent).await;
        for tag in ["script", "svg", "b", "[onerror]", "[onload]"] {
            assert!(texts(&page.text, tag).is_empty(), "{tag}");
        }
        let seen = texts(&page.text, "body").concat();
        assert!(seen.contains(name) && seen.contains("\"><svg onload=alert(1)>"));
        assert!(seen.contains("<b>Org</b> & \"Söhne\""));
    }
}

#[tokio::test]
async fn every_kind_of_code_says_the_same_in_mail_pictures_and_page() {
    let app = TestApp::start().await;
    let ids = app.users(4).await;
    for (kind, user) in kinds().iter().zip(&ids) {
        set(&app, json!({"method": "qr", "qr_payload": kind})).await;
        let body = json!({"user_ids": [user]});
        let preview = app.post("/invitations/preview", body.clone()).await;
        let picture = &preview.json["message"]["attachments"][0]["data"];
        let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        let sample = scan_png(&picture);
        assert!(!sample.contains("UWKC"), "a preview enrolls nothing");
        if kind["kind"] != "android_amapi" {
            is_said(kind, token::SAMPLE, &sample);
        }
        let sent = app.invite(body).await;
        let id = sent["results"][0]["invitation_id"].as_str().unwrap();
        assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
        let token = token_of(Uuid::parse_str(id).unwrap(), 0);

        let received = app.sink.messages().pop().unwrap();
        let mail = parse_mail(&received.data).unwrap();
        let pictures = pngs(&mail);
        assert_eq!(pictures.len(), 1);
        is_said(kind, &token, &scan_png(&pictures[0]));
        let link = format!("https://enroll.example.com/enroll/{token}");
        for part in ["text/plain", "text/html"] {
            assert!(part_of(&mail, part).contains(&link), "{kind} {part}");
        }
        let is_set_up = kind["kind"].as_str().unwrap().starts_with("android");
        assert_eq!(part_of(&mail, "text/html").contains("six times"), is_set_up);

        let png = app
            .request(Method::GET, &format!("/invitations/{id}/qr.png"))
            .send()
            .await
            .unwrap();
        is_said(kind, &token, &scan_png(&png.bytes().await.unwrap()));
        let svg = app.get(&format!("/invitations/{id}/qr.svg")).await;
        is_said(kind, &token, &scan_svg(&svg.text));
        let page = open(&app, &format!("/enroll/{token}"), WINDOWS).await;
        is_said(kind, &token, &scan_page(&page.text).unwrap());
    }
}

/// An invitation keeps what it was sent with, whatever the setting says later.
#[tokio::test]
async fn a_changed_setting_does_not_change_what_was_sent() {
    let app = TestApp::start().await;
    let ids = app.users(1).await;
    let kind = |number| json!({"kind": "apple_url", "url": format!("https://mdm.example.com/{number}/{{token}}")});
    set(&app, json!({"qr_payload": kind(1)})).await;
    let (id, token) = invited(&app, &ids[0], json!({})).await;
    set(&app, json!({"qr_payload": kind(2)})).await;
    for _ in 0..2 {
        let svg = app.get(&format!("/invitations/{id}/qr.svg")).await;
        assert_eq!(
            scan_svg(&svg.text),
            format!("https://mdm.example.com/1/{token}")
        );
    }
}

#[tokio::test]
async fn a_setting_of_a_newer_service_is_waited_for() {
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let sent = app
        .invite(json!({"user_ids": ids[..1], "method": "qr"}))
        .await;
    let id = sent["results"][0]["invitation_id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.invite(json!({"user_ids": ids[1..], "method": "pin"}))
        .await;
    let version = app.clock.new_id();
    app.db.execute(&format!(
        r#"INSERT INTO setting_versions (id, body, created_at) VALUES ('{version}', '{{"qr_payload": {{"kind": "hologram"}}}}', now());
           UPDATE invitations SET registration_id = '{version}'"#
    ));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 2);
    // The PIN is not held up by what a QR code would say.
    assert_eq!(app.sink.messages().len(), 1);
    let shown = app.get(&format!("/invitations/{id}")).await.json;
    assert_eq!(shown["delivery"], "deferred");
    app.get(&format!("/invitations/{id}/qr.png"))
        .await
        .is_problem(500, "internal");
    app.db.execute("UPDATE setting_versions SET body = '{}'");
    app.clock.advance(Duration::seconds(31));
    assert_eq!(app.worker.deliver_due().await.unwrap(), 1);
    assert_eq!(app.sink.messages().len(), 2);
}

fn part_of(mail: &ParsedMail<'_>, kind: &str) -> String {
    mail.parts()
        .find(|part| part.ctype.mimetype == kind)
        .unwrap()
        .get_body()
        .unwrap()
}

fn pngs(mail: &ParsedMail<'_>) -> Vec<Vec<u8>> {
    mail.parts()
        .filter(|part| part.ctype.mimetype == "image/png")
        .inspect(|part| {
            assert!(part.headers.get_first_value("Content-ID").is_some());
        })
        .map(|part| part.get_body_raw().unwrap())
        .collect()
}

#[tokio::test(flavor = "current_thread")]
async fn logs_hold_the_pattern_and_never_the_token() {
    log::capture();
    let app = TestApp::start().await;
    let ids = app.users(2).await;
    let (id, token) = invited(&app, &ids[0], json!({})).await;
    let forged = "AZLToBI0eryN7wEjRWeJqwAAAAFB1sMQLXIH2M3u8uDtYwHPazE";
    for agent in [IPHONE, WINDOWS] {
        for token in [&token, forged] {
            open(&app, &format!("/enroll/{token}"), agent).await;
        }
    }
    app.db.execute(&format!(
        "UPDATE invitations SET state = 'completed', ended_at = now() WHERE id = '{id}'"
    ));
    open(&app, &format!("/enroll/{token}"), IPHONE).await;
    let (_, other) = invited(&app, &ids[1], json!({})).await;
    app.db.close();
    open(&app, &format!("/enroll/{other}"), IPHONE).await;
    app.db.reopen();
    for mangled in [
        "//enroll/",
        "/Enroll/",
        "/enroll/%20",
        "/enroll/x/",
        "/nowhere/",
    ] {
        open(&app, &format!("{mangled}{other}."), IPHONE).await;
    }
    let written = log::captured();
    let ours: Vec<&str> = written
        .lines()
        // The test's own client says what it does, too.
        .filter(|line| line.contains("enlist") || line.contains("actix"))
        .collect();
    assert!(
        ours.iter()
            .filter(|line| line.contains("/enroll/{token}"))
            .count()
            >= 6,
        "{ours:#?}"
    );
    for token in [&token, &other, forged] {
        let told: Vec<_> = ours.iter().filter(|line| line.contains(token)).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
