//! Watches: what changed since a version, as it changes.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    ApiServer, Request, Response,
    store::Moved,
    verbs::{selected, shown, within},
};

/// How often a quiet watch is told where it stands.
const BOOKMARKS: Duration = Duration::from_mins(1);

struct Watch {
    server: ApiServer,
    moved: tokio::sync::watch::Receiver<u64>,
    request: Request,
    position: u64,
    cuts: u64,
    until: Instant,
    over: bool,
}

pub(super) fn answer(server: &ApiServer, request: &Request) -> Response {
    let number = |name: &str| request.query.get(name).and_then(|text| text.parse::<u64>().ok());
    let seconds = number("timeoutSeconds").unwrap_or(1800);
    let watch = Watch {
        moved: server.moved.subscribe(),
        request: request.clone(),
        position: number("resourceVersion").unwrap_or(0),
        cuts: server.store().cuts,
        until: Instant::now() + Duration::from_secs(seconds),
        over: false,
        server: server.clone(),
    };
    let lines = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
    let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{line}\n")))));
    http::Response::new(StreamBody::new(frames.boxed()))
}

impl Watch {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if self.over {
                return None;
            }
            let bookmark = (Instant::now() + BOOKMARKS).min(self.until);
            self.moved.borrow_and_update();
            if let Some(line) = self.line() {
                return line;
            }
            tokio::select! {
                _ = self.moved.changed() => {}
                () = sleep_until(bookmark) => {
                    if Instant::now() >= self.until {
                        return None;
                    }
                    return Some(self.bookmark());
                }
            }
        }
    }

    /// The next line, `Some(None)` at the end, or none if there is nothing to tell.
    #[allow(clippy::option_option, reason = "waiting, ending and telling are three things")]
    fn line(&mut self) -> Option<Option<Value>> {
        let store = self.server.store();
        if self.position < store.oldest {
            self.over = true;
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
                "reason": "Expired", "message": format!("too old resource version: {}", self.position)});
            return Some(Some(json!({"type": "ERROR", "object": status})));
        }
        if self.cuts != store.cuts {
            return Some(None);
        }
        if store.held {
            return None;
        }
        let since = self.position;
        for moved in store.history.iter().filter(|moved| moved.version > since) {
            self.position = moved.version;
            if let Some(event) = told(&self.request, moved) {
                return Some(Some(event));
            }
        }
        None
    }

    fn bookmark(&self) -> Value {
        let version = if self.server.store().held { self.position } else { self.server.store().version };
        let object = json!({"apiVersion": self.request.api_version(), "kind": "Bookmark",
            "metadata": {"resourceVersion": version.to_string()}});
        json!({"type": "BOOKMARK", "object": object})
    }
}

/// A change as seen through the request's selectors.
fn told(request: &Request, moved: &Moved) -> Option<Value> {
    let (group, plural, namespace, _) = &moved.id;
    if !within(request, group, plural, namespace) {
        return None;
    }
    let seen = |object: &Option<Value>| object.as_ref().is_some_and(|object| selected(request, object));
    let (kind, object) = match (seen(&moved.before), seen(&moved.after)) {
        (false, false) => return None,
        (false, true) => ("ADDED", moved.after.clone()?),
        (true, true) => ("MODIFIED", moved.after.clone()?),
        (true, false) => ("DELETED", moved.before.clone()?),
    };
    let mut object = shown(&object, request);
    object["metadata"]["resourceVersion"] = json!(moved.version.to_string());
    Some(json!({"type": kind, "object": object}))
}
