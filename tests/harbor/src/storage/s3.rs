//! A bucket, by S3's API: requests are signed by version 4 of its rules, with the path in the URL.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use aws_lc_rs::hmac;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::overridden;
use crate::client::Client;

const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[derive(Deserialize)]
pub(crate) struct Settings {
    bucket: Option<String>,
    region: Option<String>,
    regionendpoint: Option<String>,
    rootdirectory: Option<String>,
    accesskey: Option<String>,
    secretkey: Option<String>,
}

pub(crate) struct Bucket {
    name: String,
    region: String,
    endpoint: String,
    root: String,
    key: String,
    secret: String,
    client: Client,
}

impl Bucket {
    pub(crate) fn new(settings: Settings, client: Client) -> Result<Self> {
        let region =
            overridden("REGISTRY_STORAGE_S3_REGION", settings.region)?.context("storage.s3.region is missing")?;
        let endpoint = overridden("REGISTRY_STORAGE_S3_REGIONENDPOINT", settings.regionendpoint)?;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
        let root = overridden("REGISTRY_STORAGE_S3_ROOTDIRECTORY", settings.rootdirectory)?.unwrap_or_default();
        let missing = "the keys are missing: REGISTRY_STORAGE_S3_ACCESSKEY and REGISTRY_STORAGE_S3_SECRETKEY";
        Ok(Self {
            name: overridden("REGISTRY_STORAGE_S3_BUCKET", settings.bucket)?.context("storage.s3.bucket is missing")?,
            region,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            root: root.trim_matches('/').to_owned(),
            key: overridden("REGISTRY_STORAGE_S3_ACCESSKEY", settings.accesskey)?.context(missing)?,
            secret: overridden("REGISTRY_STORAGE_S3_SECRETKEY", settings.secretkey)?.context(missing)?,
            client,
        })
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<bool> {
        let keys = self.list(&format!("{}/", self.below(path)), 1000).await?;
        for key in &keys {
            let (status, body) = self.send(Method::DELETE, key, &[]).await?;
            if !status.is_success() {
                bail!("deleting {key}: {status} {body}");
            }
        }
        Ok(!keys.is_empty())
    }

    fn below(&self, path: &str) -> String {
        if self.root.is_empty() { path.to_owned() } else { format!("{}/{path}", self.root) }
    }

    async fn list(&self, prefix: &str, at_most: u32) -> Result<Vec<String>> {
        let at_most = at_most.to_string();
        let query = [("list-type", "2"), ("max-keys", &at_most), ("prefix", prefix)];
        let (status, body) = self.send(Method::GET, "", &query).await?;
        if status != StatusCode::OK {
            bail!("bucket {} at {}: {status} {body}", self.name, self.endpoint);
        }
        let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        Ok(keys.map(|(key, _)| key.replace("&amp;", "&")).collect())
    }

    async fn send(&self, method: Method, key: &str, query: &[(&str, &str)]) -> Result<(StatusCode, String)> {
        let encode = |text: &str| utf8_percent_encode(text, &PLAIN).to_string();
        let path: Vec<String> = key.split('/').map(encode).collect();
        let path = format!("/{}/{}", self.name, path.join("/"));
        let path = path.trim_end_matches('/').to_owned();
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = query.join("&");
        let uri: Uri = format!("{}{path}?{query}", self.endpoint).parse()?;
        let host = uri.authority().context("storage.s3.regionendpoint has no host")?.to_string();
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &stamp[..8];
        let asked = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{stamp}\n\n\
             host;x-amz-content-sha256;x-amz-date\n{EMPTY}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(&asked)));
        let mut signing = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, &self.region, "s3", "aws4_request", &to_sign] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &signing);
            signing = hmac::sign(&key, part.as_bytes()).as_ref().to_vec();
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
            self.key,
            hex(&signing)
        );
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", host)
            .header("x-amz-content-sha256", EMPTY)
            .header("x-amz-date", stamp)
            .header("authorization", authorization)
            .body(Body::empty())?;
        let answer = self.client.send(request).await.with_context(|| self.endpoint.clone())?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
