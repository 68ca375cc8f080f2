//! Lines out of bytes that come in parts.

use std::io::Write;
use std::sync::mpsc::Sender;

/// Cuts what comes into lines.
pub struct Lines {
    sender: Sender<String>,
    part: Vec<u8>,
}

impl Lines {
    pub fn to(sender: Sender<String>) -> Lines {
        let part = Vec::new();
        Lines { sender, part }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.part).trim_end().to_owned();
                // Nobody reads any more when the screen is gone.
                let _ = self.sender.send(line);
                self.part.clear();
            } else {
                self.part.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_are_cut_wherever_bytes_end() {
        let (sender, lines) = mpsc::channel();
        let mut port = Lines::to(sender);
        for bytes in ["on", "e\r\ntw", "o\nthree"] {
            port.write_all(bytes.as_bytes()).unwrap();
        }
        drop(port);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
