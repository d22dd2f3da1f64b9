//! Domains and DNS records as data.

use std::net::IpAddr;

use super::Table;
use super::fabric::found;
use super::model::{DnsRecord, DnsResource, Domain, Networks, RecordType};
use super::refusal::Refusal;

/// The longest time to live in seconds: a week, as in MAAS.
pub const MAX_TTL: u32 = 604_800;

/// The most addresses of one name.
const MOST_ADDRESSES: usize = 256;

/// The longest data of a record in bytes.
const LONGEST_DATA: usize = 4096;

impl Networks {
    /// All domains.
    #[must_use]
    pub const fn domains(&self) -> &Table<Domain> {
        &self.dns.domains
    }

    /// All names with addresses or records.
    #[must_use]
    pub const fn dns_resources(&self) -> &Table<DnsResource> {
        &self.dns.resources
    }

    /// All records that are no addresses.
    #[must_use]
    pub const fn dns_records(&self) -> &Table<DnsRecord> {
        &self.dns.records
    }

    /// The domain that machines get when none is named.
    #[must_use]
    pub const fn default_domain(&self) -> u64 {
        self.dns.default_domain
    }

    /// The name of the domain that machines get when none is named.
    #[must_use]
    pub fn default_domain_name(&self) -> &str {
        self.dns.domains.get(self.dns.default_domain).map_or("maas", |domain| &domain.name)
    }

    /// The domain with this name, in any case, or this number.
    #[must_use]
    pub fn domain_named(&self, text: &str) -> Option<u64> {
        let text = text.trim_end_matches('.');
        let by_name =
            self.dns.domains.iter().find(|(_, domain)| domain.name.eq_ignore_ascii_case(text));
        let by_id = || text.parse().ok().filter(|id| self.dns.domains.get(*id).is_some());
        by_name.map(|(id, _)| id).or_else(by_id)
    }

