//! `/enroll`.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web,
};
use chrono_tz::Tz;

use super::{
    facts::{Device, Ended, Ways},
    page::{self, Page},
    queries::{self, Found},
    render::{Pages, Person},
};
use crate::{
    db::DbError,
    http::{
        error::ApiError,
        problem::Problem,
        route::{Needs, Register},
    },
    mail::{catalogue::Lang, letter::Writer},
    model::{qr_payload::TokenUrl, registration::Registration},
    outbox::registrations::Registrations,
    secrets::token,
    settings,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.add(Needs::Nothing, get_landing_page)
        .add(Needs::Nothing, get_invitation_page);
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// Show the landing page
///
/// For people: what to do with a PIN or a password, for the device that it is opened on, in the reader's
/// language (`Accept-Language`).
#[utoipa::path(
    tag = "enrollments",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
#[get("/enroll")]
async fn get_landing_page(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    pages: web::Data<Pages>,
    registrations: web::Data<Registrations>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let registrations = registrations.get_ref().clone();
    let on_to = state
        .db
        .read(move |connection| {
            let version = settings::queries::default_registration(connection)?;
            let registration = registrations.get(connection, Some(version))?;
            // A key in the address is for those who were invited.
            let open = registration.mdm_url.as_ref().filter(|url| url.is_open());
            Ok(open.and_then(TokenUrl::without_token))
        })
        .await;
    // The page says what to do without the button too.
    let on_to = on_to.unwrap_or_else(|error: DbError| {
        tracing::warn!(%error, "the landing page is shown without its button");
        None
    });
    let link = writer.enroll_url();
    let page = page::general(device(&request), on_to, &link);
    answer(&pages, accepted(&request), StatusCode::OK, page, None).await
}

/// Show an invitation's landing page
///
/// For people, in the invitation's language: on a phone the steps for it and the way on to the device
/// management, elsewhere the QR code to scan. Opening it never uses anything up. What has expired, was used, revoked
/// or superseded is a 410 that says what to do; what is no token of ours is a 404, the same for all. Who asks for JSON
/// gets these as a problem.
#[utoipa::path(
    tag = "enrollments", params(("token" = String, Path, description = "The token in a mail's link")),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 404, description = "No invitation has this token", content((String = "text/html"), (Problem = "application/problem+json"))),
        (status = 410, description = "The invitation is over", content((String = "text/html"), (Problem = "application/problem+json"))),
        (status = 503, description = "The database is away", content((String = "text/html"), (Problem = "application/problem+json"))),
    )
)]
#[get("/enroll/{token}")]
async fn get_invitation_page(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    pages: web::Data<Pages>,
    registrations: web::Data<Registrations>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let token = request.match_info().query("token");
    let (now, registrations) = (state.clock.now(), registrations.get_ref().clone());
    let found = match token::verify(&state.keys, token) {
        Ok(claims) => {
            let read = state.db.read(move |connection| {
                let Some(found) = queries::find(connection, claims.invitation, now)? else {
                    return Ok(None);
                };
                let registration = registrations.get(connection, found.registration_id)?;
                Ok(Some((found, ways(&registration), claims.counter)))
            });
            match read.await {
                Ok(found) => found,
                Err(error) => return later(&pages, &request, error).await,
            }
        }
        Err(token::Forged) => None,
    };
    let Some((found, ways, counter)) = found else {
        if wants_json(&request) {
            return Err(ApiError::not_found("invitation"));
        }
        let page = page::unknown();
        return answer(
            &pages,
            accepted(&request),
            StatusCode::NOT_FOUND,
            page,
            None,
        )
        .await;
    };
    let ended = found.facts.ended(counter, now);
    if let Some(why) = ended.filter(|_| wants_json(&request)) {
        return Err(ApiError::new(
            410,
            "invitation_over",
            format!("This invitation enrolls no more ({why})."),
        ));
    }
    let (status, page) = match ended {
        Some(why) => (StatusCode::GONE, page::ended(why, ways.allow_pin_request)),
        None => {
            let link = writer.link(token);
            let device = device(&request);
            let page = page::live(found.facts.method, &ways, device, token, &link);
            (StatusCode::OK, page)
        }
    };
    answer(&pages, found.lang, status, page, Some((found, ended))).await
}

fn ways(registration: &Registration) -> Ways {
    Ways {
        mdm_url: registration.mdm_url.clone(),
        qr_payload: registration.qr_payload.clone(),
        allow_pin_request: registration.allow_pin_request,
    }
}

fn text(request: &HttpRequest, name: HeaderName) -> &str {
    let value = request.headers().get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn device(request: &HttpRequest) -> Device {
    Device::of(text(request, header::USER_AGENT))
}

fn accepted(request: &HttpRequest) -> Lang {
    Lang::accepted(text(request, header::ACCEPT_LANGUAGE))
}

/// Programs get problems. Browsers name HTML, and who names nothing gets the page.
fn wants_json(request: &HttpRequest) -> bool {
    let accept = text(request, header::ACCEPT);
    accept.contains("json") && !accept.contains("text/html")
}

/// A page for people where the database is away.
async fn later(
    pages: &web::Data<Pages>,
    request: &HttpRequest,
    error: DbError,
) -> Result<HttpResponse, ApiError> {
    let problem = ApiError::from(error);
    let Some(seconds) = problem.retry_after.filter(|_| !wants_json(request)) else {
        return Err(problem);
    };
    let cause = std::error::Error::source(&problem).map(ToString::to_string);
    tracing::warn!(cause, "the landing page cannot be shown");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut page = answer(pages, accepted(request), status, page::later(), None).await?;
    page.headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    Ok(page)
}

async fn answer(
    pages: &web::Data<Pages>,
    lang: Lang,
    status: StatusCode,
    page: Page,
    about: Option<(Found, Option<Ended>)>,
) -> Result<HttpResponse, ApiError> {
    let shared = pages.clone();
    // A QR code takes milliseconds of a core: not on an async thread.
    let html = web::block(move || {
        let person = about.as_ref().map(|(found, ended)| person(found, *ended));
        shared.render(lang, &page, person.as_ref())
    })
    .await
    .map_err(ApiError::internal)?
    .map_err(ApiError::internal)?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_LANGUAGE, lang.as_str()))
        .insert_header((header::CONTENT_SECURITY_POLICY, pages.security_policy()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((ROBOTS, "noindex, nofollow"))
        .body(html))
}

/// Whose invitation it is, and until when what the page is about works or worked.
fn person(found: &Found, ended: Option<Ended>) -> Person<'_> {
    let (display_name, username, zone) = found.user.as_ref().map_or(("", "", None), |user| {
        (
            user.display_name.as_str(),
            user.username.as_str(),
            user.time_zone.as_deref(),
        )
    });
    let zone: Tz = zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
    let until = match ended {
        Some(Ended::Expired) => found.expires_at,
        _ => found.facts.pin_expires_at.unwrap_or(found.expires_at),
    };
    Person {
        display_name,
        username,
        until: until.with_timezone(&zone),
    }
}
