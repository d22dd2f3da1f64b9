//! The region's settings (`maas/`).

use std::sync::Arc;

use crate::http::{Access, Operation, Param, Problem, Reply, Request, get, post};
use crate::region::Region;
use crate::settings::{self, SettingError, Settings};

const MAAS: &str = "/MAAS/api/2.0/maas/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("MaasHandler", MAAS, "The value of a setting, as a bare JSON value.", read)
            .op("get_config")
            .access(Access::Admin)
            .params(&[Param::required("name", "The setting.")]),
        post("MaasHandler", MAAS, "Changes a setting; it is in force at once.", write)
            .op("set_config")
            .access(Access::Admin)
            .params(&[
                Param::required("name", "The setting."),
                Param::optional("value", "Its value; empty where a text may be."),
            ]),
    ]
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let name = request.fields().required("name")?;
    let settings = Settings::load(&*region.store).await.map_err(Problem::internal)?;
    let value = settings.value(name).map_err(refused)?;
    // Without a charset, as MAAS answers this one.
    Ok(Reply::bytes("application/json", value.to_string()))
}

async fn write(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let name = request.fields().required("name")?;
    let value = request.fields().text("value")?.unwrap_or_default();
    settings::set(&*region.store, name, value).await.map_err(refused)?;
    region.reload_settings().await.map_err(Problem::internal)?;
    Ok(Reply::ok())
}

fn refused(error: SettingError) -> Problem {
    match error {
        SettingError::Value { name, .. } => Problem::field(name, error.to_string()),
        SettingError::Unknown { ref name, .. } => Problem::field(name.clone(), error.to_string()),
        other => Problem::internal(other),
    }
}
