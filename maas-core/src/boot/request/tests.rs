#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn config(loader: Loader, client: Client) -> BootRequest {
    BootRequest::Config { loader, client }
}

fn mac() -> Client {
    Client::Mac("52:54:00:00:00:0a".into())
}

fn unnamed(arch: Option<&str>, subarch: Option<&str>) -> Client {
    Client::Unnamed { arch: arch.map(str::to_owned), subarch: subarch.map(str::to_owned) }
}

#[test]
fn every_documented_name_is_understood() {
    use Loader::{Grub, Ipxe, Pxelinux};
    let uuid = "6F8E21E8-0000-4000-8000-00000000000A";
    for (path, expected) in [
        ("ipxe.cfg", BootRequest::IpxePreloader),
        ("/ipxe.cfg", BootRequest::IpxePreloader),
        ("grub/grub.cfg", BootRequest::GrubPreloader),
        ("//grub//grub.cfg", BootRequest::GrubPreloader),
        ("\\grub\\grub.cfg", BootRequest::GrubPreloader),
        ("/ipxe.cfg-52:54:00:00:00:0a", config(Ipxe, mac())),
        ("/ipxe.cfg-52:54:00:00:00:0A", config(Ipxe, mac())),
        ("ipxe.cfg-default", config(Ipxe, unnamed(None, None))),
        ("ipxe.cfg-default-amd64", config(Ipxe, unnamed(Some("amd64"), None))),
        ("ipxe.cfg-default-arm", config(Ipxe, unnamed(Some("arm64"), Some("generic")))),
        (
            "ipxe.cfg-default-arm64-xgene-uboot",
            config(Ipxe, unnamed(Some("arm64"), Some("xgene-uboot"))),
        ),
        ("/grub/grub.cfg-52:54:00:00:00:0a", config(Grub, mac())),
        ("/grub/grub.cfg-52-54-00-00-00-0A", config(Grub, mac())),
        ("/grub/grub.cfg-default-x86_64", config(Grub, unnamed(Some("amd64"), None))),
        ("/grub/grub.cfg-default-powerpc", config(Grub, unnamed(Some("ppc64el"), None))),
        ("pxelinux.cfg/01-52-54-00-00-00-0a", config(Pxelinux, mac())),
        ("pxelinux.cfg/default", config(Pxelinux, unnamed(None, None))),
        (
            "pxelinux.cfg/default.arm64-generic",
            config(Pxelinux, unnamed(Some("arm64"), Some("generic"))),
        ),
        (
            "pxelinux.cfg/6F8E21E8-0000-4000-8000-00000000000A",
            config(Pxelinux, Client::Uuid(uuid.to_ascii_lowercase())),
        ),
        ("ppc64el/pxelinux.cfg/01-52-54-00-00-00-0a", config(Loader::PowerNv, mac())),
        (
            "ppc64el/pxelinux.cfg/default",
            config(Loader::PowerNv, Client::ByAddress { arch: "ppc64el" }),
        ),
        ("s390x/01-52-54-00-00-00-0a", config(Loader::S390x, mac())),
        (
            "s390x_partition/maas",
            config(Loader::S390xPartition, Client::ByAddress { arch: "s390x" }),
        ),
        (
            "images/bootx64.efi",
            BootRequest::Bootloader { stored_at: "bootloaders/uefi/amd64/bootx64.efi".into() },
        ),
        (
            "lpxelinux.0",
            BootRequest::Bootloader { stored_at: "bootloaders/pxe/i386/lpxelinux.0".into() },
        ),
        (
            "/grub/x86_64-efi/command.lst",
            BootRequest::ModuleList { path: "grub/x86_64-efi/command.lst".into() },
        ),
        ("images/abc/ubuntu", BootRequest::File { path: "images/abc/ubuntu".into() }),
        ("pxelinux.cfg/C0A80001", BootRequest::File { path: "pxelinux.cfg/C0A80001".into() }),
        ("ipxe.cfg-5254", BootRequest::File { path: "ipxe.cfg-5254".into() }),
    ] {
        assert_eq!(BootRequest::parse(path), Ok(expected), "{path}");
    }
}

#[test]
fn the_colons_of_ipxe_may_be_encoded() {
    assert_eq!(
        BootRequest::parse_encoded("/ipxe.cfg-52%3A54%3a00%3A00%3A00%3A0A"),
        Ok(config(Loader::Ipxe, mac()))
    );
    assert_eq!(BootRequest::parse_encoded("/a%"), Err(RefusedPath::Encoding));
    assert_eq!(BootRequest::parse_encoded("/a%4"), Err(RefusedPath::Encoding));
    assert_eq!(BootRequest::parse_encoded("/%FF"), Err(RefusedPath::Encoding));
}

#[test]
fn nothing_leads_out_of_the_folder() {
    for path in ["../etc/passwd", "a/../../b", "a\\..\\b", "a/./b", "a/\0"] {
        assert_eq!(BootRequest::parse(path), Err(RefusedPath::NotPlain), "{path:?}");
    }
    assert_eq!(BootRequest::parse_encoded("/%2e%2e/x"), Err(RefusedPath::NotPlain));
    assert_eq!(BootRequest::parse("///"), Err(RefusedPath::Empty));
    assert_eq!(BootRequest::parse(&"a".repeat(1025)), Err(RefusedPath::TooLong));
}

proptest! {
    #[test]
    fn parsing_never_panics(
        path in "\\PC{0,40}|/?(ipxe.cfg|grub/grub.cfg|pxelinux.cfg/|s390x/)[-a-f0-9:.%/\\\\A-F]{0,40}"
    ) {
        let _ = BootRequest::parse(&path);
        let _ = BootRequest::parse_encoded(&path);
    }

    #[test]
    fn every_spelling_of_a_mac_names_the_same_client(octets: [u8; 6]) {
        let words: Vec<String> = octets.iter().map(|o| format!("{o:02x}")).collect();
        let client = Client::Mac(words.join(":"));
        for path in [
            format!("pxelinux.cfg/01-{}", words.join("-")),
            format!("/grub/grub.cfg-{}", words.join(":").to_uppercase()),
            format!("ipxe.cfg-{}", words.join("%3A")),
        ] {
            let BootRequest::Config { client: found, .. } =
                BootRequest::parse_encoded(&path).unwrap() else { panic!("{path}") };
            prop_assert_eq!(&found, &client);
        }
    }
}
