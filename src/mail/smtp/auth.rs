//! Signing in (RFC 4954).

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use secrecy::ExposeSecret;

use super::{
    dialogue::Dialogue,
    fault::{Fault, expect},
    oauth::{TokenSource, challenge_words, xoauth2},
    offer::Offer,
    reply::Reply,
    url::Login,
};

/// Signs in with a password, in the first way of PLAIN and LOGIN that the server offers.
pub(super) async fn with_password(
    dialogue: &mut Dialogue,
    offer: &Offer,
    login: &Login,
    limit: Duration,
) -> Result<(), Fault> {
    let (user, password) = (&login.user, login.password.expose_secret());
    let answer = if offer.takes("PLAIN") {
        let response = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let line = format!("AUTH PLAIN {response}\r\n");
        let answer = dialogue.command(&line, limit).await?;
        // Some want it only after they have asked for it.
        if answer.code == 334 {
            dialogue.command(&format!("{response}\r\n"), limit).await?
        } else {
            answer
        }
    } else if offer.takes("LOGIN") {
        asked(dialogue.command("AUTH LOGIN\r\n", limit).await?)?;
        let user = format!("{}\r\n", BASE64_STANDARD.encode(user));
        asked(dialogue.command(&user, limit).await?)?;
        let password = format!("{}\r\n", BASE64_STANDARD.encode(password));
        dialogue.command(&password, limit).await?
    } else {
        return Err(Fault::Broken(nothing_fits(offer, "PLAIN and LOGIN")));
    };
    expect(answer, |code| code == 235).map(drop)
}

/// Signs in with an access token. Gives whether another token is worth a try where this one was refused.
pub(super) async fn with_token(
    dialogue: &mut Dialogue,
    offer: &Offer,
    user: &str,
    source: &TokenSource,
    limit: Duration,
) -> Result<(), (Fault, bool)> {
    let for_good = |fault: Fault| (fault, false);
    if !offer.takes("XOAUTH2") {
        return Err(for_good(Fault::Broken(nothing_fits(offer, "XOAUTH2"))));
    }
    let token = source.token().await;
    let token = token.map_err(|error| for_good(Fault::Broken(error.to_string())))?;
    let answer = dialogue.command("AUTH XOAUTH2\r\n", limit).await;
    answer.and_then(asked).map_err(for_good)?;
    let response = format!("{}\r\n", xoauth2(user, token.expose()));
    let mut answer = dialogue.command(&response, limit).await.map_err(for_good)?;
    let mut why = None;
    if answer.code == 334 {
        why = challenge_words(&answer.lines.join(" "));
        answer = dialogue.command("\r\n", limit).await.map_err(for_good)?;
    }
    let refused = match expect(answer, |code| code == 235) {
        Ok(_) => return Ok(()),
        Err(Fault::Reply(reply)) => reply,
        Err(fault) => return Err(for_good(fault)),
    };
    let is_worth_another = refused.code == 535 && source.reject(&token);
    let said = refused.lines.iter().chain(&why);
    let lines = said.map(|line| token.hide(user, line)).collect();
    let code = refused.code;
    Err((Fault::Reply(Reply { code, lines }), is_worth_another))
}

/// The server goes on asking.
fn asked(answer: Reply) -> Result<Reply, Fault> {
    expect(answer, |code| code == 334)
}

/// Says what was offered, and what we can do.
pub(super) fn nothing_fits(offer: &Offer, ours: &str) -> String {
    match offer.auth.as_slice() {
        [] => format!("the server offers no way to sign in, and Enlist can {ours}"),
        ways => format!(
            "the server offers only {}, and Enlist can {ours}",
            ways.join(", ")
        ),
    }
}
