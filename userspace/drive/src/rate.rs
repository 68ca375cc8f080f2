// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests per second, by wrk and by redis-benchmark, which look at the answers too.

use std::net::SocketAddr;
use std::process::Command;

use crate::servers::{program, FILES, PLACE};

/// Of one measurement.
#[derive(Debug, PartialEq)]
pub struct Rate {
    pub answers: u64,
    pub per_second: f64,
}

/// wrk for some seconds. Each answer must be the whole document.
pub fn wrk(server: SocketAddr, seconds: u32, closes: bool) -> Result<Rate, String> {
    let mut wrk = program("wrk");
    wrk.args([
        "-t",
        "1",
        "-c",
        "32",
        "--timeout",
        "20s",
        "-d",
        &format!("{seconds}s"),
    ]);
    wrk.args(["-s", &format!("{FILES}/check.lua")]);
    if closes {
        wrk.args(["-H", "Connection: close"]);
    }
    wrk.arg(format!("http://{server}/document"));
    parse_wrk(&output(
        wrk.env("DOCUMENT", format!("{PLACE}/www/document")),
    )?)
}

/// The line that check.lua writes.
fn parse_wrk(text: &str) -> Result<Rate, String> {
    let line = text.lines().find_map(|line| line.strip_prefix("CHECKED "));
    let line = line.ok_or_else(|| format!("wrk: {text}"))?;
    let number = |name: &str| {
        let words = line.split(' ').filter_map(|word| word.split_once('='));
        let mut values = words.filter(|(found, _)| *found == name);
        let value = values
            .next()
            .and_then(|(_, value)| value.parse::<u64>().ok());
        value.ok_or_else(|| format!("wrk: no {name} in {line}"))
    };
    let (requests, good, us) = (number("requests")?, number("good")?, number("us")?);
    for error in ["bad", "connect", "read", "write", "timeout"] {
        if number(error)? != 0 {
            return Err(format!("wrk: {line}"));
        }
    }
    // Answers that were read when the time was over are in the one sum, not yet in the other.
    if requests == 0 || good.abs_diff(requests) > 32 {
        return Err(format!("wrk: {line}"));
    }
    Ok(Rate {
        answers: good,
        per_second: requests as f64 * 1e6 / us as f64,
    })
}

/// The key that redis-benchmark counts up, if it is not told to choose one.
const KEY: &str = "counter:__rand_int__";

/// redis-benchmark, which has a counter counted up: it must be the sum.
pub fn redis(server: SocketAddr, requests: u64, depth: u32) -> Result<Rate, String> {
    let to = [
        "-h",
        &server.ip().to_string(),
        "-p",
        &server.port().to_string(),
    ]
    .map(str::to_owned);
    let cli = |words: &[&str]| output(program("redis-cli").args(&to).args(words));
    cli(&["del", KEY])?;
    let mut benchmark = program("redis-benchmark");
    benchmark
        .args(&to)
        .args(["--csv", "-e", "-t", "incr", "-c", "32"]);
    benchmark.args(["-n", &requests.to_string(), "-P", &depth.to_string()]);
    let per_second = parse_csv(&output(&mut benchmark)?)?;
    let counted = cli(&["get", KEY])?;
    match counted.trim() == requests.to_string() {
        true => Ok(Rate {
            answers: requests,
            per_second,
        }),
        false => Err(format!("redis-benchmark: {counted} of {requests}")),
    }
}

fn parse_csv(text: &str) -> Result<f64, String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("\"INCR\",\""));
    let rate = line.and_then(|line| line.split('"').next()?.parse().ok());
    rate.ok_or_else(|| format!("redis-benchmark: {text}"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!(
            "{name}: {}: {}",
            output.status,
            text(&output.stderr)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "CHECKED requests=5000 good=5001 bad=0 connect=0 read=0 write=0 timeout=0 us=2000000";

    #[test]
    fn wrk_saw_only_good_answers() {
        let rate = parse_wrk(&format!("Running\n{GOOD}\n")).unwrap();
        assert_eq!((rate.answers, rate.per_second), (5001, 2500.0));
    }

    #[test]
    fn a_bad_answer_to_wrk_is_an_error() {
        for (old, new) in [
            ("bad=0", "bad=1"),
            ("read=0", "read=1"),
            ("timeout=0", "timeout=2"),
            ("good=5001", "good=4000"),
            ("requests=5000", "requests=0"),
            ("write=0 ", ""),
        ] {
            assert!(parse_wrk(&GOOD.replace(old, new)).is_err(), "{new}");
        }
        assert!(parse_wrk("unable to connect").is_err());
    }

    #[test]
    fn redis_benchmark_says_how_fast() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"INCR\",\"13333.33\",\"2.1\"\n";
        assert_eq!(parse_csv(text), Ok(13333.33));
        assert!(parse_csv("\"test\",\"rps\"\n").is_err());
    }
}
