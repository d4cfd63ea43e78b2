//! Writing where somebody may have stopped reading: a full pipe or a halted terminal must not hold up the program.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::{AsStream, takes_at_once};

/// A pipe that is ready takes at least this much at once (PIPE_BUF, pipe(7)), so a line is cut to it.
const MAX_LINE: usize = 4096;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes a line where it can be taken now, and drops it otherwise; what was dropped is counted and told later.
fn write(stream: &mut (impl Write + AsStream), line: &[u8]) {
    if !takes_at_once(stream) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let dropped = DROPPED.swap(0, Ordering::Relaxed);
    if dropped > 0 {
        // Nobody reads it any more: nothing is lost that anybody wanted.
        let _ = stream.write_all(format!("({dropped} lines were dropped)\n").as_bytes());
        if !takes_at_once(stream) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    let _ = match line.len() <= MAX_LINE {
        true => stream.write_all(line),
        false => stream.write_all(&cut(line)),
    };
}

fn cut(line: &[u8]) -> Vec<u8> {
    const END: &[u8] = "…\n".as_bytes();
    let kept = &line[..MAX_LINE - END.len()];
    // Not inside a character: its other bytes begin with the bits 10.
    let is_whole = line[kept.len()] & 0b1100_0000 != 0b1000_0000;
    let end = if is_whole {
        kept.len()
    } else {
        kept.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000).unwrap_or(0)
    };
    [&kept[..end], END].concat()
}

/// A line on standard output.
pub fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    write(&mut stdout, format!("{line}\n").as_bytes());
    let _ = stdout.flush();
}

/// Any amount of text on standard output, for a reader who waits for it.
pub fn print_all(text: &str) {
    // A reader who has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Standard error, for the log: one call of `write` is one line.
#[derive(Debug, Clone, Copy)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(&mut io::stderr().lock(), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;

    /// A pipe's end as a stream.
    struct Pipe(std::io::PipeWriter);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl std::os::fd::AsFd for Pipe {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for shift in 0..4 {
            let line = format!("{}{}\n", "x".repeat(shift), "😀".repeat(2000));
            let short = String::from_utf8(cut(line.as_bytes())).unwrap();
            assert!(short.len() <= MAX_LINE && short.ends_with("😀…\n"));
        }
    }

    #[test]
    fn a_reader_that_has_stopped_holds_nothing_up_and_learns_what_it_missed() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut pipe = Pipe(writer);
        for _ in 0..1000 {
            write(&mut pipe, &[b"x".repeat(9999).as_slice(), b"\n"].concat());
        }
        let mut taken = vec![0; 1 << 16];
        let count = reader.read(&mut taken).unwrap();
        assert!(count > MAX_LINE && taken[..MAX_LINE].ends_with("x…\n".as_bytes()));
        write(&mut pipe, b"again\n");
        drop(pipe);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("lines were dropped)\nagain\n"), "{}", &rest[rest.len().saturating_sub(100)..]);
    }
}
