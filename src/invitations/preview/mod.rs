//! The preview: the message that `send` would produce, for whom, and what will not go as asked.
//! It issues no secret, sends nothing and stores nothing.

mod listed;

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use diesel::{connection::SimpleConnection, prelude::*};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::listed::{PreviewOutcome, PreviewRecipient};
use super::{
    domain::Overrides,
    plan::{Decision, MailsADay, Notice, Plan, Recipient, Untold},
    recipients,
};
use crate::{
    db::{CUSTOM_PLAN, DbError},
    mail::{
        catalogue::Lang,
        letter::{Addressee, Letter, Secrets, Writer},
        message::{RenderError, Rendered},
        mime::{self, MimeError},
    },
    model::{
        invitation::{Delivery, valid_until},
        wire::Fault,
    },
    schema::users,
    secrets::keys::KeyRing,
    selection::{domain::Selection, queries::SelectionError},
    settings,
};

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
    pub mails_a_day: MailsADay,
    pub untold: Untold,
}

/// Plans as `send` would and renders one message. Runs inside a transaction, which it makes read-only
/// and of one moment: a user who is deleted meanwhile is still there to its end.
///
/// # Errors
/// [`PreviewError`].
pub fn preview(
    connection: &mut PgConnection,
    writer: &Writer,
    keys: &KeyRing,
    asked: &Asked,
    now: DateTime<Utc>,
) -> Result<(Preview, Option<Sample>), PreviewError> {
    connection.batch_execute(&format!(
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; {CUSTOM_PLAN}"
    ))?;
    let rules = settings::queries::rules(connection, keys)?;
    let plan = Plan::of(&rules, &asked.overrides, asked.mails_a_day);
    let recipients =
        recipients::recipients(connection, &asked.selection, &rules, &plan, false, now)?;
    let mut tally = plan.tally();
    let mut summary = PreviewSummary::default();
    let mut first_invited = None;
    for recipient in &recipients {
        match plan.decide(recipient) {
            Decision::Invite => {
                tally.add(&plan, recipient);
                let method = plan.terms(recipient.which).method;
                *summary.by_method.entry(method.as_str()).or_default() += 1;
                *summary
                    .by_locale
                    .entry(recipient.lang.as_str())
                    .or_default() += 1;
                first_invited.get_or_insert(recipient);
            }
            Decision::Skip(reason) => {
                *summary.skipped.entry(reason.as_str()).or_default() += 1;
            }
        }
    }
    let sample = match asked.sample_user_id {
        Some(id) => Some(chosen_sample(&plan, &recipients, id)?),
        None => first_invited,
    };
    let sample = match sample {
        Some(recipient) if plan.delivery == Delivery::Email => Some(rendered_sample(
            connection, writer, asked, &plan, recipient, now,
        )?),
        _ => None,
    };
    let mut notices = plan.notices(recipients.len(), &tally);
    if tally.invited > 0 {
        notices.extend(asked.untold.notices(plan.delivery));
    }
    let preview = Preview {
        recipient_count: recipients.len(),
        sendable_count: tally.invited,
        summary,
        recipients: listed::describe(
            connection,
            &plan,
            &recipients[..recipients.len().min(asked.limit)],
            now,
        )?,
        message: sample.as_ref().map(|sample| shown(writer, sample)),
        notices,
    };
    Ok((preview, sample))
}

/// The sample that was asked for: it must be selected and must be somebody who gets a message.
fn chosen_sample<'a>(
    plan: &Plan,
    recipients: &'a [Recipient],
    id: Uuid,
) -> Result<&'a Recipient, PreviewError> {
    let refused =
        |code, detail: String| PreviewError::BadSample(Fault::new("/sample_user_id", code, detail));
    let recipient = recipients
        .binary_search_by_key(&id, |recipient| recipient.user_id)
        .map(|at| &recipients[at])
        .map_err(|_| refused("not_selected", "is not one of the recipients".into()))?;
    match plan.decide(recipient) {
        Decision::Invite => Ok(recipient),
        Decision::Skip(reason) => Err(refused(
            "is_skipped",
            format!("would get no message ({reason})"),
        )),
    }
}

fn rendered_sample(
    connection: &mut PgConnection,
    writer: &Writer,
    asked: &Asked,
    plan: &Plan,
    recipient: &Recipient,
    now: DateTime<Utc>,
) -> Result<Sample, PreviewError> {
    let to = addressee(connection, recipient.user_id, recipient.lang)?;
    let terms = plan.terms(recipient.which);
    let registration = &terms.registration;
    let secrets = Secrets::placeholder(registration.pin_length);
    let until = valid_until(
        terms.method,
        now,
        registration.pin_lifetime_days,
        now + registration.invitation_lifetime(),
    );
    let note = asked
        .overrides
        .note
        .as_ref()
        .map(super::domain::Note::as_str);
    let rendered = writer.invitation(&Letter {
        to: &to,
        method: terms.method,
        secrets: &secrets,
        until,
        note,
        payload: &registration.qr_payload,
    })?;
    Ok(Sample {
        user_id: recipient.user_id,
        to,
        rendered,
    })
}

fn addressee(connection: &mut PgConnection, id: Uuid, lang: Lang) -> Result<Addressee, DbError> {
    type Row = (String, String, Option<String>, Option<String>);
    let (display_name, username, email, time_zone): Row = users::table
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
