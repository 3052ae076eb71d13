//! The id of the request that is being answered.

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered; `-` outside of one.
pub fn current() -> String {
    REQUEST_ID
        .try_with(Clone::clone)
        .unwrap_or_else(|_| "-".to_owned())
}

/// Answers a request under its id.
pub async fn scope<F: Future>(id: String, work: F) -> F::Output {
    REQUEST_ID.scope(id, work).await
}

/// The same for what does not wait.
pub fn sync_scope<T>(id: String, work: impl FnOnce() -> T) -> T {
    REQUEST_ID.sync_scope(id, work)
}
