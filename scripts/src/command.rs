//! Child processes: they die with us, speak plain English and say why they failed.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

/// A command in the C locale and UTC that is terminated when this process ends for any reason.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut cmd = Command::new(program.as_ref());
    cmd.env("LC_ALL", "C").env("TZ", "UTC");
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        cmd.env("LD_LIBRARY_PATH", without_cargo(&path));
    }
    let parent = nix::unistd::getpid();
    // SAFETY: only async-signal-safe system calls between fork and exec.
    unsafe {
        cmd.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
            if nix::unistd::getppid() != parent {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            Ok(())
        });
    }
    cmd
}

/// The command line as a person would type it.
pub fn show(cmd: &Command) -> String {
    let mut line = cmd.get_program().to_string_lossy().into_owned();
    for arg in cmd.get_args() {
        let arg = arg.to_string_lossy();
        line.push(' ');
        if arg.is_empty() || arg.contains([' ', '"', '\'', '$', '*']) {
            line.push_str(&format!("'{}'", arg.replace('\'', r"'\''")));
        } else {
            line.push_str(&arg);
        }
    }
    line
}

/// Runs `cmd`, whose output is shown only when it fails.
pub fn check(cmd: &mut Command) -> Result<()> {
    output(cmd).map(drop)
}

/// Runs `cmd` and gives its standard output without the last newline.
pub fn stdout(cmd: &mut Command) -> Result<String> {
    let output = output(cmd)?;
    let text = String::from_utf8(output.stdout).with_context(|| format!("`{}`", show(cmd)))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// Runs `cmd` and gives its output; a failing exit is an error with the last lines it wrote.
pub fn output(cmd: &mut Command) -> Result<Output> {
    cmd.stdin(Stdio::null());
    let output = cmd
        .output()
        .with_context(|| format!("cannot start `{}`", show(cmd)))?;
    if !output.status.success() {
        let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
        if text.trim().is_empty() {
            text = String::from_utf8_lossy(&output.stdout).into_owned();
        }
        bail!(
            "`{}`: {}\n{}",
            show(cmd),
            output.status,
            last_lines(&text, 20)
        );
    }
    Ok(output)
}

/// Runs `cmd` with its output going to the file `log`, and to `line` as it comes.
pub fn stream(cmd: &mut Command, log: &Path, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let folder = log.parent().context("a log has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut written = Ok(());
    let status = each_line(cmd, |text| {
        if written.is_ok() {
            written = writeln!(file, "{text}");
        }
        line(text);
    })?;
    written.with_context(|| format!("cannot write {}", log.display()))?;
    Ok(status)
}

/// Runs `cmd`, giving each line to `line` as it comes.
pub fn lines(cmd: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    let mut last = VecDeque::new();
    let status = each_line(cmd, |text| {
        line(text);
        if last.len() == 20 {
            last.pop_front();
        }
        last.push_back(text.to_owned());
    })?;
    if !status.success() {
        bail!("`{}`: {status}\n{}", show(cmd), Vec::from(last).join("\n"));
    }
    Ok(())
}

fn each_line(cmd: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    cmd.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = cmd.spawn();
    let mut child = child.with_context(|| format!("cannot start `{}`", show(cmd)))?;
    let (sender, receiver) = mpsc::channel();
    read_lines(
        child.stdout.take().context("stdout is piped")?,
        sender.clone(),
    );
    read_lines(child.stderr.take().context("stderr is piped")?, sender);
    for text in receiver {
        line(&text);
    }
    child.wait().with_context(|| format!("`{}`", show(cmd)))
}

fn read_lines(pipe: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line);
            if lines
                .send(text.trim_end_matches(['\n', '\r']).to_owned())
                .is_err()
            {
                break;
            }
            line.clear();
        }
    });
}

/// A library path without what cargo adds for the programs that it starts.
fn without_cargo(path: &OsStr) -> OsString {
    let own = std::env::current_exe().ok();
    let target = own.as_deref().and_then(Path::parent);
    let keep = |folder: &PathBuf| {
        let of_toolchain =
            folder.iter().any(|part| part == "rustlib") || folder.join("rustlib").is_dir();
        let of_target =
            target.is_some_and(|target| folder.starts_with(target) || target.starts_with(folder));
        !of_toolchain && !of_target
    };
    std::env::join_paths(std::env::split_paths(path).filter(keep)).unwrap_or_default()
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_command_and_reason() {
        let error = check(command("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c 'echo why >&2; exit 3'"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("why"), "{text}");
    }

    #[test]
    fn missing_program_is_named() {
        let error = check(&mut command("/nonexistent/program")).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/program"));
    }

    #[test]
    fn a_stream_is_logged_and_seen() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("sub/log");
        let mut seen = Vec::new();
        let script = "echo one; echo two >&2; exit 1";
        let status = stream(command("sh").args(["-c", script]), &log, |line| {
            seen.push(line.to_owned());
        });
        assert_eq!(status.unwrap().code(), Some(1));
        seen.sort();
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 2);
    }

    #[test]
    fn library_path_of_the_user_stays() {
        let toolchain = "/opt/rust/lib/rustlib/x/lib";
        let path = without_cargo(OsStr::new(&format!("{toolchain}:/opt/mine/lib")));
        assert_eq!(path, "/opt/mine/lib");
    }

    #[test]
    fn last_lines_of_short_and_long() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
