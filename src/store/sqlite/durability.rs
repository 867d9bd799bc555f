//! Detects file systems on which a synced file may be lost.

use std::path::Path;

/// Returns why a synced file in the directory of `path` may be lost; `None` if no reason is known. Detected on Linux
/// only.
#[cfg(target_os = "linux")]
pub(super) fn risk(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // The device of the directory: on an overlay, a file has the device of its layer.
    let device = std::fs::metadata(parent.unwrap_or(Path::new("."))).ok()?.dev();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    risk_of(&mounts, device)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn risk(_: &Path) -> Option<String> {
    None
}

/// Returns the same from the lines of `/proc/self/mountinfo`: see proc(5).
#[cfg(target_os = "linux")]
fn risk_of(mounts: &str, device: u64) -> Option<String> {
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
    let number = format!("{major}:{minor}");
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(number.as_str()))?;
    let mut rest = line.split_once(" - ")?.1.split(' ');
    let (kind, options) = (rest.next()?, rest.nth(1).unwrap_or_default());
    let has = |names: &[&str]| options.split(',').find(|option| names.contains(option)).map(str::to_owned);
    match kind {
        "tmpfs" | "ramfs" => {
            Some(format!("{kind} is a file system in memory: a restart of the machine loses the log"))
        }
        "overlay" => has(&["volatile"]).map(|_| {
            "the overlay is mounted `volatile`: it ignores fsync, a crash of the machine loses the log".to_owned()
        }),
        _ => has(&["nobarrier", "barrier=0"]).map(|option| {
            format!("{kind} is mounted with `{option}`: a loss of power may lose what the disk has only cached")
        }),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn mounts_that_may_lose_synced_files_are_detected() {
        let mounts = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
            30 22 0:26 / /dev/shm rw - tmpfs tmpfs rw\n\
            31 22 0:40 / /box rw shared:1 - overlay overlay rw,lowerdir=/a,volatile\n\
            32 22 0:41 / /good rw - overlay overlay rw,lowerdir=/a\n\
            33 22 8:300 / /fast rw - ext4 /dev/sda rw,nobarrier\n";
        let device = |major: u64, minor: u64| major << 8 | minor & 0xff | (minor & 0xfff_ff00) << 12;
        let found = |major, minor| risk_of(mounts, device(major, minor));
        assert_eq!(found(254, 0), None);
        assert_eq!(found(0, 41), None);
        assert_eq!(found(9, 9), None);
        assert!(found(0, 26).unwrap().contains("tmpfs"));
        assert!(found(0, 40).unwrap().contains("volatile"));
        assert!(found(8, 300).unwrap().contains("nobarrier"));
    }
}
