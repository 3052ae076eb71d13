//! `POST /mail/test`.

use actix_web::{HttpResponse, post, web};
use diesel::{
    prelude::*,
    sql_types::{Text, Uuid as SqlUuid},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Tester, TrialError,
    domain::{TestMailRequest, TestedMail},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    http::{
        error::ApiError,
        extract::Body,
        limits::Limits,
        once::{Done, Once},
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        identity::Email,
    },
    state::State,
};

/// Adds the handler.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, test_mail);
}

/// Send a test mail
///
/// Goes straight to the mail server, also while the queue waits, through every stage that mails go through, and says what
/// was found at each; where it ends, why and what to do about it. The answer is 200 in either case, within 60 seconds. The mail
/// is short, holds no secret, and says that nothing has to be done. Five a minute for each caller, ten for all.
#[utoipa::path(
    tag = "mail", request_body = TestMailRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses((status = 200, description = "What became of it", body = TestedMail))
)]
#[post("/mail/test")]
async fn test_mail(
    state: web::Data<State>,
    trail: Trail,
    caller: Caller,
    tester: web::Data<Tester>,
    limits: web::Data<Limits>,
    once: Once<Body<TestMailRequest>>,
) -> Result<HttpResponse, ApiError> {
    let (to, shared) = (once.value.to, state.clone());
    let work = async move {
        limits.count_test(caller.id()).await?;
        let address = to.as_str().to_owned();
        let record = trail.clone();
        // Written down first: it goes to any address.
        shared
            .db
            .transaction(move |connection| {
                let event = Event::new(Action::MailTested, SubjectKind::Mail, None);
                let mut event = event.after(&json!({"to": address}));
                // Whose it is takes it along.
                event.person = owner(connection, &address)?;
                record.record(connection, &event)
            })
            .await?;
        let tested = tested(&tester, &to, &trail).await?;
        tracing::info!(
            caller = caller.label(),
            accepted = tested.accepted,
            code = tested.smtp_code,
            "a test mail"
        );
        Ok(Done::ok(tested))
    };
    once.key.run_long(&state, work).await
}

async fn tested(tester: &Tester, to: &Email, trail: &Trail) -> Result<TestedMail, ApiError> {
    let mut tested = TestedMail::default();
    let (id, now) = (trail.clock.new_id(), trail.clock.now());
    let sent = tester
        .send(to, id, now, &mut |passed| tested.pass(&passed))
        .await;
    match sent {
        Ok(_) => tested.accepted = true,
        Err(TrialError::Failed(failure)) => tested.fail(*failure),
        Err(error @ TrialError::Unmade(_)) => return Err(ApiError::internal(error)),
    }
    Ok(tested)
}

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The user who has this address, if one has, not to be deleted until the end of the transaction.
fn owner(connection: &mut PgConnection, address: &str) -> Result<Option<Uuid>, DbError> {
    let owner: Option<Owner> = diesel::sql_query(include_str!("sql/owner.sql"))
        .bind::<Text, _>(address)
        .get_result(connection)
        .optional()?;
    Ok(owner.map(|owner| owner.id))
}
