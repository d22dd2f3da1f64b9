use super::*;

fn boot() -> EphemeralBoot {
    EphemeralBoot {
        kernel: "aa/ubuntu/amd64/ga-24.04/noble/stable/boot-kernel".into(),
        initrd: "bb/ubuntu/amd64/ga-24.04/noble/stable/boot-initrd".into(),
        dtb: None,
        command_line: CommandLine {
            root: RootFileSystem::for_path("cc/ubuntu/amd64/ga-24.04/noble/stable/squashfs"),
            hostname: "node1".into(),
            preseed_url: "http://10.0.0.1:5248/MAAS/metadata/latest/by-id/abc347/?op=get_preseed"
                .into(),
            os: "ubuntu".into(),
            release: "noble".into(),
            arch: "amd64".into(),
            ephemeral_options: String::new(),
            extra_options: "console=ttyS0\nquiet".into(),
        },
    }
}

fn rendered(loader: Loader, over: FetchedOver, host: &str) -> String {
    render(&BootConfig::Ephemeral(Box::new(boot())), loader, over, &Endpoints::new(host))
}

const CMDLINE: &str = "nomodeset root=squash:http://10.0.0.1:5248/images/cc/ubuntu/amd64/ga-24.04/noble/stable/squashfs ip=::::node1:BOOTIF:dhcp ip6=off cc:{'datasource_list': ['MAAS']}end_cc cloud-config-url=http://10.0.0.1:5248/MAAS/metadata/latest/by-id/abc347/?op=get_preseed ro overlayroot=tmpfs overlayroot_cfgdisk=disabled log_host=10.0.0.1 log_port=5247 --- console=ttyS0 quiet";

#[test]
fn the_command_line_has_its_parts_in_order() {
    assert_eq!(boot().command_line.render(&Endpoints::new("10.0.0.1")), CMDLINE);
}

#[test]
fn old_series_power_and_tar_roots_differ() {
    let mut line = boot().command_line;
    line.release = "focal".into();
    line.arch = "ppc64el".into();
    line.root = RootFileSystem::for_path("cc/root.tgz");
    line.ephemeral_options = "a=1".into();
    let text = line.render(&Endpoints::new("fd00::1"));
    assert_eq!(
        text,
        "nomodeset root=tar:http://[fd00::1]:5248/images/cc/root.tgz ip=off ip6=dhcp \
         cc:{'datasource_list': ['MAAS']}end_cc cloud-config-url=http://10.0.0.1:5248/MAAS/metadata/latest/by-id/abc347/?op=get_preseed \
         apparmor=0 log_host=fd00::1 log_port=5247 rootdelay=60 a=1 --- console=ttyS0 quiet"
    );
}

#[test]
fn pxelinux_is_written_as_lpxelinux_reads_it() {
    assert_eq!(
        rendered(Loader::Pxelinux, FetchedOver::Http, "10.0.0.1"),
        format!(
            "DEFAULT execute\nTIMEOUT 100\nONTIMEOUT lpxelinux.0\n\nLABEL execute\n  SAY Booting under MAAS direction...\n  SAY {CMDLINE}\n  \
             KERNEL http://10.0.0.1:5248/images/aa/ubuntu/amd64/ga-24.04/noble/stable/boot-kernel\n  \
             INITRD http://10.0.0.1:5248/images/bb/ubuntu/amd64/ga-24.04/noble/stable/boot-initrd\n  \
             APPEND {CMDLINE}\n  IPAPPEND 2\n"
        )
    );
}

#[test]
fn grub_escapes_braces_and_names_the_host_only_over_tftp() {
    let escaped = CMDLINE.replace('{', "\\{").replace('}', "\\}");
    let kernel = "aa/ubuntu/amd64/ga-24.04/noble/stable/boot-kernel";
    let initrd = "bb/ubuntu/amd64/ga-24.04/noble/stable/boot-initrd";
    for (over, host, prefix) in [
        (FetchedOver::Tftp, "10.0.0.1", "(http,10.0.0.1:5248)/images/"),
        (FetchedOver::Http, "10.0.0.1", "/images/"),
    ] {
        assert_eq!(
            rendered(Loader::Grub, over, host),
            format!(
                "set default=\"0\"\nset timeout=0\n\nmenuentry 'Ephemeral' {{\n    \
                 echo   'Booting under MAAS direction...'\n    \
                 linux  {prefix}{kernel} {escaped} BOOTIF=01-${{net_default_mac}}\n    \
                 initrd {prefix}{initrd}\n    \
                 if [ $? -ne 0 ]; then\n        \
                 echo   'A download was cut off. Starting again when the server answers...'\n        \
                 while sleep 10; do\n            \
                 if [ -s /grub/grub.cfg ]; then\n                \
                 reboot\n            fi\n        done\n    fi\n}}\n"
            )
        );
    }
    assert!(
        rendered(Loader::Grub, FetchedOver::Tftp, "fd00::1")
            .contains("linux  (http,[fd00::1]:5248)/images/")
    );
}

