//! The preview: the message that `send` would produce, for whom, and what will not go as asked.
//! It issues no secret, sends nothing and stores nothing.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use diesel::{connection::SimpleConnection, dsl::exists, prelude::*};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    domain::{Delivery, Method, Overrides, Selection},
    letter::{Addressee, Secrets, Writer, valid_until},
    ownership,
    plan::{self, Decision, Notice, Recipient, SkipReason, Terms},
    selection::{self, SelectionError},
};
use crate::{
    db::{CUSTOM_PLAN, DbError},
    enrollments::payload::QrPayload,
    error::Fault,
    mail::{
        catalogue::Lang,
        message::{RenderError, Rendered},
        mime::{self, MimeError},
    },
    schema::{invitations, users},
    settings::Applied,
    string_enum,
};

string_enum! {
    /// What `send` would do with a recipient.
    Outcome {
        Send = "send",
        Skip = "skip",
    }
}

/// One recipient of a preview.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewRecipient {
    pub user_id: Uuid,
    pub display_name: String,
    #[schema(required)]
    pub email: Option<String>,
    /// The language of the message.
    pub locale: &'static str,
    pub method: Method,
    pub outcome: Outcome,
    /// Why nothing would be sent.
    #[schema(required)]
    pub reason: Option<SkipReason>,
    pub device_ownership: ownership::Shown,
    /// Whether an invitation that is pending would be replaced.
    pub supersedes_pending: bool,
    /// Whether the user would get a confirmation after enrolling.
    pub confirmation_email: bool,
    pub warnings: Vec<Notice>,
}

/// The counts of a preview.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct PreviewSummary {
    /// Invitations by method.
    pub by_method: BTreeMap<&'static str, usize>,
    /// Invitations by language.
    pub by_locale: BTreeMap<&'static str, usize>,
    /// Who would be skipped, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

/// A picture inside a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewAttachment {
    /// What `cid:` in the HTML names.
    pub content_id: String,
    pub filename: String,
    #[schema(value_type = String)]
    pub content_type: &'static str,
    /// Bytes.
    pub size: usize,
    /// Base64.
    pub data: String,
}

/// The message as a recipient would get it, with a placeholder for the secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewMessage {
    pub user_id: Uuid,
    pub from: String,
    #[schema(required)]
    pub reply_to: Option<String>,
    pub to: String,
    pub subject: String,
    /// Further headers.
    pub headers: BTreeMap<&'static str, String>,
    pub text: String,
    pub html: String,
    pub attachments: Vec<PreviewAttachment>,
}

/// The answer of `POST /invitations/preview`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    pub recipient_count: usize,
    pub sendable_count: usize,
    pub summary: PreviewSummary,
    /// The first recipients, as many as `limit` says.
    pub recipients: Vec<PreviewRecipient>,
    /// `null` when nobody would get a message.
    #[schema(required)]
    pub message: Option<PreviewMessage>,
    pub notices: Vec<Notice>,
}

/// The letter behind a preview's message.
pub struct Sample {
    pub user_id: Uuid,
    pub to: Addressee,
    pub rendered: Rendered,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("the sample is not among the recipients")]
    BadSample(Fault),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Mime(#[from] MimeError),
}

impl From<DbError> for PreviewError {
    fn from(error: DbError) -> Self {
        Self::Selection(error.into())
    }
}

impl From<diesel::result::Error> for PreviewError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Selection(error.into())
    }
}

/// What a preview is asked for.
pub struct Asked {
    pub selection: Selection,
    pub overrides: Overrides,
    pub sample_user_id: Option<Uuid>,
    pub limit: usize,
}

/// Plans as `send` would and renders one message. Runs inside a transaction, which it makes read-only
/// and of one moment: a user who is deleted meanwhile is still there to its end.
///
/// # Errors
/// [`PreviewError`].
pub fn preview(
    connection: &mut PgConnection,
    writer: &Writer,
    asked: &Asked,
    now: DateTime<Utc>,
) -> Result<(Preview, Option<Sample>), PreviewError> {
    connection.batch_execute(&format!(
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; {CUSTOM_PLAN}"
    ))?;
    let terms = Terms::of(&Applied::default(), &asked.overrides);
    let mut summary = PreviewSummary::default();
    let mut sendable_count = 0;
    let mut listed: Vec<(Recipient, Decision)> = Vec::new();
    let mut first_invited = None;
    let recipient_count = selection::recipients(
        connection,
        &asked.selection,
        &terms,
        false,
        now,
        |recipient| {
            let decision = plan::decide(&recipient, &terms);
            match decision {
                Decision::Invite => {
                    sendable_count += 1;
                    *summary.by_method.entry(terms.method.as_str()).or_default() += 1;
                    *summary
                        .by_locale
                        .entry(recipient.lang.as_str())
                        .or_default() += 1;
                    first_invited.get_or_insert((recipient.user_id, recipient.lang));
                }
                Decision::Skip(reason) => {
                    *summary.skipped.entry(reason.as_str()).or_default() += 1;
                }
            }
            if listed.len() < asked.limit {
                listed.push((recipient, decision));
            }
        },
    )?;
    let sample = match asked.sample_user_id {
        Some(id) => Some(chosen_sample(connection, asked, &terms, id, now)?),
        None => first_invited,
    };
    let sample = match sample {
        Some((id, lang)) if terms.delivery == Delivery::Email => {
            let to = addressee(connection, id, lang)?;
            let secrets = Secrets::placeholder(terms.pin_length);
            let until = valid_until(
                terms.method,
                now,
                terms.pin_lifetime_days,
                now + terms.invitation_lifetime,
            );
            let note = asked
                .overrides
                .note
                .as_ref()
                .map(super::domain::Note::as_str);
            let rendered = writer.invitation(
                &to,
                terms.method,
                &secrets,
                until,
                note,
                &QrPayload::default(),
            )?;
            Some(Sample {
                user_id: id,
                to,
                rendered,
            })
        }
        _ => None,
    };
    let preview = Preview {
        recipient_count,
        sendable_count,
        summary,
        recipients: describe(connection, &terms, listed, now)?,
        message: sample.as_ref().map(|sample| shown(writer, sample)),
        notices: plan::notices(&terms, recipient_count, sendable_count),
    };
    Ok((preview, sample))
}

