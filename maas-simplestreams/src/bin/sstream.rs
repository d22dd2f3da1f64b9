//! The command-line program of maas-simplestreams.

fn main() {
    println!("sstream {}", env!("CARGO_PKG_VERSION"));
}
