#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use maas_core::id::SystemId;
use maas_core::ipam::{AllocType, Holder};
use serde_json::Value;

use crate::http::{
    Access, Api, ApiTitle, Authenticator, Caller, Connection, Identified, Limits, Request, Role,
    UserCaller,
};
use crate::ipam::{Claim, claim_address};
use crate::region::Region;
use crate::store::NewMachine;
use crate::testing::{machine, region};

/// Takes callers at their word.
struct ByHeader;

impl Authenticator<Region> for ByHeader {
    fn identify<'a>(&'a self, _: &'a Region, request: &'a Request, _: Access) -> Identified<'a> {
        let name = request.headers().get("x-caller").unwrap().to_str().unwrap().to_owned();
        let role = if name == "admin" { Role::Admin } else { Role::User };
        async move { Ok(Caller::User(UserCaller { id: 1, name, role })) }.boxed()
    }
}

struct Client {
    api: Api<Region>,
    _dir: tempfile::TempDir,
}

impl Client {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let region = Arc::new(region(dir.path()).await);
        let title =
            ApiTitle { title: "T".to_owned(), version: "1".to_owned(), doc: "D".to_owned() };
        let rows = crate::api::operations();
        let api = Api::new(region, rows, ByHeader, title, Limits::default()).unwrap();
        Self { api, _dir: dir }
    }

    async fn send(
        &self,
        caller: &str,
        method: Method,
        path: &str,
        media_type: &str,
        body: String,
    ) -> (StatusCode, String) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/MAAS/api/2.0/{path}"))
            .header("content-type", media_type)
            .header("x-caller", caller)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.api.call(request, Connection::default()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// As Go's clients send it.
    async fn form(
        &self,
        caller: &str,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(caller, method, path, "application/x-www-form-urlencoded", body).await
    }

    /// As python-libmaas sends it.
    async fn multipart(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (StatusCode, String) {
        use base64::Engine;
        let mut body = String::new();
        for (name, value) in fields {
            let value = base64::prelude::BASE64_STANDARD.encode(value);
            body += &format!(
                "--=B==\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; \
                 name=\"{name}\"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; \
                 charset=\"utf-8\"\r\n\r\n{value}\r\n\r\n"
            );
        }
        body += "--=B==--";
        self.send("admin", method, path, "multipart/form-data; boundary=\"=B==\"", body).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        ok(self.form("admin", Method::POST, path, fields).await)
    }

    async fn put(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let view = ok(self.form("admin", Method::PUT, path, fields).await);
        assert!(view["resource_uri"].is_string(), "every PUT answers with a resource_uri: {view}");
        view
    }

    async fn get(&self, path: &str) -> Value {
        ok(self.form("user", Method::GET, path, &[]).await)
    }

    async fn refused(
        &self,
        status: u16,
        caller: &str,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> String {
        let (found, text) = self.form(caller, method, path, fields).await;
        assert_eq!(found.as_u16(), status, "{path} {fields:?}: {text}");
        text
    }

    async fn gone(&self, path: &str) {
        let (status, text) = self.form("admin", Method::DELETE, path, &[]).await;
        assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        self.refused(404, "user", Method::GET, path, &[]).await;
    }

    async fn machine_holds(&self, number: u8, subnet: u64) -> IpAddr {
        let region = self.api.state();
        let machine = region.store.add(NewMachine::new(machine(number))).await.unwrap();
        let networks = region.ipam.networks(&*region.store).await.unwrap();
        let claim = Claim {
            subnet_id: subnet,
            wanted: None,
            holder: Holder::Link { system_id: machine.system_id, interface: 1, link: 1 },
            alloc_type: AllocType::Auto,
            user: Some("alice".to_owned()),
        };
        claim_address(&*region.store, &networks, claim).await.unwrap().value.ip
    }
}

fn ok((status, text): (StatusCode, String)) -> Value {
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// What gomaasapi's schema asks for, and python-libmaas and gomaasclient decode.
fn is_vlan(view: &Value) {
    for key in ["id", "vid", "mtu", "fabric_id"] {
        assert!(view[key].is_u64(), "{key}: {view}");
    }
    for key in ["resource_uri", "fabric", "name", "space"] {
        assert!(view[key].is_string(), "{key}: {view}");
    }
    assert!(view["dhcp_on"].is_boolean());
    for key in ["primary_rack", "secondary_rack"] {
        assert!(view[key].is_string() || view[key].is_null(), "{key}: {view}");
    }
}

fn is_subnet(view: &Value) {
    for key in ["resource_uri", "name", "space", "cidr"] {
        assert!(view[key].is_string(), "{key}: {view}");
    }
    assert!(view["id"].is_u64() && view["rdns_mode"].is_u64() && view["dns_servers"].is_array());
    for key in ["active_discovery", "allow_dns", "allow_proxy", "managed"] {
        assert!(view[key].is_boolean(), "{key}: {view}");
    }
    is_vlan(&view["vlan"]);
}

#[tokio::test]
async fn fabrics_start_with_the_first_and_carry_their_vlans() {
    let client = Client::new().await;
    let first = client.get("fabrics/0/").await;
    assert_eq!((&first["name"], &first["vlans"][0]["id"]), (&"fabric-0".into(), &5001.into()));
    is_vlan(&first["vlans"][0]);
    assert_eq!(client.get("fabrics/fabric-0/").await, first);

    let made = client.post("fabrics/?op=", &[("name", "east"), ("class_type", "10g")]).await;
    assert_eq!((&made["id"], &made["class_type"]), (&1.into(), &"10g".into()));
    let text = client.refused(400, "admin", Method::POST, "fabrics/", &[("name", "east")]).await;
    assert!(text.contains("already exists"), "{text}");
    let renamed = client.put("fabrics/1/", &[("name", "west"), ("description", "all")]).await;
    assert_eq!((&renamed["name"], &renamed["class_type"]), (&"west".into(), &"10g".into()));
    assert_eq!(client.get("fabrics/").await.as_array().unwrap().len(), 2);
    client.gone("fabrics/1/").await;
    client.refused(409, "admin", Method::DELETE, "fabrics/0/", &[]).await;
}

#[tokio::test]
async fn vlans_are_found_by_tag_and_by_number() {
    let client = Client::new().await;
    client.post("spaces/", &[("name", "dmz")]).await;
    let fields = [("vid", "10"), ("name", "ten"), ("mtu", "9000"), ("space", "dmz")];
    let made = ok(client.multipart(Method::POST, "fabrics/0/vlans/", &fields).await);
    is_vlan(&made);
    assert_eq!(
        (&made["id"], &made["space"], &made["mtu"]),
        (&5002.into(), &"dmz".into(), &9000.into())
    );
    assert_eq!(client.get("fabrics/0/vlans/10/").await, made);
    assert_eq!(client.get("vlans/5002/").await, made);
    for (field, value) in [("vid", "10"), ("vid", "4095"), ("mtu", "100"), ("space", "no")] {
        let fields = [("vid", "11"), (field, value)];
        let text = client.refused(400, "admin", Method::POST, "fabrics/0/vlans/", &fields).await;
        assert!(text.starts_with(&format!("{{\"{field}\"")), "{text}");
    }
    let relayed = client.put("vlans/5002/", &[("relay_vlan", "5001")]).await;
    assert_eq!(relayed["relay_vlan"]["id"], 5001);
    let free = client.put("fabrics/0/vlans/10/", &[("relay_vlan", ""), ("space", "")]).await;
    assert_eq!((&free["relay_vlan"], &free["space"]), (&Value::Null, &"undefined".into()));
    client.refused(400, "admin", Method::PUT, "vlans/5002/", &[("dhcp_on", "true")]).await;
    client.gone("fabrics/0/vlans/10/").await;
    client.refused(409, "admin", Method::DELETE, "vlans/5001/", &[]).await;
}

#[tokio::test]
async fn spaces_include_the_one_of_what_is_in_none() {
    let client = Client::new().await;
    client.post("subnets/", &[("cidr", "10.0.0.0/24")]).await;
    let all = client.get("spaces/").await;
    assert_eq!((&all[0]["id"], &all[0]["name"]), (&(-1).into(), &"undefined".into()));
    is_subnet(&all[0]["subnets"][0]);
    let made = client.post("spaces/", &[("name", "dmz")]).await;
    assert_eq!(made["id"], 1);
    client.put("vlans/5001/", &[("space", "1")]).await;
    let named = client.get("spaces/dmz/").await;
    assert_eq!(named["subnets"][0]["space"], "dmz");
    assert_eq!(client.get("spaces/undefined/").await["subnets"], serde_json::json!([]));
    client.refused(400, "admin", Method::DELETE, "spaces/-1/", &[]).await;
    client.gone("spaces/1/").await;
    assert_eq!(client.get("vlans/5001/").await["space"], "undefined");
}

#[tokio::test]
async fn a_subnet_lives_through_all_its_operations() {
    let client = Client::new().await;
    let fields = [
        ("cidr", "10.0.0.0/24"),
        ("gateway_ip", "10.0.0.1"),
        ("dns_servers", "10.0.0.53 10.0.0.54"),
        ("rdns_mode", "2"),
        ("allow_dns", "true"),
        ("allow_proxy", "False"),
        ("managed", "true"),
    ];
    let made = ok(client.multipart(Method::POST, "subnets/", &fields).await);
    is_subnet(&made);
    assert_eq!((&made["name"], &made["allow_proxy"]), (&"10.0.0.0/24".into(), &false.into()));
    assert_eq!(made["dns_servers"], serde_json::json!(["10.0.0.53", "10.0.0.54"]));
    for specifier in ["1", "cidr:10.0.0.0%2F24", "name:10.0.0.0%2F24", "ip:10.0.0.9"] {
        assert_eq!(client.get(&format!("subnets/{specifier}/")).await, made, "{specifier}");
    }
    for (field, fields) in [
        ("cidr", [("cidr", "10.0.0.0/24"), ("name", "again")]),
        ("cidr", [("cidr", "ten"), ("name", "x")]),
        ("gateway_ip", [("cidr", "10.2.0.0/24"), ("gateway_ip", "10.3.0.1")]),
        ("gateway_ip", [("cidr", "10.2.0.0/24"), ("gateway_ip", "one")]),
        ("vlan", [("cidr", "10.2.0.0/24"), ("vlan", "17")]),
        ("vid", [("cidr", "10.2.0.0/24"), ("vid", "17")]),
        ("rdns_mode", [("cidr", "10.2.0.0/24"), ("rdns_mode", "7")]),
    ] {
        let text = client.refused(400, "admin", Method::POST, "subnets/", &fields).await;
        assert!(text.starts_with(&format!("{{\"{field}\"")), "{text}");
    }
    let ranges = client.get("subnets/1/?op=reserved_ip_ranges").await;
    assert_eq!(ranges[0]["start"], "10.0.0.1");
    assert_eq!(ranges[0]["purpose"], serde_json::json!(["gateway-ip"]));
    assert_eq!(ranges[1]["num_addresses"], 2);
    let address = client.machine_holds(1, 1).await.to_string();
    assert_eq!(address, "10.0.0.2");
    let free = client.get("subnets/1/?op=unreserved_ip_ranges").await;
    assert_eq!((&free[0]["start"], &free[0]["end"]), (&"10.0.0.3".into(), &"10.0.0.52".into()));
    let full =
        client.get("subnets/1/?op=statistics&include_ranges=true&include_suggestions=true").await;
    assert_eq!((&full["num_available"], &full["total_addresses"]), (&250.into(), &254.into()));
    assert_eq!((&full["usage_string"], &full["available_string"]), (&"2%".into(), &"98%".into()));
    assert_eq!((&full["ip_version"], &full["suggested_gateway"]), (&4.into(), &"10.0.0.1".into()));
    assert_eq!(full["suggested_dynamic_range"]["num_addresses"], 200);
    let held = client.get("subnets/1/?op=ip_addresses").await;
    assert_eq!((&held[0]["ip"], &held[0]["user"]), (&"10.0.0.2".into(), &"alice".into()));
    assert_eq!(held[0]["node_summary"]["hostname"], "node1");

    let text = client.refused(409, "admin", Method::DELETE, "subnets/1/", &[]).await;
    assert!(text.contains("machines hold 1"), "{text}");
    client.refused(400, "admin", Method::PUT, "subnets/1/", &[("cidr", "10.0.0.128/25")]).await;
    let id = SystemId::from_entropy(1);
    client.gone(&format!("machines/{id}/")).await;
    assert_eq!(client.get("subnets/1/?op=ip_addresses").await, serde_json::json!([]));
    let renamed = client.put("subnets/1/", &[("name", "lab"), ("gateway_ip", "")]).await;
    assert_eq!((&renamed["name"], &renamed["gateway_ip"]), (&"lab".into(), &Value::Null));
    client.gone("subnets/1/").await;
}

#[tokio::test]
async fn users_keep_ranges_of_their_own_and_dynamic_ones_are_for_administrators() {
    let client = Client::new().await;
    client.post("subnets/", &[("cidr", "10.0.0.0/24")]).await;
    let range = |kind, start, end| [("type", kind), ("start_ip", start), ("end_ip", end)];
    let reserved = range("reserved", "10.0.0.10", "10.0.0.20");
    let made = ok(client.form("user", Method::POST, "ipranges/", &reserved).await);
    assert_eq!((&made["user"]["username"], &made["subnet"]["id"]), (&"user".into(), &1.into()));
    let dynamic = range("dynamic", "10.0.0.100", "10.0.0.200");
    client.refused(403, "user", Method::POST, "ipranges/", &dynamic).await;
    client.post("ipranges/", &dynamic).await;
    let over = range("reserved", "10.0.0.20", "10.0.0.30");
    let text = client.refused(400, "user", Method::POST, "ipranges/", &over).await;
    assert!(text.contains("conflicts with an existing reserved range"), "{text}");
    client
        .refused(400, "admin", Method::POST, "ipranges/", &range("odd", "10.0.0.1", "10.0.0.2"))
        .await;
    client.refused(403, "other", Method::PUT, "ipranges/1/", &[("comment", "mine")]).await;
    client.refused(403, "user", Method::PUT, "ipranges/1/", &[("type", "dynamic")]).await;
    let changed = ok(client.form("user", Method::PUT, "ipranges/1/", &[("comment", "mine")]).await);
    assert_eq!(changed["comment"], "mine");
    client.refused(403, "user", Method::DELETE, "ipranges/2/", &[]).await;

    client.put("vlans/5001/", &[("dhcp_on", "true")]).await;
    client.refused(409, "admin", Method::DELETE, "ipranges/2/", &[]).await;
    client.put("vlans/5001/", &[("dhcp_on", "false")]).await;
    client.gone("ipranges/2/").await;
    assert_eq!(client.get("ipranges/").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn users_reserve_name_and_release_addresses() {
    let client = Client::new().await;
    client.post("subnets/", &[("cidr", "10.0.0.0/29"), ("gateway_ip", "10.0.0.1")]).await;
    let reserve = "ipaddresses/?op=reserve";
    let fields = [("subnet", "10.0.0.0/29"), ("hostname", "printer"), ("mac", "52-54-00-00-00-AA")];
    let made = ok(client.form("user", Method::POST, reserve, &fields).await);
    assert_eq!((&made["ip"], &made["alloc_type"]), (&"10.0.0.2".into(), &4.into()));
    assert_eq!(
        (&made["alloc_type_name"], &made["owner"]["username"]),
        (&"User reserved".into(), &"user".into())
    );
    let named = client.get("dnsresources/?fqdn=printer.maas").await;
    assert_eq!(named[0]["ip_addresses"][0]["ip"], "10.0.0.2");
    for wanted in ["10.0.0.3", "10.0.0.4", "10.0.0.5"] {
        ok(client.form("other", Method::POST, reserve, &[("ip", wanted)]).await);
    }
    client.refused(409, "user", Method::POST, reserve, &[("ip", "10.0.0.4")]).await;
    client.refused(400, "user", Method::POST, reserve, &[("ip", "10.0.0.1")]).await;
    client.refused(400, "user", Method::POST, reserve, &[("ip", "10.9.0.1")]).await;
    client.refused(400, "user", Method::POST, reserve, &[]).await;
    ok(client.form("user", Method::POST, reserve, &[("subnet", "1")]).await);
    let text = client.refused(503, "user", Method::POST, reserve, &[("subnet", "1")]).await;
    assert!(text.contains("no free addresses"), "{text}");

    assert_eq!(client.get("ipaddresses/").await.as_array().unwrap().len(), 2);
    client.refused(403, "user", Method::GET, "ipaddresses/?all=true", &[]).await;
    let all = ok(client.form("admin", Method::GET, "ipaddresses/?all=true", &[]).await);
    assert_eq!(all.as_array().unwrap().len(), 5);
    let one = ok(client.form("admin", Method::GET, "ipaddresses/?all=true&ip=10.0.0.4", &[]).await);
    assert_eq!(one[0]["owner"]["username"], "other");

    client.refused(409, "admin", Method::DELETE, "subnets/1/", &[]).await;
    let release = "ipaddresses/?op=release";
    client.refused(404, "user", Method::POST, release, &[("ip", "10.0.0.4")]).await;
    let forced = [("ip", "10.0.0.4"), ("force", "true")];
    client.refused(403, "user", Method::POST, release, &forced).await;
    for (caller, fields) in [("admin", &forced[..]), ("user", &[("ip", "10.0.0.2")][..])] {
        let (status, _) = client.form(caller, Method::POST, release, fields).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    assert_eq!(client.get("dnsresources/").await, serde_json::json!([]), "its name went along");
    let (status, _) = client.form("admin", Method::DELETE, "subnets/1/?force=true", &[]).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let left = ok(client.form("admin", Method::GET, "ipaddresses/?all=true", &[]).await);
    assert_eq!(left, serde_json::json!([]));
}

#[tokio::test]
async fn reserved_addresses_are_for_one_mac_address() {
    let client = Client::new().await;
    client.post("subnets/", &[("cidr", "10.0.0.0/24")]).await;
    let fields = [("ip", "10.0.0.7"), ("mac_address", "52:54:00:00:00:AA"), ("comment", "c")];
    let made = client.post("reservedips/", &fields).await;
    assert_eq!(
        (&made["mac_address"], &made["subnet"]["id"]),
        (&"52:54:00:00:00:aa".into(), &1.into())
    );
    client.refused(400, "admin", Method::POST, "reservedips/", &fields).await;
    client.refused(400, "admin", Method::POST, "reservedips/", &[("ip", "10.0.0.8")]).await;
    assert_eq!(client.put("reservedips/1/", &[("comment", "d")]).await["comment"], "d");
    client.refused(400, "admin", Method::PUT, "reservedips/1/", &[("ip", "10.0.0.9")]).await;
    let ranges = client.get("subnets/1/?op=reserved_ip_ranges").await;
    assert_eq!(ranges[0]["purpose"], serde_json::json!(["reserved-ip"]));
    assert_eq!(client.get("reservedips/").await.as_array().unwrap().len(), 1);
    client.gone("reservedips/1/").await;
}

#[tokio::test]
async fn static_routes_lead_from_subnet_to_subnet() {
    let client = Client::new().await;
    client.post("subnets/", &[("cidr", "10.0.0.0/24")]).await;
    client.post("subnets/", &[("cidr", "10.1.0.0/24")]).await;
    let fields = [("source", "1"), ("destination", "cidr:10.1.0.0/24"), ("gateway_ip", "10.0.0.1")];
    let made = client.post("static-routes/", &fields).await;
    is_subnet(&made["source"]);
    is_subnet(&made["destination"]);
    assert_eq!((&made["gateway_ip"], &made["metric"]), (&"10.0.0.1".into(), &0.into()));
    client.refused(400, "admin", Method::POST, "static-routes/", &fields).await;
    client
        .refused(400, "admin", Method::PUT, "static-routes/1/", &[("gateway_ip", "10.1.0.1")])
        .await;
    assert_eq!(client.put("static-routes/1/", &[("metric", "100")]).await["metric"], 100);
    assert_eq!(client.get("static-routes/").await.as_array().unwrap().len(), 1);
    client.gone("static-routes/1/").await;
}

#[tokio::test]
async fn domains_take_their_machines_along_and_are_not_lost_under_them() {
    let client = Client::new().await;
    let first = client.get("domains/0/").await;
    for (key, value) in [
        ("name", Value::from("maas")),
        ("authoritative", true.into()),
        ("ttl", Value::Null),
        ("is_default", true.into()),
        ("resource_record_count", 0.into()),
        ("id", 0.into()),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    let lab = client.post("domains/", &[("name", "lab.example"), ("ttl", "60")]).await;
    assert_eq!(
        (&lab["id"], &lab["ttl"], &lab["is_default"]),
        (&1.into(), &60.into(), &false.into())
    );
    client.refused(400, "admin", Method::POST, "domains/", &[("name", "lab.example")]).await;
    client.refused(409, "admin", Method::DELETE, "domains/0/", &[]).await;

    let fields = [
        ("architecture", "amd64"),
        ("mac_addresses", "52:54:00:00:00:01"),
        ("commission", "false"),
    ];
    let known = [&fields[..], &[("hostname", "a.lab.example")]].concat();
    let machine = client.post("machines/", &known).await;
    assert_eq!((&machine["fqdn"], &machine["domain"]["id"]), (&"a.lab.example".into(), &1.into()));
    let unknown = [&fields[..], &[("domain", "nowhere")]].concat();
    let text = client.refused(400, "admin", Method::POST, "machines/", &unknown).await;
    assert!(text.contains("Unable to find domain nowhere"), "{text}");

    client.put("domains/1/", &[("name", "office.example")]).await;
    let uri = format!("machines/{}/", machine["system_id"].as_str().unwrap());
    assert_eq!(client.get(&uri).await["fqdn"], "a.office.example");
    let text = client.refused(409, "admin", Method::DELETE, "domains/1/", &[]).await;
    assert!(text.contains("1 machines"), "{text}");
    client.refused(400, "admin", Method::PUT, &uri, &[("domain", "nowhere")]).await;
    client.put(&uri, &[("domain", "0")]).await;
    assert_eq!(client.get(&uri).await["domain"]["name"], "maas");

    let default = client.post("domains/1/?op=set_default", &[]).await;
    assert_eq!(default["is_default"], true);
    let other = [
        ("architecture", "amd64"),
        ("mac_addresses", "52:54:00:00:00:02"),
        ("commission", "false"),
    ];
    assert_eq!(client.post("machines/", &other).await["domain"]["name"], "office.example");
    client.refused(409, "admin", Method::DELETE, "domains/0/", &[]).await;
    client.put(&uri, &[("domain", "office.example")]).await;
    client.gone("domains/0/").await;
}

#[tokio::test]
async fn names_and_records_are_made_found_and_deleted() {
    let client = Client::new().await;
    let fields = [
        ("name", "www"),
        ("domain", "maas"),
        ("ip_addresses", "10.0.0.5,10.0.0.6"),
        ("address_ttl", "30"),
    ];
    let www = client.post("dnsresources/", &fields).await;
    assert_eq!((&www["fqdn"], &www["address_ttl"]), (&"www.maas".into(), &30.into()));
    assert_eq!(www["ip_addresses"][1]["ip"], "10.0.0.6");
    client.refused(400, "admin", Method::POST, "dnsresources/", &[("fqdn", "www.maas")]).await;
    client.refused(400, "admin", Method::POST, "dnsresources/", &[("fqdn", "www.nowhere")]).await;
    client
        .refused(
            400,
            "admin",
            Method::POST,
            "dnsresources/",
            &[("name", "x"), ("ip_addresses", "y")],
        )
        .await;

    let fields = [("fqdn", "mail.maas"), ("rrtype", "mx"), ("rrdata", "10 mx.example.")];
    let mx = ok(client.multipart(Method::POST, "dnsresourcerecords/", &fields).await);
    assert_eq!(
        (&mx["rrtype"], &mx["fqdn"], &mx["ttl"]),
        (&"MX".into(), &"mail.maas".into(), &Value::Null)
    );
    let address = [("fqdn", "mail.maas"), ("rrtype", "A"), ("rrdata", "10.0.0.5")];
    client.refused(400, "admin", Method::POST, "dnsresourcerecords/", &address).await;
    assert_eq!(client.get("domains/0/").await["resource_record_count"], 3);
    assert_eq!(client.get("dnsresources/?rrtype=MX").await[0]["fqdn"], "mail.maas");
    assert_eq!(client.get("dnsresources/?domain=maas&name=www").await[0]["id"], www["id"]);
    assert_eq!(client.get("dnsresources/?domain=nowhere").await, serde_json::json!([]));
    assert_eq!(client.get("dnsresourcerecords/?fqdn=mail.maas").await[0]["id"], mx["id"]);
    let changed = client.put("dnsresourcerecords/1/", &[("rrdata", "20 mx.example.")]).await;
    assert_eq!(changed["rrdata"], "20 mx.example.");
    let moved =
        client.put("dnsresources/1/", &[("ip_addresses", "10.0.0.7"), ("name", "web")]).await;
    assert_eq!(moved["fqdn"], "web.maas");
    client.gone("dnsresourcerecords/1/").await;
    client.gone("dnsresources/1/").await;
    assert_eq!(client.get("dnsresources/").await, serde_json::json!([]));
}

#[tokio::test]
async fn what_is_not_here_is_an_empty_list_or_gone() {
    let client = Client::new().await;
    for path in [
        "discovery/",
        "discovery/?op=by_unknown_mac",
        "dhcp-snippets/",
        "package-repositories/",
        "notifications/",
        "license-keys/",
    ] {
        assert_eq!(client.get(path).await, serde_json::json!([]), "{path}");
    }
    for path in ["networks/", "pods/", "pods/1/", "vm-hosts/", "vm-clusters/", "virtual-machines/1"]
    {
        client.refused(410, "user", Method::GET, path, &[]).await;
    }
    client.refused(410, "user", Method::POST, "pods/", &[]).await;
}

#[tokio::test]
async fn users_read_everything_and_change_nothing_but_their_own() {
    let client = Client::new().await;
    let own = ["IPRangesHandler", "IPRangeHandler", "IPAddressesHandler"];
    let mut written = 0;
    for row in super::operations() {
        let path = row.path.trim_start_matches("/MAAS/api/2.0/");
        let path = path.replace("{fabric_id}", "0").replace("{vid}", "0").replace("{id}", "1");
        let path = match row.op {
            Some(op) => format!("{path}?op={op}"),
            None => path,
        };
        let (status, text) = client.form("user", row.method.clone(), &path, &[]).await;
        assert!(!status.is_server_error(), "{row:?}: {text}");
        if row.method == Method::GET || own.contains(&row.resource) {
            assert_ne!(status, StatusCode::FORBIDDEN, "{row:?}");
        } else if status != StatusCode::GONE {
            assert_eq!(status, StatusCode::FORBIDDEN, "{row:?}: {text}");
            written += 1;
        }
    }
    assert!(written >= 25, "{written}");
}