/// The sample that was asked for: it must be selected and must be somebody who gets a message.
fn chosen_sample(
    connection: &mut PgConnection,
    asked: &Asked,
    terms: &Terms,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(Uuid, Lang), PreviewError> {
    let refused =
        |code, detail: String| PreviewError::BadSample(Fault::new("/sample_user_id", code, detail));
    if !selection::is_selected(connection, &asked.selection, id, now)? {
        return Err(refused(
            "not_selected",
            "is not one of the recipients".into(),
        ));
    }
    let only = Selection {
        user_ids: Some(super::domain::Ids(vec![id])),
        ..Selection::default()
    };
    let mut found = None;
    selection::recipients(connection, &only, terms, false, now, |recipient| {
        found = Some(recipient);
    })?;
    let recipient =
        found.ok_or_else(|| refused("not_selected", "is not one of the recipients".into()))?;
    match plan::decide(&recipient, terms) {
        Decision::Invite => Ok((id, recipient.lang)),
        Decision::Skip(reason) => Err(refused(
            "is_skipped",
            format!("would get no message ({reason})"),
        )),
    }
}

fn addressee(connection: &mut PgConnection, id: Uuid, lang: Lang) -> Result<Addressee, DbError> {
    let (display_name, username, email, time_zone): (
        String,
        String,
        Option<String>,
        Option<String>,
    ) = users::table
        .find(id)
        .select((
            users::display_name,
            users::username,
            users::email,
            users::time_zone,
        ))
        .first(connection)?;
    Ok(Addressee {
        display_name,
        username,
        email: email.unwrap_or_default(),
        time_zone,
        lang,
    })
}

fn describe(
    connection: &mut PgConnection,
    terms: &Terms,
    listed: Vec<(Recipient, Decision)>,
    now: DateTime<Utc>,
) -> Result<Vec<PreviewRecipient>, DbError> {
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = listed
        .iter()
        .map(|(recipient, _)| recipient.user_id)
        .collect();
    let pending = exists(
        invitations::table
            .filter(invitations::user_id.eq(users::id.nullable()))
            .filter(invitations::state.eq("pending"))
            .filter(invitations::expires_at.gt(now)),
    );
    let mut names: BTreeMap<Uuid, (String, Option<String>, bool)> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::display_name, users::email, pending))
        .load::<(Uuid, String, Option<String>, bool)>(connection)?
        .into_iter()
        .map(|(id, name, email, pending)| (id, (name, email, pending)))
        .collect();
    Ok(listed
        .into_iter()
        .filter_map(|(recipient, decision)| {
            let (display_name, email, has_pending) = names.remove(&recipient.user_id)?;
            let (outcome, reason) = match decision {
                Decision::Invite => (Outcome::Send, None),
                Decision::Skip(reason) => (Outcome::Skip, Some(reason)),
            };
            let is_invited = outcome == Outcome::Send;
            Some(PreviewRecipient {
                user_id: recipient.user_id,
                display_name,
                email,
                locale: recipient.lang.as_str(),
                method: terms.method,
                outcome,
                reason,
                device_ownership: ownership::shown(terms.method, terms.device_ownership),
                supersedes_pending: is_invited && has_pending,
                confirmation_email: is_invited && terms.confirmation,
                warnings: plan::warnings(terms),
            })
        })
        .collect())
}

fn shown(writer: &Writer, sample: &Sample) -> PreviewMessage {
    let Rendered {
        subject,
        text,
        html,
        inline,
    } = &sample.rendered;
    PreviewMessage {
        user_id: sample.user_id,
        from: writer.from().to_string(),
        reply_to: writer.reply_to().map(ToString::to_string),
        to: sample.to.email.clone(),
        subject: subject.clone(),
        headers: mime::extra_headers(sample.to.lang).into_iter().collect(),
        text: text.clone(),
        html: html.clone(),
        attachments: inline
            .iter()
            .map(|part| PreviewAttachment {
                content_id: part.content_id.clone(),
                filename: part.filename.clone(),
                content_type: part.content_type,
                size: part.bytes.len(),
                data: STANDARD.encode(&part.bytes),
            })
            .collect(),
    }
}

/// The message's HTML for a browser: the pictures stand in it as `data:` URLs.
pub fn standalone_html(rendered: &Rendered) -> String {
    rendered
        .inline
        .iter()
        .fold(rendered.html.clone(), |html, part| {
            let data = format!(
                "data:{};base64,{}",
                part.content_type,
                STANDARD.encode(&part.bytes)
            );
            html.replace(&format!("cid:{}", part.content_id), &data)
        })
}
