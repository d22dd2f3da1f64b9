//! Writes the corpus to start from, and the words of each language, below a directory.

use std::io::Write;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "corpus".into()));
    for target in maas_server_fuzz::targets::TARGETS {
        let corpus = root.join(target.name);
        std::fs::create_dir_all(&corpus)?;
        for (place, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{place}")), seed)?;
        }
        let mut words = std::fs::File::create(root.join(format!("{}.dict", target.name)))?;
        for word in target.words {
            let escaped: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            writeln!(words, "\"{escaped}\"")?;
        }
    }
    Ok(())
}
