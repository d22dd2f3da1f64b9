//! The keys of a cloud-config and what may stand below them (cloud-init 22.4 to 25, cloud-config
//! schema version 1).

use super::Field;
use super::Shape::{self, Any, Flag, List, Map, Names, Null, OneOf, Open, Text, Whole, Word};

const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, needed: false, shape }
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, needed: true, shape }
}

const TEXTS: Shape = List(&Text);
const TEXT_OR_TEXTS: Shape = OneOf(&[Text, TEXTS]);
const FLAG_OR_TEXT: Shape = OneOf(&[Flag, Text]);
const WHOLE_OR_TEXT: Shape = OneOf(&[Whole, Text]);

/// Commands: a line for the shell, or the words of one command. Words that YAML reads as something
/// else are made texts again.
const COMMANDS: Shape = List(&OneOf(&[Text, List(&Any), Null]));

const USER: &[Field] = &[
    may("name", Text),
    may("doas", TEXTS),
    may("expiredate", Any),
    may("gecos", Text),
    may("groups", OneOf(&[Text, TEXTS, Open])),
    may("homedir", Text),
    may("inactive", Any),
    may("lock-passwd", Flag),
    may("lock_passwd", Flag),
    may("no-create-home", Flag),
    may("no_create_home", Flag),
    may("no-log-init", Flag),
    may("no_log_init", Flag),
    may("no-user-group", Flag),
    may("no_user_group", Flag),
    may("passwd", Text),
    may("hashed-passwd", Text),
    may("hashed_passwd", Text),
    may("plain-text-passwd", Text),
    may("plain_text_passwd", Text),
    may("create-groups", Flag),
    may("create_groups", Flag),
    may("primary-group", Text),
    may("primary_group", Text),
    may("selinux-user", Text),
    may("selinux_user", Text),
    may("shell", Text),
    may("snapuser", Text),
    may("ssh-authorized-keys", TEXTS),
    may("ssh_authorized_keys", TEXTS),
    may("ssh-import-id", TEXTS),
    may("ssh_import_id", TEXTS),
    may("ssh-redirect-user", Flag),
    may("ssh_redirect_user", Flag),
    may("system", Flag),
    may("sudo", OneOf(&[Text, List(&OneOf(&[Text, Null])), Flag, Null])),
    may("uid", WHOLE_OR_TEXT),
];

const USERS: Shape = OneOf(&[Text, List(&OneOf(&[Text, List(&Text), Map(USER)])), Open]);

const MIRRORS: Shape = List(&Map(&[
    must("arches", TEXTS),
    may("uri", Text),
    may("search", TEXTS),
    may("search_dns", Flag),
    may("keyid", Text),
    may("key", Text),
    may("keyserver", Text),
]));

const APT: &[Field] = &[
    may("preserve_sources_list", Flag),
    may("disable_suites", TEXTS),
    may("primary", MIRRORS),
    may("security", MIRRORS),
    may("add_apt_repo_match", Text),
    may("debconf_selections", Names(&Text)),
    may("sources_list", Text),
    may("conf", Text),
    may("https_proxy", Text),
    may("http_proxy", Text),
    may("proxy", Text),
    may("ftp_proxy", Text),
    may(
        "sources",
        Names(&Map(&[
            may("source", Text),
            may("keyid", Text),
            may("key", Text),
            may("keyserver", Text),
            may("filename", Text),
            may("append", Flag),
        ])),
    ),
];

const OUTPUT: Shape = OneOf(&[Text, List(&Text), Open]);

const CA_CERTS: Shape =
    Map(&[may("remove-defaults", Flag), may("remove_defaults", Flag), may("trusted", TEXTS)]);

const MERGE: Shape = OneOf(&[Text, List(&Open)]);

const MODULES: Shape = List(&OneOf(&[Text, List(&Any)]));

const PRO: Shape = Map(&[
    may("enable", TEXTS),
    may("enable_beta", TEXTS),
    may("token", Text),
    may("features", Open),
    may("config", Open),
]);

