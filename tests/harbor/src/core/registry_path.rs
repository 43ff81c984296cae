//! The paths of the registry's API.

/// What a path under `/v2/` is about.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum RegistryPath<'a> {
    /// `/v2/`: is the API there, and who am I?
    Root,
    Catalog,
    Tags {
        repository: &'a str,
    },
    Manifest {
        repository: &'a str,
        reference: &'a str,
    },
    /// A blob, an upload of one, or what refers to a manifest.
    Other {
        repository: &'a str,
        upload: bool,
    },
}

impl<'a> RegistryPath<'a> {
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        if matches!(rest, "" | "/") {
            return Some(Self::Root);
        }
        let rest = rest.strip_prefix('/')?;
        if rest == "_catalog" {
            return Some(Self::Catalog);
        }
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository });
        }
        if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
            let whole = !reference.is_empty() && !reference.contains('/');
            return whole.then_some(Self::Manifest { repository, reference });
        }
        if let Some((repository, _)) = rest.rsplit_once("/blobs/uploads/") {
            return Some(Self::Other { repository, upload: true });
        }
        let (repository, _) = rest.rsplit_once("/blobs/").or_else(|| rest.rsplit_once("/referrers/"))?;
        Some(Self::Other { repository, upload: rest.ends_with("/uploads") })
    }

    pub(crate) fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Root | Self::Catalog => None,
            Self::Tags { repository } | Self::Manifest { repository, .. } | Self::Other { repository, .. } => {
                Some(repository)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RegistryPath;

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(RegistryPath::parse("/v2/"), Some(RegistryPath::Root));
        assert_eq!(RegistryPath::parse("/v2/_catalog"), Some(RegistryPath::Catalog));
        assert_eq!(RegistryPath::parse("/v2/a/b/tags/list"), Some(RegistryPath::Tags { repository: "a/b" }));
        let manifest = RegistryPath::Manifest { repository: "a/b/c", reference: "sha256:0" };
        assert_eq!(RegistryPath::parse("/v2/a/b/c/manifests/sha256:0"), Some(manifest));
        let upload = RegistryPath::Other { repository: "a/b", upload: true };
        assert_eq!(RegistryPath::parse("/v2/a/b/blobs/uploads/"), Some(upload));
        assert_eq!(RegistryPath::parse("/v2/nothing"), None);
    }
}
