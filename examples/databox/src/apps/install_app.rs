//! Install an app or a driver.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::app::ensure_named;
use super::{App, AppError, AppEvent, AppId};
use crate::packages::{Package, PackageEvent, PackageId};

/// Install an app or a driver from a package
///
/// It may do nothing before the owner approves what it asks for.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstallApp {
    /// The name that it gets in this box
    #[on(App)]
    #[serde(deserialize_with = "super::app::named")]
    #[schemars(with = "String", example = &"comfort")]
    pub app: AppId,
    /// The package
    #[on(Package)]
    #[schemars(example = &"hearth/comfort")]
    pub package: PackageId,
}

impl Handle for InstallApp {
    fn handle(
        &self,
        (app, package): (&Loaded<App>, &Loaded<Package>),
        _: &Context,
    ) -> Result<(Vec<AppEvent>, Vec<PackageEvent>), AppError> {
        ensure_named(app.id())?;
        if super::app::installed(app).is_ok() {
            return Err(AppError::Installed(self.app.clone()));
        }
        let kind = package.kind.ok_or_else(|| AppError::NotPublished(self.package.clone()))?;
        let (package, hosts) = (self.package.clone(), package.hosts.clone());
        Ok((vec![AppEvent::Installed { package, kind, hosts }], Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::app::examples::{comfort, context, installed, published};
    use super::*;

    #[test]
    fn an_app_is_installed_once_from_a_published_package() {
        let (app, package) = comfort();
        let install = InstallApp { app: app.clone(), package: package.clone() };
        let shop = || given::<Package>(&package, [published()]);
        shop().when(install.clone(), context()).then((vec![installed()], Vec::new()));
        nothing().when(install.clone(), context()).then_refused(AppError::NotPublished(package.clone()));
        shop()
            .and::<App>(&app, [installed()])
            .when(install.clone(), context())
            .then_refused(AppError::Installed(app.clone()));
        shop()
            .and::<App>(&app, [installed(), AppEvent::Uninstalled])
            .when(install, context())
            .then((vec![installed()], Vec::new()));
    }

    /// Mission D13.
    #[test]
    fn a_blank_name_is_refused_in_all_its_forms() {
        for blank in ["", " ", "\t", "app:", "app: "] {
            let install: InstallApp =
                serde_json::from_value(serde_json::json!({ "app": blank, "package": comfort().1 })).unwrap();
            nothing().when(install, context()).then_refused(AppError::BlankName);
        }
    }
}
