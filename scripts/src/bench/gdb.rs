//! The little of GDB's remote protocol that stepping through a guest needs.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Places of stack and instruction pointer among the registers of x86_64.
const RSP: usize = 7;
const RIP: usize = 16;

/// A guest that is stopped.
pub struct Stopped {
    socket: UnixStream,
    unread: Vec<u8>,
}

impl Stopped {
    /// Connects to a QEMU that listens at `path`, or is about to.
    pub fn connect(path: &Path, patience: Duration) -> Result<Stopped> {
        let begin = Instant::now();
        loop {
            match UnixStream::connect(path) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(patience))?;
                    let unread = Vec::new();
                    return Ok(Stopped { socket, unread });
                }
                Err(error) if begin.elapsed() > patience => {
                    return Err(error).context("QEMU does not listen for a debugger");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Lets it run until it comes to `address`.
    pub fn run_to(&mut self, address: u64) -> Result<()> {
        self.done(&format!("Z1,{address:x},1"))?;
        self.ask("c")?;
        let at = self.address()?;
        if at != address {
            bail!("the guest stopped at {at:#x}");
        }
        self.done(&format!("z1,{address:x},1"))
    }

    /// Runs one instruction.
    pub fn step(&mut self) -> Result<()> {
        self.ask("s").map(|_| ())
    }

    /// Where it stands.
    pub fn address(&mut self) -> Result<u64> {
        self.register(RIP)
    }

    /// Where the function returns to at whose first instruction it stands.
    pub fn caller(&mut self) -> Result<u64> {
        let stack = self.register(RSP)?;
        number(&self.memory(stack, 8)?)
    }

    fn register(&mut self, place: usize) -> Result<u64> {
        let registers = self.ask("g")?;
        let register = registers.get(place * 16..place * 16 + 16);
        number(&bytes(register.context("too few registers")?)?)
    }

    /// At most `len` bytes from `address`: less where the next page is not there.
    pub fn memory(&mut self, address: u64, len: usize) -> Result<Vec<u8>> {
        let in_page = 0x1000 - (address & 0xfff) as usize;
        bytes(&self.ask(&format!("m{address:x},{:x}", len.min(in_page)))?)
    }

    /// Lets it go on alone.
    pub fn leave(mut self) -> Result<()> {
        self.done("D")
    }

    fn done(&mut self, packet: &str) -> Result<()> {
        match self.ask(packet)?.as_str() {
            "OK" => Ok(()),
            other => bail!("QEMU answers {packet} by {other}"),
        }
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.socket.write_all(framed(packet).as_bytes())?;
        loop {
            if let Some((answer, rest)) = unframed(&self.unread) {
                self.unread = rest;
                self.socket.write_all(b"+")?;
                return Ok(answer);
            }
            let mut some = [0; 4096];
            let len = self.socket.read(&mut some).context("QEMU is silent")?;
            if len == 0 {
                bail!("QEMU is gone");
            }
            self.unread.extend_from_slice(&some[..len]);
        }
    }
}

fn framed(packet: &str) -> String {
    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
    format!("${packet}#{sum:02x}")
}

/// The first packet of what came, and what is behind it.
fn unframed(came: &[u8]) -> Option<(String, Vec<u8>)> {
    let begin = came.iter().position(|byte| *byte == b'$')? + 1;
    let end = begin + came[begin..].iter().position(|byte| *byte == b'#')?;
    let rest = came.get(end + 3..)?;
    let packet = String::from_utf8_lossy(&came[begin..end]).into_owned();
    Some((packet, rest.to_vec()))
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    pairs
        .map(byte)
        .collect::<Result<_>>()
        .with_context(|| format!("no bytes: {hex}"))
}

fn number(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes.try_into().ok().context("not 8 bytes")?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets() {
        assert_eq!(framed("OK"), "$OK#9a");
        let came = b"+$OK#9a+$S05#b8";
        let (first, rest) = unframed(came).unwrap();
        let (second, rest) = unframed(&rest).unwrap();
        assert_eq!(
            (first.as_str(), second.as_str(), rest.len()),
            ("OK", "S05", 0)
        );
        assert!(unframed(b"+$OK#9").is_none());
        assert!(bytes("0x").is_err() && bytes("abc").is_ok());
    }
}
