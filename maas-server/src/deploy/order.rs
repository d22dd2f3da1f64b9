//! A deployment as the caller asks for it: the form's fields, read but not yet decided.

use maas_core::cloud_init::decode_upload;
use maas_core::deploy::{DatasourceChoice, DeploymentOptions};
use maas_core::secret::Secret;

use crate::http::{FieldErrors, Fields, Problem};

/// The words for what the installed system's cloud-init is to take.
const DATASOURCES: [(&str, DatasourceChoice); 4] = [
    ("closest", DatasourceChoice::Closest),
    ("metadata", DatasourceChoice::MetadataService),
    ("metadata-by-kernel", DatasourceChoice::KernelCommandLine),
    ("packed", DatasourceChoice::Packed),
];

/// What the caller asks for.
#[derive(Debug)]
pub(crate) struct Order {
    options: DeploymentOptions,
    agent_name: String,
    open: bool,
}

impl Order {
    /// Reads a deployment's parameters.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        let mut errors = FieldErrors::new();
        for name in ["install_rackd", "install_kvm", "register_vmhost"] {
            if errors.collect(fields.flag(name)).unwrap_or(false) {
                errors.add(name, "Not supported.");
            }
        }
        let mut options = DeploymentOptions::default();
        let series = errors.collect(fields.filled("distro_series")).unwrap_or_default();
        let osystem = errors.collect(fields.filled("osystem"));
        let open = series.is_empty() && osystem.is_none();
        match (series.split_once('/'), osystem) {
            (Some((os, series)), _) => {
                os.clone_into(&mut options.osystem);
                series.clone_into(&mut options.distro_series);
            }
            (None, Some(os)) => {
                os.clone_into(&mut options.osystem);
                series.clone_into(&mut options.distro_series);
            }
            (None, None) if series.is_empty() => {}
            // A series alone may be Ubuntu's or a custom image's.
            (None, None) => {
                options.osystem.clear();
                series.clone_into(&mut options.distro_series);
            }
        }
        let hwe_kernel = errors.collect(fields.filled("hwe_kernel")).unwrap_or_default();
        hwe_kernel.clone_into(&mut options.hwe_kernel);
        options.ephemeral = errors.collect(fields.flag("ephemeral_deploy")).unwrap_or(false);
        options.crash_dumps =
            errors.collect(fields.flag("enable_kernel_crash_dump")).unwrap_or(false);
        if let Some(word) = errors.collect(fields.filled("datasource")) {
            match DATASOURCES.iter().find(|(known, _)| *known == word) {
                Some((_, choice)) => options.datasource = *choice,
                None => {
                    let known = DATASOURCES.map(|(word, _)| word).join(", ");
                    errors.add("datasource", format!("Expected one of {known}."));
                }
            }
        }
        let agent_name = errors.collect(fields.text("agent_name")).unwrap_or_default().to_owned();
        options.user_data = fields
            .value("user_data")
            .filter(|value| !value.content.is_empty())
            .map(|value| Secret::new(decode_upload(&value.content)));
        errors.done()?;
        Ok(Self { options, agent_name, open })
    }

    /// The calling program's own name, for a machine that the deployment allocates.
    pub(super) fn agent_name(&self) -> &str {
        &self.agent_name
    }

    /// Whether neither an operating system nor a series was asked for.
    pub(super) const fn leaves_the_system_open(&self) -> bool {
        self.open
    }

    /// What was asked for; everything else is still the default.
    pub(super) const fn options(&self) -> &DeploymentOptions {
        &self.options
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::testing::form;

    fn read(fields: &[(&str, &str)]) -> DeploymentOptions {
        Order::read(&form(fields)).unwrap().options
    }

    #[test]
    fn the_series_alone_or_with_its_system_or_apart_from_it() {
        let default = DeploymentOptions::default();
        for (fields, osystem, series) in [
            (&[] as &[(&str, &str)], default.osystem.as_str(), default.distro_series.as_str()),
            (&[("distro_series", "")], &default.osystem, &default.distro_series),
            (&[("distro_series", "noble")], "", "noble"),
            (&[("distro_series", "centos/centos70")], "centos", "centos70"),
            (&[("osystem", "centos"), ("distro_series", "centos70")], "centos", "centos70"),
            (&[("osystem", "ubuntu"), ("distro_series", "custom/mine")], "custom", "mine"),
            (&[("osystem", "ubuntu")], "ubuntu", ""),
        ] {
            let options = read(fields);
            assert_eq!(
                (&*options.osystem, &*options.distro_series),
                (osystem, series),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn user_data_come_in_base64_or_plain() {
        let plain = "#cloud-config\npackages: [jq]\n";
        let base64 = "I2Nsb3VkLWNvbmZpZwpwYWNrYWdlczogW2pxXQo=";
        for text in [plain, base64] {
            let options = read(&[("user_data", text)]);
            assert_eq!(options.user_data.unwrap().expose(), plain.as_bytes(), "{text}");
        }
        assert!(read(&[("user_data", "")]).user_data.is_none());
    }

    #[test]
    fn what_this_server_cannot_do_is_refused_unless_it_is_switched_off() {
        for name in ["install_rackd", "install_kvm", "register_vmhost"] {
            assert!(Order::read(&form(&[(name, "false")])).is_ok());
            let Problem::Fields(errors) = Order::read(&form(&[(name, "true")])).unwrap_err() else {
                panic!("{name}")
            };
            assert_eq!(errors.iter().next().unwrap().0, name);
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let wrong = form(&[("ephemeral_deploy", "perhaps"), ("install_kvm", "1")]);
        let Problem::Fields(errors) = Order::read(&wrong).unwrap_err() else { panic!() };
        assert_eq!(errors.iter().count(), 2, "{errors:?}");
    }

    #[test]
    fn switches_and_kernel_are_taken_over() {
        let fields = [
            ("hwe_kernel", "hwe-24.04"),
            ("ephemeral_deploy", "true"),
            ("enable_kernel_crash_dump", "1"),
        ];
        let options = read(&fields);
        assert_eq!(options.hwe_kernel, "hwe-24.04");
        assert!(options.ephemeral && options.crash_dumps);
        assert!(!read(&[]).ephemeral && !read(&[]).crash_dumps);
    }

    #[test]
    fn the_datasource_is_one_of_four_words() {
        for (word, choice) in DATASOURCES {
            assert_eq!(read(&[("datasource", word)]).datasource, choice);
        }
        assert_eq!(read(&[]).datasource, DatasourceChoice::Closest);
        assert!(Order::read(&form(&[("datasource", "ec2")])).is_err());
    }

    proptest! {
        #[test]
        fn no_form_makes_it_panic(series in "\\PC{0,20}", data in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut fields = form(&[("distro_series", &series)]);
            fields.push("user_data", crate::http::Value { content: data.clone().into(), ..Default::default() });
            let order = Order::read(&fields);
            prop_assert!(order.is_ok());
        }
    }
}
