// SPDX-License-Identifier: GPL-2.0 OR MIT

//! HTTP, and the protocol of redis, as far as needed: each request asks for its own number.

use crate::client::Talk;

/// GET of a path that is to be the body of the answer.
pub struct Http {
    /// Whether each request has a connection of its own.
    pub closes: bool,
}

impl Talk for Http {
    fn ask(&self, number: usize, to: &mut Vec<u8>) {
        let close = if self.closes {
            "Connection: close\r\n"
        } else {
            ""
        };
        let text = format!("GET /echo/{number} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
        to.extend_from_slice(text.as_bytes());
    }

    fn answer(&self, number: usize, bytes: &[u8]) -> Result<Option<usize>, String> {
        let text = String::from_utf8_lossy(bytes);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_it = name.eq_ignore_ascii_case("content-length");
            value.trim().parse::<usize>().ok().filter(|_| is_it)
        });
        let expected = format!("/echo/{number}\n");
        if !status.starts_with("HTTP/1.1 200 ") || length != Some(expected.len()) {
            return Err(format!("{number}: {head}"));
        }
        if rest.len() < expected.len() {
            return Ok(None);
        }
        match rest.starts_with(&expected) {
            true => Ok(Some(head.len() + 4 + expected.len())),
            false => Err(format!("{number}: {rest}")),
        }
    }

    fn closes(&self) -> bool {
        self.closes
    }
}

/// ECHO of the number.
pub struct Redis;

impl Talk for Redis {
    fn ask(&self, number: usize, to: &mut Vec<u8>) {
        let number = number.to_string();
        let text = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{number}\r\n", number.len());
        to.extend_from_slice(text.as_bytes());
    }

    fn answer(&self, number: usize, bytes: &[u8]) -> Result<Option<usize>, String> {
        let number = number.to_string();
        let expected = format!("${}\r\n{number}\r\n", number.len());
        if bytes.starts_with(expected.as_bytes()) {
            return Ok(Some(expected.len()));
        }
        match expected.as_bytes().starts_with(bytes) {
            true => Ok(None),
            false => Err(format!("{number}: {}", String::from_utf8_lossy(bytes))),
        }
    }

    fn closes(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Http = Http { closes: false };

    #[test]
    fn an_answer_of_http_is_whole_or_not_there() {
        let answer = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 9\r\n\r\n/echo/17\n";
        let size = answer.len();
        for part in 0..size {
            assert_eq!(KEPT.answer(17, &answer.as_bytes()[..part]), Ok(None));
        }
        let more = format!("{answer}HTTP/1.1");
        assert_eq!(KEPT.answer(17, more.as_bytes()), Ok(Some(size)));
    }

    #[test]
    fn an_answer_of_http_may_be_wrong() {
        for (status, length, body) in [
            ("200", 9, "/echo/18\n"),
            ("200", 8, "/echo/17"),
            ("404", 9, "/echo/17\n"),
        ] {
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n");
            assert!(KEPT.answer(17, format!("{head}{body}").as_bytes()).is_err());
        }
        assert!(KEPT
            .answer(17, b"HTTP/1.1 200 OK\r\n\r\n/echo/17\n")
            .is_err());
    }

    #[test]
    fn a_request_says_when_it_is_the_last() {
        let mut text = Vec::new();
        Http { closes: true }.ask(5, &mut text);
        assert!(text.starts_with(b"GET /echo/5 HTTP/1.1\r\n"));
        assert!(text.ends_with(b"Connection: close\r\n\r\n"));
    }

    #[test]
    fn redis_echoes() {
        let mut text = Vec::new();
        Redis.ask(123, &mut text);
        assert_eq!(text, b"*2\r\n$4\r\nECHO\r\n$3\r\n123\r\n");
        assert_eq!(Redis.answer(123, b"$3\r\n12"), Ok(None));
        assert_eq!(Redis.answer(123, b"$3\r\n123\r\n$"), Ok(Some(9)));
        assert!(Redis.answer(123, b"$3\r\n124\r\n").is_err());
        assert!(Redis.answer(123, b"-ERR\r\n").is_err());
    }
}
