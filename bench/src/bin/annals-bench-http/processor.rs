//! Used processor time.

use std::fs;
use std::time::Duration;

use annals_bench_driver::BoxError;

/// The unit of processor time in /proc.
const TICK: Duration = Duration::from_millis(10);

/// The processor time of a process or thread (`self`, `thread-self`, an id) since its start, in user and
/// kernel mode.
pub fn taken(who: &str) -> Result<Duration, BoxError> {
    let text = fs::read_to_string(format!("/proc/{who}/stat"))?;
    // The name is in parentheses and may contain any characters. After it, fields 12 and 13 are user and kernel mode.
    let fields = text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().skip(11).take(2));
    let ticks: Result<Vec<u32>, _> = fields.into_iter().flatten().map(str::parse).collect();
    match ticks?[..] {
        [user, kernel] => Ok(TICK * (user + kernel)),
        _ => Err(format!("/proc/{who}/stat is not as Linux has it").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_takes_is_counted() {
        let (begun, before) = (std::time::Instant::now(), taken("thread-self").unwrap());
        while taken("thread-self").unwrap() < before + TICK * 3 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is counted");
        }
        assert!(taken("self").unwrap() >= before + TICK * 3);
    }
}
