//! The examples of the documentation do what they say: publish, verify, mirror.

use std::path::Path;
use std::process::Command;

/// Runs an example; `None` when only this test was built and not the examples.
fn example(name: &str, arguments: &[&str], at: &Path) -> Option<String> {
    let built = Path::new(env!("CARGO_BIN_EXE_sstream")).with_file_name("examples").join(name);
    if !built.is_file() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: example {name} was not built; run without --test\n"),
        )
        .ok();
        return None;
    }
    let output = Command::new(built).args(arguments).current_dir(at).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_examples_publish_verify_and_mirror() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    std::fs::write(at.join("image"), "an image").unwrap();
    let Some(_) = example("publish", &["image", "stream"], at) else { return };
    let index = "stream/streams/v1/index.sjson";
    let verified = example("verify", &["stream/keyring.gpg", index], at).unwrap();
    assert!(verified.contains("signed by") && verified.contains("com.example:download"));
    let url = url::Url::from_directory_path(at.join("stream")).unwrap();
    let arguments = ["stream/keyring.gpg", url.as_str(), "there", "arch=amd64"];
    let mirrored = example("mirror", &arguments, at).unwrap();
    assert!(mirrored.contains("1 versions added"), "{mirrored}");
    let image = std::fs::read(at.join("there/noble/amd64/20250718/squashfs")).unwrap();
    assert_eq!(image, b"an image");
}
