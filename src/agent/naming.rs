//! What the operator's names in a configuration mean to its user: `loadbalancer::names` makes them. Pure.

use super::change::FileMap;

/// The frontend of the agent's own, which is no listener.
const HEALTH: &str = "fairway-health";

/// The listener that a frontend is.
#[must_use]
pub fn listener(frontend: &str) -> Option<&str> {
    (frontend != HEALTH).then_some(frontend)
}

/// The pool and the mode of a backend. A pool that listeners of HTTP and of bytes use has two.
#[must_use]
pub fn pool(backend: &str) -> (&str, &'static str) {
    if let Some(pool) = backend.strip_suffix(".http") {
        (pool, "http")
    } else if let Some(pool) = backend.strip_suffix(".tcp") {
        (pool, "tcp")
    } else {
        (backend, "")
    }
}

/// The Secret of a certificate's file.
#[must_use]
pub fn secret(file: &str) -> Option<&str> {
    file.strip_prefix("certificate-")?.strip_suffix(".pem")
}

/// The listeners that serve with certificates, each with the names of their files.
pub fn certificates(files: &FileMap) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
    files.iter().filter_map(|(name, list)| {
        let listener = name.strip_prefix("certificates-")?.strip_suffix(".list")?;
        Some((listener, list.lines().filter_map(|line| line.split_ascii_whitespace().next())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something() {
        assert_eq!([listener("web"), listener(HEALTH)], [Some("web"), None]);
        assert_eq!([pool("a.http"), pool("a.tcp"), pool("a")], [("a", "http"), ("a", "tcp"), ("a", "")]);
        assert_eq!([secret("certificate-a.b.pem"), secret("authorities-a.pem")], [Some("a.b"), None]);
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = [file("certificates-web.list", "a.pem [alpn h2]\n\nb.pem\n"), file("haproxy.cfg", "c.pem")].into();
        let found: Vec<_> = certificates(&files).map(|(name, files)| (name, files.collect::<Vec<_>>())).collect();
        assert_eq!(found, [("web", vec!["a.pem", "b.pem"])]);
    }
}
