//! Processors of the resources document.

use super::{LIST_LIMIT, Node, ResourcesError};

/// What is kept of the processors.
pub(super) struct Cpu {
    pub(super) count: u32,
    pub(super) model: Option<String>,
    pub(super) speed: u32,
    pub(super) threads: Vec<Thread>,
}

/// One hardware thread.
pub(super) struct Thread {
    pub(super) id: u32,
    pub(super) numa_node: u32,
}

pub(super) fn read(cpu: &Node<'_>) -> Result<Cpu, ResourcesError> {
    let total = cpu.get("total")?;
    let count = total.small()?;
    let mut names: Vec<String> = Vec::new();
    let mut turbo = 0;
    let mut frequencies: Vec<u64> = Vec::new();
    let mut threads = Vec::new();
    for socket in cpu.get("sockets")?.items(LIST_LIMIT)? {
        names.push(socket.get("name")?.text()?);
        turbo = turbo.max(socket.get("frequency_turbo")?.small()?);
        let frequency = socket.get("frequency")?.small()?;
        if frequency > 0 {
            frequencies.push(u64::from(frequency));
        }
        for core in socket.get("cores")?.items(LIST_LIMIT)? {
            for thread in core.get("threads")?.items(LIST_LIMIT)? {
                threads.push(Thread {
                    id: thread.get("id")?.small()?,
                    numa_node: thread.get("numa_node")?.small()?,
                });
            }
        }
    }
    names.dedup();
    let name = match names.as_slice() {
        [name] => name.as_str(),
        _ => "",
    };
    let (model, named_speed) = match name.split_once(" @") {
        Some((model, rest)) => (model.trim_end(), ghz(rest)),
        None => (name, None),
    };
    let speed = match named_speed {
        Some(speed) => speed,
        None if turbo > 0 => turbo,
        None => mean_rounded(&frequencies),
    };
    Ok(Cpu {
        count,
        model: Some(model.to_owned()).filter(|model| !model.is_empty()),
        speed,
        threads,
    })
}

/// MHz of ` 3.40GHz`.
fn ghz(text: &str) -> Option<u32> {
    let number: f64 = text.trim().strip_suffix("GHz")?.trim().parse().ok()?;
    let mhz = (number * 1000.0).round();
    // Above 1 THz it is not a processor; the cast is exact below.
    (1.0..1_000_000.0).contains(&mhz).then_some(mhz as u32)
}

/// The mean, rounded to the nearest 100 MHz.
fn mean_rounded(frequencies: &[u64]) -> u32 {
    if frequencies.is_empty() {
        return 0;
    }
    let mean = frequencies.iter().sum::<u64>() / frequencies.len() as u64;
    u32::try_from((mean + 50) / 100 * 100).unwrap_or(u32::MAX)
}