const FILE: Shape = Map(&[
    must("path", Text),
    may("content", Text),
    may("source", Map(&[must("uri", Text), may("headers", Open)])),
    may("owner", Text),
    may("permissions", Text),
    may(
        "encoding",
        Word(&[
            "gz",
            "gzip",
            "gz+base64",
            "gzip+base64",
            "gz+b64",
            "gzip+b64",
            "b64",
            "base64",
            "text/plain",
        ]),
    ),
    may("append", Flag),
    may("defer", Flag),
]);

/// Every key at the top.
pub(super) const KEYS: &[Field] = &[
    may("allow_public_ssh_keys", Flag),
    may("ansible", Open),
    may("apk_repos", Open),
    may("apt", Map(APT)),
    may("apt_pipelining", OneOf(&[Whole, Flag, Word(&["os", "none", "unchanged"])])),
    may("apt_reboot_if_required", Flag),
    may("apt_update", Flag),
    may("apt_upgrade", Flag),
    may("authkey_hash", Text),
    may("autoinstall", Open),
    may("bootcmd", COMMANDS),
    may("byobu_by_default", Text),
    may("ca-certs", CA_CERTS),
    may("ca_certs", CA_CERTS),
    may("chef", Open),
    may(
        "chpasswd",
        Map(&[may("expire", Flag), may("users", List(&Open)), may("list", TEXT_OR_TEXTS)]),
    ),
    may("cloud_config_modules", MODULES),
    may("cloud_final_modules", MODULES),
    may("cloud_init_modules", MODULES),
    may("create_hostname_file", Flag),
    may("datasource", Open),
    may("datasource_list", TEXTS),
    may("device_aliases", Names(&Text)),
    may("disable_ec2_metadata", Flag),
    may("disable_root", Flag),
    may("disable_root_opts", Text),
    may(
        "disk_setup",
        Names(&Map(&[
            may("table_type", Word(&["mbr", "gpt"])),
            may(
                "layout",
                OneOf(&[Flag, Word(&["remove"]), List(&OneOf(&[Whole, List(&WHOLE_OR_TEXT)]))]),
            ),
            may("overwrite", Flag),
        ])),
    ),
    may("drivers", Open),
    may("fan", Open),
    may("final_message", Text),
    may("fqdn", Text),
    may(
        "fs_setup",
        List(&Map(&[
            may("label", Text),
            may("filesystem", Text),
            may("device", Text),
            may("partition", OneOf(&[Whole, Text])),
            may("overwrite", Flag),
            may("replace_fs", Text),
            may("extra_opts", TEXT_OR_TEXTS),
            may("cmd", TEXT_OR_TEXTS),
        ])),
    ),
    may("groups", OneOf(&[Text, Open, List(&OneOf(&[Text, Open]))])),
    may(
        "growpart",
        Map(&[
            may("mode", OneOf(&[Word(&["auto", "growpart", "gpart", "off"]), Flag])),
            may("devices", TEXTS),
            may("ignore_growroot_disabled", Flag),
        ]),
    ),
    may("grub-dpkg", Open),
    may("grub_dpkg", Open),
    may("hostname", Text),
    may(
        "keyboard",
        Map(&[
            must("layout", Text),
            may("model", Text),
            may("variant", Text),
            may("options", Text),
        ]),
    ),
    may("landscape", Open),
    may("launch-index", Whole),
    may("locale", FLAG_OR_TEXT),
    may("locale_configfile", Text),
    may("lxd", Open),
    may("manage_etc_hosts", OneOf(&[Flag, Word(&["localhost", "template"])])),
    may("manage_resolv_conf", Flag),
    may("manual_cache_clean", Flag),
    may("mcollective", Open),
    may("merge_how", MERGE),
    may("merge_type", MERGE),
    may("migrate", Any),
    may("mount_default_fields", List(&Any)),
    may("mounts", List(&List(&Any))),
    may("network", Open),
    may("no_ssh_fingerprints", Flag),
    may(
        "ntp",
        OneOf(&[
            Null,
            Map(&[
                may("pools", TEXTS),
                may("servers", TEXTS),
                may("peers", TEXTS),
                may("allow", TEXTS),
                may("ntp_client", Text),
                may("enabled", Flag),
                may("config", Open),
            ]),
        ]),
    ),
    may(
        "output",
        Map(&[
            may("all", OUTPUT),
            may("init", OUTPUT),
            may("config", OUTPUT),
            may("final", OUTPUT),
        ]),
    ),
    may("package_reboot_if_required", Flag),
    may("package_update", Flag),
    may("package_upgrade", Flag),
    may("packages", List(&OneOf(&[Text, List(&Any), Open]))),
    may("password", Text),
    may("phone_home", Map(&[must("url", Text), may("post", TEXT_OR_TEXTS), may("tries", Whole)])),
    may(
        "power_state",
        Map(&[
            may("delay", WHOLE_OR_TEXT),
            must("mode", Word(&["poweroff", "reboot", "halt"])),
            may("message", Text),
            may("timeout", Whole),
            may("condition", OneOf(&[Text, Flag, List(&Any)])),
        ]),
    ),
    may("prefer_fqdn_over_hostname", Flag),
    may("preserve_hostname", Flag),
    may("puppet", Open),
    may(
        "random_seed",
        Map(&[
            may("file", Text),
            may("data", Text),
            may("encoding", Word(&["raw", "base64", "b64", "gzip", "gz"])),
            may("command", TEXTS),
            may("command_required", Flag),
        ]),
    ),
    may("reporting", Names(&Open)),
    may("resize_rootfs", OneOf(&[Flag, Word(&["noblock"])])),
    may(
        "resolv_conf",
        Map(&[
            may("nameservers", List(&Any)),
            may("searchdomains", List(&Any)),
            may("domain", Text),
            may("sortlist", List(&Any)),
            may("options", Open),
        ]),
    ),
    may("rh_subscription", Open),
    may("rpi", Open),
    // Before 22.4 it was a list of files.
    may("rsyslog", OneOf(&[Open, List(&Any)])),
    may("runcmd", COMMANDS),
    may("salt_minion", Open),
    may(
        "snap",
        Map(&[
            may("assertions", OneOf(&[Open, TEXTS])),
            may("commands", OneOf(&[Open, List(&TEXT_OR_TEXTS)])),
        ]),
    ),
    may("spacewalk", Open),
    may("ssh", Map(&[must("emit_keys_to_console", Flag)])),
    may("ssh_authorized_keys", TEXTS),
    may("ssh_deletekeys", Flag),
    may("ssh_fp_console_blacklist", TEXTS),
    may("ssh_genkeytypes", List(&Word(&["dsa", "ecdsa", "ed25519", "rsa"]))),
    may("ssh_import_id", TEXTS),
    may("ssh_key_console_blacklist", TEXTS),
    may("ssh_keys", Names(&Text)),
    may("ssh_publish_hostkeys", Map(&[may("enabled", Flag), may("blacklist", TEXTS)])),
    may("ssh_pwauth", FLAG_OR_TEXT),
    may("ssh_quiet_keygen", Flag),
    may(
        "swap",
        Map(&[may("filename", Text), may("size", WHOLE_OR_TEXT), may("maxsize", WHOLE_OR_TEXT)]),
    ),
    may("system_info", Open),
    may("timezone", Text),
    may("ubuntu_advantage", PRO),
    may("ubuntu_pro", PRO),
    may("updates", Open),
    may("user", OneOf(&[Text, Map(USER)])),
    may("users", USERS),
    may(
        "vendor_data",
        Map(&[may("enabled", FLAG_OR_TEXT), may("prefix", OneOf(&[Text, List(&WHOLE_OR_TEXT)]))]),
    ),
    may("version", Any),
    may("wireguard", OneOf(&[Null, Open])),
    may("write_files", List(&FILE)),
    may("yum_repo_dir", Text),
    may("yum_repos", Names(&Open)),
    may("zypper", Open),
];
