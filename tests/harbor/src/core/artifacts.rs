//! Repositories, artifacts and tags: what was pushed, as the database tells it. The registry alone knows more, and is
//! not asked: what is deleted here is gone, and garbage collection follows.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, LINK};
use hyper::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::accounts;
use super::projects;
use super::session::{Project, Who};
use super::state::{Core, stamp};
use crate::answer::{Answer, Fault, done};

/// A manifest on its way in.
pub(crate) struct Pushed {
    pub(crate) digest: String,
    tag: Option<String>,
    media_type: String,
    /// Digest and size of all that it is made of, itself included.
    pub(crate) blobs: Vec<(String, i64)>,
    /// Digests of the manifests that an index names.
    children: Vec<String>,
}

impl Pushed {
    pub(crate) fn read(body: &[u8], headers: &HeaderMap, reference: &str) -> Result<Self, Fault> {
        let digest = format!("sha256:{}", hex(&Sha256::digest(body)));
        if reference.contains(':') && reference != digest {
            return Err(Fault::bad_request(format!("the digest of the manifest is {digest}, not {reference}")));
        }
        let manifest: Value = serde_json::from_slice(body)
            .map_err(|error| Fault::bad_request(format!("the manifest is no JSON: {error}")))?;
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .or(manifest["mediaType"].as_str())
            .unwrap_or_default()
            .to_owned();
        let mut blobs = vec![(digest.clone(), i64::try_from(body.len()).unwrap_or(i64::MAX))];
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for part in std::iter::once(&manifest["config"]).chain(layers) {
            if let (Some(digest), Some(size)) = (part["digest"].as_str(), part["size"].as_i64())
                && blobs.iter().all(|(held, _)| held != digest)
            {
                blobs.push((digest.to_owned(), size));
            }
        }
        let children = manifest["manifests"].as_array().into_iter().flatten();
        Ok(Self {
            children: children.filter_map(|child| child["digest"].as_str()).map(str::to_owned).collect(),
            digest,
            tag: (!reference.contains(':')).then(|| reference.to_owned()),
            media_type,
            blobs,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes down what the registry has taken.
pub(crate) async fn record(core: &Core, project: &Project, repository: &str, pushed: &Pushed) -> Result<(), Fault> {
    let mut client = core.database().await?;
    let transaction = client.transaction().await?;
    let row = transaction
        .query_one(
            "INSERT INTO repository (name, project_id) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET update_time = CURRENT_TIMESTAMP RETURNING repository_id",
            &[&repository, &project.id],
        )
        .await?;
    let repository: i32 = row.get(0);
    let size: i64 = pushed.blobs.iter().map(|(_, size)| size).sum();
    let row = transaction
        .query_one(
            "INSERT INTO artifact (project_id, repository_id, digest, media_type, size) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (repository_id, digest) DO UPDATE SET push_time = CURRENT_TIMESTAMP RETURNING id",
            &[&project.id, &repository, &pushed.digest, &pushed.media_type, &size],
        )
        .await?;
    let artifact: i32 = row.get(0);
    for (digest, size) in &pushed.blobs {
        transaction
            .execute(
                "WITH one AS (INSERT INTO blob (digest, size) VALUES ($1, $2)
                 ON CONFLICT (digest) DO UPDATE SET update_time = CURRENT_TIMESTAMP RETURNING id)
                 INSERT INTO artifact_blob SELECT $3, id FROM one ON CONFLICT DO NOTHING",
                &[digest, size, &artifact],
            )
            .await?;
    }
    for child in &pushed.children {
        transaction
            .execute("INSERT INTO artifact_reference VALUES ($1, $2) ON CONFLICT DO NOTHING", &[&artifact, child])
            .await?;
    }
    if let Some(tag) = &pushed.tag {
        transaction
            .execute(
                "INSERT INTO tag (repository_id, artifact_id, name) VALUES ($1, $2, $3)
                 ON CONFLICT (repository_id, name) DO UPDATE SET artifact_id = $2, push_time = CURRENT_TIMESTAMP",
                &[&repository, &artifact, tag],
            )
            .await?;
    }
    transaction.commit().await?;
    accounts::settle(core, project.id).await
}

/// The digest of a tag, or of a digest that is known.
pub(crate) async fn digest_of(core: &Core, repository: &str, reference: &str) -> Result<String, Fault> {
    let row = core
        .row(
            "SELECT a.digest FROM artifact a JOIN repository r USING (repository_id)
             LEFT JOIN tag t ON t.artifact_id = a.id AND t.name = $2
             WHERE r.name = $1 AND (a.digest = $2 OR t.name = $2) LIMIT 1",
            &[&repository, &reference],
        )
        .await?;
    row.map(|row| row.get(0)).ok_or_else(|| Fault::not_found(format!("artifact {repository}:{reference} not found")))
}

pub(crate) async fn pulled(core: &Core, repository: &str, digest: &str) -> Result<(), Fault> {
    core.execute(
        "WITH one AS (UPDATE repository SET pull_count = pull_count + 1 WHERE name = $1 RETURNING repository_id)
         UPDATE artifact SET pull_time = CURRENT_TIMESTAMP WHERE digest = $2 AND repository_id = (SELECT repository_id FROM one)",
        &[&repository, &digest],
    )
    .await?;
    Ok(())
}

/// `DELETE /v2/…/manifests/DIGEST`: 202, as the registry answers.
pub(crate) async fn delete(core: &Core, repository: &str, reference: &str) -> Answer {
    remove(core, repository, reference).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn remove(core: &Core, repository: &str, reference: &str) -> Result<(), Fault> {
    let digest = digest_of(core, repository, reference).await?;
    let row = core
        .row(
            "WITH trash AS (INSERT INTO artifact_trash (repository_name, digest) VALUES ($1, $2))
             DELETE FROM artifact WHERE digest = $2 AND repository_id = (SELECT repository_id FROM repository WHERE name = $1)
             RETURNING project_id",
            &[&repository, &digest],
        )
        .await?;
    match row {
        Some(row) => accounts::settle(core, row.get(0)).await,
        None => Ok(()),
    }
}

pub(crate) async fn catalog(core: &Core) -> Answer {
    let names = core.values("SELECT to_jsonb(name) FROM repository ORDER BY name", &[]).await?;
    Ok(Json(json!({"repositories": names})).into_response())
}

pub(crate) async fn tags(core: &Core, repository: &str) -> Answer {
    let tags = core
        .values(
            "SELECT to_jsonb(t.name) FROM tag t JOIN repository r USING (repository_id) WHERE r.name = $1 ORDER BY t.name",
            &[&repository],
        )
        .await?;
    if tags.is_empty() {
        return Err(Fault::not_found(format!("repository {repository} not found")));
    }
    Ok(Json(json!({"name": repository, "tags": tags})).into_response())
}

/// `GET /projects/PROJECT/repositories`.
pub(crate) async fn repositories(
    State(core): State<Arc<Core>>,
    Path(project): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = projects::visible(&core, &who, &headers, &project).await?;
    let text = format!(
        "SELECT jsonb_build_object('id', r.repository_id, 'name', r.name, 'project_id', r.project_id, 'pull_count', r.pull_count,
         'artifact_count', (SELECT count(*) FROM artifact a WHERE a.repository_id = r.repository_id),
         'creation_time', {}, 'update_time', {}) FROM repository r WHERE project_id = $1 ORDER BY name",
        stamp("r.creation_time"),
        stamp("r.update_time")
    );
    paged(core.values(&text, &[&project.id]).await?, &uri)
}

/// `DELETE /projects/PROJECT/repositories/REPOSITORY`.
pub(crate) async fn delete_repository(
    State(core): State<Arc<Core>>,
    Path((project, repository)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = projects::visible(&core, &who, &headers, &project).await?;
    who.must(&core, &project, "repository", "delete").await?;
    let name = full_name(&project, &repository);
    core.execute(
        "INSERT INTO artifact_trash (repository_name, digest) SELECT $1, a.digest FROM artifact a
         JOIN repository r USING (repository_id) WHERE r.name = $1",
        &[&name],
    )
    .await?;
    if core.execute("DELETE FROM repository WHERE name = $1", &[&name]).await? == 0 {
        return Err(Fault::not_found(format!("repository {name} not found")));
    }
    accounts::settle(&core, project.id).await?;
    done()
}

/// `GET /projects/PROJECT/repositories/REPOSITORY/artifacts`.
pub(crate) async fn artifacts(
    State(core): State<Arc<Core>>,
    Path((project, repository)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = projects::visible(&core, &who, &headers, &project).await?;
    let text = format!(
        "SELECT jsonb_build_object('id', a.id, 'digest', a.digest, 'size', a.size, 'project_id', a.project_id,
         'repository_id', a.repository_id, 'manifest_media_type', a.media_type, 'push_time', {}, 'pull_time', {},
         'tags', (SELECT jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name)) FROM tag t WHERE t.artifact_id = a.id))
         FROM artifact a JOIN repository r USING (repository_id) WHERE r.name = $1 ORDER BY a.push_time DESC",
        stamp("a.push_time"),
        stamp("a.pull_time")
    );
    paged(core.values(&text, &[&full_name(&project, &repository)]).await?, &uri)
}

/// `DELETE /projects/PROJECT/repositories/REPOSITORY/artifacts/REFERENCE`.
pub(crate) async fn delete_artifact(
    State(core): State<Arc<Core>>,
    Path((project, repository, reference)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = projects::visible(&core, &who, &headers, &project).await?;
    who.must(&core, &project, "artifact", "delete").await?;
    remove(&core, &full_name(&project, &repository), &reference).await?;
    done()
}

/// A slash in a repository's name comes encoded twice.
fn full_name(project: &Project, repository: &str) -> String {
    let repository = percent_encoding::percent_decode_str(repository).decode_utf8_lossy();
    format!("{}/{repository}", project.name)
}

/// One page of a list, with its total, and the way to its neighbours.
pub(crate) fn paged(values: Vec<Value>, uri: &Uri) -> Answer {
    let number = |name, otherwise| match super::token::parameter(uri, name) {
        None => Ok(otherwise),
        Some(text) => text.parse::<usize>().map_err(|_| Fault::unprocessable(format!("{name} must be a number"))),
    };
    let page = number("page", 1)?.max(1);
    let size = number("page_size", 10)?;
    if size > 100 {
        return Err(Fault::unprocessable("page_size in query should be less than or equal to 100"));
    }
    let size = if size == 0 { values.len().max(1) } else { size };
    let total = values.len();
    let link = links(uri, page, size, total);
    let values: Vec<Value> = values.into_iter().skip((page - 1) * size).take(size).collect();
    let mut response: Response = Json(values).into_response();
    response.headers_mut().insert("x-total-count", total.into());
    if let Some(link) = link.and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// The pages before and after this one, where there are any.
fn links(uri: &Uri, page: usize, size: usize, total: usize) -> Option<String> {
    let others: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("page"))
        .collect();
    let link = |page: usize, relation: &str| {
        let own = [format!("page={page}"), format!("page_size={size}")];
        let query: Vec<&str> = others.iter().copied().chain(own.iter().map(String::as_str)).collect();
        format!("<{}?{}>; rel=\"{relation}\"", uri.path(), query.join("&"))
    };
    let before = (page > 1 && total > 0).then(|| link(page - 1, "prev"));
    let after = (page * size < total).then(|| link(page + 1, "next"));
    let links: Vec<String> = before.into_iter().chain(after).collect();
    (!links.is_empty()).then(|| links.join(" , "))
}
