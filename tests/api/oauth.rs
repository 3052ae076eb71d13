//! Access tokens from a token server on a real socket that does wrong what it is told to.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use enlist::{
    clock::Clock,
    mail::smtp::oauth::{OauthError, OauthFault, OauthLimits, OauthSettings, Token, TokenSource},
};
use tokio::task::JoinSet;
use tokio_rustls::rustls::RootCertStore;

use crate::support::{
    log,
    tokens::{Act, TokenServer},
};

const SECRET: &str = "cl1ent~s3cret+of/enlist";

fn clock() -> Clock {
    Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap())
}

fn settings(url: &str) -> OauthSettings {
    OauthSettings {
        token_url: url.parse().unwrap(),
        client_id: "enlist".into(),
        client_secret: Some(SECRET.into()),
        scope: Some("https://outlook.office365.com/.default".into()),
        refresh_token: None,
    }
}

fn source_of(settings: OauthSettings, clock: &Clock, limits: OauthLimits) -> TokenSource {
    TokenSource::new(settings, RootCertStore::empty(), limits, clock.clone()).unwrap()
}

fn source(server: &TokenServer, clock: &Clock) -> TokenSource {
    source_of(settings(&server.url()), clock, OauthLimits::default())
}

async fn token(source: &TokenSource) -> Token {
    source.token().await.unwrap()
}

async fn fault(source: &TokenSource) -> OauthError {
    source.token().await.expect_err("no token")
}

