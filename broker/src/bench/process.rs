//! What a process uses, from Linux's /proc: CPU time and memory.

use std::fs;

use super::trouble::{Result, Trouble};

/// A process to look at.
#[derive(Clone, Debug)]
pub(crate) struct Process(String);

/// What it has used so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_us: f64,
    pub(crate) memory_kib: f64,
}

impl Process {
    /// # Errors
    /// There is none of that number.
    pub(crate) fn of(pid: u32) -> Result<Process> {
        let process = Process(format!("/proc/{pid}"));
        match process.read() {
            Some(_) => Ok(process),
            None => Err(Trouble::new(format!("there is no process {pid} whose CPU time and memory can be read"))),
        }
    }

    /// This one.
    pub(crate) fn own() -> Process {
        Process(String::from("/proc/self"))
    }

    /// Zeros if it is gone.
    pub(crate) fn usage(&self) -> Usage {
        self.read().unwrap_or_default()
    }

    fn read(&self) -> Option<Usage> {
        let ticks = cpu_ticks(&fs::read_to_string(format!("{}/stat", self.0)).ok()?)?;
        let memory_kib = resident_kib(&fs::read_to_string(format!("{}/status", self.0)).ok()?)?;
        let cpu_us = ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64;
        Some(Usage { cpu_us, memory_kib: memory_kib as f64 })
    }
}

/// The fields 14 and 15, user and system time. The second field is a name in parentheses, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "12 (a) b ) c) S 1 12 12 0 -1 4194560 300 0 1 0 75 25 0 0 20 0 3 0 1000 1 2";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(cpu_ticks("12 (cut"), None);
    }

    #[test]
    fn memory_is_what_is_resident() {
        assert_eq!(resident_kib("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   4096 kB\n"), Some(4096));
        assert_eq!(resident_kib("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_number_without_process_is_refused() {
        assert!(Process::own().usage().memory_kib > 0.0);
        assert!(Process::of(u32::MAX).unwrap_err().to_string().contains("no process 4294967295"));
    }
}
