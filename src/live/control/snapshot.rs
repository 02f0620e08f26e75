//! `/_emu/snapshots`: the whole state under a name.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::live::Server;
use crate::live::api;
use crate::live::snapshot::SnapshotError;

use super::handlers::host_failure;
use super::{Answer, ApiFailure, Reply, answered, read};

/// All that is asked by GET.
pub fn routes(get: BoxedFilter<(Server,)>) -> BoxedFilter<(Reply,)> {
    get.and(warp::path("snapshots"))
        .and(warp::path::end())
        .then(|server: Server| async move { answered(server.driver.list_snapshots().await.map_err(failure)) })
        .boxed()
}

/// POST `/_emu/snapshots/{name}/{action}`; `None`: there is no such action.
pub async fn act(server: &Server, name: &str, action: &str, body: &Bytes) -> Option<Reply> {
    match action {
        "save" => Some(answered(save(server, name, body).await)),
        "load" | "delete" if super::parse(body).is_err() => Some(answered(super::parse(body))),
        "load" => Some(answered(load(server, name).await)),
        "delete" => {
            let removed = server.driver.remove_snapshot(name).await;
            Some(answered(removed.map(|()| json!({ "name": name })).map_err(failure)))
        }
        _ => None,
    }
}

async fn save(server: &Server, name: &str, body: &Bytes) -> Answer<api::Snapshot> {
    let asked: api::SaveSnapshot = read(body, r#"send {"force": true}, or nothing"#)?;
    server.driver.save_snapshot(name, asked.force).await.map_err(failure)
}

/// A caller that goes meanwhile must not leave half of it undone.
async fn load(server: &Server, name: &str) -> Answer<api::Snapshot> {
    let (driver, name) = (server.driver.clone(), name.to_owned());
    let loading = tokio::spawn(async move { driver.load_snapshot(&name).await });
    match loading.await {
        Ok(loaded) => loaded.map_err(failure),
        Err(error) => Err(ApiFailure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "snapshot-failed",
            error.to_string(),
        )),
    }
}

fn failure(error: SnapshotError) -> ApiFailure {
    let (status, code) = match &error {
        SnapshotError::BadName(_) => (StatusCode::BAD_REQUEST, "bad-name"),
        SnapshotError::Missing { .. } => (StatusCode::NOT_FOUND, "snapshot-not-found"),
        SnapshotError::Exists(_) => (StatusCode::CONFLICT, "snapshot-exists"),
        SnapshotError::Unusable(..) => (StatusCode::UNPROCESSABLE_ENTITY, "snapshot-unusable"),
        SnapshotError::Store(.., store) => (
            host_failure(crate::live::state::store_error(store.clone())).status,
            "snapshot-failed",
        ),
        SnapshotError::State(_) | SnapshotError::Io(..) => (StatusCode::INTERNAL_SERVER_ERROR, "snapshot-failed"),
    };
    let failure = ApiFailure::new(status, code, error.to_string());
    match error.remedy() {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}
