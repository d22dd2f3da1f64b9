//! The kernel command line, as the initrd and cloud-init read it.

/// What the ephemeral system needs from its command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KernelCommandLine {
    /// The URL of `root=squash:` or `root=tar:`.
    pub(crate) root: Option<Root>,
    /// The value of `ip=` or, for IPv6, `ip6=`.
    pub(crate) ip: Option<String>,
    /// The value of `cloud-config-url=`.
    pub(crate) cloud_config_url: Option<String>,
    /// The text between `cc:` and `end_cc`.
    pub(crate) cloud_config: Option<String>,
    /// The value of `BOOTIF=`.
    pub(crate) bootif: Option<String>,
    /// The value of `overlayroot=`.
    pub(crate) overlayroot: Option<String>,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// A squashfs, mounted under an overlay.
    Squash(String),
    /// A tar archive, unpacked to memory.
    Tar(String),
}

impl Root {
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Squash(url) | Self::Tar(url) => url,
        }
    }
}

impl KernelCommandLine {
    pub(crate) fn parse(text: &str) -> Self {
        let mut found = Self::default();
        let mut rest = text.to_owned();
        // The text in between has spaces of its own.
        if let Some(start) = text.find("cc:").filter(|at| starts_word(text, *at)) {
            let body = start + "cc:".len();
            let length = text[body..].find("end_cc").unwrap_or(text.len() - body);
            found.cloud_config = Some(text[body..body + length].trim().to_owned());
            let end = (body + length + "end_cc".len()).min(text.len());
            rest = format!("{} {}", &text[..start], text.get(end..).unwrap_or_default());
        }
        for word in rest.split_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            let value = value.trim_matches('"').to_owned();
            match key {
                "root" => {
                    if let Some(url) = value.strip_prefix("squash:") {
                        found.root = Some(Root::Squash(url.to_owned()));
                    } else if let Some(url) = value.strip_prefix("tar:") {
                        found.root = Some(Root::Tar(url.to_owned()));
                    }
                }
                "ip" | "ip6" if value != "off" => found.ip = Some(value),
                "cloud-config-url" | "url" => found.cloud_config_url = Some(value),
                "BOOTIF" => found.bootif = Some(value),
                "overlayroot" => found.overlayroot = Some(value),
                _ => {}
            }
        }
        found
    }

    /// Whether `cc:` limits cloud-init to the MAAS datasource.
    pub(crate) fn forces_maas(&self) -> bool {
        self.cloud_config
            .as_deref()
            .is_some_and(|text| text.contains("datasource_list") && text.contains("MAAS"))
    }

    /// The system id that a known machine's preseed URL names.
    pub(crate) fn system_id(&self) -> Option<&str> {
        let url = self.cloud_config_url.as_deref()?;
        let (_, rest) = url.split_once("/by-id/")?;
        rest.split(['/', '?']).next().filter(|id| !id.is_empty())
    }
}

fn starts_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_none_or(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "nomodeset root=squash:http://10.0.0.1:5248/images/abc/squashfs \
        ip=::::node1:BOOTIF:dhcp ip6=off cc:{'datasource_list': ['MAAS']}end_cc \
        cloud-config-url=http://10.0.0.1:5248/MAAS/metadata/latest/by-id/abc123/?op=get_preseed \
        ro overlayroot=tmpfs overlayroot_cfgdisk=disabled log_host=10.0.0.1 log_port=5247 --- \
        console=ttyS0 BOOTIF=01-52-54-00-12-34-56";

    #[test]
    fn the_line_of_a_known_machine_is_read() {
        let line = KernelCommandLine::parse(LINE);
        assert_eq!(
            line.root.as_ref().map(Root::url),
            Some("http://10.0.0.1:5248/images/abc/squashfs")
        );
        assert_eq!(line.ip.as_deref(), Some("::::node1:BOOTIF:dhcp"));
        assert_eq!(line.cloud_config.as_deref(), Some("{'datasource_list': ['MAAS']}"));
        assert!(line.forces_maas());
        assert_eq!(line.system_id(), Some("abc123"));
        assert_eq!(line.bootif.as_deref(), Some("01-52-54-00-12-34-56"));
        assert_eq!(line.overlayroot.as_deref(), Some("tmpfs"));
    }

    #[test]
    fn an_ipv6_line_takes_ip6_and_an_empty_line_nothing() {
        assert_eq!(KernelCommandLine::parse("ip=off ip6=dhcp").ip.as_deref(), Some("dhcp"));
        assert_eq!(KernelCommandLine::parse(""), KernelCommandLine::default());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(cc:|end_cc|root=|squash:|[ a-z=:é]){0,20}") {
            let _ = KernelCommandLine::parse(&text).system_id();
        }
    }
}
