//! The scripted day, with its processes.

use std::process::Command;

/// Processes in two languages run with tokens, and what they do is in the log.
#[test]
fn one_command_lives_through_the_day() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_databox"));
    let output = demo.args(["demo", "--once", "--listen", "127.0.0.1:0"]).output().unwrap();
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    for line in [
        "installed thermostat: Reads the thermostat",
        "sleepwell: temperatures 200",
        "sleepwell: /views/values/home%2Fpresence 403 denied: app:sleepwell has no right to read values of home/presence",
        "sleepwell: export 200",
        "sleepwell: sent to ads.example.net 200",
        "noticed: app:watcher wrote 1",
        "refused: the name of an app must not be blank",
        "uninstalled sleepwell: app:sleepwell revoked a grant of app:sleepwell: it is not installed",
        "The day is over",
    ] {
        assert!(said.contains(line), "`{line}` is missing:\n{said}\n{errors}");
    }
}