#[tokio::test]
async fn a_client_gets_tokens_for_itself_and_uses_them_until_shortly_before_their_end() {
    let (server, clock) = (TokenServer::start().await, clock());
    let source = source(&server, &clock);
    assert_eq!(token(&source).await.expose(), "acc3ss-1");
    clock.advance(TimeDelta::seconds(3299));
    assert_eq!(token(&source).await.expose(), "acc3ss-1");
    assert_eq!(server.requests().len(), 1);
    let request = &server.requests()[0];
    for (name, value) in [
        ("grant_type", "client_credentials"),
        ("client_id", "enlist"),
        ("client_secret", SECRET),
        ("scope", "https://outlook.office365.com/.default"),
    ] {
        assert_eq!(request[name], value);
    }
    assert_eq!(request.len(), 4);

    // Five minutes before its end the next one is asked for, and this one goes on being given.
    server.next(Act::Hold);
    clock.advance(TimeDelta::seconds(1));
    for _ in 0..3 {
        assert_eq!(token(&source).await.expose(), "acc3ss-1");
    }
    server.asked(2).await;
    // Its end does not come before the next one, for those who wait.
    clock.advance(TimeDelta::seconds(300));
    let waiting = tokio::spawn({
        let source = source.clone();
        async move { source.token().await }
    });
    server.release();
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "acc3ss-2");
    assert_eq!(token(&source).await.expose(), "acc3ss-2");
    assert_eq!(server.requests().len(), 2);

    // A token of a minute is renewed when six seconds are left.
    clock.advance(TimeDelta::hours(2));
    server.next(Act::Grant(r#","expires_in":60"#));
    assert_eq!(token(&source).await.expose(), "acc3ss-3");
    clock.advance(TimeDelta::seconds(53));
    assert_eq!(token(&source).await.expose(), "acc3ss-3");
    assert_eq!(server.requests().len(), 3);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(token(&source).await.expose(), "acc3ss-3");
    server.asked(4).await;

    // A clock that is set back leaves nothing behind that is good for ever.
    clock.advance(TimeDelta::days(-30));
    let before = token(&source).await.expose().to_owned();
    assert_ne!(before, "acc3ss-3");
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_and_replaced_by_the_one_that_comes() {
    let (server, clock) = (TokenServer::start().await, clock());
    let settings = OauthSettings {
        scope: None,
        refresh_token: Some("1//refresh".into()),
        ..settings(&server.url())
    };
    let source = source_of(settings, &clock, OauthLimits::default());
    server.next(Act::Grant(r#","refresh_token":"1//rotated""#));
    for (number, refresh_token) in [(1, "1//refresh"), (2, "1//rotated"), (3, "1//rotated")] {
        let given = token(&source).await;
        assert_eq!(given.expose(), format!("acc3ss-{number}"));
        let request = server.requests().pop().unwrap();
        assert_eq!(request["grant_type"], "refresh_token");
        assert_eq!(request["refresh_token"], refresh_token);
        assert_eq!(request.get("scope"), None);
        clock.advance(TimeDelta::hours(2));
    }
}

#[tokio::test]
async fn fifty_askers_make_one_request_and_those_who_leave_do_not_end_it() {
    let (server, clock) = (TokenServer::start().await, clock());
    let source = source(&server, &clock);
    server.next(Act::Hold);
    // The very first asker leaves, after it has begun the request.
    let first = tokio::spawn({
        let source = source.clone();
        async move { source.token().await }
    });
    server.asked(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let mut askers = JoinSet::new();
    for _ in 0..50 {
        let source = source.clone();
        askers.spawn(async move { source.token().await });
    }
    tokio::task::yield_now().await;
    server.release();
    for given in askers.join_all().await {
        assert_eq!(given.unwrap().expose(), "acc3ss-1");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_however_many_had_it() {
    let (server, clock) = (TokenServer::start().await, clock());
    let source = source(&server, &clock);
    let first = token(&source).await;
    for _ in 0..10 {
        assert!(source.reject(&first), "another one will be given");
    }
    let second = token(&source).await;
    assert_eq!(second.expose(), "acc3ss-2");
    // Late ones, who had the first.
    assert!(source.reject(&first));
    assert_eq!(token(&source).await.expose(), "acc3ss-2");
    // The second is refused, too: so it is not the token, and the server is left in peace.
    for _ in 0..10 {
        assert!(!source.reject(&second));
        assert_eq!(token(&source).await.expose(), "acc3ss-2");
    }
    assert_eq!(server.requests().len(), 2);
    // A minute later somebody may have granted what was missing.
    clock.advance(TimeDelta::seconds(60));
    assert!(source.reject(&second));
    assert_eq!(token(&source).await.expose(), "acc3ss-3");
    assert_eq!(server.requests().len(), 3);
    let words = second.hide("me", "535 no: acc3ss-2");
    assert_eq!(words, "535 no: ***");
    assert!(!format!("{second:?} {source:?}").contains("acc3ss-2"));
    assert!(!format!("{source:?}").contains(SECRET));
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_longer_and_longer() {
    let (server, clock) = (TokenServer::start().await, clock());
    let source = source(&server, &clock);
    let mut asked = 0;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        server.next(Act::Say(503, "", "<html>down</html>".into()));
        let error = fault(&source).await;
        asked += 1;
        assert!(matches!(error.fault, OauthFault::Busy { status: 503, .. }));
        assert!(!error.needs_hand());
        clock.advance(TimeDelta::seconds(pause - 1));
        assert_eq!(fault(&source).await, error, "the same, without asking");
        assert_eq!(server.requests().len(), asked);
        clock.advance(TimeDelta::seconds(1));
    }
    // It is told to wait for longer, in seconds.
    server.next(Act::Say(429, "Retry-After: 900\r\n", String::new()));
    let error = fault(&source).await;
    let OauthFault::Busy { retry_after, .. } = error.fault else {
        panic!("{error}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(900)));
    clock.advance(TimeDelta::seconds(899));
    fault(&source).await;
    assert_eq!(server.requests().len(), asked + 1);
    clock.advance(TimeDelta::seconds(1));
    // And one good answer makes all good.
    assert_eq!(token(&source).await.expose(), "acc3ss-1");
    clock.advance(TimeDelta::seconds(3600));
    server.next(Act::Say(500, "", String::new()));
    fault(&source).await;
    clock.advance(TimeDelta::seconds(5));
    assert_eq!(token(&source).await.expose(), "acc3ss-2");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_token_that_is_good() {
    let (server, clock) = (TokenServer::start().await, clock());
    let source = source(&server, &clock);
    assert_eq!(token(&source).await.expose(), "acc3ss-1");
    clock.advance(TimeDelta::seconds(3400));
    server.next(Act::Say(500, "", String::new()));
    for _ in 0..5 {
        assert_eq!(token(&source).await.expose(), "acc3ss-1");
    }
    // Once that has failed, a pause later, and long before the token's end.
    for _ in 0..30 {
        clock.advance(TimeDelta::seconds(6));
        assert_eq!(token(&source).await.expose(), "acc3ss-1");
        tokio::time::sleep(Duration::from_millis(10)).await;
        if server.requests().len() == 3 {
            return;
        }
    }
    panic!("not asked again");
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_words_with_a_remedy_and_without_secrets() {
    log::capture();
    let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(70_000));
    let quoting = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret {SECRET} provided\r\nTrace ID: 1"}}"#
    );
    for (act, needs_hand, parts) in [
        (
            Act::Say(401, "", quoting),
            true,
            &["AADSTS7000215", "not its id", "secret ***"][..],
        ),
        (
            Act::Say(400, "", r#"{"error":"invalid_grant"}"#.into()),
            true,
            &["invalid_grant", "REFRESH_TOKEN"],
        ),
        (
            Act::Say(200, "", "<html>captive</html>".into()),
            true,
            &["no access token", "TOKEN_URL"],
        ),
        (Act::Say(404, "", "gone".into()), true, &["404"]),
        (
            Act::Say(302, "Location: http://evil.example/\r\n", String::new()),
            true,
            &["302", "points elsewhere"],
        ),
        (Act::Say(200, "", long), true, &["64 KiB"]),
        (Act::Endless, true, &["64 KiB"]),
        (Act::Half, false, &["cannot be reached"]),
        (Act::Silence, false, &["did not answer within 500ms"]),
    ] {
        let (server, clock) = (TokenServer::start().await, clock());
        let limits = OauthLimits {
            request: Duration::from_millis(500),
            ..OauthLimits::default()
        };
        let source = source_of(settings(&server.url()), &clock, limits);
        server.next(act);
        let error = fault(&source).await;
        let told = error.to_string();
        for part in parts {
            assert!(told.contains(part), "{part} is missing in: {told}");
        }
        assert!(
            told.starts_with("no access token from 127.0.0.1: "),
            "{told}"
        );
        assert!(!format!("{told}{error:?}").contains(SECRET), "{error:?}");
        assert!(!told.contains("Trace ID"), "{told}");
        assert_eq!(error.needs_hand(), needs_hand, "{told}");
        // It is asked again later on, whatever it was.
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(token(&source).await.expose(), "acc3ss-1");
        assert_eq!(server.requests().len(), 2);
    }
    let lines = log::captured();
    assert!(lines.contains("AADSTS7000215"), "{lines}");
    assert!(
        !lines.contains(SECRET) && !lines.contains("acc3ss-1"),
        "{lines}"
    );
}

#[tokio::test]
async fn the_servers_certificate_is_checked_and_nobody_listens_is_said() {
    let (server, clock) = (TokenServer::start_with_tls().await, clock());
    let distrusting = source(&server, &clock);
    let told = fault(&distrusting).await.to_string();
    assert!(
        told.contains("cannot be reached") && told.contains("certificate"),
        "{told}"
    );
    assert!(server.requests().is_empty());
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate()).unwrap();
    let settings_of = settings(&server.url());
    let limits = OauthLimits::default();
    let trusting = TokenSource::new(settings_of, roots, limits, clock.clone()).unwrap();
    assert_eq!(token(&trusting).await.expose(), "acc3ss-1");
    let url = server.url();
    drop(server);
    let told = fault(&source_of(settings(&url), &clock, OauthLimits::default())).await;
    assert!(matches!(told.fault, OauthFault::Away(_)), "{told}");
}

#[test]
fn a_runtime_that_ends_takes_no_source_with_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (server, clock) = (servers.block_on(TokenServer::start()), clock());
    let source = source(&server, &clock);
    server.next(Act::Hold);
    let first = runtime();
    first.block_on(async {
        let asking = source.clone();
        let asking = tokio::spawn(async move { asking.token().await });
        server.asked(1).await;
        asking.abort();
    });
    drop(first);
    let given = runtime().block_on(source.token());
    assert_eq!(given.unwrap().expose(), "acc3ss-1");
}
