//! `POST /invitations/preview` and `POST /invitations/send`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept, Header},
    post, web,
};
use diesel::PgConnection;

use crate::{
    audit::Trail,
    http::{
        error::ApiError,
        extract::{Body, SELECTION},
        once::{Done, Once},
        route::Register,
    },
    invitations::{
        domain::{PreviewRequest, SendRequest},
        plan::{MailsADay, Untold},
        preview::{self, Asked, Preview, PreviewError, Sample},
        send::{self, Sent},
    },
    mail::letter::{Thread, Writer},
    model::caller::Permission,
    selection::refusal::check,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, preview_invitations)
        .permit(Permission::Manage, send_invitations);
}

impl From<PreviewError> for ApiError {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::Selection(error) => error.into(),
            PreviewError::BadSample(fault) => Self::invalid(vec![fault]),
            PreviewError::Render(error) => Self::internal(error),
            PreviewError::Mime(error) => Self::internal(error),
        }
    }
}

/// What the answer of a preview may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    Html,
    Mail,
}

/// The best of the shapes that `Accept` takes; JSON where it does not say.
fn shape(request: &HttpRequest) -> Shape {
    let Ok(accept) = Accept::parse(request) else {
        return Shape::Json;
    };
    accept
        .ranked()
        .iter()
        .find_map(
            |kind| match (kind.type_().as_str(), kind.subtype().as_str()) {
                ("text", "html") => Some(Shape::Html),
                ("message", "rfc822") => Some(Shape::Mail),
                ("application" | "*", "json" | "*") => Some(Shape::Json),
                _ => None,
            },
        )
        .unwrap_or(Shape::Json)
}

/// Preview an invitation
///
/// Shows the very message that `send` would produce, with a placeholder for the secret, for whom,
/// and what will not go as asked. Nothing is issued, sent or stored. With `Accept: text/html` the
/// answer is the message's HTML; with `message/rfc822`, the whole mail.
#[utoipa::path(
    tag = "invitations", request_body = PreviewRequest,
    responses((status = 200, description = "The preview", content(
        (Preview = "application/json"), (String = "text/html"), (String = "message/rfc822")
    )))
)]
#[post("/invitations/preview")]
async fn preview_invitations(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    mails_a_day: web::Data<MailsADay>,
    untold: web::Data<Untold>,
    request: HttpRequest,
    body: Body<PreviewRequest, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let shape = shape(&request);
    let mut body = body.value;
    let sample_user_id = body.sample_user_id.take();
    let limit = body.limit.0 as usize;
    let (selection, overrides) = body.into_parts();
    check(&selection)?;
    let asked = Asked {
        selection,
        overrides,
        sample_user_id,
        limit,
        mails_a_day: **mails_a_day,
        untold: **untold,
    };
    let (shared, keys, now) = (writer.clone(), state.keys.clone(), state.clock.now());
    let (preview, sample) = state
        .db
        .aside()
        .transaction(move |connection| {
            preview::preview(connection, &shared, &keys, &asked, now).map_err(ApiError::from)
        })
        .await?;
    match shape {
        Shape::Json => Ok(HttpResponse::Ok().json(preview)),
        Shape::Html => {
            let sample = sample.ok_or_else(no_message)?;
            Ok(HttpResponse::Ok()
                .content_type("text/html; charset=utf-8")
                .insert_header((
                    header::CONTENT_SECURITY_POLICY,
                    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
                ))
                .body(preview::standalone_html(&sample.rendered)))
        }
        Shape::Mail => {
            let Sample {
                user_id,
                to,
                rendered,
            } = sample.ok_or_else(no_message)?;
            let mail = writer
                .seal(&to, user_id, Thread::default(), now, &rendered)
                .map_err(ApiError::internal)?;
            Ok(HttpResponse::Ok()
                .content_type("message/rfc822")
                .body(mail.formatted()))
        }
    }
}

fn no_message() -> ApiError {
    ApiError::new(
        422,
        "no_message",
        "Nobody of the selected users would get a message; ask for JSON to see why.",
    )
}

/// Send invitations
///
/// Invitations and their messages are stored together; delivery begins at once. Who already has a
/// pending invitation gets a new one, and the old one no longer works. A user who cannot be invited
/// is reported, and holds nobody else back.
#[utoipa::path(
    tag = "invitations", request_body = SendRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses((status = 202, description = "Taken", body = Sent, headers(("Location" = String, description = "The batch"))))
)]
#[post("/invitations/send")]
async fn send_invitations(
    state: web::Data<State>,
    trail: Trail,
    mails_a_day: web::Data<MailsADay>,
    once: Once<Body<SendRequest, SELECTION>>,
) -> Result<HttpResponse, ApiError> {
    let mails_a_day = **mails_a_day;
    let (selection, overrides) = once.value.into_parts();
    check(&selection)?;
    let (keys, is_large) = (state.keys.clone(), selection.may_be_large());
    let work = move |connection: &mut PgConnection| {
        let sent = send::send(
            connection,
            &trail,
            &keys,
            &selection,
            &overrides,
            mails_a_day,
        )?;
        let location = format!("/batches/{}", sent.batch_id);
        Ok(Done::accepted(sent).at(location))
    };
    let key = once.key.in_turn().patient_if(is_large);
    let (answer, sent) = key.run(&state, work).await?;
    if let Some(sent) = sent {
        state.bell.notify_one();
        tracing::info!(
            batch_id = %sent.batch_id, recipients = sent.recipient_count, skipped = sent.skipped_count,
            "invitations are sent"
        );
    }
    Ok(answer)
}
