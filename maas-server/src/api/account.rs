//! A user's own API keys, and the login that makes one.

use std::sync::Arc;

use maas_core::secret::Secret;
use serde_json::{Value, json};

use crate::accounts;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, get, post};
use crate::region::Region;
use crate::store::ApiKey;

const ACCOUNT: &str = "/MAAS/api/2.0/account/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("AccountHandler", ACCOUNT, "Makes an API key.", create_token)
            .op("create_authorisation_token")
            .params(&[Param::optional("name", "What to call it.")]),
        post("AccountHandler", ACCOUNT, "Deletes an API key.", delete_token)
            .op("delete_authorisation_token")
            .params(&[Param::required("token_key", "The key's middle part.")]),
        post("AccountHandler", ACCOUNT, "Renames an API key.", rename_token)
            .op("update_token_name")
            .params(&[
                Param::required("token", "The whole key or its middle part."),
                Param::required("name", "What to call it."),
            ]),
        get("AccountHandler", ACCOUNT, "The caller's API keys.", list_tokens)
            .op("list_authorisation_tokens"),
        post(
            "Authenticate",
            "/MAAS/accounts/authenticate/",
            "An API key for a user name and a password.",
            authenticate,
        )
        .access(Access::Anonymous)
        .params(&[
            Param::required("username", "The user's name."),
            Param::required("password", "The user's password."),
            Param::optional("consumer", "What to call the key; the same name gives the same key."),
        ]),
    ]
}

async fn create_token(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let user = super::actor(&request)?.username;
    let name = request.fields().filled("name")?.unwrap_or("MAAS consumer");
    let key = accounts::new_api_key(&*region.store, &user, name).await;
    Reply::json(&view(&key.map_err(Problem::internal)?))
}

async fn delete_token(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let key = own(&region, &request, request.fields().required("token_key")?).await?;
    region.store.delete_api_key(&key.token_key).await.map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

async fn rename_token(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let token = request.fields().required("token")?;
    let token_key = token.split(':').nth(1).unwrap_or(token);
    let key = own(&region, &request, token_key).await?;
    let name = request.fields().required("name")?;
    region.store.rename_api_key(&key.token_key, name).await.map_err(Problem::internal)?;
    Ok(Reply::text("Accepted").status(::http::StatusCode::ACCEPTED))
}

async fn list_tokens(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let user = super::actor(&request)?.username;
    let keys = region.store.api_keys(&user).await.map_err(Problem::internal)?;
    let views: Vec<Value> = keys
        .iter()
        .map(|key| json!({"name": key.name, "token": accounts::api_key_text(key)}))
        .collect();
    Reply::json(&views)
}

async fn authenticate(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let username = fields.required("username")?;
    let password = Secret::new(fields.required("password")?.to_owned());
    let name = fields.filled("consumer")?.unwrap_or("MAAS consumer");
    let user = accounts::with_password(&*region.store, username, password)
        .await
        .map_err(Problem::internal)?
        .ok_or_else(|| Problem::Forbidden("Wrong user name or password.".to_owned()))?;
    let keys = region.store.api_keys(&user.username).await.map_err(Problem::internal)?;
    let key = match keys.into_iter().find(|key| key.name == name) {
        Some(key) => key,
        None => accounts::new_api_key(&*region.store, &user.username, name)
            .await
            .map_err(Problem::internal)?,
    };
    Reply::json(&view(&key))
}

/// A key of the caller's own.
async fn own(region: &Region, request: &Request, token_key: &str) -> Result<ApiKey, Problem> {
    let user = super::actor(request)?.username;
    let key = region.store.api_key(token_key).await.map_err(Problem::internal)?;
    key.filter(|key| key.username == user)
        .ok_or_else(|| Problem::not_found("No Token matches the given query."))
}

fn view(key: &ApiKey) -> Value {
    json!({
        "consumer_key": key.consumer_key, "token_key": key.token_key,
        "token_secret": key.token_secret.expose(), "name": key.name,
    })
}
