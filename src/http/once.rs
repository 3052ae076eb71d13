//! What creates or sends is done once: the body, the caller, the `Idempotency-Key` and the route, in one extractor.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    web::{self, Bytes},
};
use deserr::Deserr;
use diesel::PgConnection;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use uuid::Uuid;

use super::{
    error::ApiError,
    extract::{Body, OptionalBody},
    idempotent::{self, Answer, Begun, Scope},
    leased, respond,
};
use crate::{
    model::{caller::Caller, wire::Faults},
    secrets::keys::KeyRing,
    state::State,
};

/// A body that may be acted on once: the whole of it goes into the fingerprint.
pub trait Sent: FromRequest<Error = ApiError> + 'static {
    /// What is read from it.
    type Value;
    /// What was read, and the body as it came.
    fn into_parts(self) -> (Self::Value, Bytes);
}

impl<T: Deserr<Faults> + 'static, const LIMIT: usize> Sent for Body<T, LIMIT> {
    type Value = T;
    fn into_parts(self) -> (T, Bytes) {
        (self.value, self.bytes)
    }
}

impl<T: Deserr<Faults> + Default + 'static> Sent for OptionalBody<T> {
    type Value = T;
    fn into_parts(self) -> (T, Bytes) {
        (self.value, self.bytes)
    }
}

/// A request that is done once: `B` is its body.
pub struct Once<B: Sent> {
    /// What the body says.
    pub value: B::Value,
    /// What a repeat is known by.
    pub key: Key,
}

/// What a repeat is known by: whoever calls, the route, the key and the body.
pub struct Key {
    scope: Option<Scope>,
    body: Bytes,
    keys: Arc<KeyRing>,
    in_turn: bool,
    patient: bool,
}

/// What was done, and how it is answered.
pub struct Done<T> {
    status: u16,
    location: Option<String>,
    value: T,
    /// The user whom the answer tells of.
    about: Option<Uuid>,
    /// Whether something was done, as opposed to found done.
    is_new: bool,
}

impl<T> Done<T> {
    /// 201, and where it is.
    pub fn created(location: String, value: T) -> Self {
        Self {
            status: 201,
            location: Some(location),
            value,
            about: None,
            is_new: true,
        }
    }

    /// 202: it goes on after the answer.
    pub fn accepted(value: T) -> Self {
        Self {
            status: 202,
            location: None,
            value,
            about: None,
            is_new: true,
        }
    }

    /// 200.
    pub fn ok(value: T) -> Self {
        Self {
            status: 200,
            location: None,
            value,
            about: None,
            is_new: true,
        }
    }

    /// 200: it had been done before, by another request.
    pub fn before(value: T) -> Self {
        Self {
            is_new: false,
            ..Self::ok(value)
        }
    }

    /// Says whom the answer tells of: what is kept of it goes with the user.
    pub fn about(self, user: impl Into<Option<Uuid>>) -> Self {
        Self {
            about: user.into(),
            ..self
        }
    }

    /// Says where it is.
    pub fn at(self, location: String) -> Self {
        Self {
            location: Some(location),
            ..self
        }
    }
}

/// The method and the pattern of the path with its ids, each in one spelling: the same key and body for another thing is
/// another request.
pub fn route_of(request: &HttpRequest) -> String {
    let pattern = request
        .match_pattern()
        .unwrap_or_else(|| request.path().to_owned());
    let path = request
        .match_info()
        .iter()
        .fold(pattern, |path, (name, value)| {
            let value =
                Uuid::try_parse(value).map_or_else(|_| value.to_owned(), |id| id.to_string());
            path.replace(&format!("{{{name}}}"), &value)
        });
    format!("{} {path}", request.method())
}

impl<B: Sent> FromRequest for Once<B> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let caller = Caller::extract(&request);
        let body = B::from_request(&request, payload);
        Box::pin(async move {
            let caller = caller.await?;
            let state = request
                .app_data::<web::Data<State>>()
                .ok_or_else(|| ApiError::internal("no state"))?;
            let (value, body) = body.await?.into_parts();
            let keys = Arc::clone(&state.keys);
            let scope = Scope::of(&request, &caller, &route_of(&request), &body, &keys)?;
            Ok(Self {
                value,
                key: Key {
                    scope,
                    body,
                    keys,
                    in_turn: false,
                    patient: false,
                },
            })
        })
    }
}

