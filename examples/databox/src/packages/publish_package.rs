//! Offer a package.

use annals::access::Right;
use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Kind, Package, PackageError, PackageEvent, PackageId};

/// Offer an app or a driver
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PublishPackage {
    /// The package
    #[on(Package)]
    #[schemars(example = &"hearth/thermostat")]
    pub package: PackageId,
    /// App or driver
    pub kind: Kind,
    /// The description of the package
    #[schemars(example = &"Reads the thermostat")]
    pub summary: String,
    /// The rights that it asks for
    pub asks: Vec<Right>,
    /// The hosts that it sends data to
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Handle for PublishPackage {
    fn handle(&self, package: &Loaded<Package>, _: &Context) -> Result<Vec<PackageEvent>, PackageError> {
        if self.summary.trim().is_empty() {
            return Err(PackageError::BlankSummary);
        }
        if package.exists() {
            return Err(PackageError::Exists(self.package.clone()));
        }
        let Self { kind, summary, asks, hosts, .. } = self.clone();
        Ok(vec![PackageEvent::Published { kind, summary, asks, hosts }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::UserId;

    #[test]
    fn a_package_is_published_once_and_says_what_it_does() {
        let (package, summary) = (PackageId::new("hearth/thermostat"), "Reads the thermostat".to_owned());
        let publish = PublishPackage { package, kind: Kind::Driver, summary, asks: Vec::new(), hosts: Vec::new() };
        let PublishPackage { kind, summary, asks, hosts, .. } = publish.clone();
        let published = PackageEvent::Published { kind, summary, asks, hosts };
        let context = || Context::by(UserId::new("ann"));
        nothing().when(publish.clone(), context()).then(vec![published.clone()]);
        nothing()
            .when(PublishPackage { summary: " ".to_owned(), ..publish.clone() }, context())
            .then_refused(PackageError::BlankSummary);
        given::<Package>(&publish.package, [published])
            .when(publish.clone(), context())
            .then_refused(PackageError::Exists(publish.package));
    }
}
