//! What real mail servers say, and what comes of it: `tests/dialogues/dialogues.tsv`.

use std::time::Duration;

use enlist::mail::smtp::{About, Delivery, SmtpLimits, SmtpPool};
use lettre::{address::Envelope, transport::smtp::extension::ClientId};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const CASES: &str = include_str!("../dialogues/dialogues.tsv");

/// Where ours differs from the verdict, what it does, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "d05",
        "defer+slow",
        "a 421 to EHLO is taken like one to come in: fewer connections, and when all get it, none for a while",
    ),
    (
        "e18",
        "fail",
        "no word tells that it is about the sender; after five such refusals of different recipients the queue is held",
    ),
];

struct Case {
    id: &'static str,
    stage: &'static str,
    replies: Vec<&'static str>,
    must: &'static str,
    also: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let lines = CASES.lines().skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [id, _, stage, reply, _, must, _, note] = cells[..] else {
                panic!("not eight cells: {line}");
            };
            let replies: Vec<&str> = reply.split(" || ").collect();
            let also = note.split("ALSO-OK: ").nth(1).unwrap_or_default();
            let also = also.split(['.', '(']).next().unwrap_or_default();
            Case {
                id,
                // What answers the dot follows what answers DATA.
                stage: if replies[0].starts_with("354") {
                    "data"
                } else {
                    stage
                },
                replies,
                must,
                also: also
                    .split([',', ' '])
                    .filter(|word| !word.is_empty())
                    .collect(),
            }
        })
        .collect()
}

/// What became of a message, in the words of the table.
fn outcomes(delivery: &Delivery) -> &'static [&'static str] {
    match delivery {
        Delivery::Accepted(_) => &["accept"],
        Delivery::GiveUp(_) => &["fail"],
        Delivery::Retry(failure) => match failure.about {
            About::Recipient | About::Message | About::Unsure => &["defer"],
            About::Pace => &["defer+slow"],
            About::Sender => &["hold"],
            // The queue waits, and the next connection tells.
            About::Away => &["hold", "again"],
            About::Connection => &["again", "defer"],
        },
    }
}

/// Writes a reply as the table has it; gives whether the conversation goes on.
async fn say(stream: &mut BufReader<TcpStream>, reply: &str) -> bool {
    let (mut bytes, mut rest) = (Vec::new(), reply);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("\\n") {
            bytes.extend_from_slice(b"\r\n");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            rest = &after[2..];
        } else if let Some(after) = rest.strip_prefix('{') {
            let (act, after) = after.split_once('}').unwrap();
            match act.split_once('*') {
                Some((text, "")) => {
                    stream.write_all(&bytes).await.unwrap();
                    while stream.write_all(text.repeat(4096).as_bytes()).await.is_ok() {}
                    return false;
                }
                Some((text, times)) => {
                    bytes.extend_from_slice(text.repeat(times.parse().unwrap()).as_bytes());
                }
                None if act == "wait" => std::future::pending().await,
                None => {
                    assert_eq!(act, "close", "{reply}");
                    if !bytes.trim_ascii().is_empty() {
                        bytes.extend_from_slice(b"\r\n");
                        let _ = stream.write_all(&bytes).await;
                    }
                    return false;
                }
            }
            rest = after;
        } else {
            let mut characters = rest.chars();
            let character = characters.next().unwrap();
            bytes.extend_from_slice(character.to_string().as_bytes());
            rest = characters.as_str();
        }
    }
    if !reply.ends_with("\\x0a") {
        bytes.extend_from_slice(b"\r\n");
    }
    stream.write_all(&bytes).await.is_ok()
}

/// What a server offers in this case.
fn hello(case: &Case, is_pipelining: bool) -> String {
    let mut lines = vec!["relay.example.org", "SIZE 20000000"];
    if is_pipelining {
        lines.push("PIPELINING");
    }
    match case.stage {
        "starttls" => lines.push("STARTTLS"),
        "auth" if case.replies[0].starts_with("334 VXNl") => lines.push("AUTH LOGIN"),
        "auth" => lines.push("AUTH PLAIN"),
        _ => {}
    }
    format!("250-{}", lines.join("\\n250-")) + "\\n250 HELP"
}

/// One conversation. What is sent as content is never taken for commands unless the server asked for none.
async fn converse(stream: TcpStream, case: &Case, is_pipelining: bool) {
    let mut stream = BufReader::new(stream);
    let mut script = case.replies.iter().copied();
    let mut is_reached = matches!(case.stage, "any" | "greeting");
    let greeting = if is_reached { script.next() } else { None };
    if !say(
        &mut stream,
        greeting.unwrap_or("220 relay.example.org ESMTP"),
    )
    .await
    {
        return;
    }
    let mut line = Vec::new();
    let mut is_content = false;
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&line)
            .trim_end()
            .to_ascii_uppercase();
        if is_content && text != "." {
            continue;
        }
        let stage = match text.split([' ', ':']).next().unwrap_or_default() {
            _ if is_content => "dot",
            "EHLO" => "ehlo",
            "STARTTLS" => "starttls",
            "AUTH" => "auth",
            "MAIL" => "mail",
            "RCPT" => "rcpt",
            "DATA" => "data",
            _ => "other",
        };
        is_reached |= stage == case.stage;
        let usual = match stage {
            "ehlo" => hello(case, is_pipelining),
            "auth" => "235 2.7.0 Ok".to_owned(),
            "data" => "354 Go on".to_owned(),
            _ => "250 2.0.0 Ok".to_owned(),
        };
        let scripted = if is_reached { script.next() } else { None };
        let reply = scripted.unwrap_or(&usual).to_owned();
        is_content = stage == "data" && reply.starts_with("354");
        if !say(&mut stream, &reply).await {
            return;
        }
    }
}

async fn sent(case: &'static Case, is_pipelining: bool) -> Delivery {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, case, is_pipelining));
        }
    });
    let signs_in = case.stage == "auth" || case.replies.concat().contains("AUTH");
    let login = if signs_in { "me:secret@" } else { "" };
    let url = format!("smtp://{login}127.0.0.1:{port}").parse().unwrap();
    let limits = SmtpLimits {
        command: Duration::from_secs(2),
        final_dot: Duration::from_secs(2),
        ..SmtpLimits::default()
    };
    let pool = SmtpPool::new(url, 1, ClientId::Domain("enlist.test".into()), limits).unwrap();
    let envelope = Envelope::new(
        Some("it@example.org".parse().unwrap()),
        vec!["anna@example.com".parse().unwrap()],
    );
    // Larger than what one of them takes.
    let mail = format!(
        "Subject: Hello\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(2_800)
    );
    let delivery = pool.send(&envelope.unwrap(), mail.as_bytes()).await;
    server.abort();
    delivery
}

#[tokio::test]
async fn what_real_servers_say_has_the_right_end() {
    let cases: &'static [Case] = Box::leak(cases().into_boxed_slice());
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        // The other order of commands, where the script does not make it itself.
        for is_pipelining in [false, true] {
            if case.id == "d22" && !is_pipelining {
                continue;
            }
            let delivery = sent(case, is_pipelining).await;
            let otherwise = OTHERWISE.iter().find(|(id, ..)| *id == case.id);
            let is_right = match otherwise {
                Some((_, ours, _)) => outcomes(&delivery).contains(ours),
                None => outcomes(&delivery)
                    .iter()
                    .any(|ours| *ours == case.must || case.also.contains(ours)),
            };
            if !is_right {
                wrong.push(format!("{} must {}: {delivery:?}", case.id, case.must));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