impl Key {
    /// The same for work that takes turns in the database.
    pub fn in_turn(self) -> Self {
        Self {
            in_turn: true,
            ..self
        }
    }

    /// The same for work whose statements may take long, if it is so large.
    pub fn patient_if(self, is_large: bool) -> Self {
        Self {
            patient: is_large,
            ..self
        }
    }

    /// Does `work` in a transaction, once for the key. Gives the answer and, where it was done just now and not before,
    /// what was done: for what is only true once it is committed.
    ///
    /// # Errors
    /// As [`idempotent::once`].
    pub async fn run<T: Serialize + Send + 'static>(
        self,
        state: &State,
        work: impl FnOnce(&mut PgConnection) -> Result<Done<T>, ApiError> + Send + 'static,
    ) -> Result<(HttpResponse, Option<T>), ApiError> {
        let store = |done: &T| serde_json::to_string(done).map_err(ApiError::internal);
        let (answer, done) = self.run_storing(state, store, work).await?;
        Ok((respond::answer(answer), done))
    }

    /// Does `work`, which takes longer than a transaction may, once for the key: it is held meanwhile. The work goes on
    /// when its client is gone, who may come back for the answer.
    ///
    /// # Errors
    /// As [`idempotent::once`].
    pub async fn run_long<T: Serialize + 'static>(
        self,
        state: &web::Data<State>,
        work: impl Future<Output = Result<Done<T>, ApiError>> + Send + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let mut lease = None;
        if let Some(scope) = self.scope {
            lease = match leased::begin(state, scope, self.body.to_vec()).await? {
                Begun::Done(answer) => return Ok(respond::answer(answer)),
                Begun::Ours(lease) => Some(Arc::new(lease)),
            };
        }
        let state = state.clone();
        let done = tokio::spawn(async move {
            let answered = async {
                let done = work.await?;
                Ok::<_, ApiError>(Answer {
                    status: done.status,
                    location: done.location,
                    body: serde_json::to_string(&done.value).map_err(ApiError::internal)?,
                    about: done.about,
                    replayed: false,
                })
            };
            let Some(lease) = lease else {
                return answered.await;
            };
            let answered = tokio::select! {
                answered = answered => answered,
                never = leased::keep(&state, &lease) => match never {},
            };
            match &answered {
                Ok(answer) => leased::settle(&state, &lease, answer.clone()).await,
                Err(_) => leased::give_back(&state, lease).await,
            }
            answered
        });
        let answer = done.await.map_err(ApiError::internal)??;
        Ok(respond::answer(answer))
    }

    /// The same for an answer that is not stored as it is given: `store` says what is.
    ///
    /// # Errors
    /// As [`idempotent::once`].
    pub async fn run_storing<T: Send + 'static>(
        self,
        state: &State,
        store: impl FnOnce(&T) -> Result<String, ApiError> + Send + 'static,
        work: impl FnOnce(&mut PgConnection) -> Result<Done<T>, ApiError> + Send + 'static,
    ) -> Result<(Answer, Option<T>), ApiError> {
        let now = state.clock.now();
        let Self {
            scope,
            body,
            keys,
            in_turn,
            patient,
        } = self;
        let mut db = state.db.clone();
        if in_turn {
            db = db.in_turn();
        }
        if patient {
            db = db.patient();
        }
        db.transaction(move |connection| {
            let mut made = None;
            let work = |connection: &mut PgConnection| {
                let done = work(connection)?;
                let answer = Answer {
                    status: done.status,
                    location: done.location,
                    body: store(&done.value)?,
                    about: done.about,
                    replayed: false,
                };
                made = Some(done.value).filter(|_| done.is_new);
                Ok::<_, ApiError>(answer)
            };
            let answer = idempotent::once(connection, scope.as_ref(), &body, &keys, now, work)?;
            Ok((answer, made))
        })
        .await
    }
}