#[test]
fn ipxe_loads_kernel_and_ram_disk_by_url() {
    assert_eq!(
        rendered(Loader::Ipxe, FetchedOver::Http, "10.0.0.1"),
        format!(
            "#!ipxe\nset known /only-for-unknown-machines\n\
             kernel http://10.0.0.1:5248/images/aa/ubuntu/amd64/ga-24.04/noble/stable/boot-kernel\n\
             imgargs boot-kernel {CMDLINE} BOOTIF=01-${{mac}} initrd=boot-initrd\n\
             initrd http://10.0.0.1:5248/images/bb/ubuntu/amd64/ga-24.04/noble/stable/boot-initrd\nboot\n"
        )
    );
}

#[test]
fn the_local_disk_is_booted_in_every_language() {
    let endpoints = Endpoints::new("10.0.0.1");
    let local = |arch: &str, loader| {
        render(&BootConfig::Local { arch: arch.into() }, loader, FetchedOver::Http, &endpoints)
    };
    assert_eq!(
        local("amd64", Loader::Ipxe),
        "#!ipxe\nsanboot --no-describe --drive 0x80 || sanboot --no-describe --drive 0x81 || \
         sanboot --no-describe --drive 0x82 || sanboot --no-describe --drive 0x83 || exit 0\n"
    );
    assert!(local("amd64", Loader::Pxelinux).ends_with("  KERNEL chain.c32\n  APPEND hd0\n"));
    assert!(local("arm64", Loader::Pxelinux).ends_with("  LOCALBOOT 0\n"));
    assert_eq!(local("ppc64el", Loader::PowerNv), "");
    assert!(
        local("amd64", Loader::Grub).contains("search --set=root --file /efi/boot/bootx64.efi")
    );
    assert!(local("amd64", Loader::Grub).contains("    exit 1\n}"));
    assert!(local("arm64", Loader::Grub).contains("chainloader /efi/ubuntu/grubaa64.efi"));
    assert!(local("ppc64el", Loader::Grub).contains("configfile /boot/grub/grub.cfg"));
}

#[test]
fn what_a_user_writes_cannot_end_a_line_early() {
    let boot = boot().with_extra_options("a=1\n  KERNEL evil\r\nb=2");
    let config = BootConfig::Ephemeral(Box::new(boot));
    let text = render(&config, Loader::Pxelinux, FetchedOver::Http, &Endpoints::new("10.0.0.1"));
    assert_eq!(text.matches("\n  KERNEL ").count(), 1);
    assert!(text.contains("a=1 KERNEL evil b=2"));
}

#[test]
fn only_the_pxelinux_of_pcs_loads_itself_anew() {
    let mut boot = boot();
    boot.command_line.arch = "arm64".into();
    let config = BootConfig::Ephemeral(Box::new(boot));
    let endpoints = Endpoints::new("10.0.0.1");
    for loader in [Loader::Pxelinux, Loader::PowerNv, Loader::S390x] {
        let text = render(&config, loader, FetchedOver::Http, &endpoints);
        assert!(text.starts_with("DEFAULT execute\n\nLABEL execute\n"), "{text}");
    }
}

#[test]
fn ipxe_chains_by_mac_falls_back_to_enlistment_and_tries_again() {
    assert_eq!(
        crate::boot::ipxe_preloader(&Endpoints::new("10.0.0.1")),
        "#!ipxe\nset pause:int32 2\n:again\nimgfree ||\nclear known ||\n\
         chain http://10.0.0.1:5248/ipxe.cfg-${mac} || \
         chain http://10.0.0.1:5248/ipxe.cfg-default-amd64${known} || goto failed\nexit 1\n\
         :failed\necho Nothing was booted, trying again in ${pause} seconds\nsleep ${pause}\n\
         iseq ${pause} 29 || inc pause 3\ngoto again\n"
    );
}

#[test]
fn grub_looks_for_a_configuration_until_there_is_one() {
    let by_mac = "configfile /grub/grub.cfg-${net_default_mac}\n";
    let enlistment = "configfile /grub/grub.cfg-default-${grub_cpu}\n";
    assert_eq!(
        crate::boot::GRUB_PRELOADER,
        format!("{by_mac}{enlistment}while sleep 10; do\n    {by_mac}    {enlistment}done\n")
    );
}
