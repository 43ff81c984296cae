//! Which namespaces the operator looks after. Nothing here does I/O.

use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::NamespaceResourceScope,
};

/// The namespaces that the operator looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one.
    All,
    /// These, sorted, each once.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Reads what OLM writes into `WATCH_NAMESPACE`: names separated by commas; empty means all.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut names: Vec<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect();
        names.sort();
        names.dedup();
        if names.is_empty() { Self::All } else { Self::Namespaces(names) }
    }

    /// One entry for each watch that covers the scope: a namespace, or none for all of them.
    pub(crate) fn parts(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }

    /// The API of a kind for each of [`Self::parts`].
    pub(crate) fn apis<K>(&self, client: &Client) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.each(|part| match part {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        })
    }

    /// The same of a kind that is known by name.
    pub(crate) fn dynamic(&self, client: &Client, kind: &ApiResource) -> Vec<(Option<String>, Api<DynamicObject>)> {
        self.each(|part| match part {
            None => Api::all_with(client.clone(), kind),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        })
    }

    fn each<T>(&self, make: impl Fn(Option<&str>) -> T) -> Vec<(Option<String>, T)> {
        let parts = self.parts().into_iter();
        parts.map(|part| (part.clone(), make(part.as_deref()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Scope;

    #[rstest]
    #[case("", &[])]
    #[case(" , ", &[])]
    #[case("a", &["a"])]
    #[case("b, a,b", &["a", "b"])]
    fn a_scope_is_read_as_olm_writes_it(#[case] text: &str, #[case] names: &[&str]) {
        let expected = if names.is_empty() {
            Scope::All
        } else {
            Scope::Namespaces(names.iter().map(ToString::to_string).collect())
        };
        assert_eq!(Scope::parse(text), expected);
    }
}