    /// A full name split into the name in the longest domain that fits, and that domain.
    #[must_use]
    pub fn split_fqdn<'a>(&self, fqdn: &'a str) -> Option<(&'a str, u64)> {
        let fqdn = fqdn.trim_end_matches('.');
        let fits = |domain: &Domain| {
            if fqdn.eq_ignore_ascii_case(&domain.name) {
                return Some("@");
            }
            let at = fqdn.len().checked_sub(domain.name.len())?;
            let (host, rest) = (fqdn.get(..at)?, fqdn.get(at..)?);
            rest.eq_ignore_ascii_case(&domain.name).then_some(())?;
            host.strip_suffix('.')
        };
        self.dns
            .domains
            .iter()
            .filter_map(|(id, domain)| Some((fits(domain)?, id, domain.name.len())))
            .max_by_key(|(_, _, length)| *length)
            .map(|(host, id, _)| (host, id))
    }

    /// How many records a domain publishes: addresses and others. Those of machines are not among
    /// them.
    #[must_use]
    pub fn record_count(&self, domain_id: u64) -> usize {
        let addresses: usize = self
            .dns
            .resources
            .iter()
            .filter(|(_, resource)| resource.domain_id == domain_id)
            .map(|(_, resource)| resource.ip_addresses.len())
            .sum();
        let of_domain = |record: &DnsRecord| {
            self.dns.resources.get(record.resource_id).is_some_and(|it| it.domain_id == domain_id)
        };
        addresses + self.dns.records.iter().filter(|(_, record)| of_domain(record)).count()
    }

    /// The records of a name.
    pub fn records_of(&self, resource_id: u64) -> impl Iterator<Item = (u64, &DnsRecord)> {
        self.dns.records.iter().filter(move |(_, record)| record.resource_id == resource_id)
    }

    /// `name.domain` of a name.
    #[must_use]
    pub fn fqdn(&self, resource: &DnsResource) -> String {
        let domain = self.dns.domains.get(resource.domain_id).map_or("", |it| &it.name);
        if resource.name == "@" { domain.to_owned() } else { format!("{}.{domain}", resource.name) }
    }

    /// Adds a domain.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a name that is taken or none, and for a time to live out of range.
    pub fn add_domain(&mut self, domain: Domain) -> Result<u64, Refusal> {
        self.check_domain(None, &domain)?;
        Ok(self.dns.domains.push(domain))
    }

    /// Replaces a domain.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_domain`]; [`Refusal::NotFound`].
    pub fn set_domain(&mut self, id: u64, domain: Domain) -> Result<(), Refusal> {
        self.check_domain(Some(id), &domain)?;
        found(self.dns.domains.set(id, domain), "Domain")
    }

    /// Makes a domain the one that machines get when none is named.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn set_default_domain(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.dns.domains.get(id).is_some(), "Domain")?;
        self.dns.default_domain = id;
        Ok(())
    }

    /// Removes a domain.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] for the default one and for one with names; [`Refusal::NotFound`].
    pub fn remove_domain(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.dns.domains.get(id).is_some(), "Domain")?;
        if id == self.dns.default_domain {
            return Err(Refusal::in_use(
                "This domain is the default domain, it cannot be deleted.",
            ));
        }
        if self.dns.resources.iter().any(|(_, resource)| resource.domain_id == id) {
            return Err(Refusal::in_use("This domain still has DNS resources."));
        }
        self.dns.domains.remove(id);
        Ok(())
    }

    fn check_domain(&self, id: Option<u64>, domain: &Domain) -> Result<(), Refusal> {
        check_ttl("ttl", domain.ttl)?;
        if !is_name(&domain.name, Wildcards::Refused) {
            return Err(Refusal::field("name", format!("Invalid domain name: {}.", domain.name)));
        }
        let taken =
            self.dns.domains.iter().any(|(other, row)| {
                Some(other) != id && row.name.eq_ignore_ascii_case(&domain.name)
            });
        if taken {
            return Err(Refusal::field("name", "Domain with this Name already exists."));
        }
        Ok(())
    }

    /// Adds a name with addresses.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a name that is there already or none, and for a domain that is not
    /// there.
    pub fn add_dns_resource(&mut self, resource: DnsResource) -> Result<u64, Refusal> {
        self.check_resource(None, &resource)?;
        Ok(self.dns.resources.push(resource))
    }

    /// Replaces a name with addresses.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_dns_resource`]; [`Refusal::NotFound`].
    pub fn set_dns_resource(&mut self, id: u64, resource: DnsResource) -> Result<(), Refusal> {
        self.check_resource(Some(id), &resource)?;
        found(self.dns.resources.set(id, resource), "DNSResource")
    }

    /// Removes a name with its addresses and records.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn remove_dns_resource(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.dns.resources.remove(id).is_some(), "DNSResource")?;
        self.dns.records.retain(|record| record.resource_id != id);
        Ok(())
    }

    /// The name in a domain, if it has anything.
    #[must_use]
    pub fn dns_resource_named(&self, domain_id: u64, name: &str) -> Option<u64> {
        self.dns
            .resources
            .iter()
            .find(|(_, row)| row.domain_id == domain_id && row.name.eq_ignore_ascii_case(name))
            .map(|(id, _)| id)
    }

    fn check_resource(&self, id: Option<u64>, resource: &DnsResource) -> Result<(), Refusal> {
        check_ttl("address_ttl", resource.address_ttl)?;
        if self.dns.domains.get(resource.domain_id).is_none() {
            return Err(Refusal::field("domain", "There is no such domain."));
        }
        if resource.name != "@" && !is_name(&resource.name, Wildcards::Taken) {
            return Err(Refusal::field("name", format!("Invalid name: {}.", resource.name)));
        }
        if resource.ip_addresses.len() > MOST_ADDRESSES {
            return Err(Refusal::field(
                "ip_addresses",
                format!("At most {MOST_ADDRESSES} addresses are taken."),
            ));
        }
        let same = self.dns_resource_named(resource.domain_id, &resource.name);
        if same.is_some() && same != id {
            return Err(Refusal::field("name", "Labels must be unique within their zone."));
        }
        let alias = |id| self.records_of(id).any(|(_, it)| it.rrtype == RecordType::Cname);
        if !resource.ip_addresses.is_empty() && id.is_some_and(alias) {
            return Err(Refusal::field("ip_addresses", ALIAS_STANDS_ALONE));
        }
        Ok(())
    }

    /// Adds a record of a name.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for data that its type cannot have, for an alias beside anything else,
    /// for a record that is there already.
    pub fn add_dns_record(&mut self, record: DnsRecord) -> Result<u64, Refusal> {
        self.check_record(None, &record)?;
        Ok(self.dns.records.push(record))
    }

    /// Replaces a record.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_dns_record`]; [`Refusal::NotFound`].
    pub fn set_dns_record(&mut self, id: u64, record: DnsRecord) -> Result<(), Refusal> {
        self.check_record(Some(id), &record)?;
        found(self.dns.records.set(id, record), "DNSData")
    }

    /// Removes a record, and its name when nothing is left of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn remove_dns_record(&mut self, id: u64) -> Result<(), Refusal> {
        let record = self.dns.records.remove(id).ok_or(Refusal::not_found("DNSData"))?;
        let name = record.resource_id;
        let bare = self.dns.resources.get(name).is_some_and(|it| it.ip_addresses.is_empty());
        if bare && self.records_of(name).next().is_none() {
            self.dns.resources.remove(name);
        }
        Ok(())
    }

    fn check_record(&self, id: Option<u64>, record: &DnsRecord) -> Result<(), Refusal> {
        check_ttl("ttl", record.ttl)?;
        let Some(resource) = self.dns.resources.get(record.resource_id) else {
            return Err(Refusal::field("name", "There is no such name."));
        };
        if !is_data(record.rrtype, &record.rrdata) {
            return Err(Refusal::field(
                "rrdata",
                format!("Invalid data for a record of type {}.", record.rrtype.as_str()),
            ));
        }
        let mut others =
            self.records_of(record.resource_id).filter(|(other, _)| Some(*other) != id);
        let alias = record.rrtype == RecordType::Cname;
        let clash = if alias {
            !resource.ip_addresses.is_empty() || others.next().is_some()
        } else {
            others.any(|(_, other)| other.rrtype == RecordType::Cname)
        };
        if clash {
            return Err(Refusal::field("rrtype", ALIAS_STANDS_ALONE));
        }
        let same = |row: &DnsRecord| (row.rrtype, &row.rrdata) == (record.rrtype, &record.rrdata);
        if self.records_of(record.resource_id).any(|(other, row)| Some(other) != id && same(row)) {
            return Err(Refusal::field("rrdata", "This record exists already."));
        }
        Ok(())
    }

    /// The addresses that DNS publishes by name, for whoever writes a zone.
    pub fn addresses_by_name(&self) -> impl Iterator<Item = (String, IpAddr)> {
        self.dns.resources.iter().flat_map(|(_, resource)| {
            let fqdn = self.fqdn(resource);
            resource.ip_addresses.iter().map(move |address| (fqdn.clone(), *address))
        })
    }
}

