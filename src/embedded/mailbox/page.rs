//! The page of the mailbox, and the policy that it is shown under.

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header, web};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest, Sha256};

use super::store::Mailbox;
use crate::{clock, http::error::ApiError};

const PAGE: &str = include_str!("page.html");

/// The hash of the page's own script, as the policy wants it. No other script may run.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let script = PAGE
        .split_once("<script>")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map_or("", |(script, _)| script);
    BASE64_STANDARD.encode(Sha256::digest(script))
});

pub(super) async fn page(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    let nonce = BASE64_URL_SAFE_NO_PAD.encode(
        clock::random_bytes::<16>().map_err(|error| ApiError::internal(error.to_string()))?,
    );
    // A frame made by `srcdoc` is under its page's policy too. A mail's `<style>` is given the page's
    // nonce; its style attributes have to be allowed, as nothing else works for them. Nothing that a
    // style could fetch is allowed.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'nonce-{nonce}'; \
         style-src-attr 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        *SCRIPT
    );
    let auth_header = shell_word(&mailbox.auth_header().to_string_lossy());
    let page = PAGE
        .replace("{{nonce}}", &nonce)
        .replace("{{auth_header}}", &html_text(&auth_header));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .content_type("text/html; charset=utf-8")
        .body(page))
}

/// A text as one word for a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A text as text in HTML.
fn html_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_and_the_page_take_any_path() {
        assert_eq!(shell_word(".enlist/auth-header"), ".enlist/auth-header");
        assert_eq!(shell_word("it's <b>"), r"'it'\''s <b>'");
        assert_eq!(html_text("a & <b>"), "a &amp; &lt;b>");
    }
}
