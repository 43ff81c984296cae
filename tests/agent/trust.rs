//! Who is let in: certificates of the authority, for the right purpose and name, through a rotation.

use std::{io, sync::Arc};

use fairway::{
    agent::protocol::{OPERATOR_NAME, agent_name},
    authority::{AuthorityHandle, AuthoritySet, Identity},
    clients::agent::{AgentClient, AgentError},
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::pod::{Pod, eventually};

/// Asks for a report with any client certificate; the first line of the answer.
async fn ask(pod: &Pod, identity: Option<&Identity>) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    let bundle = pod.authority.borrow().bundle();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).flatten().collect();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    let stream = TcpStream::connect((pod.address, pod.agent_port)).await?;
    let name = ServerName::try_from(pod.name.clone()).expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET /v1/report HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if answer.is_empty() => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// A client certificate of the pod's own authority, with another name.
fn client_named(set: &AuthoritySet, names: &[&str]) -> Identity {
    let kept: serde_json::Value = serde_json::from_slice(&set.to_data()["authority.json"]).expect("JSON");
    let text = |name: &str| kept["authorities"][0][name].as_str().expect("a text").to_owned();
    let issuer = Issuer::from_ca_cert_pem(&text("certificate"), KeyPair::from_pem(&text("key")).expect("a key"));
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = parameters.signed_by(&key, &issuer.expect("an issuer")).expect("signed").pem();
    Identity { certificate, key: key.serialize_pem(), bundle: set.bundle() }
}

#[tokio::test]
async fn only_the_operator_is_let_in() {
    let pod = Pod::running().await;
    let now = Timestamp::now();
    let set = pod.authority.borrow().clone();
    let other = AuthoritySet::first(now).expect("made");
    let operator = set.issue_operator(now).expect("issued");
    assert_eq!(ask(&pod, Some(&operator)).await.expect("let in"), "HTTP/1.1 200 OK");
    let named = client_named(&set, &["x.example", OPERATOR_NAME]);
    assert_eq!(ask(&pod, Some(&named)).await.expect("let in"), "HTTP/1.1 200 OK");
    let strangers = [
        ("no certificate", None),
        ("another authority", Some(other.issue_operator(now).expect("issued"))),
        ("an agent", Some(set.issue_agent("team", "web", now).expect("issued"))),
        ("another name", Some(client_named(&set, &["evil.example"]))),
        ("no name", Some(client_named(&set, &[]))),
        ("an expired one", Some(set.issue_operator(now - SignedDuration::from_hours(31 * 24)).expect("issued"))),
    ];
    for (who, identity) in strangers {
        let answer = ask(&pod, identity.as_ref()).await;
        assert!(!answer.as_ref().is_ok_and(|answer| !answer.is_empty()), "{who}: {answer:?}");
    }
    assert!(pod.push(&pod.says(2, "two")).await.is_ok());
}

#[tokio::test]
async fn the_operator_knows_its_agents() {
    let pod = Pod::running().await;
    let name = agent_name("team", "other");
    let error = pod.client.report(pod.address, &name).await.expect_err("it is another load balancer's");
    assert!(matches!(error, AgentError::Untrusted { .. }), "{error}");
    let (_keep, handle) = AuthorityHandle::channel(AuthoritySet::first(Timestamp::now()).expect("made"));
    let stranger = AgentClient::with_port(handle, pod.agent_port);
    let error = stranger.report(pod.address, &pod.name).await.expect_err("it has another authority");
    assert!(matches!(error, AgentError::Untrusted { .. }), "{error}");
    let nobody = AgentClient::with_port(pod_handle(&pod), pod.spare_port);
    let error = nobody.report(pod.address, &pod.name).await.expect_err("nobody listens");
    assert!(matches!(error, AgentError::Unreachable { .. }), "{error}");
}

fn pod_handle(pod: &Pod) -> AuthorityHandle {
    AuthorityHandle::channel((**pod.authority.borrow()).clone()).1
}

#[tokio::test]
async fn a_rotation_is_lived_through_without_a_restart() {
    let pod = Pod::running().await;
    let now = Timestamp::now();
    let hours = SignedDuration::from_hours;
    // The first authority is old enough for a next one, which has been there for 25 hours and signs.
    let first = AuthoritySet::first(now - hours(500 * 24)).expect("made");
    let both = first.renewed(now - hours(25)).expect("made").expect("due");
    let second = both.renewed(now + hours(300 * 24)).expect("dropped").expect("the first has expired");
    let publish = |set: &AuthoritySet| drop(pod.authority.send_replace(Arc::new(set.clone())));
    let mount = |set: &AuthoritySet, at: Timestamp| {
        pod.mount("identity", &set.issue_agent("team", "web", at).expect("issued").to_data());
    };
    let trusted = async || pod.client.report(pod.address, &pod.name).await.ok().map(|_| ());

    publish(&first);
    mount(&first, now);
    eventually("the first authority", trusted).await;
    // Without the overlap: an agent that knows the first alone refuses what the second has signed.
    publish(&both);
    let error = pod.client.report(pod.address, &pod.name).await.expect_err("it does not know the second");
    assert!(matches!(error, AgentError::Untrusted { .. }), "{error}");
    // In the overlap the bundle holds both, and the first still signs.
    mount(&both, now - hours(2));
    eventually("the overlap", trusted).await;
    mount(&both, now);
    eventually("an agent's certificate by the second", trusted).await;
    publish(&second);
    eventually("the first is forgotten by the operator", trusted).await;
    mount(&second, now);
    eventually("the first is forgotten by the agent", trusted).await;
    assert!(pod.push(&pod.says(2, "two")).await.is_ok());
    assert_eq!(pod.agent.starts(), 1);
}

#[tokio::test]
async fn an_agent_without_an_identity_waits_for_it() {
    let mut pod = Pod::new();
    let identity = pod.authority.borrow().issue_agent("team", "web", Timestamp::now()).expect("issued");
    pod.mount("identity", &[("tls.crt".to_owned(), Vec::new())].into());
    pod.mount_configuration(&pod.says(1, "one"));
    pod.start_haproxy();
    pod.start_agent();
    let web = pod.web();
    eventually("it runs", async || crate::web::get(web, "/").await.ok()).await;
    assert!(pod.client.report(pod.address, &pod.name).await.is_err());
    pod.mount("identity", &identity.to_data());
    pod.report_with(|report| report.proven.is_some()).await;
}
