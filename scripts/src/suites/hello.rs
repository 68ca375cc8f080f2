//! What a request costs hyper on tokio, on epoll and on kevent.

use anyhow::{Context as _, Result, bail, ensure};

use super::build;
use super::guest::Lines;
use super::list::{Column, Suite};
use crate::cache::write_atomic;
use crate::context::Context;
use crate::guest::bench::Words;
use crate::guest::boot::{COUNTED, Mode};
use crate::guest::exec;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::run;

/// The program, which measures itself.
const PROGRAM: &str = "hello";

/// Runs it where instructions are counted, and gives the lines that it says.
pub fn measure(ctx: &Context, kernel: &Kernel, suite: &Suite) -> Result<Vec<String>> {
    let archive = {
        let _lock = ctx.lock()?;
        let program = build::program(ctx, suite, PROGRAM)?;
        let mut initramfs = run::initramfs(ctx, kernel, false)?;
        let words = [&program.display().to_string(), "--measure"].map(str::to_owned);
        exec::add(&mut initramfs, &words)?;
        let archive = selftests::folder(ctx)?.join("hello.cpio");
        write_atomic(&archive, initramfs.pack()?)?;
        archive
    };
    let guest = selftests::guest(ctx, kernel, &COUNTED, &archive, Mode::Exec)?;
    let all = Lines::default();
    let port = |name| RawPort {
        name,
        to: Box::new(all.clone()),
    };
    let ports = vec![port("stdout"), port("stderr")];
    let code = exec::follow(ctx, guest, ports, Limits::NONE)?;
    ensure!(code == 0, "{PROGRAM} failed with {code}");
    let mut lines = all.lines();
    lines.retain(|line| line.starts_with("HELLO "));
    table(&lines).map(|_| lines)
}

/// The table of the document.
pub fn table(lines: &[String]) -> Result<String> {
    let mut text = String::from(
        "| on | requests | system calls a request | instructions a request |\n|---|--:|--:|--:|\n",
    );
    for column in Column::ALL.map(Column::name) {
        let begin = format!("HELLO column={column} ");
        let mut lines = lines.iter();
        let words = lines.find_map(|line| line.strip_prefix(&begin));
        let words = Words::of(words.with_context(|| format!("no result on {column}"))?);
        let (kevent, eventpoll) = (words.number("kevent")?, words.number("eventpoll")?);
        let has = match column {
            "kevent" => kevent > 0.0 && eventpoll == 0.0,
            _ => kevent == 0.0 && eventpoll > 0.0,
        };
        if !has {
            bail!("the server on {column} has {kevent} queues of kevent and {eventpoll} of epoll");
        }
        text.push_str(&format!(
            "| {column} | {} | {:.2} | {:.0} |\n",
            words.number("requests")?,
            words.number("calls")?,
            words.number("ns")?
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kevent: &str) -> Vec<String> {
        let epoll = "HELLO column=epoll requests=3200 calls=2.041 ns=40100 kevent=0 eventpoll=1";
        let begin = "HELLO column=kevent requests=3200 calls=2.010 ns=39000";
        vec![epoll.to_owned(), format!("{begin} {kevent}")]
    }

    #[test]
    fn a_server_has_a_row_for_each_column() {
        let text = table(&lines("kevent=1 eventpoll=0")).unwrap();
        assert!(
            text.ends_with("| kevent | 3200 | 2.01 | 39000 |\n"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_is_on_epoll_is_no_proof() {
        assert!(table(&lines("kevent=1 eventpoll=1")).is_err());
        assert!(table(&lines("kevent=0 eventpoll=0")).is_err());
        assert!(table(&lines("")[..1]).is_err());
    }
}
