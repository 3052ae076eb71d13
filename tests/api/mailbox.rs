//! The mailbox of `enlist dev` over real sockets: SMTP in, HTTP out.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use enlist::{
    clock::Clock,
    embedded::{
        mailbox::{self, Envelope, Mailbox},
        receiver::Receiver,
    },
    mail::{
        branding::Branding,
        catalogue::Lang,
        invitation::{Code, Credential, InvitationMail},
        message::Renderer,
        mime,
        smtp::{Delivery, SmtpLimits, SmtpPool},
    },
};
use lettre::{Message, transport::smtp::extension::ClientId};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

/// Far more than anything here takes: only a failing test waits as long.
const SOON: Duration = Duration::from_secs(20);

const LINK: &str = "https://enroll.example.com/enroll/AQAB3mC0lJtL9Q1xZ0vYw7p2a8Uu4KfR";

/// A data directory that goes with the test.
struct DataDir(PathBuf);

impl DataDir {
    fn new() -> Self {
        let name = format!("enlist-mailbox-{}", Clock::system().new_id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn mails(&self) -> Vec<PathBuf> {
        let mut mails: Vec<PathBuf> = fs::read_dir(self.0.join("mails"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        mails.sort();
        mails
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // What is left over is in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start_of_time() -> DateTime<Utc> {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

/// The mailbox as `enlist dev` has it: mail server, store and pages.
struct Running {
    mailbox: Mailbox,
    receiver: Receiver,
    pool: SmtpPool,
    base: String,
    client: reqwest::Client,
    server: ServerHandle,
}

impl Running {
    async fn start(data_dir: &DataDir) -> Self {
        Self::start_with(&data_dir.0, Clock::fixed(start_of_time())).await
    }

    async fn start_with(data_dir: &Path, clock: Clock) -> Self {
        let mailbox = Mailbox::open(data_dir, clock).unwrap();
        let receiver = Receiver::start(mailbox.clone()).await.unwrap();
        let hello = ClientId::Domain("enlist.test".into());
        let url = receiver.url().parse().unwrap();
        let pool = SmtpPool::new(url, 4, hello, SmtpLimits::default()).unwrap();
        let data = web::Data::new(mailbox.clone());
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).configure(mailbox::routes))
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            mailbox,
            receiver,
            pool,
            base,
            client: crate::support::http_client().build().unwrap(),
            server: handle,
        }
    }

    async fn send(&self, message: &Message) -> Delivery {
        self.pool
            .send(message.envelope(), &message.formatted())
            .await
    }

    async fn send_raw(&self, to: &str, message: &[u8]) -> Delivery {
        let from = "it@example.com".parse().unwrap();
        let to = vec![to.parse().unwrap()];
        let envelope = lettre::address::Envelope::new(Some(from), to).unwrap();
        self.pool.send(&envelope, message).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = format!("{}/dev/mailbox{path}", self.base);
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        let list = self.get(&format!("/messages{query}")).await;
        let data = list["data"].as_array().unwrap().iter();
        data.map(|mail| mail["id"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn stop(self) {
        self.pool.close().await;
        self.mailbox.close();
        self.receiver.stop().await;
        self.server.stop(true).await;
    }
}

fn invitation(name: &str, address: &str, lang: &str, credential: Credential<'_>) -> Message {
    let renderer = Renderer::new(Branding {
        org_name: "Example Ltd".to_owned(),
        support: None,
        logo: None,
    })
    .unwrap();
    let lang = Lang::parse(lang).unwrap();
    let rendered = renderer
        .invitation(&InvitationMail {
            lang,
            display_name: name,
            username: address,
            credential,
            enroll_url: "https://enroll.example.com/enroll",
            valid_until: start_of_time().with_timezone(&chrono_tz::Tz::Europe__Paris),
            note: None,
        })
        .unwrap();
    let headers = mime::Headers {
        from: &"Example Ltd <it@example.com>".parse().unwrap(),
        reply_to: None,
        to: address,
        to_name: name,
        message_id: "0199f0a2-7c1e@example.com",
        thread: None,
        follows: None,
        date: start_of_time(),
        lang,
    };
    mime::build(&headers, &rendered).unwrap()
}

fn pin_mail() -> Message {
    let pin = Credential::Pin("48217730");
    invitation("Ada Lovelace", "ada@example.com", "en", pin)
}

fn qr_mail() -> Message {
    let code = Credential::Qr {
        link: LINK,
        says: LINK,
        code: Code::Page,
    };
    invitation("Zoë Martin", "zoe@example.com", "fr", code)
}

#[track_caller]
fn is_accepted(delivery: &Delivery) {
    assert!(matches!(delivery, Delivery::Accepted(_)), "{delivery:?}");
}

#[track_caller]
fn gives_up(delivery: &Delivery, code: u16) {
    match delivery {
        Delivery::GiveUp(failure) => assert_eq!(failure.code, Some(code), "{failure:?}"),
        other => panic!("{other:?}"),
    }
}

async fn is_problem(answer: Response, status: u16, code: &str) -> Value {
    assert_eq!(answer.status().as_u16(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    problem
}

#[tokio::test]
async fn what_was_sent_is_listed_shown_and_still_there_after_a_restart() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    is_accepted(&running.send(&pin_mail()).await);
    let sent = qr_mail();
    is_accepted(&running.send(&sent).await);

    let list = running.get("/messages").await;
    assert_eq!(list["total"], 2);
    let [qr, pin] = list["data"].as_array().unwrap().as_slice() else {
        panic!("{list}");
    };
    assert_eq!(pin["to"][0]["name"], "Ada Lovelace");
    assert_eq!(
        (&pin["has_pin"], &pin["has_qr"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&qr["has_pin"], &qr["has_qr"]),
        (&false.into(), &true.into())
    );
    assert_eq!(qr["to"][0]["address"], "zoe@example.com");
    assert_eq!(qr["time"], "2026-11-23T08:00:00Z");
    assert_eq!(
        qr["subject"],
        "Example Ltd vous invite à enregistrer votre appareil"
    );
    let snippet = qr["snippet"].as_str().unwrap();
    assert!(snippet.starts_with("Bonjour Zoë Martin, Example Ltd vous invite à"));
    assert!(snippet.chars().count() <= 160);

    let path = format!("/messages/{}", qr["id"].as_str().unwrap());
    let shown = running.get(&path).await;
    assert_eq!(shown["envelope"]["from"], "it@example.com");
    assert_eq!(shown["envelope"]["to"][0], "zoe@example.com");
    assert!(shown["text"].as_str().unwrap().contains(LINK));
    let attachment = &shown["attachments"][0];
    assert_eq!(attachment["filename"], "qr.png");
    assert_eq!(attachment["is_qr"], true);
    let data = attachment["data"].as_str().unwrap();
    let picture = BASE64_STANDARD.decode(data).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(attachment["size"], picture.len());
    let html = shown["html"].as_str().unwrap();
    assert!(html.contains(&format!("src=\"data:image/png;base64,{data}\"")));
    assert!(!html.contains("cid:"));
    let headers = shown["headers"].as_array().unwrap();
    let is_auto =
        |header: &Value| header["name"] == "Auto-Submitted" && header["value"] == "auto-generated";
    assert!(headers.iter().any(is_auto));
    assert!(!headers.iter().any(|h| h["name"] == "X-Envelope-To"));

    let source = running
        .ask(Method::GET, &format!("{path}/source"), &[])
        .await;
    assert_eq!(
        source.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(source.bytes().await.unwrap(), sent.formatted());

    for file in data_dir.mails() {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds a PIN");
        assert_eq!(file.extension().unwrap(), "eml");
    }
    let folder = fs::metadata(data_dir.0.join("mails")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);

    running.stop().await;
    // A process that was killed while it wrote leaves a draft.
    let draft = data_dir
        .0
        .join("mails/01a20630-abb6-75c9-831c-0541921009c7.tmp");
    fs::write(&draft, "half a ma").unwrap();
    let running = Running::start(&data_dir).await;
    assert!(!draft.exists());
    assert_eq!(running.get("/messages").await, list);
    assert_eq!(running.get(&path).await, shown);
    // The fixed clock gives the same time again; the new mail is still the newest.
    is_accepted(&running.send(&pin_mail()).await);
    let newest = format!("?after={}", qr["id"].as_str().unwrap());
    assert_eq!(running.ids(&newest).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn bytes_arrive_as_they_were_sent() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let message = b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\nend\r\n";
    is_accepted(
        &running
            .send_raw("\"o'hara, <x>\"@example.com", message)
            .await,
    );
    let id = &running.ids("").await[0];
    let shown = running.get(&format!("/messages/{id}")).await;
    assert_eq!(shown["envelope"]["to"][0], "\"o'hara, <x>\"@example.com");
    assert_eq!(shown["html"], Value::Null);
    let source = running
        .ask(Method::GET, &format!("/messages/{id}/source"), &[])
        .await;
    assert_eq!(source.bytes().await.unwrap(), &message[..]);
    running.stop().await;
}

#[tokio::test]
async fn a_search_looks_at_people_subject_and_text() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    is_accepted(&running.send(&pin_mail()).await);
    is_accepted(&running.send(&qr_mail()).await);
    let all = running.ids("").await;
    let (qr, pin) = (&all[0], &all[1]);
    for (query, found) in [
        ("?q=ZOE", vec![qr]),
        ("?q=Zo%C3%AB+martin", vec![qr]),
        ("?q=ada%40example", vec![pin]),
        ("?q=48217730", vec![pin]),
        ("?q=vous+invite", vec![qr]),
        ("?q=example+ltd", vec![qr, pin]),
        ("?q=ada+zoe", vec![]),
        ("?q=", vec![qr, pin]),
        (&format!("?after={pin}"), vec![qr]),
        (&format!("?after={qr}"), vec![]),
        (&format!("?q=ada&after={pin}"), vec![]),
    ] {
        assert_eq!(
            running.ids(query).await.iter().collect::<Vec<_>>(),
            found,
            "{query}"
        );
    }
    let long = format!("?q={}&after=x", "a".repeat(201));
    for (query, pointers) in [
        (long.as_str(), vec!["/q", "/after"]),
        ("?page=2", vec!["/page"]),
    ] {
        let answer = running
            .ask(Method::GET, &format!("/messages{query}"), &[])
            .await;
        let problem = is_problem(answer, 422, "validation_failed").await;
        let errors = problem["errors"].as_array().unwrap().iter();
        let given: Vec<&str> = errors.map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(given, pointers);
    }
    running.stop().await;
}

/// Reads a stream of events until one holds `wanted`.
async fn wait_for(stream: &mut Response, wanted: &str) -> String {
    let read = async {
        let mut text = String::new();
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect(wanted);
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text
    };
    timeout(SOON, read).await.expect(wanted)
}

#[tokio::test]
async fn a_page_hears_of_new_mail_and_of_an_emptied_mailbox() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let mut events = running.ask(Method::GET, "/events", &[]).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    wait_for(&mut events, "retry: ").await;
    is_accepted(&running.send(&pin_mail()).await);
    let text = wait_for(&mut events, "\n\n").await;
    let data = text.strip_prefix("event: message\ndata: ").unwrap();
    let summary: Value = serde_json::from_str(data).unwrap();
    assert_eq!(summary, running.get("/messages").await["data"][0]);

    let answer = running.ask(Method::DELETE, "/messages", &[]).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    wait_for(&mut events, "event: reload\n").await;
    assert_eq!(running.get("/messages").await["total"], 0);
    assert!(data_dir.mails().is_empty());
    let id = summary["id"].as_str().unwrap();
    for path in [format!("/messages/{id}"), format!("/messages/{id}/source")] {
        let answer = running.ask(Method::GET, &path, &[]).await;
        is_problem(answer, 404, "not_found").await;
    }

    // A shutdown does not wait for pages.
    running.mailbox.close();
    let end = async { while events.chunk().await.unwrap().is_some() {} };
    timeout(SOON, end).await.unwrap();
    let answer = running.ask(Method::GET, "/events", &[]).await;
    is_problem(answer, 503, "too_many_listeners").await;
    running.stop().await;
}

#[tokio::test]
async fn listeners_have_places_and_give_them_back() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let mut listening = Vec::new();
    for _ in 0..64 {
        let events = running.ask(Method::GET, "/events", &[]).await;
        assert_eq!(events.status(), StatusCode::OK);
        listening.push(events);
    }
    let answer = running.ask(Method::GET, "/events", &[]).await;
    assert_eq!(answer.headers()["retry-after"], "30");
    is_problem(answer, 503, "too_many_listeners").await;
    drop(listening);
    // What is written to a client that is gone ends its stream; otherwise a heartbeat does.
    let started = Instant::now();
    loop {
        is_accepted(&running.send(&pin_mail()).await);
        if running.ask(Method::GET, "/events", &[]).await.status() == StatusCode::OK {
            break;
        }
        assert!(started.elapsed() < SOON);
    }
    running.stop().await;
}

#[tokio::test]
async fn only_this_machine_is_answered() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    is_accepted(&running.send(&pin_mail()).await);
    let id = running.ids("").await.remove(0);
    let (message, source) = (format!("/messages/{id}"), format!("/messages/{id}/source"));
    let everything = [
        (Method::GET, ""),
        (Method::GET, "/messages"),
        (Method::GET, &message),
        (Method::GET, &source),
        (Method::GET, "/events"),
        (Method::DELETE, "/messages"),
    ];
    for (method, path) in &everything {
        for host in [
            "evil.example",
            "localhost.evil.example:8080",
            "10.0.0.1",
            "",
        ] {
            let answer = running.ask(method.clone(), path, &[("host", host)]).await;
            let problem = is_problem(answer, 421, "misdirected_request").await;
            assert!(!problem.to_string().contains("48217730"));
        }
    }
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8080"] {
        let answer = running
            .ask(Method::GET, "/messages", &[("host", host)])
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }

    // Another site, and another port of this machine, make the browser ask.
    let own = running.base.as_str();
    for (method, path) in &everything {
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", own)],
            &[("origin", "https://evil.example")],
            &[("origin", "http://localhost:1")],
            &[("origin", "null")],
        ] {
            let answer = running.ask(method.clone(), path, headers).await;
            if path.is_empty() {
                // A link may lead here; the page holds no mail, and goes into no frame.
                assert_eq!(answer.status(), StatusCode::OK);
                assert_eq!(answer.headers()["x-frame-options"], "DENY");
            } else {
                is_problem(answer, 403, "cross_site_request").await;
            }
        }
    }
    assert_eq!(running.get("/messages").await["total"], 1);
    for headers in [
        &[("sec-fetch-site", "same-origin"), ("origin", own)][..],
        &[("origin", own)],
        &[],
    ] {
        let answer = running.ask(Method::DELETE, "/messages", headers).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_mails_html_is_never_a_page_of_its_own() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    is_accepted(&running.send(&pin_mail()).await);
    let id = running.ids("").await.remove(0);
    let as_browser = [("accept", "text/html")];
    for (path, content_type) in [
        ("/messages".to_owned(), "application/json"),
        (format!("/messages/{id}"), "application/json"),
        (
            format!("/messages/{id}/source"),
            "text/plain; charset=utf-8",
        ),
        ("/events".to_owned(), "text/event-stream"),
        ("/nothing".to_owned(), "application/problem+json"),
        ("/messages/nothing".to_owned(), "application/problem+json"),
    ] {
        let answer = running.ask(Method::GET, &path, &as_browser).await;
        let headers = answer.headers();
        assert_eq!(headers["content-type"], content_type, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("sandbox"));
    }
    for (method, path, allow) in [
        (Method::POST, "", "GET, HEAD"),
        (Method::PUT, "/messages", "DELETE, GET, HEAD"),
        (Method::DELETE, "/events", "GET, HEAD"),
    ] {
        let answer = running.ask(method, path, &[]).await;
        assert_eq!(answer.headers()["allow"], allow);
        is_problem(answer, 405, "method_not_allowed").await;
    }
    running.stop().await;
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_loads_nothing() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let answer = running.ask(Method::GET, "", &[]).await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    let policy = policy.to_owned();
    let html = answer.text().await.unwrap();
    let (_, script) = html.split_once("<script>").unwrap();
    let (script, rest) = script.split_once("</script>").unwrap();
    assert!(!rest.contains("<script"));
    let hash = BASE64_STANDARD.encode(Sha256::digest(script));
    assert!(
        policy.contains(&format!("script-src 'sha256-{hash}';")),
        "{policy}"
    );
    let nonce = html.split_once("<style nonce=\"").unwrap().1;
    let nonce = nonce.split_once('"').unwrap().0;
    assert!(nonce.len() >= 22);
    assert!(policy.contains(&format!("style-src 'nonce-{nonce}';")));
    for directive in ["default-src 'none'", "connect-src 'self'", "img-src data:"] {
        assert!(policy.contains(directive), "{directive}");
    }
    let again = running.ask(Method::GET, "/", &[]).await;
    assert_ne!(again.headers()["content-security-policy"], policy.as_str());
    let page = scraper::Html::parse_document(&html);
    let all = scraper::Selector::parse("[src], link[href], [action], [data]").unwrap();
    for element in page.select(&all) {
        for name in ["src", "href", "action", "data"] {
            let value = element.value().attr(name).unwrap_or("data:");
            assert!(value.starts_with("data:"), "{value}");
        }
    }
    assert!(html.contains(&format!("curl -H @{}/auth-header", data_dir.0.display())));
    assert!(!html.contains("{{"));
    running.stop().await;
}

#[tokio::test]
async fn the_oldest_make_place() {
    let data_dir = DataDir::new();
    let folder = data_dir.0.join("mails");
    fs::create_dir(&folder).unwrap();
    let clock = Clock::fixed(start_of_time());
    let mut ids = Vec::new();
    for number in 0..2_003 {
        let id = clock.new_id();
        let mail = format!("To: u{number}@example.com\r\nSubject: {number}\r\n\r\nx\r\n");
        fs::write(folder.join(format!("{id}.eml")), mail).unwrap();
        ids.push(id.to_string());
    }
    fs::write(folder.join("notes.txt"), "somebody's own").unwrap();
    let running = Running::start_with(&data_dir.0, clock).await;
    ids.drain(..3);
    ids.reverse();
    assert_eq!(running.ids("").await, ids);
    is_accepted(&running.send(&pin_mail()).await);
    let list = running.get("/messages").await;
    assert_eq!(list["total"], 2_000);
    assert_eq!(list["data"][0]["has_pin"], true);
    assert_eq!(list["data"][1_999]["id"].as_str(), Some(&*ids[1_998]));
    // With the notes.
    assert_eq!(data_dir.mails().len(), 2_001);
    // A file from elsewhere has no envelope, and is shown all the same.
    let shown = running.get(&format!("/messages/{}", ids[0])).await;
    assert_eq!(
        (&shown["envelope"], &shown["subject"]),
        (&Value::Null, &"2002".into())
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_arrive_while_others_read() {
    let data_dir = DataDir::new();
    let running = Arc::new(Running::start_with(&data_dir.0, Clock::system()).await);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let running = Arc::clone(&running);
        tasks.spawn(async move {
            let mut seen: Vec<String> = Vec::new();
            for _ in 0..15 {
                is_accepted(&running.send(&pin_mail()).await);
                // Asking for what is newer never misses one.
                let newest = seen
                    .last()
                    .map_or_else(String::new, |id| format!("?after={id}"));
                let mut fresh = running.ids(&newest).await;
                fresh.reverse();
                seen.extend(fresh);
                assert!(seen.is_sorted());
            }
            (running, seen)
        });
    }
    let mut all = Vec::new();
    while let Some(task) = tasks.join_next().await {
        let (running, mut seen) = task.unwrap();
        let rest = running
            .ids(&format!("?after={}", seen.last().unwrap()))
            .await;
        seen.extend(rest.into_iter().rev());
        all.push(seen);
    }
    let mut kept = running.ids("").await;
    kept.reverse();
    assert_eq!(kept.len(), 120);
    // Those who were done earlier saw what was there then.
    for seen in all {
        assert_eq!(seen, kept[..seen.len()]);
    }
    Arc::into_inner(running).unwrap().stop().await;
}

#[tokio::test]
async fn too_much_is_refused_and_the_next_mail_is_taken() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let address = "ada@example.com";
    let large = format!("Subject: x\r\n\r\n{}", "0123456789abcd\r\n".repeat(300_000));
    match running.send_raw(address, large.as_bytes()).await {
        Delivery::GiveUp(failure) => assert!(failure.reason.contains("SIZE"), "{failure:?}"),
        other => panic!("{other:?}"),
    }
    let wide = format!("Subject: x\r\n\r\n{}\r\n.\r\nmore\r\n", "x".repeat(20_000));
    gives_up(&running.send_raw(address, wide.as_bytes()).await, 554);
    let fits = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(998));
    is_accepted(&running.send_raw(address, fits.as_bytes()).await);
    assert_eq!(running.get("/messages").await["total"], 1);
    // The disk is full, say: the worker tries again later.
    fs::remove_dir_all(data_dir.0.join("mails")).unwrap();
    match running.send(&pin_mail()).await {
        Delivery::Retry(failure) => assert_eq!(failure.code, Some(451)),
        other => panic!("{other:?}"),
    }
    assert_eq!(running.get("/messages").await["total"], 1);
    fs::create_dir(data_dir.0.join("mails")).unwrap();
    is_accepted(&running.send(&pin_mail()).await);
    running.stop().await;
}

/// A client that says what a test wants.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn with(receiver: &Receiver) -> Self {
        let url: url::Url = receiver.url().parse().unwrap();
        assert_eq!(url.host_str(), Some("127.0.0.1"), "loopback only");
        let stream = TcpStream::connect(("127.0.0.1", url.port().unwrap()))
            .await
            .unwrap();
        let mut talk = Self(BufReader::new(stream));
        assert!(talk.answer().await.starts_with("220 "));
        talk
    }

    /// The last line of an answer; empty when the connection is closed.
    async fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            // A connection that is reset is as closed.
            let _ = timeout(SOON, self.0.read_line(&mut line)).await.unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    async fn say(&mut self, words: &str) -> String {
        // Whether it was heard shows in the answer.
        let _ = self.0.get_mut().write_all(words.as_bytes()).await;
        self.answer().await
    }

    #[track_caller]
    fn is(answer: &str, code: &str) {
        assert!(answer.starts_with(code), "{code}: {answer:?}");
    }
}

#[tokio::test]
async fn the_mail_server_keeps_to_the_rules() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let mut talk = Talk::with(&running.receiver).await;
    for (words, code) in [
        ("MAIL FROM:<a@b.example>\r\n", "503"),
        ("helo me\r\n", "250"),
        ("EHLO me\r\n", "250"),
        ("NOOP\r\n", "250"),
        ("RCPT TO:<c@d.example>\r\n", "503"),
        ("MAIL FROM:a@b.example\r\n", "501"),
        ("MAIL FROM:<a@b.example> SIZE=99999999\r\n", "552"),
        ("MAIL FROM:<a@b.example> X=1\r\n", "555"),
        ("MAIL FROM:<> BODY=8BITMIME SIZE=10\r\n", "250"),
        ("MAIL FROM:<a@b.example>\r\n", "503"),
        ("DATA\r\n", "503"),
        ("RCPT TO:<>\r\n", "501"),
        ("rcpt to:<c@d.example>\r\n", "250"),
        ("RSET\r\n", "250"),
        ("DATA\r\n", "503"),
        ("MAIL FROM:<a@b.example>\r\n", "250"),
        ("RCPT TO:<c@d.example>\r\n", "250"),
        ("DATA\r\n", "354"),
        // Neither of these ends a mail; both end up in none.
        ("x\n.\ny\r\n.\n\r\n.\r\n", "554"),
        ("STARTTLS\r\n", "502"),
        ("QUIT\r\n", "221"),
        ("", ""),
    ] {
        let answer = talk.say(words).await;
        assert!(answer.starts_with(code), "{words:?}: {answer:?}");
    }

    let mut talk = Talk::with(&running.receiver).await;
    Talk::is(&talk.say("EHLO me\r\n").await, "250");
    Talk::is(&talk.say("MAIL FROM:<a@b.example>\r\n").await, "250");
    for number in 0..100 {
        let answer = talk
            .say(&format!("RCPT TO:<u{number}@d.example>\r\n"))
            .await;
        Talk::is(&answer, "250");
    }
    Talk::is(&talk.say("RCPT TO:<more@d.example>\r\n").await, "452");
    // All at once (RFC 2920), and cut where the content could be taken for commands.
    Talk::is(&talk.say("DATA\r\nSubject: x\r\n\r\nQUIT\r\n").await, "354");
    Talk::is(&talk.say(".\r\nNOOP\r\n").await, "250 2.0.0 Ok: kept");
    Talk::is(&talk.answer().await, "250");
    let id = running.ids("").await.remove(0);
    let shown = running.get(&format!("/messages/{id}")).await;
    assert_eq!(shown["envelope"]["to"].as_array().unwrap().len(), 100);
    assert_eq!(shown["text"], "QUIT\n");

    let long = format!("NOOP {}\r\n", "x".repeat(3_000));
    Talk::is(&talk.say(&long).await, "500");
    Talk::is(&talk.answer().await, "");

    // A browser that a page sent here is no mail client, whatever else it says.
    let mut talk = Talk::with(&running.receiver).await;
    let post = "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO me\r\nMAIL FROM:<a@b.example>\r\n";
    Talk::is(&talk.say(post).await, "500");
    Talk::is(&talk.answer().await, "");

    let mut talk = Talk::with(&running.receiver).await;
    Talk::is(&talk.say("EHLO me\r\n").await, "250");
    for _ in 0..10 {
        Talk::is(&talk.say("WHAT\r\n").await, "502");
    }
    Talk::is(&talk.say("NOOP\r\n").await, "");
    running.stop().await;
}

#[tokio::test]
async fn a_stop_lets_a_mail_that_is_on_its_way_arrive() {
    let data_dir = DataDir::new();
    let running = Running::start(&data_dir).await;
    let mut idle = Talk::with(&running.receiver).await;
    let mut busy = Talk::with(&running.receiver).await;
    Talk::is(&busy.say("EHLO me\r\n").await, "250");
    Talk::is(&busy.say("MAIL FROM:<a@b.example>\r\n").await, "250");
    let (receiver, mailbox) = (running.receiver, running.mailbox);
    let stopping = tokio::spawn(receiver.stop());
    Talk::is(&idle.answer().await, "421");
    Talk::is(&busy.say("RCPT TO:<c@d.example>\r\n").await, "250");
    Talk::is(&busy.say("DATA\r\n").await, "354");
    Talk::is(&busy.say("Subject: last\r\n\r\nx\r\n.\r\n").await, "250");
    Talk::is(&busy.answer().await, "421");
    timeout(SOON, stopping).await.unwrap().unwrap();
    // The store is there without the server, for whoever has a mail.
    let envelope = Envelope::default();
    mailbox.add(&envelope, b"Subject: more\r\n\r\n").unwrap();
    mailbox.close();
    assert_eq!(data_dir.mails().len(), 2);
    running.server.stop(true).await;
}