const ALIAS_STANDS_ALONE: &str = "CNAME records cannot exist beside other records of a name.";

fn check_ttl(field: &'static str, ttl: Option<u32>) -> Result<(), Refusal> {
    if ttl.is_some_and(|ttl| ttl > MAX_TTL) {
        return Err(Refusal::field(
            field,
            format!("Ensure this value is less than or equal to {MAX_TTL}."),
        ));
    }
    Ok(())
}

/// Whether `*` may stand for the first label.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Taken,
    Refused,
}

/// Whether a text is one or more labels (RFC 1035; with underscores, as services have them).
fn is_name(text: &str, wildcards: Wildcards) -> bool {
    let label = |(index, label): (usize, &str)| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (wildcards == Wildcards::Taken && index == 0 && label == "*")
            || ((1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-'))
    };
    text.len() <= 253 && text.split('.').enumerate().all(label)
}

/// A host as data of a record: a name, with or without the dot at its end.
fn is_host(text: &str) -> bool {
    is_name(text.strip_suffix('.').unwrap_or(text), Wildcards::Refused)
}

/// Whether a record of this type can have this data.
fn is_data(rrtype: RecordType, data: &str) -> bool {
    let words: Vec<&str> = data.split_ascii_whitespace().collect();
    let number = |text: &str| text.parse::<u16>().is_ok();
    let fits = match (rrtype, words.as_slice()) {
        (RecordType::Cname | RecordType::Ns, [host]) => is_host(host),
        (RecordType::Mx, [preference, host]) => number(preference) && is_host(host),
        (RecordType::Srv, [priority, weight, port, host]) => {
            number(priority) && number(weight) && number(port) && (*host == "." || is_host(host))
        }
        (RecordType::Sshfp, [algorithm, kind, digest]) => {
            algorithm.parse::<u8>().is_ok()
                && kind.parse::<u8>().is_ok()
                && digest.len() % 2 == 0
                && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        (RecordType::Txt, _) => true,
        _ => false,
    };
    fits && !data.is_empty() && data.len() <= LONGEST_DATA && !data.chars().any(char::is_control)
}
